//! A stored webhook event, whatever dialect it arrived in.
//!
//! `webhook/` turns a body into an [`InboxEvent`]; `store/` keeps it; `engine/` acts on it. The
//! body itself travels along for the audit row and, in the two dialects that carry values, for the
//! fallback of seed row S6.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::identity::{DataSourceId, DatabaseId, PageId, UserId};

/// The dialect of an event (`DESIGN.md` §3, S3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dialect {
    /// Notion's own envelope: a signal without values.
    Envelope,
    /// `{"type":"page.updated","object":{…}}`.
    Legacy,
    /// The body of an automation's "Send webhook".
    Automation,
}

/// What an event is about, and so what is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventSubject {
    /// Read the page again.
    Page(PageId),
    /// Check the schema and run an incremental pass.
    Schema {
        /// The data source, where the event names one.
        data_source: Option<DataSourceId>,
        /// The database, where the event names one.
        database: Option<DatabaseId>,
    },
    /// Nothing that this operator acts on; kept for the audit only.
    Other,
}

/// Whether the receiver itself already closed the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Skip {
    /// Not newer than the last event accepted for its page (S5).
    NotNewer,
    /// Without a time, and its page had an event within 60 s (S5).
    ProcessedRecently,
}

/// An event as the receiver hands it to the inbox of one binding.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Its dialect.
    pub dialect: Dialect,
    /// Notion's (or the sender's) type text.
    pub event_type: String,
    /// What it is about.
    pub subject: EventSubject,
    /// The data source that the event names.
    pub data_source: Option<DataSourceId>,
    /// When the change happened, by the event: an envelope's `timestamp`, a legacy object's or an
    /// automation page's `last_edited_time`. It orders events and never picks a winner.
    pub occurred_at: Option<Timestamp>,
    /// What makes a redelivery recognisable; unique per binding.
    pub dedupe_key: String,
    /// Whether the credential was checked: only then may payload values be used (S6).
    pub authenticated: bool,
    /// Who made the change, with the kind of author (`person`, `bot`, `agent`).
    pub authors: Vec<(UserId, String)>,
    /// The body as JSON text, with NUL and lone surrogates replaced by U+FFFD.
    pub body: String,
}

/// An event read back from the inbox.
#[derive(Debug, Clone, PartialEq)]
pub struct InboxEvent {
    /// Its number in the inbox.
    pub id: i64,
    /// When it was accepted, by the database's clock.
    pub received_at: Timestamp,
    /// Set where the receiver closed it and only the audit row is due.
    pub skipped: Option<Skip>,
    /// Set for a read that was put off, not an event: a page whose legacy event was skipped is read
    /// once its minute is over. It has no audit row of its own.
    pub reread_only: bool,
    /// How often handling it has failed so far.
    pub attempts: i32,
    /// The event. For a re-read, `event_type` and `body` are empty.
    pub event: NewEvent,
}

/// How the handling of an event, or of a found change, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Something was written.
    Applied,
    /// Nothing needed to be written.
    Unchanged,
    /// The receiver skipped it.
    Skipped,
    /// The page has no row.
    Unlinked,
    /// A person must decide.
    Conflict,
    /// It could not be handled.
    Failed,
}

impl Outcome {
    /// The outcome as the audit row spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "Applied",
            Self::Unchanged => "Unchanged",
            Self::Skipped => "Skipped",
            Self::Unlinked => "Unlinked",
            Self::Conflict => "Conflict",
            Self::Failed => "Failed",
        }
    }
}

/// The end of one inbox event: its outcome, and the reason where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventResult {
    /// The event's number in the inbox.
    pub id: i64,
    /// The outcome.
    pub outcome: Outcome,
    /// The reason, from the one vocabulary (or the receiver's skip reason).
    pub reason: Option<String>,
}
