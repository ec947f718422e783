//! The receiver's view of the bindings, from the watch cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use crate::api::v1alpha1::{Authentication as Way, OnDatabaseError as Answer, WebhookSpec};
use crate::api::{NotionSyncBinding, SecretKey, annotations};
use crate::controller::conditions::{self, Truth, kind};
use crate::controller::context::Context;
use crate::controller::watch::binding_ref;
use crate::sync::identity::BindingRef;
use crate::sync::reason::Reason;
use crate::webhook::ports::{
    Authentication, Directory, Handshake, OnDatabaseError, ReceiverBinding, SecretKeyRef,
};

/// How long a snapshot serves: under load the list is not made anew for every request.
const FRESH: Duration = Duration::from_millis(250);
/// How long a handshake stays open (`design/receiver.md` §2).
const HANDSHAKE: SignedDuration = SignedDuration::from_hours(1);

type Views = Arc<[Arc<ReceiverBinding>]>;

/// The bindings with `spec.webhook`.
pub(super) struct Bindings {
    context: Arc<Context>,
    snapshot: Mutex<Option<(Instant, Views)>>,
    /// The value of `requestedAt` when this replica first saw it, and when that was.
    requested: Mutex<HashMap<BindingRef, (String, Timestamp)>>,
}

impl Bindings {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            snapshot: Mutex::default(),
            requested: Mutex::default(),
        }
    }

    fn view(&self, binding: &NotionSyncBinding) -> Option<ReceiverBinding> {
        let webhook = binding.spec.webhook.as_ref()?;
        let notion = &binding.spec.notion;
        let resolved = binding
            .status
            .as_ref()
            .and_then(|status| status.notion.as_ref());
        let resolved = resolved.and_then(|notion| notion.data_source_id.as_deref());
        let data_source = notion.data_source_id.as_deref().or(resolved);
        Some(ReceiverBinding {
            binding: binding_ref(binding),
            data_source: data_source.and_then(|id| id.parse().ok()),
            database: notion.database_id.as_deref().and_then(|id| id.parse().ok()),
            authentication: authentication(webhook),
            on_database_error: match webhook.on_database_error {
                Answer::Acknowledge => OnDatabaseError::Acknowledge,
                Answer::Retry => OnDatabaseError::Retry,
            },
            verification_token_ref: webhook
                .verification_token_secret_ref
                .as_ref()
                .map(|reference| key_ref(SecretKey::from(reference))),
            shared_secret_ref: webhook
                .shared_secret_ref
                .as_ref()
                .map(|reference| key_ref(SecretKey::from(reference))),
            token_ref: key_ref(SecretKey::from(&notion.token_secret_ref)),
            handshake: self.handshake(binding, webhook),
            verified: verified(binding) == Some(Truth::True),
        })
    }

    /// Open while no token is stored, for an hour since the binding was created, the key was removed
    /// or a person asked again. The receiver itself looks whether the key is empty.
    fn handshake(&self, binding: &NotionSyncBinding, webhook: &WebhookSpec) -> Handshake {
        let status = binding.status.as_ref();
        let condition =
            status.and_then(|status| conditions::find(&status.conditions, kind::WEBHOOK_VERIFIED));
        if !waits_for_token(webhook, condition) {
            return Handshake::Closed;
        }
        let since = [
            binding.creation_timestamp().map(|time| time.0),
            condition.map(|condition| condition.last_transition_time.0),
            self.requested(binding),
        ];
        let since = since.into_iter().flatten().max();
        let open = since.is_some_and(|since| Timestamp::now().duration_since(since) < HANDSHAKE);
        if open {
            Handshake::Open
        } else {
            Handshake::Closed
        }
    }

    /// When `requestedAt` got its value, as far as this replica can know.
    fn requested(&self, binding: &NotionSyncBinding) -> Option<Timestamp> {
        let value = binding.annotation(annotations::REQUESTED_AT)?;
        let mut requested = self
            .requested
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let name = binding_ref(binding);
        if let Some((known, at)) = requested.get(&name)
            && known == value
        {
            return Some(*at);
        }
        // A value that was answered before this process began is as old as it says.
        let status = binding.status.as_ref();
        let answered =
            status.and_then(|status| status.last_handled_reconcile_at.as_deref()) == Some(value);
        let at = if answered && !requested.contains_key(&name) {
            value.parse().unwrap_or(Timestamp::MIN)
        } else {
            Timestamp::now()
        };
        requested.insert(name, (value.to_owned(), at));
        Some(at)
    }
}

impl Directory for Bindings {
    fn ready(&self) -> bool {
        self.context.vitals.is_listed()
    }

    fn bindings(&self) -> Arc<[Arc<ReceiverBinding>]> {
        let mut snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, bindings)) = &*snapshot
            && made.elapsed() < FRESH
        {
            return Arc::clone(bindings);
        }
        let bindings = self.context.bindings.state();
        let views = bindings
            .iter()
            .filter_map(|binding| self.view(binding))
            .map(Arc::new);
        let bindings: Arc<[_]> = views.collect();
        *snapshot = Some((Instant::now(), Arc::clone(&bindings)));
        bindings
    }

    fn find(&self, namespace: &str, name: &str) -> Option<Arc<ReceiverBinding>> {
        let name = BindingRef {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let binding = self.context.find(&name)?;
        self.view(&binding).map(Arc::new)
    }
}

/// Whether a verification token is what is missing. A binding that waits for anything else, such as
/// its shared secret, must not make the shared path ambiguous for the one that waits for a token.
fn waits_for_token(webhook: &WebhookSpec, condition: Option<&Condition>) -> bool {
    if !webhook.authentication.contains(&Way::Signature) {
        return false;
    }
    let waiting = [Reason::AwaitingVerification, Reason::WebhookSecretMissing];
    condition.is_none_or(|condition| {
        let is_reason = |reason: &Reason| condition.reason == reason.as_str();
        conditions::truth_of(condition) == Truth::False && waiting.iter().any(is_reason)
    })
}

fn verified(binding: &NotionSyncBinding) -> Option<Truth> {
    let status = binding.status.as_ref()?;
    conditions::find(&status.conditions, kind::WEBHOOK_VERIFIED).map(conditions::truth_of)
}

fn authentication(webhook: &WebhookSpec) -> Authentication {
    let lists = |way| webhook.authentication.contains(&way);
    Authentication {
        signature: lists(Way::Signature),
        shared_secret: lists(Way::SharedSecret),
        none: lists(Way::None),
    }
}

fn key_ref(key: SecretKey) -> SecretKeyRef {
    SecretKeyRef {
        name: key.name,
        key: key.key,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn webhook(ways: &str) -> WebhookSpec {
        let text = format!(r#"{{"authentication":{ways},"sharedSecretRef":{{"name":"s"}}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn condition(status: &str, reason: &str) -> Condition {
        Condition {
            type_: kind::WEBHOOK_VERIFIED.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn only_a_missing_token_is_waited_for() {
        let signed = webhook(r#"["Signature","SharedSecret"]"#);
        let waits = |status, reason| waits_for_token(&signed, Some(&condition(status, reason)));
        assert!(waits_for_token(&signed, None));
        assert!(waits("False", "AwaitingVerification"));
        assert!(waits("False", "WebhookSecretMissing"));
        assert!(!waits("Unknown", "AwaitingVerification"));
        assert!(!waits("True", "Verified"));
        assert!(!waits("False", "Silent"));
        let secret = webhook(r#"["SharedSecret"]"#);
        let missing = condition("False", "WebhookSecretMissing");
        assert!(!waits_for_token(&secret, Some(&missing)));
        assert!(!waits_for_token(&secret, None));
    }
}
