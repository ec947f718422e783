//! What is not in step, and the arithmetic over it (`design/resource.md`, "Drift arithmetic").

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::identity::{PageId, PropertyId, RowKey};

/// The kind of a discrepancy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DriftKind {
    /// A field differs and no write for it is due.
    Mismatch,
    /// A field waits for a person.
    Conflict,
    /// A linked page is trashed, moved away or unreachable.
    MissingPage,
    /// A live page has no row.
    OrphanedPage,
    /// A row has no page id.
    UnlinkedRow,
    /// A field could not be written.
    Failed,
    /// A change waits for approval.
    Held,
}

impl DriftKind {
    /// The kind as samples, metrics and the admin API spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mismatch => "Mismatch",
            Self::Conflict => "Conflict",
            Self::MissingPage => "MissingPage",
            Self::OrphanedPage => "OrphanedPage",
            Self::UnlinkedRow => "UnlinkedRow",
            Self::Failed => "Failed",
            Self::Held => "Held",
        }
    }
}

/// One thing that is not in step.
#[derive(Debug, Clone, PartialEq)]
pub struct Discrepancy {
    /// Its kind.
    pub kind: DriftKind,
    /// The page.
    pub page_id: Option<PageId>,
    /// The row.
    pub row_key: Option<RowKey>,
    /// The column, for kinds that are about one field.
    pub column: Option<String>,
    /// The property's id, likewise.
    pub property: Option<PropertyId>,
    /// The field's reason, or how a missing page is missing.
    pub reason: Option<String>,
    /// Notion's value as last seen; shown only to those who may see values.
    pub notion: Option<Value>,
    /// Postgres' value as last seen; likewise.
    pub postgres: Option<Value>,
}

/// Counts of what is not in step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftCounts {
    /// Fields that differ.
    pub mismatched: i64,
    /// Live pages without a row.
    pub orphaned_pages: i64,
    /// Rows without a page id.
    pub unlinked_rows: i64,
    /// Linked pages that are gone.
    pub missing_pages: i64,
    /// Fields that wait for a person.
    pub conflicts: i64,
    /// Fields that could not be written.
    pub failed: i64,
    /// Changes that wait for approval.
    pub held: i64,
}

impl DriftCounts {
    /// Every kind with its count.
    pub const fn by_kind(&self) -> [(DriftKind, i64); 7] {
        [
            (DriftKind::Mismatch, self.mismatched),
            (DriftKind::OrphanedPage, self.orphaned_pages),
            (DriftKind::UnlinkedRow, self.unlinked_rows),
            (DriftKind::MissingPage, self.missing_pages),
            (DriftKind::Conflict, self.conflicts),
            (DriftKind::Failed, self.failed),
            (DriftKind::Held, self.held),
        ]
    }

    /// The number that `kubectl get` shows. Orphaned pages and unlinked rows stand beside it, since
    /// `linking: Ignore` asks for exactly them.
    pub const fn count(&self) -> i64 {
        self.mismatched + self.missing_pages + self.conflicts + self.failed + self.held
    }
}

/// How much there is on each side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Live pages of the data source.
    pub pages: i64,
    /// Rows of the table.
    pub rows: i64,
    /// Linked pairs.
    pub linked: i64,
}

/// What the state schema knows about a binding's drift.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DriftReport {
    /// The counts of discrepancies.
    pub drift: DriftCounts,
    /// How much there is on each side.
    pub counts: Counts,
    /// Up to ten discrepancies; keys only are shown of them.
    pub samples: Vec<Discrepancy>,
    /// When they were last checked against both sides.
    pub checked_at: Option<Timestamp>,
}
