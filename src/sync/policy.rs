//! What a binding's owner decides about linking, deletes and safety (`design/sync.md` §4, §6, §7).
//!
//! The defaults are those of the resource: nothing is linked, inserted, created or deleted unless
//! the spec says so.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::mapping::PropertySelector;

/// What to do with a page that no row carries the id of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnUnlinkedPage {
    /// It is shown.
    #[default]
    Ignore,
    /// The one unlinked row with its key is linked to it.
    Match,
    /// A row is inserted.
    Insert,
}

/// What to do with a row without a page id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnUnlinkedRow {
    /// It is shown.
    #[default]
    Ignore,
    /// It is linked to the one unlinked page with its key.
    Match,
    /// A page is created.
    Create,
}

/// A column and a property that hold the key by which pages and rows find each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyMapping {
    /// The column's name as the spec has it.
    pub column: String,
    /// The property.
    pub property: PropertySelector,
}

/// `spec.linking`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Linking {
    /// Pages without a row.
    pub on_unlinked_page: OnUnlinkedPage,
    /// Rows without a page.
    pub on_unlinked_row: OnUnlinkedRow,
    /// The key; never empty where one of the two says `Match` or `Create`.
    pub match_on: Vec<KeyMapping>,
}

impl Linking {
    /// Whether the operator writes `pageIdColumn`.
    pub fn writes_page_id(&self) -> bool {
        self.on_unlinked_page != OnUnlinkedPage::Ignore
            || self.on_unlinked_row != OnUnlinkedRow::Ignore
    }

    /// Whether pages and rows are looked for by their key. An insert or a create with a key looks
    /// first, too: it would make a second one otherwise.
    pub fn matches(&self) -> bool {
        self.writes_page_id() && !self.match_on.is_empty()
    }
}

/// What to do with the row of a page that was trashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnPageTrashed {
    /// It is shown.
    #[default]
    Ignore,
    /// `pageIdColumn` is set to NULL.
    Unlink,
    /// The row is deleted.
    DeleteRow,
}

/// What to do with the page of a row that was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnRowDeleted {
    /// It is shown.
    #[default]
    Ignore,
    /// The page goes to Notion's trash.
    TrashPage,
}

/// `spec.deletion`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Deletion {
    /// A page was trashed.
    pub on_page_trashed: OnPageTrashed,
    /// A row was deleted.
    pub on_row_deleted: OnRowDeleted,
}

/// `spec.safety`: what is held until a person approves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Safety {
    /// Deletions in percent of the linked pairs, per side, in 24 hours.
    pub max_delete_percent: u8,
    /// Pairs whose filled values one pass would overwrite on one side, in percent.
    pub max_change_percent: u8,
}

impl Default for Safety {
    fn default() -> Self {
        Self {
            max_delete_percent: 10,
            max_change_percent: 50,
        }
    }
}

/// Whether a pass acts or only plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Mode {
    /// It acts.
    #[default]
    Sync,
    /// It writes its plan and nothing else.
    DryRun,
}

/// Everything beyond the mapping that a binding's owner decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policies {
    /// How pages and rows are linked.
    pub linking: Linking,
    /// What follows a deletion on one side.
    pub deletion: Deletion,
    /// What is held for approval.
    pub safety: Safety,
    /// Whether to act.
    pub mode: Mode,
    /// The time between two passes; a deletion is carried out no sooner after it was seen.
    pub interval: SignedDuration,
    /// The API's filter object; pages outside it are not read, and leaving it is no deletion.
    pub filter: Option<serde_json::Value>,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            linking: Linking::default(),
            deletion: Deletion::default(),
            safety: Safety::default(),
            mode: Mode::default(),
            interval: SignedDuration::from_mins(5),
            filter: None,
        }
    }
}
