//! Posting a body to a receiver, and what came back.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::webhook::sign::signature;

/// A request to send by hand: any body, any headers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Post {
    /// Where to.
    pub url: String,
    /// HTTP method; `POST` if `None`.
    pub method: Option<String>,
    /// JSON body, sent compact. One of `json`, `text` and `hex`.
    pub json: Option<Json>,
    /// The exact body as text.
    pub text: Option<String>,
    /// The exact body as hex digits.
    pub hex: Option<String>,
    /// Verification token to sign with.
    pub sign_with: Option<String>,
    /// Headers, which may repeat. `Content-Type: application/json` is added unless one is given.
    pub headers: Vec<(String, String)>,
    /// Leave out the content type.
    pub no_content_type: bool,
    /// How long to wait; 10 s if `None`.
    pub timeout_ms: Option<u64>,
}

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PostReply {
    /// Status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, invalid UTF-8 replaced.
    pub body: String,
}

impl PostReply {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or(Json::Null)
    }
}

impl Post {
    fn bytes(&self) -> anyhow::Result<Bytes> {
        Ok(match (&self.json, &self.text, &self.hex) {
            (Some(json), None, None) => json.to_string().into(),
            (None, Some(text), None) => text.clone().into(),
            (None, None, Some(digits)) => hex::decode(digits)?.into(),
            (None, None, None) => Bytes::new(),
            _ => anyhow::bail!("only one of `json`, `text` and `hex` may be given"),
        })
    }
}

/// A client for posting: no proxies, no redirects.
pub(crate) fn client() -> anyhow::Result<reqwest::Client> {
    // A second installation fails, which means that one is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()?)
}

/// Sends a request and waits for the answer.
pub(crate) async fn send(client: &reqwest::Client, send: &Post) -> anyhow::Result<PostReply> {
    let body = send.bytes()?;
    let method = send
        .method
        .as_deref()
        .unwrap_or("POST")
        .parse::<reqwest::Method>()?;
    let timeout = Duration::from_millis(send.timeout_ms.unwrap_or(10_000));
    let mut request = client.request(method, &send.url).timeout(timeout);
    let typed = send
        .headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if !typed && !send.no_content_type {
        request = request.header("content-type", "application/json");
    }
    if let Some(token) = &send.sign_with {
        request = request.header("x-notion-signature", signature(token, &body));
    }
    for (name, value) in &send.headers {
        request = request.header(name, value);
    }
    let response = request.body(body).send().await?;
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let body = String::from_utf8_lossy(&response.bytes().await?).into_owned();
    Ok(PostReply {
        status,
        headers,
        body,
    })
}
