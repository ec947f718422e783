//! The client over HTTP: the operations of the port, each with its retries.
//!
//! A [`Client`] belongs to one token and holds that token's limiter; `clients.rs` hands it out.
//! Everything here reads; `writes.rs` writes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::error::NotionError;
use super::limiter::{Answer, Caller, Limiter, Patience, Permit};
use super::retry::{Attempts, Next};
use super::transport::{Call, Failure, Reply, Transport};
use super::wire::{self, ItemPage, PropertyItems, encoded};
use super::{Lane, NotionApi, QueryPage, QueryRequest};
use crate::metrics::{Metrics, NotionLabels};
use crate::sync::identity::{BindingRef, DataSourceId, DatabaseId, PageId, PropertyId, UserId};
use crate::sync::page::{DataSource, PageSnapshot, PropertyRead};

/// How long the answer to "does this token work" is shared.
const PROBE_SHARED: Duration = Duration::from_secs(3);
/// How long a probe waits for the limiter.
const PROBE_PATIENCE: Duration = Duration::from_secs(20);
/// How long a probe waits for its answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest page of a list that Notion gives.
const PAGE_SIZE: u32 = 100;

type Probe = (Instant, Result<UserId, Arc<NotionError>>);

/// What all clients of a token share.
#[derive(Debug)]
struct Shared {
    transport: Transport,
    limiter: Arc<Limiter>,
    metrics: Metrics,
    probe: Mutex<Option<Probe>>,
    bot: OnceCell<UserId>,
}

/// Notion as one token sees it, on behalf of one binding. All clients of a token share its limiter,
/// where bindings take turns.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    caller: Caller,
}

impl Client {
    pub(super) fn new(transport: Transport, metrics: Metrics) -> Self {
        let shared = Shared {
            transport,
            limiter: Arc::new(Limiter::new(metrics.clone())),
            metrics,
            probe: Mutex::new(None),
            bot: OnceCell::new(),
        };
        Self {
            shared: Arc::new(shared),
            caller: Caller::default(),
        }
    }

    /// The same client on behalf of a binding: its requests take turns with those of others.
    #[must_use]
    pub fn for_binding(&self, binding: &BindingRef) -> Self {
        let mut hasher = DefaultHasher::new();
        binding.hash(&mut hasher);
        Self {
            shared: Arc::clone(&self.shared),
            caller: Caller(hasher.finish()),
        }
    }

    /// Whose turns its requests take.
    #[cfg(test)]
    pub(super) const fn caller(&self) -> Caller {
        self.caller
    }

    /// Whether both have one limiter.
    #[cfg(test)]
    pub(super) fn shares_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared.limiter, &other.shared.limiter)
    }

    /// Whether another client of the token is in use.
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.shared) > 1
    }

    /// The bot user of the token: who writes where the token writes, and whether it works at all.
    ///
    /// One attempt. Its result, also an error, is shared for three seconds, so that many bindings
    /// that wait for a token to work again cost no more than one.
    pub async fn me(&self) -> Result<UserId, Arc<NotionError>> {
        let mut probe = self.shared.probe.lock().await;
        if let Some((at, result)) = &*probe
            && at.elapsed() < PROBE_SHARED
        {
            return result.clone();
        }
        let result = self.ask_me().await.map_err(Arc::new);
        *probe = Some((Instant::now(), result.clone()));
        result
    }

    /// The same, asked once for all: a token never changes its bot.
    pub(super) async fn bot(&self) -> Result<UserId, NotionError> {
        let bot = self.shared.bot.get_or_try_init(|| self.ask_me()).await;
        bot.copied()
    }

    async fn ask_me(&self) -> Result<UserId, NotionError> {
        let call = Call::get("users.me", "users/me".to_owned());
        let patience = Patience {
            line: PROBE_PATIENCE,
            pause: PROBE_PATIENCE,
        };
        let reply = self
            .attempt(&call, Lane::Background, patience, PROBE_TIMEOUT)
            .await??;
        wire::bot_user(&reply.json())
    }

    /// Sends a request once, when the limiter allows. The outer error is the limiter's.
    async fn attempt(
        &self,
        call: &Call,
        lane: Lane,
        patience: Patience,
        timeout: Duration,
    ) -> Result<Result<Reply, Failure>, NotionError> {
        let permit = self.permit(lane, patience).await?;
        Ok(self.exchange(call, permit, timeout).await)
    }

    /// Waits for the limiter.
    pub(super) async fn permit(
        &self,
        lane: Lane,
        patience: Patience,
    ) -> Result<Permit, NotionError> {
        let limiter = &self.shared.limiter;
        limiter.acquire(self.caller, lane, patience).await
    }

    /// Sends a request once, and tells limiter and metrics how it went.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        permit: Permit,
        timeout: Duration,
    ) -> Result<Reply, Failure> {
        let result = self.shared.transport.send(call, timeout).await;
        permit.finish(
            result
                .as_ref()
                .map_or_else(Failure::answer, |_| Answer::Taken),
        );
        let code = result.as_ref().map_or_else(Failure::code, |_| "200".into());
        let labels = NotionLabels::new(call.operation, code);
        let requests = &self.shared.metrics.notion_requests;
        requests.get_or_create(&labels).inc();
        result
    }

    /// Sends a read until it is answered or patience ends.
    pub(super) async fn read(&self, mut call: Call, lane: Lane) -> Result<Reply, NotionError> {
        let begun = Instant::now();
        let mut attempts = Attempts::new(lane);
        let mut last: Option<NotionError> = None;
        loop {
            let elapsed = begun.elapsed();
            let (patience, timeout) = (attempts.patience(elapsed), attempts.timeout(elapsed));
            let attempt = self.attempt(&call, lane, patience, timeout).await;
            let failure = match attempt {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(failure)) => failure,
                // What Notion said tells more than that the limiter then had to wait.
                Err(throttled) => return Err(last.unwrap_or(throttled)),
            };
            let code = failure.code();
            tracing::debug!(notion.operation = call.operation, notion.code = %code, "read failed");
            let wait = match attempts.after(&failure, begun.elapsed(), jitter()) {
                Next::Retry(wait) => wait,
                Next::RetrySmaller { wait, anyway } if ask_for_less(&mut call) || anyway => wait,
                Next::GiveUp | Next::RetrySmaller { .. } => return Err(failure.into()),
            };
            last = Some(failure.into());
            sleep(wait).await;
        }
    }

    /// Reads an object.
    async fn get(
        &self,
        operation: &'static str,
        path: String,
        lane: Lane,
    ) -> Result<Reply, NotionError> {
        self.read(Call::get(operation, path), lane).await
    }

    /// Reads a property from its start to its end.
    async fn items(
        &self,
        page: PageId,
        property: &PropertyId,
        lane: Lane,
    ) -> Result<PropertyRead, NotionError> {
        let id = encoded(property.as_str());
        let first = format!("pages/{page}/properties/{id}?page_size={PAGE_SIZE}");
        let mut items = PropertyItems::default();
        let mut cursor: Option<String> = None;
        loop {
            let path = match &cursor {
                Some(cursor) => format!("{first}&start_cursor={}", encoded(cursor)),
                None => first.clone(),
            };
            let reply = self.get("pages.properties.retrieve", path, lane).await;
            let reply = reply.map_err(|error| of_cursor(error, cursor.as_deref()))?;
            match items.push(&reply.json())? {
                ItemPage::More(next) => cursor = Some(next),
                ItemPage::Whole(read) => return Ok(read),
            }
        }
    }
}

impl NotionApi for Client {
    async fn data_sources_of(
        &self,
        database: DatabaseId,
    ) -> Result<Vec<(DataSourceId, String)>, NotionError> {
        let path = format!("databases/{database}");
        let lane = Lane::Background;
        let reply = self.get("databases.retrieve", path, lane).await?;
        wire::data_sources_of(&reply.json())
    }

    async fn data_source(&self, id: DataSourceId) -> Result<DataSource, NotionError> {
        let path = format!("data_sources/{id}");
        let lane = Lane::Background;
        let reply = self.get("data_sources.retrieve", path, lane).await?;
        wire::data_source(&reply.json())
    }

    async fn query(
        &self,
        id: DataSourceId,
        request: &QueryRequest,
        wanted: &[PropertyId],
        lane: Lane,
    ) -> Result<QueryPage, NotionError> {
        let cursor = request.cursor.as_deref();
        let path = format!("data_sources/{id}/query");
        let body = wire::query_body(request, PAGE_SIZE);
        let call = Call::post("data_sources.query", path, body);
        let reply = self.read(call, lane).await;
        let reply = reply.map_err(|error| of_cursor(error, cursor))?;
        wire::query_page(&reply.json(), cursor, wanted, reply.date)
    }

    async fn page(
        &self,
        id: PageId,
        wanted: &[PropertyId],
        lane: Lane,
    ) -> Result<PageSnapshot, NotionError> {
        let path = format!("pages/{id}");
        let reply = self.get("pages.retrieve", path, lane).await?;
        wire::page(&reply.json(), wanted)
    }

    async fn whole_property(
        &self,
        page: PageId,
        property: &PropertyId,
        lane: Lane,
    ) -> Result<PropertyRead, NotionError> {
        match self.items(page, property, lane).await {
            // The list is short, so it is simply read again; a second refusal is reported.
            Err(NotionError::CursorRejected) => self.items(page, property, lane).await,
            result => result,
        }
    }
}

/// Recognises a refused cursor: Notion calls it a validation error, as it calls other things, but
/// the same request without the cursor was accepted before.
fn of_cursor(error: NotionError, cursor: Option<&str>) -> NotionError {
    match error {
        NotionError::Answered {
            status: 400,
            ref code,
            ..
        } if cursor.is_some() && code == "validation_error" => NotionError::CursorRejected,
        error => error,
    }
}

/// Shrinks the page of a query; `false` where there is nothing to shrink.
fn ask_for_less(call: &mut Call) -> bool {
    let Some(Value::Object(body)) = &mut call.body else {
        return false;
    };
    let smaller = match body.get("page_size").and_then(Value::as_u64) {
        Some(26..=50) => 25,
        Some(11..=25) => 10,
        Some(51..) => 50,
        Some(..=10) | None => return false,
    };
    body.insert("page_size".to_owned(), smaller.into());
    true
}

/// A random number between 0 and 1. A random UUID is all the randomness that is needed here.
pub(super) fn jitter() -> f64 {
    let (random, _) = Uuid::new_v4().as_u64_pair();
    f64::from(u16::try_from(random >> 48).unwrap_or(0)) / f64::from(u16::MAX)
}
