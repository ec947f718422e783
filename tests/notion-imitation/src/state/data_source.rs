//! Databases and their data sources, with the indexes that keep queries fast.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::properties::schema::Property;

/// A page's place in an index: time, then a scattered tie-breaker (Notion defines no order among
/// equal times), then its slot.
pub(crate) type IndexKey = (i64, u32, u32);

/// A database: a container of data sources.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) title: String,
    pub(crate) parent_page: Uuid,
    pub(crate) data_sources: Vec<Uuid>,
    pub(crate) in_trash: bool,
    pub(crate) created_ms: i64,
    pub(crate) edited_ms: i64,
}

/// A data source: what people call a table.
#[derive(Debug)]
pub(crate) struct DataSource {
    pub(crate) id: Uuid,
    pub(crate) database: Uuid,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) properties: Vec<Property>,
    pub(crate) in_trash: bool,
    pub(crate) created_ms: i64,
    pub(crate) edited_ms: i64,
    pub(crate) created_by: Uuid,
    pub(crate) edited_by: Uuid,
    /// The last number given to a page, for unique ids.
    pub(crate) last_number: u32,
    pub(crate) by_created: BTreeSet<IndexKey>,
    pub(crate) by_edited: BTreeSet<IndexKey>,
}
