//! The admin API: what is not in step, binding by binding (`design/receiver.md` §5, S14).
//!
//! Everything comes from the last pass; a request here never reaches Notion. What a caller may not
//! see is left out before anything is looked up, so that a refusal tells nothing of what exists.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use futures::stream;
use percent_encoding::percent_decode_str;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use warp::Reply as _;
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use warp::http::{HeaderMap, Method};
use warp::reply::Response;

use super::limits::Limits;
use super::receiver::Request;
use super::reply::{Refusal, Reply};
use super::signature::Bearer;

mod access;
pub mod ports;
mod view;

use access::{Access, Caller};
use ports::{BindingHealth, HealthDetails, HealthSource, Reviewer, Right};
use view::{BindingView, HealthView};

/// The path of the health report.
pub const ADMIN_HEALTH_PATH: &str = "/api/admin/sync/health";

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;
/// How much of a reply is handed to the connection at once, in bytes.
const PIECE: usize = 16 * 1024;

/// The query of a health report.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Query {
    namespace: Option<String>,
    name: Option<String>,
    limit: usize,
}

/// The admin API.
pub struct Admin {
    access: Access,
    source: Arc<dyn HealthSource>,
    limits: Limits,
    slots: Arc<Semaphore>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

impl Admin {
    /// The admin API over these ports.
    pub fn new(reviewer: Arc<dyn Reviewer>, source: Arc<dyn HealthSource>, limits: Limits) -> Self {
        Self {
            access: Access::new(reviewer, &limits),
            slots: Arc::new(Semaphore::new(limits.admin_requests)),
            source,
            limits,
        }
    }

    /// Answers a request for [`ADMIN_HEALTH_PATH`].
    pub async fn handle(&self, request: Request) -> Response {
        let refuse = |refusal| {
            let reply = Reply::refusal(refusal, self.limits.retry_after);
            reply.into_response().into_response()
        };
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return refuse(Refusal::Overloaded);
        };
        let Request {
            method,
            query,
            headers,
            ambiguous_length,
            ..
        } = request;
        let health = async {
            if ambiguous_length {
                return Err(Refusal::AmbiguousLength);
            }
            self.health(&method, &headers, &query).await
        };
        match health.await {
            Ok(body) => in_pieces(body.into(), slot),
            Err(refusal) => refuse(refusal),
        }
    }

    async fn health(
        &self,
        method: &Method,
        headers: &HeaderMap,
        query: &str,
    ) -> Result<Vec<u8>, Refusal> {
        if *method != Method::GET {
            return Err(Refusal::MethodNotAllowed("GET"));
        }
        let caller = self.access.caller(Bearer::of(headers)).await;
        let caller = caller.ok_or(Refusal::Unauthorized)?;
        let query = Query::read(query).ok_or(Refusal::InvalidParameter)?;
        let mut shown = self.visible(&caller, &query).await?;
        let truncated = shown.len() > query.limit;
        shown.truncate(query.limit);
        let views = self.views(&caller, &shown, query.limit).await;
        let view = HealthView::new(&shown, views, truncated);
        serde_json::to_vec(&view).map_err(|_| Refusal::InternalError)
    }

    /// The bindings that are asked for and may be seen, in order of namespace and name.
    async fn visible(&self, caller: &Caller, query: &Query) -> Result<Vec<BindingHealth>, Refusal> {
        let all = self.source.bindings();
        let mut namespaces: Vec<String> = match &query.namespace {
            Some(namespace) => vec![namespace.clone()],
            None => all
                .iter()
                .map(|each| each.binding.namespace.clone())
                .collect(),
        };
        namespaces.sort_unstable();
        namespaces.dedup();
        let asked: Vec<BoxFuture<'_, bool>> = namespaces
            .iter()
            .map(|each| self.access.may(caller, each, Right::Health).boxed())
            .collect();
        let allowed = join_all(asked).await;
        let allowed: Vec<_> = namespaces
            .iter()
            .zip(allowed)
            .filter(|(_, may)| *may)
            .map(|(each, _)| each)
            .collect();
        if allowed.is_empty() && !matches!(caller, Caller::Static) {
            return Err(Refusal::Forbidden);
        }
        let named = |each: &BindingHealth| {
            query
                .name
                .as_ref()
                .is_none_or(|name| *name == each.binding.name)
        };
        let mut shown: Vec<_> = all
            .into_iter()
            .filter(|each| named(each) && allowed.contains(&&each.binding.namespace))
            .collect();
        if shown.is_empty() && query.name.is_some() {
            return Err(Refusal::NotFound);
        }
        shown.sort_by(|a, b| a.binding.cmp(&b.binding));
        Ok(shown)
    }

    /// The bindings with their details, until the reply is as large as it may become; the lists of
    /// the rest are empty and say that they are cut.
    async fn views(
        &self,
        caller: &Caller,
        shown: &[BindingHealth],
        limit: usize,
    ) -> Vec<BindingView> {
        let mut room = self.limits.admin_reply;
        let mut views = Vec::with_capacity(shown.len());
        for binding in shown {
            let values = self
                .access
                .may(caller, &binding.binding.namespace, Right::Values)
                .await;
            let details = match room {
                0 => HealthDetails {
                    truncated: true,
                    ..HealthDetails::default()
                },
                _ => self.details(binding, limit, values).await,
            };
            let details = within(details, &mut room);
            views.push(BindingView::new(binding, details, values));
        }
        views
    }

    /// The details of one binding. The report is given even when its database is away; then its
    /// lists are empty and say that they are cut.
    async fn details(&self, binding: &BindingHealth, limit: usize, values: bool) -> HealthDetails {
        let read = self.source.details(&binding.binding, limit, values);
        let mut details = match timeout(self.limits.review, read).await {
            Ok(Ok(details)) => details,
            Ok(Err(_)) | Err(_) => HealthDetails {
                truncated: true,
                ..HealthDetails::default()
            },
        };
        details.truncated |=
            details.discrepancies.len() > limit || details.orphaned_pages.len() > limit;
        details.discrepancies.truncate(limit);
        details.orphaned_pages.truncate(limit);
        details
    }
}

/// Cuts details to the room that is left, and takes it.
fn within(mut details: HealthDetails, room: &mut usize) -> HealthDetails {
    /// What keys and punctuation of one entry take, in bytes.
    const FRAME: usize = 256;
    let mut fits = |size: usize| {
        let left = room.checked_sub(size);
        *room = left.unwrap_or(0);
        left.is_some()
    };
    let size = |value: &Option<serde_json::Value>| {
        value.as_ref().map_or(0, |value| value.to_string().len())
    };
    let before = (details.discrepancies.len(), details.orphaned_pages.len());
    let entry =
        |each: &crate::sync::drift::Discrepancy| FRAME + size(&each.notion) + size(&each.postgres);
    let kept = details
        .discrepancies
        .iter()
        .take_while(|each| fits(entry(each)))
        .count();
    details.discrepancies.truncate(kept);
    let kept = details
        .orphaned_pages
        .iter()
        .take_while(|_| fits(40))
        .count();
    details.orphaned_pages.truncate(kept);
    details.truncated |= before != (details.discrepancies.len(), details.orphaned_pages.len());
    details
}

impl Query {
    /// Reads a query string; an empty value counts as absent. `None` if `limit` is not acceptable.
    fn read(text: &str) -> Option<Self> {
        let value = |wanted: &str| {
            let mut pairs = text.split('&').filter_map(|pair| pair.split_once('='));
            let (_, value) = pairs.find(|(key, value)| *key == wanted && !value.is_empty())?;
            Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
        };
        let limit = match value("limit") {
            Some(limit) => limit.parse().ok().filter(|limit| *limit <= MAX_LIMIT)?,
            None => DEFAULT_LIMIT,
        };
        Some(Self {
            namespace: value("namespace"),
            name: value("name"),
            limit,
        })
    }
}

/// A reply whose slot is free only once the last piece is on its way: readers that do not read
/// cannot pile replies up.
fn in_pieces(body: Bytes, slot: OwnedSemaphorePermit) -> Response {
    let pieces = stream::unfold((body, slot), |(mut body, slot)| async move {
        if body.is_empty() {
            return None;
        }
        let piece = body.split_to(PIECE.min(body.len()));
        Some((Ok::<_, std::convert::Infallible>(piece), (body, slot)))
    });
    let mut response = warp::reply::stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
