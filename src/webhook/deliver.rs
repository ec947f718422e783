//! Hands an authenticated event to every binding that it concerns, and finds the one reply.
//!
//! The order of the replies is that of the table in `design/receiver.md` §4: what one binding has
//! kept is never reported as lost because another could not keep it.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::time::{Instant, timeout_at};

use super::keys::KeyCache;
use super::payload::Parsed;
use super::place::Standing;
use super::ports::{Accepted, EventSink, OnDatabaseError, Proof, ReceiverBinding, SinkError};
use super::reply::{Refusal, Reply};
use crate::sync::event::{NewEvent, Skip};
use crate::sync::reason::Reason;

/// A binding that admitted the request.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The binding.
    pub binding: Arc<ReceiverBinding>,
    /// How it was admitted.
    pub proof: Proof,
}

/// What became of the event at one binding. The order is that in which replies win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Stored.
    Stored,
    /// Stored, and nothing will happen until the Notion token is there (S13).
    StoredWithoutToken,
    /// Known already.
    Duplicate,
    /// Closed by the seed's rule.
    NotNewer,
    /// Closed by the seed's rule for events without a time.
    ProcessedRecently,
    /// Not stored, and the binding asks for a retry.
    FailedRetry(Reason),
    /// Not stored.
    Failed(Reason),
    /// Nothing of this binding.
    NotHere,
}

/// Where bindings keep their events, and what tells whether they can be handled.
pub struct Delivery<'a> {
    /// The inboxes.
    pub sink: &'a dyn EventSink,
    /// Presence of Notion tokens.
    pub tokens: &'a KeyCache,
    /// The request came to the binding's own path.
    pub own_path: bool,
    /// When the reply must be ready.
    pub deadline: Instant,
}

impl Delivery<'_> {
    /// Delivers to all candidates at once; one that hangs does not hold the others up.
    pub async fn deliver(&self, candidates: &[Candidate], parsed: &Parsed) -> Vec<Fate> {
        let each: Vec<BoxFuture<'_, Fate>> = candidates
            .iter()
            .map(|candidate| self.deliver_one(candidate, parsed).boxed())
            .collect();
        join_all(each).await
    }

    async fn deliver_one(&self, candidate: &Candidate, parsed: &Parsed) -> Fate {
        let binding = &candidate.binding;
        let fate = match self.concerns(binding, parsed).await {
            Ok(false) => Fate::NotHere,
            Ok(true) => self.store(binding, &parsed.event).await,
            Err(reason) => failed(binding, reason),
        };
        if fate != Fate::NotHere || !binding.verified {
            self.sink.note_event(&binding.binding, candidate.proof);
        }
        if fate < Fate::Duplicate || matches!(fate, Fate::NotNewer | Fate::ProcessedRecently) {
            self.sink.nudge(&binding.binding);
        }
        fate
    }

    /// Whether the event is this binding's: by the place it names, else by a link of its page.
    async fn concerns(&self, binding: &ReceiverBinding, parsed: &Parsed) -> Result<bool, Reason> {
        match (parsed.place.standing(binding), parsed.page) {
            (Standing::Here, _) => Ok(true),
            (Standing::Unnamed, _) if self.own_path => Ok(true),
            (_, Some(page)) => {
                self.within(self.sink.is_linked(&binding.binding, page), binding)
                    .await
            }
            (_, None) => Ok(false),
        }
    }

    async fn store(&self, binding: &ReceiverBinding, event: &NewEvent) -> Fate {
        let insert = self.within(self.sink.insert(&binding.binding, event), binding);
        let namespace = &binding.binding.namespace;
        let token = timeout_at(
            self.deadline,
            self.tokens.get(namespace, &binding.token_ref),
        );
        let (inserted, token) = tokio::join!(insert, token);
        match inserted {
            Ok(Accepted::Queued) => match token {
                Ok(token) if token.known && token.keys.is_empty() => Fate::StoredWithoutToken,
                _ => Fate::Stored,
            },
            Ok(Accepted::Duplicate) => Fate::Duplicate,
            Ok(Accepted::Skipped(Skip::NotNewer)) => Fate::NotNewer,
            Ok(Accepted::Skipped(Skip::ProcessedRecently)) => Fate::ProcessedRecently,
            Err(reason) => failed(binding, reason),
        }
    }

    async fn within<T>(
        &self,
        call: impl Future<Output = Result<T, SinkError>>,
        binding: &ReceiverBinding,
    ) -> Result<T, Reason> {
        let name = &binding.binding;
        match timeout_at(self.deadline, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                tracing::warn!(
                    binding.namespace = name.namespace,
                    binding.name = name.name,
                    error = %error,
                    "a webhook event could not be stored"
                );
                Err(error.reason)
            }
            Err(_) => {
                tracing::warn!(
                    binding.namespace = name.namespace,
                    binding.name = name.name,
                    "storing a webhook event took too long"
                );
                Err(Reason::DatabaseUnavailable)
            }
        }
    }
}

fn failed(binding: &ReceiverBinding, reason: Reason) -> Fate {
    match binding.on_database_error {
        OnDatabaseError::Acknowledge => Fate::Failed(reason),
        OnDatabaseError::Retry => Fate::FailedRetry(reason),
    }
}

/// The reply to the sender. Kept by one binding is kept: a redelivery for the sake of another would
/// be answered `duplicate` by the first, and the other reads the page at its next pass. Only where
/// no binding has the event do failures show, and then one `Retry` is enough to ask for it.
pub fn combine(fates: &[Fate]) -> Result<Reply, Refusal> {
    match fates.iter().min() {
        None | Some(Fate::NotHere) => Ok(Reply::answer("unlinked", Some("NoBinding"))),
        Some(Fate::Stored) => Ok(Reply::answer("queued", None)),
        Some(Fate::StoredWithoutToken) => Ok(Reply::answer(
            "skipped",
            Some(Reason::NotionTokenMissing.as_str()),
        )),
        Some(Fate::Duplicate) => Ok(Reply::answer("duplicate", None)),
        Some(Fate::NotNewer) => Ok(Reply::answer("skipped", Some("NotNewer"))),
        Some(Fate::ProcessedRecently) => Ok(Reply::answer("skipped", Some("ProcessedRecently"))),
        Some(Fate::FailedRetry(_)) => Err(Refusal::DatabaseUnavailable),
        Some(Fate::Failed(reason)) => Ok(Reply::not_stored(reason.as_str())),
    }
}

#[cfg(test)]
#[path = "deliver_tests.rs"]
mod tests;
