//! What control calls take and give.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use uuid::Uuid;

/// A database to create.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSpec {
    /// Its id; drawn if `None`.
    pub id: Option<Uuid>,
    /// Its title.
    pub title: String,
}

/// A data source to create.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSourceSpec {
    /// Its id; drawn if `None`.
    pub id: Option<Uuid>,
    /// Its database; `None` creates one with the same title.
    pub database: Option<Uuid>,
    /// Its title.
    pub title: String,
    /// Schema in the API's write shape, `{"Stage": {"status": {"options": [...]}}}`. Beyond the API:
    /// `id` chooses a property's id, `default` names the default option of a status, options may
    /// have `id` and `group`, and unknown types are allowed. A title `Name` is added if none is given.
    pub properties: Json,
}

impl Default for DataSourceSpec {
    fn default() -> Self {
        Self {
            id: None,
            database: None,
            title: "Table".to_owned(),
            properties: json!({}),
        }
    }
}

impl DataSourceSpec {
    /// A data source with a title and a schema.
    pub fn new(title: &str, properties: Json) -> Self {
        Self {
            title: title.to_owned(),
            properties,
            ..Self::default()
        }
    }
}

/// A data source that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DataSourceRef {
    /// Its id.
    pub id: Uuid,
    /// The id of its database.
    pub database: Uuid,
}

impl From<DataSourceRef> for Uuid {
    fn from(reference: DataSourceRef) -> Self {
        reference.id
    }
}

/// A page to create, as a person would.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PageSpec {
    /// Its id; drawn if `None`.
    pub id: Option<Uuid>,
    /// The data source it belongs to; `None` puts it under the workspace's root page.
    pub data_source: Option<Uuid>,
    /// Values in the API's write shape; formula, rollup and unknown types in their read shape.
    pub properties: Json,
    /// When it was created; now if `None`.
    pub created_time: Option<Timestamp>,
    /// When it was last edited; when it was created if `None`.
    pub last_edited_time: Option<Timestamp>,
    /// Who created it; the workspace's person if `None`.
    pub author: Option<Uuid>,
    /// Send no webhook.
    pub quiet: bool,
}

/// An edit of a page, as a person would make it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EditSpec {
    /// Values in the API's write shape; formula, rollup and unknown types in their read shape.
    pub properties: Json,
    /// Who edits; the workspace's person if `None`.
    pub author: Option<Uuid>,
}

/// Many pages to create at once, without webhooks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BulkSpec {
    /// The data source they belong to.
    pub data_source: Uuid,
    /// How many.
    pub count: u32,
    /// Values in the API's write shape. In strings `{n}` is the page's number, from `first`; a
    /// string that is only `{n}` where a number belongs becomes the number.
    pub properties: Json,
    /// The first number.
    pub first: u32,
    /// When the first was created; now if `None`.
    pub created_time: Option<Timestamp>,
    /// Milliseconds between the creations of two pages.
    pub step_ms: i64,
}

impl Default for BulkSpec {
    fn default() -> Self {
        Self {
            data_source: Uuid::nil(),
            count: 0,
            properties: json!({}),
            first: 1,
            created_time: None,
            step_ms: 0,
        }
    }
}

/// Something that was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// Its id.
    pub id: Uuid,
}
