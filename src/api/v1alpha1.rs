//! The spec of `NotionSyncBinding`: data and schema attributes only.
//!
//! Doc comments become the descriptions that `kubectl explain` shows. Defaults are written out
//! field by field, because the API server refuses `default: {}` on an object with nested defaults
//! and a rule. A field appears here in the release that acts on it; fields are only ever added.

#![allow(
    unreachable_pub,
    reason = "the schema derive copies each struct, with its `pub`, into a function"
)]
#![allow(
    clippy::doc_markdown,
    reason = "kubectl explain shows these comments, and shows backticks as they are"
)]
#![allow(
    clippy::duplicated_attributes,
    reason = "two printer columns may well have the same type"
)]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use super::secret_ref::{
    CaSecretRef, ConnectionSecretRef, SharedSecretRef, TokenSecretRef, VerificationTokenSecretRef,
};
use super::status::NotionSyncBindingStatus;

/// Keeps a Notion data source and a Postgres table in step.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kube(
    group = "notionsync.dev",
    version = "v1alpha1",
    kind = "NotionSyncBinding",
    plural = "notionsyncbindings",
    singular = "notionsyncbinding",
    shortname = "nsb",
    category = "notionsync",
    namespaced,
    status = "NotionSyncBindingStatus",
    derive = "PartialEq",
    doc = "Keeps a Notion data source and a Postgres table in step",
    selectable = ".spec.postgres.table",
    selectable = ".spec.direction",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the last pass did everything that was due"
    ),
    printcolumn(
        name = "Health",
        type_ = "string",
        json_path = ".status.health",
        description = "Healthy, Degraded, Failing, Suspended or Unknown"
    ),
    printcolumn(
        name = "Drift",
        type_ = "integer",
        json_path = ".status.drift.count",
        description = "How much is not in step"
    ),
    printcolumn(
        name = "Pages",
        type_ = "integer",
        json_path = ".status.counts.pages",
        description = "Live pages of the data source"
    ),
    printcolumn(
        name = "Rows",
        type_ = "integer",
        json_path = ".status.counts.rows",
        description = "Rows of the table"
    ),
    printcolumn(
        name = "Last Sync",
        type_ = "date",
        json_path = ".status.lastSyncTime",
        description = "When the last pass ended well"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Table",
        type_ = "string",
        json_path = ".spec.postgres.table",
        description = "The bound table",
        priority = 1
    ),
    printcolumn(
        name = "Direction",
        type_ = "string",
        json_path = ".spec.direction",
        description = "Which side follows the other",
        priority = 1
    ),
    printcolumn(
        name = "Webhook",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"WebhookVerified\")].reason",
        description = "Whether Notion's events arrive",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        description = "What to do, where something is wrong",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::PAGE_ID_NOT_MAPPED,
    validation = rules::UPDATED_AT_NOT_MAPPED,
    validation = rules::DIRECTION_NARROWER,
    validation = rules::ONE_COLUMN_WRITES
)]
pub struct NotionSyncBindingSpec {
    /// The Notion side.
    pub notion: NotionSpec,
    /// How Notion's events are received; without it the binding only polls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookSpec>,
    /// The Postgres side.
    pub postgres: PostgresSpec,
    /// Which side follows the other.
    #[serde(default)]
    pub direction: Direction,
    /// Who wins where both sides changed, or where nobody knows.
    #[serde(default)]
    pub conflict_policy: ConflictPolicy,
    /// Which property goes into which column.
    #[schemars(length(min = 1, max = 200))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["column".into()]))]
    pub properties: Vec<PropertySpec>,
    /// What to do with a change on the side that is read-only here.
    #[serde(default)]
    pub drift_policy: DriftPolicy,
    /// How often pages edited since the last pass are read; at least 10s.
    #[serde(default = "default_interval")]
    #[schemars(length(max = rules::DURATION_MAX))]
    #[x_kube(validation = rules::INTERVAL)]
    pub interval: String,
    /// How often everything is compared; at least 1m.
    #[serde(default = "default_full_scan_interval")]
    #[schemars(length(max = rules::DURATION_MAX))]
    #[x_kube(validation = rules::FULL_SCAN_INTERVAL)]
    pub full_scan_interval: String,
    /// Stops passes; events are still received and kept. Resuming starts with a full scan.
    #[serde(default)]
    pub suspend: bool,
}

/// The Notion side of a binding.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::ONE_SOURCE,
    validation = rules::DATA_SOURCE_IMMUTABLE,
    validation = rules::DATABASE_IMMUTABLE
)]
pub struct NotionSpec {
    /// The id of the data source. Exactly one of dataSourceId and databaseId is set. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    #[x_kube(validation = rules::NOTION_ID)]
    pub data_source_id: Option<String>,
    /// The id of a database that holds a single data source, which is resolved once. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    #[x_kube(validation = rules::NOTION_ID)]
    pub database_id: Option<String>,
    /// The Secret that holds the token of the Notion connection.
    pub token_secret_ref: TokenSecretRef,
    /// The filter object of Notion's API; pages outside it are left alone. Leaving it is no
    /// deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub filter: Option<serde_json::Map<String, serde_json::Value>>,
}

/// How Notion's events are received.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::SIGNATURE_NEEDS_SECRET,
    validation = rules::SHARED_SECRET_NEEDS_SECRET
)]
pub struct WebhookSpec {
    /// The accepted ways of authentication; any listed way admits any dialect.
    #[serde(default = "default_authentication")]
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub authentication: Vec<Authentication>,
    /// The Secret that holds Notion's verification token; one token per line, any may match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_token_secret_ref: Option<VerificationTokenSecretRef>,
    /// The Secret that holds the shared secret of senders that cannot sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_secret_ref: Option<SharedSecretRef>,
    /// The answer to an event that could not be stored.
    #[serde(default)]
    pub on_database_error: OnDatabaseError,
}

/// The Postgres side of a binding.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::TIME_IS_NOT_PAGE_ID, validation = rules::AUDIT_IS_NOT_TABLE)]
pub struct PostgresSpec {
    /// The Secret that holds the connection string (a URI).
    pub connection_secret_ref: ConnectionSecretRef,
    /// The Secret that holds the certificate authority of the server, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<CaSecretRef>,
    /// The schema of the table. Immutable.
    #[serde(default = "default_schema")]
    #[schemars(length(min = 1, max = rules::IDENTIFIER_MAX))]
    #[x_kube(validation = rules::IDENTIFIER, validation = rules::IMMUTABLE)]
    pub schema: String,
    /// The table. Immutable.
    #[schemars(length(min = 1, max = rules::IDENTIFIER_MAX))]
    #[x_kube(validation = rules::IDENTIFIER, validation = rules::IMMUTABLE)]
    pub table: String,
    /// The column that holds the id of the row's page. Immutable.
    #[schemars(length(min = 1, max = rules::IDENTIFIER_MAX))]
    #[x_kube(validation = rules::IDENTIFIER, validation = rules::IMMUTABLE)]
    pub page_id_column: String,
    /// The column that says when the row last changed; set by every write of the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = rules::IDENTIFIER_MAX))]
    #[x_kube(validation = rules::IDENTIFIER)]
    pub updated_at_column: Option<String>,
    /// The audit table, in the same schema; made if it does not exist.
    #[serde(default = "default_audit_table")]
    #[schemars(length(min = 1, max = rules::IDENTIFIER_MAX))]
    #[x_kube(validation = rules::IDENTIFIER)]
    pub audit_table: String,
}

/// One property and its column.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PropertySpec {
    /// The column.
    #[schemars(length(min = 1, max = rules::IDENTIFIER_MAX))]
    #[x_kube(validation = rules::IDENTIFIER)]
    pub column: String,
    /// The property: its name as Notion shows it, or id: followed by its id.
    #[schemars(length(min = 1, max = rules::NAME_MAX))]
    #[x_kube(validation = rules::PROPERTY)]
    pub property: String,
    /// Names of options and the values that stand for them; without any, names pass as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["notion".into()]))]
    pub values: Vec<ValueSpec>,
    /// What to do with a name that values does not list.
    #[serde(default)]
    pub on_unknown_value: OnUnknownValue,
    /// Which side follows in this field; the binding's direction if left out. Under TwoWay one of
    /// the others narrows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Who wins a conflict in this field; the binding's conflictPolicy if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict_policy: Option<ConflictPolicy>,
    /// Whether a write to Notion may destroy what the column cannot hold: mentions, equations and
    /// links of a text, the end of a date.
    #[serde(default)]
    pub on_lossy_write: OnLossyWrite,
}

/// The name of an option and the value that stands for it.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ValueSpec {
    /// The name of the option in Notion.
    #[schemars(length(min = 1, max = rules::NAME_MAX))]
    #[x_kube(validation = rules::NO_NUL)]
    pub notion: String,
    /// The value in Postgres; null is NULL, and so is leaving it out (kubectl apply drops nulls).
    #[schemars(length(max = rules::NAME_MAX))]
    #[x_kube(validation = rules::NO_NUL)]
    pub postgres: Option<String>,
}

/// Which side follows the other.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Notion's edits go to Postgres.
    #[default]
    ToPostgres,
    /// Postgres' edits go to Notion.
    ToNotion,
    /// Both.
    TwoWay,
}

/// Who wins where both sides changed, or where nobody knows.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConflictPolicy {
    /// The later side.
    #[default]
    NewestWins,
    /// Notion.
    NotionWins,
    /// Postgres.
    PostgresWins,
    /// A person decides.
    Manual,
}

/// What to do with a change on the side that is read-only here.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DriftPolicy {
    /// Show it.
    #[default]
    Report,
    /// Write the other side's value over it.
    Repair,
}

/// What to do with the name of an option that is not listed.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnknownValue {
    /// Mark that field of that row.
    #[default]
    Reject,
    /// Use the name as it is.
    Pass,
}

/// Whether a write to Notion may destroy what the column cannot hold.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLossyWrite {
    /// The field is marked and the page keeps what it has.
    #[default]
    Reject,
    /// The column's value is written.
    Overwrite,
}

/// A way to authenticate a webhook.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// Notion's signature over the raw bytes.
    Signature,
    /// A bearer token that sender and binding share.
    SharedSecret,
    /// None at all; only where the operator runs with --allow-unverified-webhooks.
    None,
}

/// The answer to an event that could not be stored.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDatabaseError {
    /// 200 with error details; the next pass finds the edit.
    #[default]
    Acknowledge,
    /// 503; Notion sends the event again.
    Retry,
}

/// An object whose fields are for Notion to judge.
fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

fn default_interval() -> String {
    "5m".to_owned()
}

fn default_full_scan_interval() -> String {
    "6h".to_owned()
}

fn default_authentication() -> Vec<Authentication> {
    vec![Authentication::Signature]
}

fn default_schema() -> String {
    "public".to_owned()
}

fn default_audit_table() -> String {
    "audit_logs".to_owned()
}
