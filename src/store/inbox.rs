//! The inbox of webhook events, as the receiver on every replica uses it.
//!
//! `queued` is promised only after the commit. One writer for each pool takes whatever waits and
//! stores it with one statement, so that events under load share their commits. A caller waits for
//! at most [`DEADLINE`]; an event whose caller gave up may still be stored, which its unique key
//! makes harmless.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use crate::sync::event::{NewEvent, Skip};

mod link;
mod receipts;
mod row;
mod rule;
mod upkeep;
mod writer;

pub use link::LinkTarget;
pub use receipts::Receipts;
pub use upkeep::InboxCounts;
use writer::Waiting;

/// How long a caller of [`Inbox::insert`] waits for the commit: a sender is answered within 5 s.
pub const DEADLINE: Duration = Duration::from_secs(4);

/// How many events may wait for the writer; further ones wait for a place, up to the deadline.
const QUEUE: usize = 1024;

/// How the inbox took an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Committed.
    Queued,
    /// Its dedupe key is known.
    Duplicate,
    /// Closed by the rule for legacy events (seed row S5). Its page is read once more when the
    /// minute is over.
    Skipped(Skip),
}

/// The inbox behind one pool; clones share the writer, which ends with the last of them.
#[derive(Debug, Clone)]
pub struct Inbox {
    pool: PgPool,
    queue: mpsc::Sender<Waiting>,
    noted: Arc<Mutex<HashMap<String, (Instant, bool)>>>,
}

impl Inbox {
    /// Starts the writer on the current runtime.
    pub fn start(pool: PgPool) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(writer::run(pool.clone(), waiting));
        Self {
            pool,
            queue,
            noted: Arc::default(),
        }
    }

    /// The pool that it works over.
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Whether its pool was closed, because the server was away; another one is to be started.
    pub fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }

    /// Stores an event for the binding that `owner` names (see [`super::claim::owner`]).
    ///
    /// [`StoreError::Unavailable`] means that nothing is promised, not that nothing was stored.
    pub async fn insert(&self, owner: &str, event: NewEvent) -> Result<Accepted, StoreError> {
        let deadline = Instant::now() + DEADLINE;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            owner: owner.to_owned(),
            event,
            answer,
        };
        let stored = async {
            self.queue.send(waiting).await.ok()?;
            answered.await.ok()
        };
        match tokio::time::timeout_at(deadline.into(), stored).await {
            Ok(Some(result)) => result,
            Ok(None) => Err(StoreError::Unavailable(sqlx::Error::WorkerCrashed)),
            Err(_) => Err(StoreError::Unavailable(sqlx::Error::PoolTimedOut)),
        }
    }

    /// Whether an arrival was noted so recently that noting it again says nothing new.
    fn is_noted(&self, owner: &str, verified: bool) -> bool {
        let now = Instant::now();
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.retain(|_, (at, _)| now.duration_since(*at) < receipts::NOTE_EVERY);
        if noted
            .get(owner)
            .is_some_and(|(_, before)| *before || !verified)
        {
            return true;
        }
        noted.insert(owner.to_owned(), (now, verified));
        false
    }
}

/// The end of the minute that `time` lies in.
fn end_of_minute(time: Timestamp) -> Timestamp {
    let seconds = time.as_second();
    let end = seconds - seconds.rem_euclid(60) + 60;
    Timestamp::from_second(end).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_ends_after_its_last_second() {
        let end = |text: &str| end_of_minute(text.parse().unwrap()).to_string();
        assert_eq!(end("2026-11-20T10:00:00Z"), "2026-11-20T10:01:00Z");
        assert_eq!(end("2026-11-20T10:00:59.999Z"), "2026-11-20T10:01:00Z");
        assert_eq!(end("1969-12-31T23:59:30Z"), "1970-01-01T00:00:00Z");
    }
}
