//! One request to the imitated API, from its arrival to its answer: weather, authentication,
//! limits, the work itself, and the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value as Json;
use uuid::Uuid;
use warp::http::{Response, StatusCode};

use crate::api;
use crate::api::request::{ApiRequest, Caller, bearer};
use crate::api::route::Call;
use crate::clock::{from_ms, http_date};
use crate::error::ApiError;
use crate::log::{RequestRecord, fingerprint};
use crate::shared::Shared;
use crate::sync::lock;
use crate::weather::{Facts, How, InjectedFailure, When};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) authorization: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) body: Bytes,
}

/// What becomes of the connection.
#[derive(Debug)]
pub(crate) enum Reply {
    Send(Response<Bytes>),
    Drop,
    Hang,
}

/// Handles one request.
pub(crate) async fn exchange(shared: Arc<Shared>, arrived: Arrived) -> Reply {
    let started = Instant::now();
    let call = Call::of(&arrived.method, &arrived.path);
    let operation = call.as_ref().map_or("unknown", Call::operation);
    let mut record = start_record(&shared, &arrived, operation);
    let struck = lock(&shared.weather).strike(&Facts {
        operation,
        method: &arrived.method,
        path: &arrived.path,
        token: bearer(arrived.authorization.as_deref()).unwrap_or_default(),
        body: &arrived.body,
    });
    record.failure = struck.as_ref().map(|struck| struck.id);
    let switches = shared.switches();
    let own = switches
        .operation_latency_ms
        .0
        .get(operation)
        .copied()
        .unwrap_or(0);
    let latency = switches.latency_ms.saturating_add(own);
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    let outcome = if let Some(struck) = &struck {
        strike(&shared, &arrived, call.as_ref(), struck, &mut record)
    } else {
        let result = work(&shared, &arrived, call.as_ref());
        record.applied = result.is_ok();
        Outcome {
            result,
            how: How::Answer,
        }
    };
    let request_id = shared.request_id();
    let reply = outcome.reply(&shared, request_id, &mut record);
    record.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    lock(&shared.log).add(record);
    reply
}

fn start_record(shared: &Shared, arrived: &Arrived, operation: &str) -> RequestRecord {
    let moment = shared.moment();
    RequestRecord {
        seq: 0,
        time: from_ms(moment.now_ms),
        elapsed_ms: moment.elapsed_ms,
        duration_ms: 0,
        method: arrived.method.clone(),
        path: arrived.path.clone(),
        query: arrived.query.clone(),
        operation: operation.to_owned(),
        status: 0,
        code: None,
        token: bearer(arrived.authorization.as_deref())
            .map(fingerprint)
            .unwrap_or_default(),
        body: serde_json::from_slice(&arrived.body).ok(),
        applied: false,
        failure: None,
    }
}

/// Authentication, limits and the work.
fn work(shared: &Shared, arrived: &Arrived, call: Option<&Call>) -> Result<Json, ApiError> {
    let call = call.ok_or_else(ApiError::invalid_url)?;
    let switches = shared.switches();
    let authorization = arrived.authorization.as_deref();
    shared.with(|world| {
        let caller = Caller::identify(world, authorization, arrived.version.as_deref(), call)?;
        let token = bearer(authorization).unwrap_or_default();
        lock(&shared.limits).admit(&switches, token, shared.clock.elapsed_ms())?;
        let mut request = ApiRequest::read(call, &arrived.query, &arrived.body, &switches)?;
        request.base_url.clone_from(&shared.base_url);
        api::execute(world, &caller, call, &request)
    })
}

struct Outcome {
    result: Result<Json, ApiError>,
    how: How,
}

/// What a failure makes of a request.
fn strike(
    shared: &Arc<Shared>,
    arrived: &Arrived,
    call: Option<&Call>,
    struck: &InjectedFailure,
    record: &mut RequestRecord,
) -> Outcome {
    let failure = &struck.failure;
    let mut created = None;
    match failure.when {
        When::Before => {}
        When::After => match work(shared, arrived, call) {
            Ok(done) => {
                record.applied = true;
                created = (call == Some(&Call::CreatePage))
                    .then(|| done["id"].as_str().and_then(crate::ids::parse_uuid))
                    .flatten();
            }
            Err(refused) => {
                return Outcome {
                    result: Err(refused),
                    how: How::Answer,
                };
            }
        },
        When::Late { ms } => {
            let (shared, arrived, call) = (Arc::clone(shared), arrived.clone(), call.cloned());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                // Nobody is left to hear of a refusal.
                let _ = work(&shared, &arrived, call.as_ref());
            });
            record.applied = true;
        }
    }
    Outcome {
        result: Err(failure.error(created)),
        how: failure.how,
    }
}

impl Outcome {
    fn reply(self, shared: &Shared, request_id: Uuid, record: &mut RequestRecord) -> Reply {
        let (status, body, retry_after) = match self.result {
            Ok(mut body) => {
                body["request_id"] = Json::String(request_id.to_string());
                (200, body, None)
            }
            Err(error) => {
                let body = error.to_json(request_id);
                record.code = Some(error.code);
                (error.status, body, error.retry_after)
            }
        };
        let text = match self.how {
            How::Drop => return Reply::Drop,
            How::Hang => return Reply::Hang,
            How::Answer => body.to_string(),
            How::Malformed => {
                record.status = 200;
                let broken = Bytes::from_static(b"{\"object\":\"page\",\"id\":\"7");
                return Reply::Send(respond(shared, 200, broken, Some(request_id), None));
            }
            How::EdgePage => {
                record.status = status;
                let page = Bytes::from_static(b"<html><body>Bad gateway</body></html>");
                return Reply::Send(respond(shared, status, page, None, None));
            }
        };
        record.status = status;
        Reply::Send(respond(
            shared,
            status,
            text.into(),
            Some(request_id),
            retry_after,
        ))
    }
}

fn respond(
    shared: &Shared,
    status: u16,
    body: Bytes,
    request_id: Option<Uuid>,
    retry_after: Option<u64>,
) -> Response<Bytes> {
    let kind = if request_id.is_some() {
        "application/json; charset=utf-8"
    } else {
        "text/html"
    };
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header("content-type", kind)
        .header("cf-ray", "9a1b2c3d4e5f6071-FRA");
    if let Some(id) = request_id {
        response = response.header("x-notion-request-id", id.to_string());
    }
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    if shared.switches().date_header {
        response = response.header("date", http_date(shared.clock.now_ms()));
    }
    response.body(body).unwrap_or_default()
}
