//! What the admin API needs: who a token belongs to and may see, and what is known of bindings.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use jiff::Timestamp;
use secrecy::SecretSlice;

use crate::sync::drift::{Counts, Discrepancy, DriftCounts};
use crate::sync::identity::{BindingRef, PageId};

/// Whom the API server took a token for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's name.
    pub user: String,
    /// The user's UID.
    pub uid: String,
    /// The user's groups.
    pub groups: Vec<String>,
    /// What else the authenticator said, as the access review wants it back.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What a token may be allowed to read: a subresource of `notionsyncbindings`, verb `get`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// `notionsyncbindings/health`.
    Health,
    /// `notionsyncbindings/values`: the values within discrepancies.
    Values,
}

impl Right {
    /// The subresource.
    pub const fn subresource(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Values => "values",
        }
    }
}

/// A review could not be made. It counts as a refusal.
#[derive(Debug, thiserror::Error)]
#[error("the review failed")]
pub struct ReviewError {
    /// What failed; for debug logs only.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The static admin token, `TokenReview` and `SubjectAccessReview`. The admin API caches the reviews.
pub trait Reviewer: Send + Sync {
    /// What `--admin-token-file` holds now; the file may be replaced at any time. Must not block.
    fn static_token(&self) -> Option<SecretSlice<u8>>;

    /// Asks whose token this is; `None` if it is nobody's.
    fn review_token<'a>(
        &'a self,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<Identity>, ReviewError>>;

    /// Asks whether they may get the subresource in the namespace.
    fn may<'a>(
        &'a self,
        identity: &'a Identity,
        namespace: &'a str,
        right: Right,
    ) -> BoxFuture<'a, Result<bool, ReviewError>>;
}

/// `status.health`; the order is from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Everything is in step.
    Healthy,
    /// `spec.suspend` is set.
    Suspended,
    /// No pass yet, or none for long.
    Unknown,
    /// Working, but something needs attention.
    Degraded,
    /// `Ready=False`.
    Failing,
}

impl Health {
    /// The health as status spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Suspended => "Suspended",
            Self::Unknown => "Unknown",
            Self::Degraded => "Degraded",
            Self::Failing => "Failing",
        }
    }
}

/// `status.drift` without its samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftSummary {
    /// The counts.
    pub counts: DriftCounts,
    /// The token of the held set, for `notionsync.dev/approve`.
    pub held_token: Option<String>,
    /// When they were last exact.
    pub checked_at: Option<Timestamp>,
}

/// One binding as its status tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingHealth {
    /// Namespace and name.
    pub binding: BindingRef,
    /// Its health.
    pub health: Health,
    /// Whether `Ready` is `True`.
    pub ready: bool,
    /// The reason of `Ready`.
    pub reason: String,
    /// The message of `Ready`.
    pub message: String,
    /// Pages, rows and pairs, once counted.
    pub counts: Option<Counts>,
    /// What is not in step, once checked.
    pub drift: Option<DriftSummary>,
    /// `status.lastSyncTime`.
    pub last_sync: Option<Timestamp>,
    /// `status.lastFullScanTime`.
    pub last_full_scan: Option<Timestamp>,
}

/// The single discrepancies of a binding.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HealthDetails {
    /// Every kind but orphaned pages.
    pub discrepancies: Vec<Discrepancy>,
    /// Live pages without a row.
    pub orphaned_pages: Vec<PageId>,
    /// Whether row keys may be shown in clear (see `RowKey::shown`).
    pub plain_keys: bool,
    /// There are more than were asked for.
    pub truncated: bool,
}

/// The details could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the state of the binding cannot be read")]
pub struct HealthError {
    /// What failed; for debug logs only.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What is known of bindings from their last pass. Never asks Notion.
pub trait HealthSource: Send + Sync {
    /// All bindings, with and without webhook, from a cache; must not block.
    fn bindings(&self) -> Vec<BindingHealth>;

    /// Up to `limit` discrepancies and up to `limit` orphaned pages. `values` asks for both sides'
    /// values; an implementation should leave values out rather than hold many megabytes of them.
    fn details<'a>(
        &'a self,
        binding: &'a BindingRef,
        limit: usize,
        values: bool,
    ) -> BoxFuture<'a, Result<HealthDetails, HealthError>>;
}
