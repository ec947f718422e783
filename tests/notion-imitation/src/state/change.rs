//! What happened in the workspace, as webhooks tell it.

use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use crate::state::page::Parent;

/// One event before it is aggregated, filtered and sent.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// `page.created`, `data_source.schema_updated`, ...
    pub(crate) kind: &'static str,
    pub(crate) entity: Uuid,
    /// `page`, `data_source` or `database`.
    pub(crate) entity_type: &'static str,
    pub(crate) at_ms: i64,
    pub(crate) author: Uuid,
    pub(crate) author_type: &'static str,
    /// As the event shows it.
    pub(crate) parent: Json,
    /// Where the page lies, or the object itself: what a connection must see to be told.
    pub(crate) scope: Scope,
    pub(crate) detail: Detail,
}

/// What a connection must have access to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope {
    Page(Uuid, Parent),
    DataSource(Uuid),
    Database(Uuid),
}

/// What else `data` holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Detail {
    None,
    /// Encoded property ids.
    Properties(Vec<String>),
    Schema(Vec<SchemaChange>),
    /// Ids of changed blocks.
    Blocks(Vec<Uuid>),
}

/// What happened to one property of a schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SchemaChange {
    /// Encoded property id.
    pub(crate) id: String,
    /// `None` once it is deleted.
    pub(crate) name: Option<String>,
    /// `created`, `updated` or `deleted`.
    pub(crate) action: &'static str,
}

impl Detail {
    /// Takes in what a later event of the same kind and object says.
    pub(crate) fn merge(&mut self, later: Self) {
        match (self, later) {
            (Self::Properties(mine), Self::Properties(theirs)) => {
                mine.extend(theirs);
                let mut seen = std::collections::HashSet::new();
                mine.retain(|id| seen.insert(id.clone()));
            }
            (Self::Schema(mine), Self::Schema(theirs)) => {
                for change in theirs {
                    mine.retain(|earlier| earlier.id != change.id);
                    mine.push(change);
                }
            }
            (Self::Blocks(mine), Self::Blocks(theirs)) => mine.extend(theirs),
            _ => {}
        }
    }

    /// Puts itself into the event's `data`.
    pub(crate) fn write_to(&self, data: &mut Map<String, Json>) {
        match self {
            Self::None => {}
            Self::Properties(ids) => {
                data.insert("updated_properties".into(), json!(ids));
            }
            Self::Schema(changes) => {
                data.insert("updated_properties".into(), json!(changes));
            }
            Self::Blocks(ids) => {
                let blocks: Vec<Json> = ids
                    .iter()
                    .map(|id| json!({"id": id, "type": "block"}))
                    .collect();
                data.insert("updated_blocks".into(), json!(blocks));
            }
        }
    }
}
