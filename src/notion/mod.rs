//! Notion: the port that `engine/` works through, and the client behind it.
//!
//! Values come from here only. Every call says in which lane it travels, so that a scan never
//! starves a person's edit.

use std::future::Future;

use jiff::Timestamp;

use crate::sync::identity::{DataSourceId, DatabaseId, PageId, PropertyId};
use crate::sync::page::{DataSource, PageSnapshot, PropertyRead};

pub mod client;
pub mod clients;
pub mod error;
mod limiter;
mod outcome;
mod retry;
mod transport;
mod wire;
pub mod writer;
mod writes;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod imitation_tests;
#[cfg(test)]
mod stub;
#[cfg(test)]
mod types_tests;
#[cfg(test)]
mod write_imitation_tests;
#[cfg(test)]
mod write_tests;

pub use client::Client;
pub use clients::Clients;
pub use error::NotionError;
pub use wire::{payload_page, property_json};
pub use writer::{NotionWriter, PropertyWrite, WriteError, WriteGuard, WriteTerms};

pub use crate::sync::window::{QueryOrder, QueryRequest};

/// Which queue of the limiter a request waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// A person's change waits for it.
    Edit,
    /// Scans, schema checks and everything else.
    Background,
}

/// One answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryPage {
    /// The pages, in order.
    pub pages: Vec<PageSnapshot>,
    /// Where to go on; `None` at the end of what Notion returns, which is the end of the result
    /// only while `incomplete` is false.
    pub next_cursor: Option<String>,
    /// Whether Notion said that the result is capped (`request_status.type = incomplete`).
    pub incomplete: bool,
    /// The HTTP `Date` of the answer.
    pub server_date: Option<Timestamp>,
}

/// Notion's API, as the engine needs it.
///
/// Implementations retry by the table of `facts/notion-api.md` §2.3, wait for the limiter and give
/// up with an error that says which condition it means.
pub trait NotionApi: Send + Sync {
    /// The data sources of a database, with their names.
    fn data_sources_of(
        &self,
        database: DatabaseId,
    ) -> impl Future<Output = Result<Vec<(DataSourceId, String)>, NotionError>> + Send;

    /// A data source with its schema.
    fn data_source(
        &self,
        id: DataSourceId,
    ) -> impl Future<Output = Result<DataSource, NotionError>> + Send;

    /// One page of a query; only the `wanted` properties are decoded.
    fn query(
        &self,
        id: DataSourceId,
        request: &QueryRequest,
        wanted: &[PropertyId],
        lane: Lane,
    ) -> impl Future<Output = Result<QueryPage, NotionError>> + Send;

    /// Reads a page; only the `wanted` properties are decoded.
    fn page(
        &self,
        id: PageId,
        wanted: &[PropertyId],
        lane: Lane,
    ) -> impl Future<Output = Result<PageSnapshot, NotionError>> + Send;

    /// Reads one property of a page to its end, where a page or query answer may have cut it.
    fn whole_property(
        &self,
        page: PageId,
        property: &PropertyId,
        lane: Lane,
    ) -> impl Future<Output = Result<PropertyRead, NotionError>> + Send;

    /// Whether this connection reads the data source that a relation names. Where it does not,
    /// because the data source is not shared or lies in the trash, Notion shows the relation empty
    /// (`design/sync.md` §5, `RelatedDataSourceNotShared`).
    fn related_source_answers(
        &self,
        target: DataSourceId,
    ) -> impl Future<Output = Result<bool, NotionError>> + Send {
        async move {
            match self.data_source(target).await {
                Ok(source) => Ok(!source.in_trash),
                Err(error) if error.is_not_found() => Ok(false),
                Err(error) => Err(error),
            }
        }
    }
}
