//! Writes to Notion that were announced: what was sent, and what became of it.
//!
//! The intent is committed before the request goes out, so that a process that dies in between
//! leaves word of it (`design/sync.md` §4). A write whose answer is ambiguous is judged only by a
//! read after `not_after`; until then its page takes no other write.

use std::collections::HashMap;
use std::future::Future;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StoreError;
use crate::sync::event::{InboxEvent, Outcome};
use crate::sync::identity::{PageId, PropertyId, RowKey};
use crate::sync::page::{PropertyType, PropertyValue};
use crate::sync::pair::{FieldBase, OwnEdit};

/// How long a settled intent is remembered for late arrivals.
pub const REMEMBERED: SignedDuration = SignedDuration::from_mins(REMEMBERED_MINUTES as i64);
/// The same in minutes.
pub(super) const REMEMBERED_MINUTES: i32 = 10;

/// One property of a write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IntentField {
    /// The column that the value comes from.
    pub column: String,
    /// The property.
    pub property: PropertyId,
    /// Its type.
    pub kind: PropertyType,
    /// What the page held when it was read, immediately before.
    pub before: PropertyValue,
    /// What is sent.
    pub sent: PropertyValue,
    /// The column's text that it was made from; `None` is NULL.
    pub postgres: Option<String>,
    /// Whether both sides had changed, so that a policy gave up `before`.
    pub contested: bool,
}

/// What a write does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Changes properties of a page.
    Update,
    /// Creates a page for a row; the fields hold all its properties.
    Create,
    /// Puts the page into the trash.
    Trash,
    /// Takes it out again.
    Restore,
}

/// A write that is about to go out.
#[derive(Debug, Clone, PartialEq)]
pub struct NewIntent {
    /// The page; `None` for a create.
    pub page_id: Option<PageId>,
    /// The row that the values come from.
    pub row_key: RowKey,
    /// What it does.
    pub operation: Operation,
    /// The properties.
    pub fields: Vec<IntentField>,
    /// When the page was read that the plan was made from.
    pub read_at: Timestamp,
    /// Until when the request may take effect.
    pub not_after: Timestamp,
}

/// What is known about a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentState {
    /// Nobody knows yet.
    Pending,
    /// The page has it.
    Written,
    /// It did not happen.
    NotWritten,
}

/// A stored intent.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// Its number.
    pub id: i64,
    /// The intent.
    pub intent: NewIntent,
    /// Whether another binding of this database announced it; it settles it then.
    pub is_foreign: bool,
    /// What is known.
    pub state: IntentState,
    /// When that became known.
    pub settled_at: Option<Timestamp>,
}

impl Intent {
    /// Whether its effect may still arrive, so that the page takes no other write. Settling an
    /// intent by a clear answer ends that time; a read that shows its values does not.
    pub fn blocks(&self, now: Timestamp) -> bool {
        now < self.intent.not_after
    }
}

/// One field of the audit row of a write to Notion.
#[derive(Debug, Clone, PartialEq)]
pub struct NotionChange {
    /// The column.
    pub column: String,
    /// The page's value before.
    pub from: Value,
    /// What the echo shows.
    pub to: Value,
    /// The lost value, where both sides had changed; else null.
    pub overwrote: Value,
}

/// How an intent ended; stored with the base and the audit row in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The intent.
    pub intent: i64,
    /// Written or not.
    pub state: IntentState,
    /// Whether Notion itself said so: nothing of it can arrive any more.
    pub is_certain: bool,
    /// The page that it was about.
    pub page_id: PageId,
    /// The row of the pair.
    pub row_key: RowKey,
    /// Bases to set, by column.
    pub settle: Vec<(String, FieldBase)>,
    /// Our own edit as the echo shows it.
    pub own_edit: Option<OwnEdit>,
    /// The echo's `last_edited_time`; the newest seen is kept.
    pub last_edited: Option<Timestamp>,
    /// What changed on the page. Without any and with outcome `Unchanged` there is no audit row.
    pub changes: Vec<NotionChange>,
    /// How the audit row says that it ended.
    pub outcome: Outcome,
    /// The reason, from the one vocabulary.
    pub reason: Option<String>,
    /// When the change was made in Postgres, where it was captured: for the latency metric.
    pub committed_at: Option<Timestamp>,
}

/// Intents of one binding. Every write is fenced by its epoch.
pub trait IntentStore: Send + Sync {
    /// The intents of these pages that are pending, of whatever binding of this database, and those
    /// settled within [`REMEMBERED`], oldest first.
    fn intents(
        &self,
        pages: &[PageId],
    ) -> impl Future<Output = Result<HashMap<PageId, Vec<Intent>>, StoreError>> + Send;

    /// This binding's pending intents past their `not_after`, and its pending creates.
    fn unsettled(&self) -> impl Future<Output = Result<Vec<Intent>, StoreError>> + Send;

    /// Commits an intent; gives its number.
    fn begin_intent(
        &self,
        intent: &NewIntent,
    ) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// Corrects the time until which the request may take effect, once it was really sent.
    fn sent_intent(
        &self,
        intent: i64,
        not_after: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Settles an intent with base, own edit, hash (none: the pair is looked at again) and audit row.
    fn settle_intent(
        &self,
        settlement: &Settlement,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Records conflict `PossibleOverwrite` for events with a person among their authors that changed
    /// a property which we wrote, at a time between our read and our write.
    fn note_overwrites(
        &self,
        events: &[InboxEvent],
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
