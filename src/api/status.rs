//! The status of `NotionSyncBinding`.
//!
//! Observation only: counts, conditions, a bounded sample of keys. Never a row value, a token or a
//! text that Postgres or Notion sent. Everything is optional when read, so that a status written by
//! another version never makes a binding unreadable.

#![allow(
    clippy::doc_markdown,
    reason = "kubectl explain shows these comments, and shows backticks as they are"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator last saw of a binding.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct NotionSyncBindingStatus {
    /// The generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The value of annotation notionsync.dev/requestedAt that was last answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The value of annotation notionsync.dev/fullScanRequestedAt that was last answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_full_scan_at: Option<String>,
    /// The value of annotation notionsync.dev/resolve that was last answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_resolve: Option<String>,
    /// The state in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// The state, condition by condition.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// What the Notion side turned out to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notion: Option<NotionStatus>,
    /// The receiver of this binding's events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookStatus>,
    /// What is not in step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftStatus>,
    /// How much there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<CountsStatus>,
    /// The age of the oldest change not yet applied, by the side it was made on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<LagStatus>,
    /// When the last pass ended well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<Time>,
    /// When the last complete pass ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_full_scan_time: Option<Time>,
    /// How far a long pass has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressStatus>,
}

/// The state of a binding in one word.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// Everything works.
    Healthy,
    /// Syncing, but something needs a look.
    Degraded,
    /// Not syncing.
    Failing,
    /// Stopped by spec.suspend.
    Suspended,
    /// No pass yet, or none for too long.
    #[serde(other)]
    Unknown,
}

impl Health {
    /// All of them, from best to worst as the admin API ranks them.
    pub const ALL: [Self; 5] = [
        Self::Healthy,
        Self::Suspended,
        Self::Unknown,
        Self::Degraded,
        Self::Failing,
    ];

    /// The word, as status, metrics and the admin API spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Degraded => "Degraded",
            Self::Failing => "Failing",
            Self::Suspended => "Suspended",
            Self::Unknown => "Unknown",
        }
    }
}

/// What the Notion side turned out to be.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct NotionStatus {
    /// The data source that was resolved and pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_source_id: Option<String>,
    /// Its title when last read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The pinned properties.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["column"]))]
    pub properties: Vec<PinnedPropertyStatus>,
}

/// A property as it was pinned.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PinnedPropertyStatus {
    /// The column that it is mapped to.
    pub column: String,
    /// Its stable id.
    #[serde(default)]
    pub property_id: String,
    /// Its name when last read.
    #[serde(default)]
    pub property_name: String,
    /// Its type.
    #[serde(rename = "type", default)]
    pub kind: String,
}

/// The receiver of a binding's events.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookStatus {
    /// The path to give to Notion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// When the last event was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_event_time: Option<Time>,
    /// When a request was last refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_rejection_time: Option<Time>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_rejection_reason: Option<String>,
}

/// What is not in step.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct DriftStatus {
    /// mismatched + missingPages + conflicts + failed + held.count.
    pub count: i64,
    /// Fields that differ and for which no write is due.
    pub mismatched: i64,
    /// Live pages without a row; beside the count.
    pub orphaned_pages: i64,
    /// Rows without a page id; beside the count.
    pub unlinked_rows: i64,
    /// Linked pages that are trashed, moved away or unreachable.
    pub missing_pages: i64,
    /// Fields that wait for a person.
    pub conflicts: i64,
    /// Fields that cannot be brought into step.
    pub failed: i64,
    /// Changes that wait for approval.
    pub held: HeldStatus,
    /// When both sides were last compared in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Time>,
    /// Up to ten of them; keys only, never values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub samples: Vec<DriftSample>,
}

/// Changes that wait for approval.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct HeldStatus {
    /// How many there are.
    pub count: i64,
}

/// One thing that is not in step.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct DriftSample {
    /// The page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_id: Option<String>,
    /// The row's key if it is an integer or a uuid, else the first 12 hex digits of its SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_key: Option<String>,
    /// The column, where it is about one field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Mismatch, Conflict, MissingPage, OrphanedPage, UnlinkedRow, Failed or Held.
    pub kind: String,
}

/// How much there is.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct CountsStatus {
    /// Live pages of the data source.
    pub pages: i64,
    /// Rows of the table.
    pub rows: i64,
    /// Linked pairs.
    pub linked: i64,
}

/// The age of the oldest change not yet applied.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct LagStatus {
    /// Of changes made in Notion, as a duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notion: Option<String>,
    /// Of changes made in Postgres, as a duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres: Option<String>,
}

/// How far a long pass has come.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ProgressStatus {
    /// What the pass is doing.
    pub phase: String,
    /// How many pages it has dealt with.
    pub done: i64,
    /// How many there are, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
}
