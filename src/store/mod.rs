//! Postgres: the bound table and the state schema `notion_sync`.
//!
//! [`BindingStore`] is the port that `engine/` works through; [`postgres`] is the implementation.
//! Everything that must be atomic is one call, so that another implementation (in memory, for the
//! simulator) can keep the same promises.

use std::collections::HashMap;
use std::future::Future;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sync::drift::{Discrepancy, DriftReport};
use crate::sync::event::{EventResult, InboxEvent, Outcome};
use crate::sync::identity::{PageId, PropertyId, RowKey};
use crate::sync::page::{PageSnapshot, PropertyValue};
use crate::sync::pair::{FieldBase, PairBase, PairHash, PairRead};

pub mod audit;
pub mod capture;
pub mod catalog;
pub mod changes;
pub mod claim;
pub mod conflicts;
pub mod connection;
pub mod details;
pub mod error;
pub mod hosts;
pub mod ident;
pub mod inbox;
pub mod intents;
pub mod migrate;
pub mod patience;
pub mod pool;
pub mod postgres;
mod session;

pub use changes::{CapturedChange, ChangeKind, ChangeStore, KeyedRow};
pub use error::StoreError;

/// How far the passes of a binding have come. It lives here and never in status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// From when on the next incremental pass must read.
    pub watermark: Option<Timestamp>,
    /// When the last complete scan ended.
    pub last_full_scan: Option<Timestamp>,
    /// The fingerprint of the mapping that the last complete scan used; another one asks for a scan.
    pub scanned_mapping: Option<String>,
}

/// What one look at a pair found, when nothing is to be written to the bound table.
#[derive(Debug, Clone, PartialEq)]
pub struct PairRecord {
    /// The page.
    pub page_id: PageId,
    /// The row it is linked to; `None` removes what is remembered of a pair.
    pub row_key: Option<RowKey>,
    /// The fingerprint of this look.
    pub hash: Option<PairHash>,
    /// The page's `last_edited_time`; the newest seen is kept.
    pub last_edited: Option<Timestamp>,
    /// Bases to set, by column.
    pub settle: Vec<(String, FieldBase)>,
    /// Columns whose conflict a person resolved and which are done: it is closed.
    pub resolved: Vec<String>,
    /// Everything about this page that is not in step; replaces what was recorded before.
    pub discrepancies: Vec<Discrepancy>,
}

/// A change that is due in the bound table.
///
/// The implementation locks the row, reads it again, plans again with
/// [`crate::sync::plan::plan_pair`], updates only the changed columns (and `updatedAtColumn`), and
/// stores base, discrepancies, audit rows and the events' outcomes, in one transaction.
#[derive(Debug, Clone)]
pub struct PairChange<'a> {
    /// The page as it was read.
    pub page: &'a PageSnapshot,
    /// The inbox events that this change settles, oldest first. Without any, the audit row is one
    /// of a pass (`action = 'notion_sync'`).
    pub events: &'a [InboxEvent],
    /// What writes of ours sent to the page lately; see [`crate::sync::pair::Traces`].
    pub sent: &'a [(PropertyId, PropertyValue)],
    /// When the row was changed, as it was captured.
    pub row_changed_at: Option<Timestamp>,
}

/// What came of a [`PairChange`].
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// The row was dealt with.
    Done {
        /// How it ended.
        outcome: Outcome,
        /// How many columns were written.
        fields_written: usize,
        /// What is not in step now.
        discrepancies: Vec<Discrepancy>,
        /// Whether a write to the page is due now.
        notion_due: bool,
    },
    /// The snapshot is older than one already seen: a direct read must decide.
    Stale,
    /// No row carries the page id any more, or several do: look at the pair again.
    Relinked,
}

/// Rows of the bound table, counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableCounts {
    /// All rows.
    pub rows: i64,
    /// Rows without a page id.
    pub unlinked: i64,
    /// Keys of up to 1,000 of them.
    pub unlinked_samples: Vec<RowKey>,
}

/// One binding's table and state, as the engine needs them.
///
/// Every write is fenced by the binding's epoch and ends in [`StoreError::Fenced`] where another
/// process has taken over.
pub trait BindingStore: Send + Sync {
    /// Reads rows and heads of these pages, one [`PairRead`] for each, in any order.
    fn read_pairs(
        &self,
        pages: &[PageId],
    ) -> impl Future<Output = Result<Vec<PairRead>, StoreError>> + Send;

    /// Reads the bases of these pages; a page without one is absent from the answer.
    fn read_bases(
        &self,
        pages: &[PageId],
    ) -> impl Future<Output = Result<HashMap<PageId, PairBase>, StoreError>> + Send;

    /// Stores looks that need no write to the bound table, in one transaction.
    fn record(
        &self,
        records: Vec<PairRecord>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Applies one change; see [`PairChange`].
    fn apply(
        &self,
        change: PairChange<'_>,
    ) -> impl Future<Output = Result<Applied, StoreError>> + Send;

    /// Ends events that changed nothing: writes their audit rows and outcomes in one transaction.
    fn finish_events(
        &self,
        events: &[InboxEvent],
        results: &[EventResult],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Puts events off until `until`; `failed` counts an attempt.
    fn defer_events(
        &self,
        events: &[i64],
        until: Timestamp,
        failed: bool,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The events that are due, oldest first.
    fn due_events(
        &self,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<InboxEvent>, StoreError>> + Send;

    /// When the oldest event was accepted that is not handled yet: the age of it is the lag.
    fn oldest_event(&self) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    /// Ids of all pages that rows of the table carry.
    fn linked_pages(&self) -> impl Future<Output = Result<Vec<PageId>, StoreError>> + Send;

    /// Ids of all pages that pairs or discrepancies are recorded for.
    fn recorded_pages(&self) -> impl Future<Output = Result<Vec<PageId>, StoreError>> + Send;

    /// Removes the discrepancies of these pages, and their pairs where no row carries the page id
    /// and the pair's row exists (the link was cleared by hand).
    fn forget(&self, pages: &[PageId]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Counts the table's rows and records the unlinked ones as discrepancies.
    fn count_table(&self) -> impl Future<Output = Result<TableCounts, StoreError>> + Send;

    /// Counts and samples of what is recorded.
    fn report(&self) -> impl Future<Output = Result<DriftReport, StoreError>> + Send;

    /// Reads the progress.
    fn progress(&self) -> impl Future<Output = Result<Progress, StoreError>> + Send;

    /// Stores the progress.
    fn save_progress(
        &self,
        progress: &Progress,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}
