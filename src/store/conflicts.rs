//! Conflicts that wait for a person, and what a person chose.
//!
//! A choice is a value in `notion_sync.conflicts.resolution`, set by SQL or from the annotation
//! `notionsync.dev/resolve`. The next pass finds it, whatever its kind, and closes the conflict in
//! the transaction that stores what came of it.

use std::future::Future;

use super::StoreError;
use crate::sync::identity::{PageId, RowKey};
use crate::sync::side::Side;

/// The kind of a conflict about one field that both sides changed.
pub const BOTH_CHANGED: &str = "BothChanged";

/// An open conflict with what a person chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedConflict {
    /// Its number.
    pub id: i64,
    /// The page.
    pub page_id: PageId,
    /// The row.
    pub row_key: RowKey,
    /// The column; empty where the conflict is about the pair as a whole.
    pub column: String,
    /// Its kind, for example [`BOTH_CHANGED`]: each kind is acted on where it arises.
    pub kind: String,
    /// Whose value counts.
    pub winner: Side,
}

/// What a person asks for, as the annotation spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// This conflict.
    One(i64, Side),
    /// Every open conflict without a choice.
    All(Side),
}

/// Conflicts of one binding.
pub trait ConflictStore: Send + Sync {
    /// Open conflicts of every kind that a person resolved, oldest first, without those of pages
    /// that are missing: nothing can be done about these until the page is back.
    fn resolutions(&self)
    -> impl Future<Output = Result<Vec<ResolvedConflict>, StoreError>> + Send;

    /// Stores choices for open conflicts; gives how many conflicts took one. A later choice replaces
    /// an earlier one, and a number that is not open is passed by.
    fn resolve(&self, choices: &[Choice]) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
