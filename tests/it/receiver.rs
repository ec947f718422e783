//! The receiver, on the running operator: every row of its reply table, every check in its order,
//! each dialect and each way to authenticate.
//!
//! Everything is posted over HTTP to the process; what was kept is read from the bound database,
//! the audit table, status and metrics.

use std::time::{Duration, Instant};

use notion_imitation::signature;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::{Stage, VERIFICATION_TOKEN};

mod audit;
mod authentication;
mod bad_input;
mod checks;
mod database;
mod fallback;
mod handshake;
mod legacy;
mod memory;
mod reports;
mod routing;
mod seed;
mod waiting;

/// The path that serves every binding.
const SHARED: &str = "/api/webhooks/notion";

/// A reply with the headers that the receiver's contract speaks of.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The code of a refusal, which must have this status.
    fn code(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        self.body["error"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("{self:?}"))
    }

    /// Status and reason of an answer, which must be 200.
    fn said(&self) -> (&str, &str) {
        assert_eq!(self.status, 200, "{self:?}");
        let text = |key: &str| self.body[key].as_str().unwrap_or_default();
        (text("status"), text("reason"))
    }
}

/// Sends any request with exactly these headers.
async fn send(
    stage: &Stage,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> Answer {
    let client = world::http::client().unwrap();
    let request = client
        .request(method.parse().unwrap(), stage.operator.url(path))
        .body(body);
    sent(headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    }))
    .await
}

async fn sent(request: reqwest::RequestBuilder) -> Answer {
    let reply = request.send().await.expect("the receiver answers");
    let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
    let text = reply.text().await.unwrap_or_default();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer {
        status,
        headers,
        body,
    }
}

/// Posts many bodies at once, signed with the stage's own key.
async fn flood(stage: &Stage, bodies: Vec<String>) -> Vec<Answer> {
    let client = world::http::client().unwrap();
    let posts = bodies.into_iter().map(|body| {
        let signature = signature(VERIFICATION_TOKEN, body.as_bytes());
        let request = client.post(stage.operator.webhook_url()).body(body);
        sent(
            request
                .header("content-type", "application/json")
                .header("x-notion-signature", signature),
        )
    });
    futures::future::join_all(posts).await
}

/// Posts JSON, signed with this key.
async fn signed_with(stage: &Stage, key: &str, path: &str, body: &Value) -> Answer {
    let bytes = body.to_string();
    let signature = signature(key, bytes.as_bytes());
    let headers = [
        ("content-type", "application/json"),
        ("x-notion-signature", &*signature),
    ];
    send(stage, "POST", path, &headers, bytes).await
}

/// Posts JSON to the shared path, signed with the stage's own key.
async fn signed(stage: &Stage, body: &Value) -> Answer {
    signed_with(stage, VERIFICATION_TOKEN, SHARED, body).await
}

/// Posts JSON without a credential.
async fn unsigned(stage: &Stage, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    send(stage, "POST", path, &headers, body.to_string()).await
}

/// Posts JSON with a bearer secret.
async fn with_secret(stage: &Stage, path: &str, secret: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {secret}");
    let headers = [
        ("content-type", "application/json"),
        ("authorization", &*bearer),
    ];
    send(stage, "POST", path, &headers, body.to_string()).await
}

/// The path of a binding of this stage.
fn own_path(stage: &Stage, name: &str) -> String {
    format!("{SHARED}/{}/{name}", stage.scene.name())
}

/// A real event about a page's values, with an id of its own.
fn edited(stage: &Stage, page: Uuid) -> Value {
    stage
        .notion
        .event("page.properties_updated", page, &["title".to_owned()])
}

/// The seed's event about a page, with the time and values given.
fn legacy(page: Uuid, time: Option<&str>, properties: &Value) -> Value {
    let mut object = json!({"id": page, "properties": properties});
    if let Some(time) = time {
        object["last_edited_time"] = time.into();
    }
    json!({"type": "page.updated", "object": object})
}

/// Removes a key from a Secret, or the whole Secret where no key is named.
async fn remove_secret(stage: &Stage, name: &str, key: Option<&str>) {
    let done = match key {
        Some(key) => {
            let patch = json!([{"op": "remove", "path": format!("/data/{key}")}]).to_string();
            stage
                .scene
                .kubectl(&["patch", "secret", name, "--type=json", "-p", &patch])
                .await
        }
        None => stage.scene.kubectl(&["delete", "secret", name]).await,
    };
    done.expect("kubectl runs")
        .ok()
        .expect("the Secret is changed");
}

/// Merges a change into a binding.
async fn patch(stage: &Stage, name: &str, change: &Value) {
    let change = change.to_string();
    let arguments = ["patch", "nsb", name, "--type=merge", "-p", &change];
    stage
        .scene
        .kubectl(&arguments)
        .await
        .expect("kubectl runs")
        .ok()
        .expect("it is patched");
}

/// Asks for a pass now.
async fn request_pass(stage: &Stage, name: &str) {
    let asked = Uuid::new_v4().to_string();
    let change = json!({"metadata": {"annotations": {"notionsync.dev/requestedAt": asked}}});
    patch(stage, name, &change).await;
}

/// Like `eventually`, with a patience of one's own.
async fn within<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "this did not happen in {patience:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Sends bytes over a connection of its own and reads until the server closes it.
async fn raw(stage: &Stage, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(stage.operator.http_address())
        .await
        .unwrap();
    // The server may have refused before all was sent.
    let _ = stream.write_all(bytes).await;
    read_to_end(&mut stream).await
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut reply = Vec::new();
    let read = tokio::time::timeout(Duration::from_mins(1), stream.read_to_end(&mut reply)).await;
    // A reset after the reply is fine: what counts is the reply.
    let _ = read.expect("the server closes the connection");
    String::from_utf8_lossy(&reply).into_owned()
}

/// How many events the bindings of the stage have in their inbox, re-reads apart.
async fn stored(stage: &Stage) -> i64 {
    stage
        .count("SELECT count(*) FROM notion_sync.inbox WHERE NOT reread_only")
        .await
}
