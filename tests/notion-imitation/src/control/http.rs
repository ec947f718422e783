//! The control API over HTTP, below `/_control/`: JSON in, JSON out, no authentication.
//!
//! The README lists the routes. A refused call is 400 with `{"error": "..."}`.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use uuid::Uuid;
use warp::http::Response;

use crate::control::{ControlError, ControlResult, Controls, http_workspace};
use crate::exchange::Arrived;
use crate::shared::Shared;

/// A control call.
pub(crate) struct ControlCall<'a> {
    pub(crate) controls: &'a Controls,
    pub(crate) query: &'a str,
    pub(crate) body: &'a Json,
}

impl ControlCall<'_> {
    /// The body in its expected shape.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> ControlResult<T> {
        serde_json::from_value(self.body.clone())
            .map_err(|error| ControlError::new(format!("body: {error}")))
    }

    /// A text of the body.
    pub(crate) fn text(&self, key: &str) -> ControlResult<&str> {
        let found = self.body[key].as_str();
        found.ok_or_else(|| ControlError::new(format!("body: `{key}` is missing")))
    }

    /// A text of the body that may be left out.
    pub(crate) fn optional(&self, key: &str) -> Option<&str> {
        self.body[key].as_str()
    }
}

/// Any result as JSON.
pub(crate) fn show(value: impl Serialize) -> ControlResult<Json> {
    serde_json::to_value(value).map_err(|error| ControlError::new(error.to_string()))
}

/// Success without a result.
pub(crate) fn done(result: ControlResult<()>) -> ControlResult<Json> {
    result.map(|()| json!({"ok": true}))
}

/// An id in the path or body.
pub(crate) fn id(text: &str) -> ControlResult<Uuid> {
    Uuid::try_parse(text).map_err(|error| ControlError::new(format!("{text}: {error}")))
}

/// Answers a control call.
pub(crate) async fn answer(shared: Arc<Shared>, arrived: Arrived) -> Response<Bytes> {
    let controls = Controls::new(shared);
    let body = if arrived.body.is_empty() {
        Ok(json!({}))
    } else {
        serde_json::from_slice(&arrived.body)
            .map_err(|error| ControlError::new(format!("body: {error}")))
    };
    let result = match body {
        Ok(body) => dispatch(&controls, &arrived, &body).await,
        Err(error) => Err(error),
    };
    let (status, body) = match result {
        Ok(Some(body)) => (200, body),
        Ok(None) => (404, json!({"error": "no such control"})),
        Err(error) => (400, json!({"error": error.to_string()})),
    };
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(body.to_string().into())
        .unwrap_or_default()
}

async fn dispatch(
    controls: &Controls,
    arrived: &Arrived,
    body: &Json,
) -> ControlResult<Option<Json>> {
    let path = arrived.path.strip_prefix("/_control").unwrap_or_default();
    let segments: Vec<&str> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    let call = ControlCall {
        controls,
        query: &arrived.query,
        body,
    };
    let method = arrived.method.as_str();
    let result = match (method, segments.as_slice()) {
        ("GET", []) => info(controls),
        (_, ["subscriptions" | "deliveries" | "send" | "events", ..]) => {
            return webhooks(&call, method, &segments).await;
        }
        (_, ["databases" | "data_sources" | "pages" | "people", ..]) => {
            return http_workspace::dispatch(&call, method, &segments);
        }
        _ => return steer(&call, method, &segments),
    };
    result.map(Some)
}

fn info(controls: &Controls) -> ControlResult<Json> {
    let root = controls
        .shared
        .with(|world| (world.workspace, world.root_page));
    Ok(json!({
        "base_url": controls.base_url(),
        "token": controls.token(),
        "bot": controls.bot(None)?,
        "person": controls.person(),
        "workspace": root.0,
        "root_page": root.1,
        "now": controls.now(),
    }))
}

/// Switches, clock, weather, log and connections.
fn steer(call: &ControlCall<'_>, method: &str, path: &[&str]) -> ControlResult<Option<Json>> {
    let controls = call.controls;
    let token = call.optional("token");
    let result = match (method, path) {
        ("GET", ["switches"]) => show(controls.switches()),
        ("PATCH", ["switches"]) => patch_switches(call),
        ("GET", ["clock"]) => Ok(json!({"now": controls.now(), "clock": controls.clock()})),
        ("PUT", ["clock"]) => {
            controls.set_clock_mode(call.read()?);
            Ok(json!({"now": controls.now()}))
        }
        ("POST", ["clock", "advance"]) => {
            let ms = call.body["ms"].as_u64().unwrap_or(0);
            controls.advance(std::time::Duration::from_millis(ms));
            Ok(json!({"now": controls.now()}))
        }
        ("GET", ["failures"]) => show(controls.failures()),
        ("POST", ["failures"]) => Ok(json!({"id": controls.fail(call.read()?)})),
        ("DELETE", ["failures"]) => {
            controls.clear_failures(None);
            done(Ok(()))
        }
        ("DELETE", ["failures", id]) => {
            let id = id
                .parse()
                .map_err(|_| ControlError::new("a failure's id is a number"))?;
            controls.clear_failures(Some(id));
            done(Ok(()))
        }
        ("POST", ["queries", "freeze"]) => {
            controls.freeze_queries();
            done(Ok(()))
        }
        ("POST", ["queries", "thaw"]) => {
            controls.thaw_queries();
            done(Ok(()))
        }
        ("POST", ["rate_limits", "reset"]) => {
            controls.reset_rate_limits();
            done(Ok(()))
        }
        ("GET", ["requests"]) => show(controls.requests_since(since(call.query))),
        ("GET", ["requests", "counts"]) => show(controls.counts()),
        ("DELETE", ["requests"]) => {
            controls.reset_requests();
            done(Ok(()))
        }
        ("POST", ["connections"]) => Ok(json!({"bot": controls.add_connection(&call.read()?)?})),
        ("POST", ["connections", "revoke"]) => done(controls.revoke(call.text("token")?, true)),
        ("POST", ["connections", "reinstate"]) => done(controls.revoke(call.text("token")?, false)),
        ("POST", ["connections", "capabilities"]) => {
            let wanted = serde_json::from_value::<Vec<_>>(call.body["capabilities"].clone())
                .map_err(|error| ControlError::new(format!("capabilities: {error}")))?;
            done(controls.set_capabilities(token, &wanted))
        }
        ("POST", ["share"]) => done(controls.share(id(call.text("id")?)?, token)),
        ("POST", ["unshare"]) => done(controls.unshare(id(call.text("id")?)?, token)),
        _ => return Ok(None),
    };
    result.map(Some)
}

/// Puts the given fields over what stands.
fn patched<T: Serialize + DeserializeOwned>(now: T, body: &Json) -> ControlResult<T> {
    let mut fields = show(now)?;
    if let (Some(fields), Some(given)) = (fields.as_object_mut(), body.as_object()) {
        fields.extend(given.clone());
    }
    serde_json::from_value(fields).map_err(|error| ControlError::new(format!("body: {error}")))
}

fn patch_switches(call: &ControlCall<'_>) -> ControlResult<Json> {
    let next = patched(call.controls.switches(), call.body)?;
    call.controls.switch(|switches| *switches = next);
    show(call.controls.switches())
}

fn since(query: &str) -> u64 {
    let given = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("since="));
    given.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Subscriptions, deliveries, and events by hand.
async fn webhooks(
    call: &ControlCall<'_>,
    method: &str,
    path: &[&str],
) -> ControlResult<Option<Json>> {
    let controls = call.controls;
    let result = match (method, path) {
        ("GET", ["subscriptions"]) => show(controls.subscriptions()),
        ("POST", ["subscriptions"]) => show(controls.subscribe(call.read()?)?),
        ("GET", ["subscriptions", it]) => show(controls.subscription(id(it)?)?),
        ("PATCH", ["subscriptions", it]) => {
            let it = id(it)?;
            let next = patched(controls.subscription(it)?.subscription, call.body)?;
            controls.change_subscription(it, |subscription| *subscription = next)?;
            show(controls.subscription(it)?)
        }
        ("DELETE", ["subscriptions", it]) => done(controls.unsubscribe(id(it)?)),
        ("POST", ["subscriptions", it, "handshake"]) => show(controls.handshake(id(it)?).await?),
        ("POST", ["subscriptions", it, "verify"]) => {
            Ok(json!({"verified": controls.verify(id(it)?, call.text("verification_token")?)?}))
        }
        ("GET", ["deliveries"]) => show(controls.deliveries()),
        ("DELETE", ["deliveries"]) => {
            controls.reset_deliveries();
            done(Ok(()))
        }
        ("POST", ["send"]) => show(controls.send(&call.read()?).await?),
        ("POST", ["events", dialect]) => event(call, dialect),
        _ => return Ok(None),
    };
    result.map(Some)
}

/// The body of an event, to be sent by `/send`.
fn event(call: &ControlCall<'_>, dialect: &str) -> ControlResult<Json> {
    let controls = call.controls;
    let entity = id(call.text("id")?)?;
    Ok(match dialect {
        "real" => {
            let updated: Vec<String> =
                serde_json::from_value(call.body["updated"].clone()).unwrap_or_default();
            controls.event(call.text("type")?, entity, &updated)
        }
        "legacy" => controls.legacy_event(entity),
        "legacy_database" => controls.legacy_database_event(entity),
        "automation" => {
            let event_id = call.optional("event_id").map(id).transpose()?;
            controls.automation_event(entity, event_id)
        }
        _ => {
            return Err(ControlError::new(
                "dialects: real, legacy, legacy_database, automation",
            ));
        }
    })
}
