//! Rows that users changed, as capture recorded them (`design/state.md` §2).
//!
//! Capture is an accelerator: a change says where to look, never what is true. Whoever handles one
//! notes its ids, reads the row as it is now, and settles exactly these ids; what capture lost is
//! found by the next comparison.

use std::future::Future;

use jiff::Timestamp;

use super::StoreError;
use crate::sync::identity::{PageId, RowKey};
use crate::sync::pair::RowRead;

/// What the newest of a row's captured changes was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// The row was inserted or updated.
    Upsert,
    /// The row was deleted, or its key is another one now.
    Delete,
    /// The whole table was emptied: it counts as replaced (`design/state.md` §1).
    Truncate,
}

/// All captured changes of one row that were waiting when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedChange {
    /// The changes to settle once the row was dealt with.
    pub ids: Vec<i64>,
    /// The row's key at the time; `None` for a TRUNCATE.
    pub row_key: Option<RowKey>,
    /// The pages that the row carried before or after any of these changes.
    pub page_ids: Vec<PageId>,
    /// What the newest change was; the row may be otherwise by now.
    pub kind: ChangeKind,
    /// When the transaction of the newest change began.
    pub changed_at: Timestamp,
    /// Whether the newest change bears the mark of our own writes. For diagnosis only: a user's
    /// change may have come before or after ours, so the row must be compared all the same.
    pub origin_is_ours: bool,
}

/// A row that was looked up by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRow {
    /// The key that was asked for; [`RowRead::key`] spells it as the row does.
    pub asked: RowKey,
    /// The row.
    pub row: RowRead,
    /// The page that it carries.
    pub page_id: Option<PageId>,
}

/// The captured changes of one binding, and the rows that they name.
pub trait ChangeStore: Send + Sync {
    /// The oldest `limit` changes that wait, grouped by row, in the order in which each row was
    /// first changed.
    fn due_changes(
        &self,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<CapturedChange>, StoreError>> + Send;

    /// Removes exactly these changes; fenced like every write.
    fn settle_changes(&self, ids: &[i64]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// When the oldest change that waits was made: the age of it is the lag.
    fn oldest_change(&self) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    /// How many changes wait.
    fn changes_waiting(&self) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// Reads the rows of these keys as they are now; a row that is gone is absent from the answer.
    fn read_rows(
        &self,
        keys: &[RowKey],
    ) -> impl Future<Output = Result<Vec<KeyedRow>, StoreError>> + Send;
}
