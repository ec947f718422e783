//! The port for writes to Notion, kept apart from `NotionApi` so that whoever reads cannot write.
//!
//! The API knows neither revisions nor idempotency keys, so a write that got no clear answer may
//! have been done, or may still be (`facts/notion-api.md` §2.3). Every write here is therefore sent
//! for one answer, and [`WriteError`] says whether the page may have changed. The order of
//! `design/sync.md` §4 is the caller's: read the page, commit the intent, call, settle by the echo.

use std::future::Future;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Lane, NotionError};
use crate::sync::identity::{DataSourceId, PageId, PropertyId, UserId};
use crate::sync::page::{PageSnapshot, PropertyType, PropertyValue};

/// How long the answer to a write is waited for. Notion works 60 seconds on a request at most.
pub const WRITE_TIMEOUT: Duration = Duration::from_mins(1);
/// How long it may take to connect, which comes before a request is sent.
pub const LONGEST_CONNECT: Duration = Duration::from_secs(10);
/// How long after it was sent a write may still reach the page: [`WRITE_TIMEOUT`] and what the way
/// takes (`design/sync.md` §4).
pub const MAY_ARRIVE: SignedDuration = SignedDuration::from_secs(65);
/// How long after the guard let it go a write may still reach the page.
const MAY_ARRIVE_FROM_GUARD: SignedDuration = SignedDuration::from_secs(75);
/// How many pages [`NotionWriter::find_pages`] gives at most: enough to know that a key names
/// several.
pub const FOUND_AT_MOST: usize = 3;

/// How long a write stands in line before it is sent for the last time. After that it comes back
/// as not written.
pub const fn send_patience(lane: Lane) -> SignedDuration {
    match lane {
        Lane::Edit => SignedDuration::from_secs(20),
        Lane::Background => SignedDuration::from_secs(60),
    }
}

/// The `not_after` of an intent that is committed now, before its write is called: nothing of it
/// reaches the page later, provided that the guard refuses to send once
/// [`is_sendable`] says no.
///
/// It covers the wait for the limiter ([`send_patience`]), connecting ([`LONGEST_CONNECT`]) and
/// [`MAY_ARRIVE`]. After an ambiguous answer the moment is known better, `sent_at +`
/// [`MAY_ARRIVE`], and the intent may be shortened to it.
pub fn not_after(now: Timestamp, lane: Lane) -> Timestamp {
    now.saturating_add(send_patience(lane) + MAY_ARRIVE_FROM_GUARD)
        .unwrap_or(Timestamp::MAX)
}

/// Whether a write may be sent at `now` under an intent that promised `not_after`. A guard asks
/// this beside its lease, so that a commit that took long cannot push the write past its promise.
pub fn is_sendable(now: Timestamp, not_after: Timestamp) -> bool {
    not_after.duration_since(now) >= MAY_ARRIVE_FROM_GUARD
}

/// A property to write: where, of which type, and what.
pub type PropertyWrite = (PropertyId, PropertyType, PropertyValue);

/// Asked directly before a write is sent, also before it is sent again: whether the lease outlasts
/// [`WRITE_TIMEOUT`] and the intent still covers it ([`is_sendable`]). A write that it refuses was
/// not sent: [`NotionError::SendRefused`].
pub type WriteGuard<'a> = &'a (dyn Fn() -> bool + Send + Sync);

/// Under which terms a write travels.
#[derive(Clone, Copy)]
pub struct WriteTerms<'a> {
    /// [`Lane::Edit`] for a person's change, [`Lane::Background`] for backfill.
    pub lane: Lane,
    /// Whether it may be sent.
    pub guard: WriteGuard<'a>,
}

impl std::fmt::Debug for WriteTerms<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteTerms")
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

/// What is known of a write that failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Nothing was written, and nothing will be: Notion refused the request (400, 401, 403, 404,
    /// 409, 429, 529), or it was never sent.
    #[error("nothing was written")]
    NotWritten(#[source] NotionError),
    /// The page may have changed, or may change until [`MAY_ARRIVE`] after `sent_at`: no answer,
    /// one that cannot be read, or 500, 502, 503, 504. Only a read after that tells; until then the
    /// page takes no other write.
    #[error("nobody knows whether it was written")]
    Ambiguous {
        /// What came in place of an answer.
        source: NotionError,
        /// The page that Notion says it wrote although it answered 503
        /// (`additional_data.committed_resource_id`): after a create, the one to adopt.
        committed: Option<PageId>,
        /// When the request was sent, by our clock; the latest moment at which it can have been,
        /// where connecting may have come before.
        sent_at: Timestamp,
    },
}

impl WriteError {
    /// What Notion said, or what came in place of it.
    pub const fn cause(&self) -> &NotionError {
        match self {
            Self::NotWritten(error) | Self::Ambiguous { source: error, .. } => error,
        }
    }
}

/// Writes to Notion, as the engine needs them.
///
/// A write is sent again only where nothing can have been written: after 429, 529 and a connection
/// that was never made, within [`send_patience`]. After 409 the page must be read anew first, so it
/// comes back as not written.
pub trait NotionWriter: Send + Sync {
    /// The bot user that these writes are made by: `last_edited_by` of a page that was written last
    /// here, and the author of the event about it.
    fn me(&self) -> impl Future<Output = Result<UserId, NotionError>> + Send;

    /// Writes these properties of a page and gives the echo with the `wanted` ones.
    fn update_page(
        &self,
        page: PageId,
        properties: &[PropertyWrite],
        wanted: &[PropertyId],
        terms: WriteTerms<'_>,
    ) -> impl Future<Output = Result<PageSnapshot, WriteError>> + Send;

    /// Makes a page with these properties and gives the echo with the `wanted` ones.
    ///
    /// After an ambiguous answer the page is looked up before another is made: `committed` if
    /// given, else [`find_pages`](Self::find_pages) 65 and 130 seconds after `sent_at`
    /// (`design/sync.md` §6).
    fn create_page(
        &self,
        source: DataSourceId,
        properties: &[PropertyWrite],
        wanted: &[PropertyId],
        terms: WriteTerms<'_>,
    ) -> impl Future<Output = Result<PageSnapshot, WriteError>> + Send;

    /// Moves a page to the trash or back and gives the echo with the `wanted` properties.
    fn set_trashed(
        &self,
        page: PageId,
        in_trash: bool,
        wanted: &[PropertyId],
        terms: WriteTerms<'_>,
    ) -> impl Future<Output = Result<PageSnapshot, WriteError>> + Send;

    /// Pages of the data source whose properties have exactly these values, at most
    /// [`FOUND_AT_MOST`], newest first.
    ///
    /// Values are compared canonically (`sync::convert::same`), since Notion's own filter ignores
    /// case. Pages in the trash or in the archive are not found. The index behind it lags
    /// behind writes by seconds: a page that was made just now may be missing, so one look-up that
    /// finds nothing proves nothing about a write younger than [`MAY_ARRIVE`].
    ///
    /// Fails with [`NotionError::NotSearchable`] where no property of the key can be asked for
    /// (an empty value, or a type that Notion's filters do not compare whole).
    fn find_pages(
        &self,
        source: DataSourceId,
        key: &[PropertyWrite],
        wanted: &[PropertyId],
        lane: Lane,
    ) -> impl Future<Output = Result<Vec<PageSnapshot>, NotionError>> + Send;
}
