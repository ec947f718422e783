//! What the receiver and the admin API need from the rest of the process.
//!
//! `webhook/` knows neither Kubernetes nor Postgres: it works through these traits, which `app`
//! implements over the watch cache, the API server and the stores. Every future may be dropped at
//! any point (the receiver answers in time whatever a port does), so an implementation must not
//! depend on being polled to its end.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::sync::event::{NewEvent, Skip};
use crate::sync::identity::{BindingRef, DataSourceId, DatabaseId, PageId};
use crate::sync::reason::Reason;

/// One key of one Secret in the binding's own namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretKeyRef {
    /// The Secret's name.
    pub name: String,
    /// The key within it.
    pub key: String,
}

/// `spec.webhook.authentication` as a set. `None` counts only where the operator's flag allows it;
/// the receiver checks that itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Authentication {
    /// `Signature` is listed.
    pub signature: bool,
    /// `SharedSecret` is listed.
    pub shared_secret: bool,
    /// `None` is listed.
    pub none: bool,
}

/// `spec.webhook.onDatabaseError`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnDatabaseError {
    /// 200 with error details.
    #[default]
    Acknowledge,
    /// 503, so that the sender tries again.
    Retry,
}

/// Whether a `verification_token` would be taken (`design/receiver.md` §2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Handshake {
    /// `WebhookVerified=False/AwaitingVerification`, and its hour is not over.
    Open,
    /// Everything else.
    #[default]
    Closed,
}

/// A binding with `spec.webhook`, as the receiver sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverBinding {
    /// Namespace and name.
    pub binding: BindingRef,
    /// The data source: from the spec, else as resolved and pinned.
    pub data_source: Option<DataSourceId>,
    /// The database that holds it: from the spec, else as resolved.
    pub database: Option<DatabaseId>,
    /// Which credentials admit a request.
    pub authentication: Authentication,
    /// What is answered while events cannot be stored.
    pub on_database_error: OnDatabaseError,
    /// Where the verification token is kept: the key of the signature.
    pub verification_token_ref: Option<SecretKeyRef>,
    /// Where the shared secret is kept.
    pub shared_secret_ref: Option<SecretKeyRef>,
    /// Where the Notion token is kept (only its presence matters here, S13).
    pub token_ref: SecretKeyRef,
    /// Whether a handshake would be taken.
    pub handshake: Handshake,
    /// Whether an event whose signature verified is already known (`WebhookVerified=True`).
    pub verified: bool,
}

/// The bindings with `spec.webhook`, from a cache; must not block.
pub trait Directory: Send + Sync {
    /// Whether the first complete list of bindings is in.
    fn ready(&self) -> bool;

    /// All bindings with `spec.webhook`, suspended ones too.
    fn bindings(&self) -> Arc<[Arc<ReceiverBinding>]>;

    /// The binding of that name, if it has `spec.webhook`.
    fn find(&self, namespace: &str, name: &str) -> Option<Arc<ReceiverBinding>> {
        self.bindings()
            .iter()
            .find(|each| each.binding.namespace == namespace && each.binding.name == name)
            .cloned()
    }
}

/// A Secret could not be read or written just now (not: it is missing).
#[derive(Debug, thiserror::Error)]
#[error("the Secret cannot be reached")]
pub struct CredentialsError {
    /// What failed; for debug logs only.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// How an attempt to store a verification token ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenStored {
    /// It is in the Secret now.
    Stored,
    /// The Secret does not exist; the receiver never creates one.
    SecretMissing,
    /// The key has a value already, or got one meanwhile.
    Conflict,
}

/// Keys of Secrets. The receiver caches what it reads.
pub trait Credentials: Send + Sync {
    /// Reads one key; `None` where the Secret or the key does not exist.
    fn read<'a>(
        &'a self,
        namespace: &'a str,
        reference: &'a SecretKeyRef,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, CredentialsError>>;

    /// Writes a verification token into an absent or empty key of an existing Secret, by server-side
    /// apply of that key alone. Two replicas may try at once: only one may get `Stored`.
    fn store_token<'a>(
        &'a self,
        namespace: &'a str,
        reference: &'a SecretKeyRef,
        token: &'a str,
    ) -> BoxFuture<'a, Result<TokenStored, CredentialsError>>;
}

/// How the inbox took an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Committed, to be handled.
    Queued,
    /// The dedupe key is known to this binding.
    Duplicate,
    /// A legacy event closed by the seed's rule (S5); its re-read is noted.
    Skipped(Skip),
}

/// An event could not be stored, or the inbox not be asked.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct SinkError {
    /// The reason, from the one vocabulary; shown to the sender.
    pub reason: Reason,
    /// What failed; for debug logs only.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// How a request was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A signature verified.
    Signature,
    /// The shared secret matched.
    SharedSecret,
    /// `None` is listed and allowed.
    Unverified,
}

/// What the receiver refused for one binding since the last report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectionNote {
    /// The binding.
    pub binding: BindingRef,
    /// How many requests.
    pub count: u64,
    /// The code of the last one, for `status.webhook.lastRejectionReason`.
    pub last_reason: &'static str,
    /// When that was.
    pub last_at: Timestamp,
}

/// The inbox and what hangs on it.
pub trait EventSink: Send + Sync {
    /// Stores an event for one binding; returns only once it is committed. Must end by itself
    /// within a few seconds and not retry longer than its caller waits.
    fn insert<'a>(
        &'a self,
        binding: &'a BindingRef,
        event: &'a NewEvent,
    ) -> BoxFuture<'a, Result<Accepted, SinkError>>;

    /// Whether a row of the binding carries this page, or a pair is remembered for it.
    fn is_linked<'a>(
        &'a self,
        binding: &'a BindingRef,
        page: PageId,
    ) -> BoxFuture<'a, Result<bool, SinkError>>;

    /// Something is in the inbox now. May be lost; must not block.
    fn nudge(&self, binding: &BindingRef);

    /// An authenticated event for this binding has arrived: `status.webhook.lastEventTime`, and
    /// `WebhookVerified=True` for [`Proof::Signature`]. Called for every event; must not block.
    fn note_event(&self, binding: &BindingRef, proof: Proof);

    /// Takes the rejections of the last minute, at most one note for each binding.
    fn note_rejections(&self, notes: Vec<RejectionNote>) -> BoxFuture<'_, Result<(), SinkError>>;
}

/// The ports of the receiver.
#[derive(Clone)]
pub struct Ports {
    /// The bindings.
    pub directory: Arc<dyn Directory>,
    /// Their Secrets.
    pub credentials: Arc<dyn Credentials>,
    /// Their inboxes.
    pub sink: Arc<dyn EventSink>,
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}
