//! A server on a real socket, and a client that sends exactly the bytes it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::admin::FakeAdmin;
use crate::metrics::Metrics;
use crate::webhook::admin::Admin;
use crate::webhook::ports::{Ports, ReceiverBinding};
use crate::webhook::receiver::Receiver;
use crate::webhook::testing::*;
use crate::webhook::{Limits, Site, serve};

pub(super) const SHARED: &str = "/api/webhooks/notion";
pub(super) const OWN: &str = "/api/webhooks/notion/team-a/projects";

pub(super) struct World {
    pub(super) directory: Arc<FakeDirectory>,
    pub(super) credentials: Arc<FakeCredentials>,
    pub(super) sink: Arc<FakeSink>,
    pub(super) address: SocketAddr,
    pub(super) shutdown: CancellationToken,
    pub(super) done: tokio::task::JoinHandle<()>,
    registry: Registry,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Status, JSON status or code of a refusal, and reason.
    pub(super) fn said(&self) -> (u16, String, String) {
        let json = self.json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match json.get("status") {
            Some(status) => (self.status, text(status), text(&json["reason"])),
            None => (self.status, text(&json["error"]["code"]), String::new()),
        }
    }
}

/// Short times, so that no test waits long.
pub(super) fn quick() -> Limits {
    Limits {
        head: Duration::from_secs(1),
        body_read: Duration::from_millis(1500),
        reply: Duration::from_millis(700),
        write: Duration::from_millis(500),
        flush: Duration::from_millis(50),
        key_cache: Duration::from_millis(400),
        key_reread: Duration::from_millis(100),
        token_cache: Duration::from_millis(10),
        drain: Duration::from_secs(2),
        ..Limits::default()
    }
}

impl World {
    /// A server for these bindings; each has its own key, `secret_of_<name>`, and a Notion token.
    pub(super) async fn of(bindings: Vec<ReceiverBinding>) -> Self {
        Self::with(bindings, quick(), false).await
    }

    pub(super) async fn with(
        bindings: Vec<ReceiverBinding>,
        limits: Limits,
        unverified: bool,
    ) -> Self {
        Self::with_admin(bindings, limits, unverified, Arc::new(FakeAdmin::default())).await
    }

    pub(super) async fn with_admin(
        bindings: Vec<ReceiverBinding>,
        limits: Limits,
        unverified: bool,
        admin: Arc<FakeAdmin>,
    ) -> Self {
        let directory = Arc::new(FakeDirectory::default());
        let credentials = Arc::new(FakeCredentials::default());
        let sink = Arc::new(FakeSink::default());
        for each in &bindings {
            let name = &each.binding.name;
            let key = format!("secret_of_{name}");
            credentials.set(&format!("{name}-webhook"), "verification-token", &key);
            credentials.set(
                &format!("{name}-webhook"),
                "shared-secret",
                &format!("bearer_{name}"),
            );
            credentials.set(&format!("{name}-notion"), "token", "ntn_x");
        }
        *directory.list.lock().unwrap() = bindings.into_iter().map(Arc::new).collect();
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let ports = Ports {
            directory: directory.clone(),
            credentials: credentials.clone(),
            sink: sink.clone(),
        };
        let site = Arc::new(Site {
            receiver: Receiver::new(ports, metrics, limits.clone(), unverified),
            admin: Admin::new(admin.clone(), admin, limits.clone()),
            limits,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let done = tokio::spawn(serve(listener, site, shutdown.clone()));
        Self {
            directory,
            credentials,
            sink,
            address,
            shutdown,
            done,
            registry,
        }
    }

    pub(super) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut bytes = request("POST", path, headers, body.len());
        bytes.extend_from_slice(body);
        self.raw(&bytes).await
    }

    /// Posts a body signed by the key of `projects`.
    pub(super) async fn signed(&self, path: &str, body: &str) -> Answer {
        self.signed_by(KEY, path, body).await
    }

    pub(super) async fn signed_by(&self, key: &str, path: &str, body: &str) -> Answer {
        let signature = sign(key, body.as_bytes());
        self.post(path, &[("X-Notion-Signature", &signature)], body.as_bytes())
            .await
    }

    pub(super) async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(bytes).await;
        answer(&mut stream).await
    }

    pub(super) fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text
    }
}

pub(super) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    length: usize,
) -> Vec<u8> {
    let mut lines = vec![
        format!("{method} {path} HTTP/1.1"),
        "Host: x".to_owned(),
        "Connection: close".to_owned(),
        format!("Content-Length: {length}"),
    ];
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
    {
        lines.push("Content-Type: application/json".to_owned());
    }
    lines.extend(
        headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}")),
    );
    lines.push("\r\n".to_owned());
    lines.join("\r\n").into_bytes()
}

/// Reads one answer: to the end of its sized body, or of the connection.
pub(super) async fn answer(stream: &mut TcpStream) -> Answer {
    let read = async {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            if let Some(answer) = complete(&bytes) {
                return answer;
            }
            match stream.read(&mut chunk).await {
                Ok(count) if count > 0 => bytes.extend_from_slice(&chunk[..count]),
                _ => return parsed(&bytes).map_or_else(nothing, |(answer, _)| answer),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read)
        .await
        .expect("an answer in time")
}

fn nothing() -> Answer {
    Answer {
        status: 0,
        head: String::new(),
        body: String::new(),
    }
}

fn parsed(bytes: &[u8]) -> Option<(Answer, usize)> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let answer = Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    };
    let length = body.len();
    Some((answer, length))
}

fn complete(bytes: &[u8]) -> Option<Answer> {
    let (answer, length) = parsed(bytes)?;
    let declared: usize = answer.header("content-length")?.parse().ok()?;
    (length >= declared).then_some(answer)
}
