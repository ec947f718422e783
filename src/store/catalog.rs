//! The bound table as `pg_catalog` describes it.

use std::collections::BTreeMap;

use super::ident::Table;
use crate::sync::column::Column;
use crate::sync::mapping::StoppedField;

/// The bound table, resolved and checked for one binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableHandle {
    /// The table's OID: a claim is made on it, not on the name.
    pub oid: u32,
    /// The table by the catalog's own names; quote it with [`super::ident::Statement::table`].
    pub table: Table,
    /// The columns of the row key, in key order.
    pub key: Vec<Column>,
    /// Whether every key column is an integer or a uuid, so that row keys may be shown.
    pub key_is_plain: bool,
    /// The column that holds the page id: text, varchar or uuid.
    pub page_id: Column,
    /// The column that says when the row changed: timestamp or timestamptz.
    pub updated_at: Option<Column>,
    /// The mapped columns that can be used, by their name in the spec.
    pub columns: BTreeMap<String, Column>,
    /// The mapped columns that cannot; the others go on.
    pub stopped: Vec<StoppedField>,
}
