//! The client's writes.
//!
//! A write goes out once for every answer that says for certain that nothing came of it; whatever
//! else happens ends it, because nobody may repeat what may have been done.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::client::{Client, jitter};
use super::error::NotionError;
use super::limiter::Patience;
use super::outcome::{Outcome, outcome};
use super::transport::{Call, Failure, Reply};
use super::wire;
use super::writer::{
    FOUND_AT_MOST, LONGEST_CONNECT, NotionWriter, PropertyWrite, WRITE_TIMEOUT, WriteError,
    WriteTerms, send_patience,
};
use super::{Lane, NotionApi};
use crate::sync::convert::same;
use crate::sync::identity::{DataSourceId, PageId, PropertyId, UserId};
use crate::sync::page::{PageSnapshot, PropertyRead};

/// The first wait after a connection that was not made; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// An answer to a write, and when it was sent.
struct Echo {
    reply: Reply,
    sent_at: Timestamp,
}

impl Client {
    /// Sends a write until there is an answer that ends it, or patience ends.
    async fn write(&self, call: Call, terms: WriteTerms<'_>) -> Result<Echo, WriteError> {
        let end = Instant::now() + send_patience(terms.lane).unsigned_abs();
        let mut wait = FIRST_WAIT;
        let mut last: Option<NotionError> = None;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let patience = Patience {
                line: left,
                pause: left,
            };
            let permit = match self.permit(terms.lane, patience).await {
                Ok(permit) => permit,
                // What Notion said tells more than that the limiter then had to wait.
                Err(error) => return Err(WriteError::NotWritten(last.unwrap_or(error))),
            };
            if !(terms.guard)() {
                return Err(WriteError::NotWritten(NotionError::SendRefused));
            }
            let left_at = Timestamp::now();
            let failure = match self.exchange(&call, permit, WRITE_TIMEOUT).await {
                Ok(reply) => {
                    let sent_at = latest_sent(left_at);
                    return Ok(Echo { reply, sent_at });
                }
                Err(failure) => failure,
            };
            let code = failure.code();
            tracing::debug!(notion.operation = call.operation, notion.code = %code, "write failed");
            match outcome(&failure) {
                Outcome::Unknown => return Err(ambiguous(failure, latest_sent(left_at))),
                Outcome::Refused => return Err(WriteError::NotWritten(failure.into())),
                // The limiter waits as long as Notion asks.
                Outcome::Throttled => {}
                Outcome::NotConnected => {
                    let pause = wait.mul_f64(0.5 + jitter() / 2.0);
                    if Instant::now() + pause >= end {
                        return Err(WriteError::NotWritten(failure.into()));
                    }
                    sleep(pause).await;
                    wait *= 2;
                }
            }
            last = Some(failure.into());
        }
    }

    /// Sends a write and reads the page that it is answered with.
    async fn write_page(
        &self,
        call: Call,
        wanted: &[PropertyId],
        terms: WriteTerms<'_>,
    ) -> Result<PageSnapshot, WriteError> {
        let Echo { reply, sent_at } = self.write(call, terms).await?;
        let body = reply.json();
        wire::page(&body, wanted).map_err(|source| WriteError::Ambiguous {
            source,
            committed: wire::page_id(&body),
            sent_at,
        })
    }

    /// Whether a page that was found has exactly the values of the key.
    async fn has_key(
        &self,
        page: &PageSnapshot,
        key: &[PropertyWrite],
        lane: Lane,
    ) -> Result<bool, NotionError> {
        for (id, _, value) in key {
            let Some(property) = page.properties.get(id) else {
                return Ok(false);
            };
            let whole;
            let read = match &property.read {
                PropertyRead::Truncated => {
                    whole = self.whole_property(page.id, id, lane).await?;
                    &whole
                }
                read => read,
            };
            if !matches!(read, PropertyRead::Value(read) if same(read, value)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The latest moment at which a request that left us at `left_at` can have been sent: connecting
/// may have come first.
fn latest_sent(left_at: Timestamp) -> Timestamp {
    let connected = SignedDuration::try_from(LONGEST_CONNECT)
        .and_then(|connect| left_at.checked_add(connect))
        .unwrap_or(Timestamp::MAX);
    Timestamp::now().min(connected)
}

fn ambiguous(failure: Failure, sent_at: Timestamp) -> WriteError {
    let committed = match &failure {
        Failure::Answered { body, .. } => body.committed,
        Failure::Transport(_) | Failure::TooLarge => None,
    };
    WriteError::Ambiguous {
        source: failure.into(),
        committed,
        sent_at,
    }
}

impl NotionWriter for Client {
    async fn me(&self) -> Result<UserId, NotionError> {
        self.bot().await
    }

    async fn update_page(
        &self,
        page: PageId,
        properties: &[PropertyWrite],
        wanted: &[PropertyId],
        terms: WriteTerms<'_>,
    ) -> Result<PageSnapshot, WriteError> {
        let properties = wire::properties(properties).map_err(WriteError::NotWritten)?;
        let body = json!({ "properties": properties });
        let call = Call::patch("pages.update", format!("pages/{page}"), body);
        self.write_page(call, wanted, terms).await
    }

    async fn create_page(
        &self,
        source: DataSourceId,
        properties: &[PropertyWrite],
        wanted: &[PropertyId],
        terms: WriteTerms<'_>,
    ) -> Result<PageSnapshot, WriteError> {
        let body = wire::new_page(source, properties).map_err(WriteError::NotWritten)?;
        let call = Call::post("pages.create", "pages".to_owned(), body);
        self.write_page(call, wanted, terms).await
    }

    async fn set_trashed(
        &self,
        page: PageId,
        in_trash: bool,
        wanted: &[PropertyId],
        terms: WriteTerms<'_>,
    ) -> Result<PageSnapshot, WriteError> {
        let body = json!({ "in_trash": in_trash });
        let call = Call::patch("pages.update", format!("pages/{page}"), body);
        self.write_page(call, wanted, terms).await
    }

    async fn find_pages(
        &self,
        source: DataSourceId,
        key: &[PropertyWrite],
        wanted: &[PropertyId],
        lane: Lane,
    ) -> Result<Vec<PageSnapshot>, NotionError> {
        let mut needed: Vec<PropertyId> = key.iter().map(|(id, ..)| id.clone()).collect();
        needed.extend_from_slice(wanted);
        let (mut found, mut cursor): (Vec<PageSnapshot>, Option<String>) = (Vec::new(), None);
        loop {
            let body = wire::search(key, cursor.as_deref()).ok_or(NotionError::NotSearchable)?;
            let path = format!("data_sources/{source}/query");
            let call = Call::post("data_sources.query", path, body);
            let reply = self.read(call, lane).await?;
            let answer = wire::query_page(&reply.json(), cursor.as_deref(), &needed, reply.date)?;
            for mut page in answer.pages {
                if self.has_key(&page, key, lane).await? {
                    page.properties.retain(|id, _| wanted.contains(id));
                    found.push(page);
                }
                if found.len() == FOUND_AT_MOST {
                    return Ok(found);
                }
            }
            // What lies beyond the cap may have the key, too.
            if answer.incomplete && answer.next_cursor.is_none() {
                return Err(NotionError::NotSearchable);
            }
            cursor = answer.next_cursor;
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }
}
