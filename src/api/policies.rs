//! The parts of the spec that say what may be linked, deleted, held, or only planned.
//!
//! Data and schema attributes only, as in [`super::v1alpha1`]. Every default is the choice that
//! changes nothing on either side beyond the values of linked pairs.

#![allow(
    unreachable_pub,
    reason = "the schema derive copies each struct, with its `pub`, into a function"
)]
#![allow(
    clippy::doc_markdown,
    reason = "kubectl explain shows these comments, and shows backticks as they are"
)]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// How pages and rows find each other.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::KEY_NEEDED)]
pub struct LinkingSpec {
    /// What to do with a page whose id no row has.
    #[serde(default)]
    pub on_unlinked_page: OnUnlinkedPage,
    /// What to do with a row without a page id.
    #[serde(default)]
    pub on_unlinked_row: OnUnlinkedRow,
    /// Columns and properties that together hold the same key on both sides; needed for Match and
    /// Create.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["column".into()]))]
    pub match_on: Vec<KeySpec>,
}

/// A column and a property that hold the same key.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KeySpec {
    /// The column; it need not be mapped.
    #[schemars(length(min = 1, max = rules::IDENTIFIER_MAX))]
    #[x_kube(validation = rules::IDENTIFIER)]
    pub column: String,
    /// The property: its name as Notion shows it, or id: followed by its id.
    #[schemars(length(min = 1, max = rules::NAME_MAX))]
    #[x_kube(validation = rules::PROPERTY)]
    pub property: String,
}

/// What to do with a page whose id no row has.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnlinkedPage {
    /// Show it.
    #[default]
    Ignore,
    /// Link it to the one unlinked row with its key.
    Match,
    /// Insert a row for it.
    Insert,
}

/// What to do with a row without a page id.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnlinkedRow {
    /// Show it.
    #[default]
    Ignore,
    /// Link it to the one unlinked page with its key.
    Match,
    /// Create a page for it.
    Create,
}

/// What follows a deletion on one side. It is carried out one interval after it was seen at the
/// earliest, and only while the other side is as it was at the last agreement.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DeletionSpec {
    /// What to do with the row of a page that was moved to the trash.
    #[serde(default)]
    pub on_page_trashed: OnPageTrashed,
    /// What to do with the page of a row that was deleted.
    #[serde(default)]
    pub on_row_deleted: OnRowDeleted,
}

/// What to do with the row of a page that was moved to the trash.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnPageTrashed {
    /// Show it.
    #[default]
    Ignore,
    /// Set pageIdColumn to NULL.
    Unlink,
    /// Delete the row.
    DeleteRow,
}

/// What to do with the page of a row that was deleted.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnRowDeleted {
    /// Show it.
    #[default]
    Ignore,
    /// Move the page to the trash.
    TrashPage,
}

/// What is held until somebody approves it by annotation notionsync.dev/approve.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SafetySpec {
    /// Deletions in percent of the linked pairs, on one side in 24 hours, but at least one; more
    /// are held. 0 holds every deletion, 100 none.
    #[serde(default = "default_max_delete_percent")]
    #[schemars(range(min = 0, max = 100))]
    pub max_delete_percent: i32,
    /// Linked pairs in percent whose filled values one pass may overwrite on one side, from 100
    /// pairs on; a pass that would overwrite more is held as a whole.
    #[serde(default = "default_max_change_percent")]
    #[schemars(range(min = 0, max = 100))]
    pub max_change_percent: i32,
}

impl Default for SafetySpec {
    fn default() -> Self {
        Self {
            max_delete_percent: default_max_delete_percent(),
            max_change_percent: default_max_change_percent(),
        }
    }
}

const fn default_max_delete_percent() -> i32 {
    10
}

const fn default_max_change_percent() -> i32 {
    50
}

/// Whether passes act.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// They do.
    #[default]
    Sync,
    /// They write nothing to Notion, to the bound table or to the audit table.
    DryRun,
}
