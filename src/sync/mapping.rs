//! What a binding asks for, and what its fields turned out to be.
//!
//! [`FieldMapping`] is one entry of `spec.properties`; [`Field`] is the same entry after the
//! property was pinned by id and the column was found in the catalog. Only a [`TablePlan`] of such
//! fields ever meets data.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::column::Column;
use super::identity::{BindingRef, DataSourceId, PropertyId, UserId};
use super::page::PropertyType;
use super::policy::Policies;
use super::reason::Reason;

/// Which side follows the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Notion's edits go to Postgres.
    ToPostgres,
    /// Postgres' edits go to Notion.
    ToNotion,
    /// Both.
    TwoWay,
}

impl Direction {
    /// Whether values may be written to Postgres.
    pub const fn writes_postgres(self) -> bool {
        matches!(self, Self::ToPostgres | Self::TwoWay)
    }

    /// Whether values may be written to Notion.
    pub const fn writes_notion(self) -> bool {
        matches!(self, Self::ToNotion | Self::TwoWay)
    }
}

/// Who wins where both sides changed, or where nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConflictPolicy {
    /// The later side, by Notion's `last_edited_time` against the row's time.
    NewestWins,
    /// Notion.
    NotionWins,
    /// Postgres.
    PostgresWins,
    /// A person decides.
    Manual,
}

/// What to do with a change on the side that is read-only here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DriftPolicy {
    /// Show it.
    Report,
    /// Write the other side's value over it.
    Repair,
}

/// Whether a write to Notion may destroy what the column cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnLossyWrite {
    /// The field is marked and the page keeps it.
    #[default]
    Reject,
    /// The column's value is written.
    Overwrite,
}

/// What to do with an option that `values` does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnUnknownValue {
    /// Mark that field of that row.
    Reject,
    /// Use the name as it is.
    Pass,
}

/// One pair of names that stand for each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValuePair {
    /// The option's name in Notion.
    pub notion: String,
    /// The value in Postgres; `None` is NULL.
    pub postgres: Option<String>,
}

/// How a property is named in the spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PropertySelector {
    /// By today's name.
    Name(String),
    /// By id (`id:<property id>`).
    Id(PropertyId),
}

impl PropertySelector {
    /// Reads the spec's form: a name, or `id:` followed by an id.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix("id:") {
            Some(id) => Self::Id(PropertyId::new(id)),
            None => Self::Name(text.to_owned()),
        }
    }
}

/// One entry of `spec.properties`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldMapping {
    /// The column's name as the spec has it.
    pub column: String,
    /// The property.
    pub property: PropertySelector,
    /// Names that stand for each other; empty means that names pass as they are.
    pub values: Vec<ValuePair>,
    /// What to do with an unlisted name.
    pub on_unknown_value: OnUnknownValue,
    /// Which side follows, for this field: the binding's direction or a narrower one.
    pub direction: Direction,
    /// Who wins a conflict in this field.
    pub conflict_policy: ConflictPolicy,
    /// Whether a write to Notion may destroy what the column cannot hold.
    pub on_lossy_write: OnLossyWrite,
}

/// The spec of a binding, checked, with its defaults applied; no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindingPlan {
    /// The binding.
    pub binding: BindingRef,
    /// Schema of the table, as the spec has it.
    pub schema: String,
    /// The table, as the spec has it.
    pub table: String,
    /// The column that holds the page id.
    pub page_id_column: String,
    /// The column that says when the row changed.
    pub updated_at_column: Option<String>,
    /// The audit table, in the same schema.
    pub audit_table: String,
    /// Which side follows.
    pub direction: Direction,
    /// What to do with drift.
    pub drift_policy: DriftPolicy,
    /// Linking, deletes, safety, and whether to act.
    pub policies: Policies,
    /// The fields, in the order of the spec.
    pub fields: Vec<FieldMapping>,
}

/// A property as it was resolved once: the id wins from then on (`design/sync.md` §5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedProperty {
    /// The column that it is mapped to.
    pub column: String,
    /// The spec's selector at the time of pinning: another one is a new entry, pinned anew.
    pub selector: PropertySelector,
    /// The stable id.
    pub id: PropertyId,
    /// The name when last seen.
    pub name: String,
    /// The type at the time of pinning.
    pub kind: PropertyType,
    /// The names of its options when last seen: a write to Notion may use these without asking.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Whether a person asked for this pin after the first property vanished or changed its type:
    /// its values may all be empty then, and an empty one must not overwrite a filled column.
    #[serde(default)]
    pub repinned: bool,
    /// Whether it belongs to `linking.matchOn` and not to `properties`: one column may stand in both
    /// with different properties.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_key: bool,
}

/// A field that can be synced: property pinned, column found, types fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The entry of the spec.
    pub mapping: FieldMapping,
    /// The pinned property.
    pub property: PinnedProperty,
    /// The column, as the catalog describes it.
    pub column: Column,
}

/// A field that cannot be synced now; the others go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoppedField {
    /// The column's name in the spec.
    pub column: String,
    /// Why.
    pub reason: Reason,
    /// What to do about it, naming objects but no values.
    pub remedy: String,
}

/// Everything that reading, planning and writing a pair needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePlan {
    /// The binding, checked.
    pub binding: BindingPlan,
    /// The data source that pages must belong to.
    pub data_source: DataSourceId,
    /// Fields that work.
    pub fields: Vec<Field>,
    /// Fields that do not.
    pub stopped: Vec<StoppedField>,
    /// The key of `linking.matchOn`, with the same checks; empty where nothing is matched.
    pub match_on: Vec<Field>,
    /// The user that the token acts as: what it edited last is our own. Unknown without a write.
    pub bot: Option<UserId>,
    /// Whether every key column is an integer or a uuid, so that row keys may be shown.
    pub key_is_plain: bool,
}

impl TablePlan {
    /// Whether anything may be written to Notion.
    pub fn writes_notion(&self) -> bool {
        let repairs = self.binding.drift_policy == DriftPolicy::Repair;
        let mut fields = self.fields.iter();
        fields.any(|field| field.mapping.direction.writes_notion())
            || (repairs && self.binding.direction == Direction::ToNotion)
    }

    /// The ids of the properties that a read must decode.
    pub fn wanted(&self) -> Vec<PropertyId> {
        let fields = self.fields.iter().chain(&self.match_on);
        let mut ids: Vec<_> = fields.map(|field| field.property.id.clone()).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// A fingerprint of everything that decides what a pair's values mean. It is part of every
    /// pair's hash: another mapping makes every pair look at again.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for field in &self.fields {
            let text = format!(
                "{:?}\u{1e}",
                (
                    &field.mapping,
                    &field.property.id,
                    &field.property.kind,
                    &field.column
                )
            );
            hasher.update(text.as_bytes());
        }
        hasher.update(format!(
            "{:?}",
            (
                self.binding.direction,
                self.binding.drift_policy,
                &self.binding.policies.linking,
                &self.binding.policies.filter
            )
        ));
        hasher.finalize().into()
    }
}
