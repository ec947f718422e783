//! Webhook subscriptions, with switches for everything that can go wrong on the way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A webhook subscription of a connection. The defaults deliver everything at once and in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent switch, not a state"
)]
pub struct Subscription {
    /// Where events are posted.
    pub url: String,
    /// Event types; empty is all. A trailing `*` matches any rest.
    pub events: Vec<String>,
    /// Token of the connection it belongs to; `None` is the first one.
    pub token: Option<String>,
    /// Key of the signatures; drawn at random if `None`.
    pub verification_token: Option<String>,
    /// Whether events are sent. Notion's start inactive until the token was pasted (`verify`).
    pub active: bool,
    /// `api_version` of the envelopes.
    pub api_version: String,
    /// Collect events of one kind and object for this long, as one event; a page created and
    /// deleted meanwhile gives none.
    pub aggregate_ms: u64,
    /// Send this much later.
    pub delay_ms: u64,
    /// Send up to this much later still, at random: changes the order.
    pub reorder_ms: u64,
    /// Probability of never sending an event.
    pub drop_probability: f64,
    /// Probability of sending an event twice.
    pub duplicate_probability: f64,
    /// Probability of a signature that does not verify.
    pub wrong_signature_probability: f64,
    /// Send no signature at all.
    pub unsigned: bool,
    /// Add fields that no documentation names.
    pub extra_fields: bool,
    /// Add `accessible_by`, as public connections get it.
    pub accessible_by: bool,
    /// Send again what was not answered with 2xx.
    pub retries: bool,
    /// Attempts in all (Notion: 8).
    pub max_attempts: u32,
    /// Wait before the second attempt; doubles with every further one.
    pub retry_backoff_ms: u64,
    /// How many deliveries may be under way at once; 1 keeps the order. Fixed at creation.
    pub parallel: usize,
    /// How long to wait for an answer.
    pub timeout_ms: u64,
    /// Further request headers.
    pub headers: BTreeMap<String, String>,
}

impl Default for Subscription {
    fn default() -> Self {
        Self {
            url: String::new(),
            events: Vec::new(),
            token: None,
            verification_token: None,
            active: true,
            api_version: "2026-03-11".to_owned(),
            aggregate_ms: 0,
            delay_ms: 0,
            reorder_ms: 0,
            drop_probability: 0.0,
            duplicate_probability: 0.0,
            wrong_signature_probability: 0.0,
            unsigned: false,
            extra_fields: false,
            accessible_by: false,
            retries: true,
            max_attempts: 8,
            retry_backoff_ms: 500,
            parallel: 1,
            timeout_ms: 10_000,
            headers: BTreeMap::new(),
        }
    }
}

impl Subscription {
    /// Whether it wants events of a type.
    pub(crate) fn wants(&self, kind: &str) -> bool {
        self.events.is_empty()
            || self
                .events
                .iter()
                .any(|wanted| match wanted.strip_suffix('*') {
                    Some(start) => kind.starts_with(start),
                    None => wanted == kind,
                })
    }
}

/// A subscription that exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionInfo {
    /// Its id, as in `subscription_id` of the envelopes.
    pub id: Uuid,
    /// Its token, with which deliveries are signed.
    pub verification_token: String,
    /// Events that wait to be sent.
    pub waiting: usize,
    /// What it was made with, or changed to.
    pub subscription: Subscription,
}
