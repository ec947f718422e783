//! One attempt of one request over HTTP.
//!
//! The token travels in a header that is marked sensitive and nowhere else. An answer is read up to
//! a cap, because what is not Notion may stand behind the address.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{AUTHORIZATION, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::error::NotionError;
use super::limiter::{Answer, WaitReason};
use super::wire::ErrorBody;
use crate::sync::json::sanitize_surrogates;

/// The header that names the API's version.
const NOTION_VERSION: HeaderName = HeaderName::from_static("notion-version");
/// The newest version (`facts/notion-api.md` §1).
const VERSION: HeaderValue = HeaderValue::from_static("2026-03-11");
/// The largest answer that is read. A hundred pages of 100 kB fit.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;
/// The longest pause that Notion may impose.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// A request, without what every request has.
#[derive(Debug)]
pub(super) struct Call {
    /// The metric's label.
    pub(super) operation: &'static str,
    /// The path after `/v1/`, with its query string.
    pub(super) path: String,
    /// The method.
    pub(super) method: Method,
    /// The JSON body.
    pub(super) body: Option<Value>,
}

impl Call {
    /// A read of an object.
    pub(super) const fn get(operation: &'static str, path: String) -> Self {
        Self {
            operation,
            path,
            method: Method::GET,
            body: None,
        }
    }

    /// A query, or a write that makes something.
    pub(super) const fn post(operation: &'static str, path: String, body: Value) -> Self {
        Self {
            operation,
            path,
            method: Method::POST,
            body: Some(body),
        }
    }

    /// A write that changes something.
    pub(super) const fn patch(operation: &'static str, path: String, body: Value) -> Self {
        Self {
            operation,
            path,
            method: Method::PATCH,
            body: Some(body),
        }
    }
}

/// A successful answer.
#[derive(Debug)]
pub(super) struct Reply {
    bytes: Vec<u8>,
    /// Notion's clock.
    pub(super) date: Option<Timestamp>,
}

impl Reply {
    /// The body, with what serde refuses in JSON text replaced.
    pub(super) fn json(&self) -> Cow<'_, [u8]> {
        sanitize_surrogates(&self.bytes)
    }
}

/// An attempt that gave no answer to use.
#[derive(Debug)]
pub(super) enum Failure {
    /// Notion, or the edge before it, refused.
    Answered {
        status: u16,
        body: ErrorBody,
        retry_after: Option<Duration>,
    },
    /// No answer, or it broke off.
    Transport(reqwest::Error),
    /// The answer is larger than what is read.
    TooLarge,
}

impl Failure {
    /// The metric's label: the HTTP status, or what happened in its place.
    pub(super) fn code(&self) -> Cow<'static, str> {
        match self {
            Self::Answered { status, .. } => status.to_string().into(),
            Self::Transport(error) if error.is_timeout() => "timeout".into(),
            Self::Transport(_) => "unreachable".into(),
            Self::TooLarge => "too_large".into(),
        }
    }

    /// What the limiter learns.
    pub(super) fn answer(&self) -> Answer {
        let Self::Answered {
            status,
            body,
            retry_after,
        } = self
        else {
            return Answer::Taken;
        };
        match (status, body.rate_limit_reason.as_deref()) {
            (429, _) if body.is_blocked() => Answer::Taken,
            // The edge, and the API before the reasons came, name none.
            (429, Some("public_api_request_rate_limit") | None) => {
                Answer::ConnectionLimit(*retry_after)
            }
            (429, Some(_)) => Answer::Refused(WaitReason::OtherLimit, *retry_after),
            (529, _) => Answer::Refused(WaitReason::Overloaded, *retry_after),
            _ => Answer::Taken,
        }
    }
}

impl From<Failure> for NotionError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Answered {
                status,
                body,
                retry_after,
            } => Self::Answered {
                status,
                code: body.code.unwrap_or_else(|| "unknown".to_owned()),
                retry_after,
            },
            // A URL holds page ids, which have no place in a status.
            Failure::Transport(error) => Self::Unreachable(error.without_url()),
            Failure::TooLarge => Self::Unreadable {
                context: "an answer beyond 16 MiB",
                source: None,
            },
        }
    }
}

/// Where requests go, and as whom.
#[derive(Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    /// Scheme and host.
    base: String,
    authorization: HeaderValue,
}

impl Transport {
    /// Requests with `token` to `base`.
    pub(super) fn new(
        http: reqwest::Client,
        base: String,
        token: &SecretString,
    ) -> Result<Self, NotionError> {
        let text = format!("Bearer {}", token.expose_secret());
        let mut authorization =
            HeaderValue::from_str(&text).map_err(|_| NotionError::TokenMalformed)?;
        authorization.set_sensitive(true);
        Ok(Self {
            http,
            base,
            authorization,
        })
    }

    /// Sends a request once.
    pub(super) async fn send(&self, call: &Call, timeout: Duration) -> Result<Reply, Failure> {
        let url = format!("{}/v1/{}", self.base, call.path);
        let request = self.http.request(call.method.clone(), url);
        let request = match &call.body {
            Some(body) => request.json(body),
            None => request,
        };
        let response = request
            .header(AUTHORIZATION, &self.authorization)
            .header(NOTION_VERSION, VERSION)
            .timeout(timeout)
            .send()
            .await
            .map_err(Failure::Transport)?;
        let status = response.status();
        let headers = response.headers().clone();
        let bytes = read_body(response).await?;
        if status.is_success() {
            let date = header_date(&headers, &DATE);
            return Ok(Reply { bytes, date });
        }
        let body = ErrorBody::read(&bytes);
        Err(Failure::Answered {
            status: status.as_u16(),
            retry_after: retry_after(&headers).or(body.retry_after).map(bounded),
            body,
        })
    }
}

/// Reads a body up to the cap.
async fn read_body(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Failure::Transport)? {
        if bytes.len() + chunk.len() > LARGEST_ANSWER {
            return Err(Failure::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Whole seconds, or a date, as HTTP allows both.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok();
    seconds.map(Duration::from_secs).or_else(|| {
        let until = SystemTime::from(header_date(headers, &RETRY_AFTER)?);
        Some(until.duration_since(SystemTime::now()).unwrap_or_default())
    })
}

/// A wait of nothing would be a storm, and one of days a typing error.
fn bounded(wait: Duration) -> Duration {
    wait.clamp(Duration::from_secs(1), LONGEST_PAUSE)
}

fn header_date(headers: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    let text = headers.get(name)?.to_str().ok()?;
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name.clone(), HeaderValue::from_static(value))])
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let after = |value| retry_after(&headers(&RETRY_AFTER, value));
        assert_eq!(after("17"), Some(Duration::from_secs(17)));
        assert_eq!(after("Tue, 15 Nov 1994 08:12:31 GMT"), Some(Duration::ZERO));
        assert!(after("Sat, 15 Nov 2194 08:12:31 GMT") > Some(LONGEST_PAUSE));
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn notions_clock_is_read() {
        let date = header_date(&headers(&DATE, "Tue, 15 Nov 1994 08:12:31 GMT"), &DATE);
        assert_eq!(date.unwrap().to_string(), "1994-11-15T08:12:31Z");
    }

    #[test]
    fn limits_are_told_apart() {
        let answer = |status, reason: &str| {
            let body = format!(r#"{{"additional_data":{{"rate_limit_reason":{reason}}}}}"#);
            let failure = Failure::Answered {
                status,
                body: ErrorBody::read(body.as_bytes()),
                retry_after: None,
            };
            failure.answer()
        };
        let connection = Answer::ConnectionLimit(None);
        assert_eq!(
            answer(429, r#""public_api_request_rate_limit""#),
            connection
        );
        assert_eq!(answer(429, "null"), connection);
        assert_eq!(
            answer(429, r#""public_api_space_request_rate_limit""#),
            Answer::Refused(WaitReason::OtherLimit, None)
        );
        assert_eq!(
            answer(429, r#""public_api_request_blocked""#),
            Answer::Taken
        );
        assert_eq!(
            answer(529, "null"),
            Answer::Refused(WaitReason::Overloaded, None)
        );
        assert_eq!(answer(500, "null"), Answer::Taken);
    }

    #[test]
    fn the_token_is_nowhere_to_be_seen() {
        let token = SecretString::from("ntn_secret");
        let transport = Transport::new(reqwest_client(), String::new(), &token).unwrap();
        assert!(!format!("{transport:?}").contains("ntn_secret"));
        let odd = SecretString::from("ntn\nsecret");
        let error = Transport::new(reqwest_client(), String::new(), &odd).unwrap_err();
        assert!(!format!("{error:?}").contains("secret"));
    }

    fn reqwest_client() -> reqwest::Client {
        crate::notion::stub::install_crypto();
        reqwest::Client::new()
    }
}
