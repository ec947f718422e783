//! The workspace: databases, data sources, pages, people and connections.

pub(crate) mod access;
pub(crate) mod change;
pub(crate) mod connection;
pub(crate) mod data_source;
pub(crate) mod edit;
pub(crate) mod page;
pub(crate) mod people;
pub(crate) mod relation;
pub(crate) mod schema_edit;
pub(crate) mod world;
