//! A scripted peer for the client's tests: raw HTTP on a loopback port.
//!
//! It exists for what a well-behaved server cannot do: break off, send garbage, stay silent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::client::Client;
use super::clients::Clients;
use super::transport::Transport;
use crate::metrics::Metrics;

/// Installs the crypto provider that the process would install at its start.
pub(super) fn install_crypto() {
    // Another test may have been faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// One scripted answer.
pub(super) enum Script {
    /// A status, extra header lines and a body.
    Answer(u16, &'static str, Vec<u8>),
    /// A head that promises more than follows.
    BreakOff,
    /// Nothing for this long, then the connection is closed.
    Silence(Duration),
}

/// An answer of 200 with a JSON body.
pub(super) fn ok(body: &str) -> Script {
    Script::Answer(200, "", body.as_bytes().to_vec())
}

/// An error as Notion sends it.
pub(super) fn refusal(status: u16, code: &str) -> Script {
    let body = format!(r#"{{"object":"error","status":{status},"code":"{code}","message":"m"}}"#);
    Script::Answer(status, "", body.into_bytes())
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Request line and header lines, in lower case but for the first.
    pub(super) head: Vec<String>,
    /// The JSON body, or null.
    pub(super) body: Value,
}

impl Seen {
    /// Method and target.
    pub(super) fn line(&self) -> &str {
        self.head[0].trim_end_matches(" HTTP/1.1")
    }
}

/// The peer, and a client of it.
pub(super) struct Stub {
    pub(super) client: Arc<Client>,
    pub(super) metrics: Metrics,
    base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stub {
    /// Serves the script, one connection per answer; the last answer repeats.
    pub(super) async fn start(script: Vec<Script>) -> Self {
        install_crypto();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(serve(listener, script, Arc::clone(&seen)));
        let metrics = Metrics::default();
        let clients = Clients::new(&base, metrics.clone()).unwrap();
        let client = clients.get(&SecretString::from("ntn_secret\n")).unwrap();
        Self {
            client,
            metrics,
            base,
            seen,
        }
    }

    /// Its address.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// A way to it without retries and limiter.
    pub(super) fn transport(&self) -> Transport {
        let token = SecretString::from("ntn_secret");
        Transport::new(reqwest::Client::new(), self.base.clone(), &token).unwrap()
    }

    /// All requests so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, script: Vec<Script>, seen: Arc<Mutex<Vec<Seen>>>) {
    for index in 0.. {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = receive(&mut stream).await;
        seen.lock().unwrap().push(request);
        let answer = &script[index.min(script.len() - 1)];
        // The client may have gone; its test then looks at what it made of that.
        let _ = send(&mut stream, answer).await;
    }
}

async fn receive(stream: &mut TcpStream) -> Seen {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        stream.read_buf(&mut bytes).await.unwrap();
    };
    let text = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut head: Vec<String> = text.lines().map(str::to_owned).collect();
    head[1..]
        .iter_mut()
        .for_each(|line| line.make_ascii_lowercase());
    let length = head
        .iter()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        stream.read_buf(&mut body).await.unwrap();
    }
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Seen { head, body }
}

async fn send(stream: &mut TcpStream, script: &Script) -> std::io::Result<()> {
    match script {
        Script::Answer(status, headers, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body).await?;
        }
        Script::BreakOff => {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
            stream.write_all(head).await?;
        }
        Script::Silence(time) => tokio::time::sleep(*time).await,
    }
    stream.shutdown().await
}
