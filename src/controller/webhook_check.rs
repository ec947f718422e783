//! What is known of a binding's webhook: its token, its last event, its last rejection.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt;

use super::conditions::{self, Check, Problem, Truth, kind};
use super::context::Context;
use super::secrets::SecretRead;
use super::status::Observation;
use super::worker::Memory;
use crate::api::v1alpha1::Authentication;
use crate::api::{NotionSyncBinding, SecretKey};
use crate::store::inbox::{Inbox, Receipts};
use crate::store::patience::answered_within;
use crate::sync::identity::BindingRef;
use crate::sync::reason::Reason;

/// After this long an edit that polling found should have been announced (`design/receiver.md` §4).
const SILENCE: Duration = Duration::from_mins(10);

/// How long the database may take to tell what is only shown.
const PATIENCE: Duration = Duration::from_secs(5);

/// Adds what is known of the webhook to an observation.
pub(super) async fn observe(
    context: &Context,
    binding: &NotionSyncBinding,
    name: &BindingRef,
    inbox: Option<Inbox>,
    memory: &mut Memory,
    seen: &mut Observation,
) {
    if binding.spec.webhook.is_none() {
        return;
    }
    let owner = crate::store::claim::owner(context.cluster_id(), name);
    let receipts = match inbox {
        Some(inbox) => answered_within(PATIENCE, inbox.receipts(&owner)).await.ok(),
        None => None,
    };
    if let Some(receipts) = &receipts {
        seen.last_event = receipts.last_event_at;
        let rejection = receipts
            .last_rejection_at
            .zip(receipts.last_rejection_reason.clone());
        seen.last_rejection = rejection;
    }
    seen.webhook = match missing_secret(context, binding).await {
        Some(check) => check,
        None => receipts.map_or(Check::Unchecked, |receipts| {
            heard(binding, &receipts, memory)
        }),
    };
}

/// What is wrong with the Secrets of the listed ways of authentication.
async fn missing_secret(context: &Context, binding: &NotionSyncBinding) -> Option<Check> {
    let webhook = binding.spec.webhook.as_ref()?;
    let namespace = binding.namespace().unwrap_or_default();
    let lists = |way| webhook.authentication.contains(&way);
    if lists(Authentication::Signature)
        && let Some(reference) = &webhook.verification_token_secret_ref
    {
        let key = SecretKey::from(reference);
        match context.secrets.read(&namespace, &key).await {
            Ok(SecretRead::MissingSecret) => return Some(Check::Failed(secret_missing(&key))),
            Ok(SecretRead::MissingKey(_)) => return Some(Check::Failed(awaiting(&key, binding))),
            Ok(SecretRead::Found(_)) => {}
            Err(_) => return Some(Check::Unchecked),
        }
    }
    if lists(Authentication::SharedSecret)
        && let Some(reference) = &webhook.shared_secret_ref
    {
        let key = SecretKey::from(reference);
        match context.secrets.read(&namespace, &key).await {
            Ok(SecretRead::MissingSecret | SecretRead::MissingKey(_)) => {
                return Some(Check::Failed(secret_missing(&key)));
            }
            Ok(SecretRead::Found(_)) => {}
            Err(_) => return Some(Check::Unchecked),
        }
    }
    None
}

fn secret_missing(key: &SecretKey) -> Problem {
    let remedy = format!(
        "create Secret {} (key {}) for the webhook",
        key.name, key.key
    );
    Problem::new(Reason::WebhookSecretMissing, remedy)
}

fn awaiting(key: &SecretKey, binding: &NotionSyncBinding) -> Problem {
    let remedy = format!(
        "no verification token in Secret {} key {}: create the webhook subscription in Notion for \
         the path {}, or resend its token",
        key.name,
        key.key,
        binding.webhook_path()
    );
    Problem::new(Reason::AwaitingVerification, remedy)
}

/// With its Secrets in place, the webhook is verified by the first event that verifies, and silent
/// where edits go unannounced.
fn heard(binding: &NotionSyncBinding, receipts: &Receipts, memory: &mut Memory) -> Check {
    if let Some((edit, found)) = memory.unannounced {
        if receipts.last_event_at.is_some_and(|at| at >= edit) {
            memory.unannounced = None;
        } else if found < Instant::now() && found.elapsed() >= SILENCE {
            let text = "Polling finds edits that no event announced: check the subscription in Notion \
                        (is it active, does it list the page events, is its URL this receiver?).";
            return Check::Failed(Problem::new(Reason::Silent, text));
        }
    }
    let webhook = binding.spec.webhook.as_ref();
    let signed =
        webhook.is_some_and(|webhook| webhook.authentication.contains(&Authentication::Signature));
    let heard = if signed {
        receipts.verified_at
    } else {
        receipts.last_event_at
    };
    // A token that was exchanged has to verify an event of its own.
    if heard.is_some_and(|at| at >= waiting_since(binding)) {
        Check::Passed
    } else {
        let text = "A token is stored; the first event that verifies completes this.";
        Check::Unknown(Problem::new(Reason::AwaitingVerification, text))
    }
}

/// Since when the webhook waits for a proof: never, where it is verified already.
fn waiting_since(binding: &NotionSyncBinding) -> Timestamp {
    let status = binding.status.as_ref();
    let old =
        status.and_then(|status| conditions::find(&status.conditions, kind::WEBHOOK_VERIFIED));
    let created = binding
        .creation_timestamp()
        .map_or(Timestamp::MIN, |time| time.0);
    let waiting = old.filter(|old| conditions::truth_of(old) != Truth::True);
    waiting.map_or(created, |old| old.last_transition_time.0.max(created))
}
