//! Every reply of the server, with the labels it is counted under (`design/receiver.md` §4).
//!
//! A reply is either an answer (200 and a JSON status) or a refusal (`{"error":{…}}`). Codes are
//! words of a closed vocabulary, and no text in a reply comes from a peer or a database.

use std::time::Duration;

use serde_json::{Value, json};
use warp::http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use warp::http::{Response, StatusCode};

/// Why a request was refused: the HTTP status, the code and a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Both `Content-Length` and `Transfer-Encoding`: where the message ends is a matter of opinion.
    AmbiguousLength,
    /// No such path, or no such binding, or one without `spec.webhook`.
    NotFound,
    /// Not the method of this path.
    MethodNotAllowed(&'static str),
    /// The body is not said to be JSON.
    UnsupportedMediaType,
    /// The body is larger than any event.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body broke off or was not framed as HTTP wants it.
    BodyIncomplete,
    /// No credential was sent.
    SignatureMissing,
    /// The signature is not one of this binding's keys'.
    SignatureInvalid,
    /// The shared secret is not this binding's.
    SecretInvalid,
    /// The body is not JSON.
    InvalidJson,
    /// The body is JSON but no event.
    UnknownEvent,
    /// A verification token came to the shared path and several bindings wait for one.
    AmbiguousHandshake,
    /// A verification token came, and there is no Secret to put it into.
    WebhookSecretMissing,
    /// The first list of bindings is not in yet.
    NotReady,
    /// More is in flight than memory allows, or answering took too long.
    Overloaded,
    /// The keys of the bindings cannot be read, so nothing can be verified.
    KeysUnavailable,
    /// The event could not be stored and its binding asks for a retry.
    DatabaseUnavailable,
    /// A fault in the operator itself.
    InternalError,
    /// No token, or one that is not accepted (admin API).
    Unauthorized,
    /// The token may see nothing of what was asked for (admin API).
    Forbidden,
    /// A query parameter is not acceptable (admin API).
    InvalidParameter,
}

impl Refusal {
    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::AmbiguousLength
            | Self::BodyIncomplete
            | Self::InvalidJson
            | Self::UnknownEvent
            | Self::InvalidParameter => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::SignatureMissing
            | Self::SignatureInvalid
            | Self::SecretInvalid
            | Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::AmbiguousHandshake | Self::WebhookSecretMissing => StatusCode::CONFLICT,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotReady
            | Self::Overloaded
            | Self::KeysUnavailable
            | Self::DatabaseUnavailable
            | Self::InternalError => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The code, as replies, metrics and status spell it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::AmbiguousLength => "AmbiguousLength",
            Self::NotFound => "NotFound",
            Self::MethodNotAllowed(_) => "MethodNotAllowed",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::BodyTooLarge => "BodyTooLarge",
            Self::BodyTimeout => "BodyTimeout",
            Self::BodyIncomplete => "BodyIncomplete",
            Self::SignatureMissing => "SignatureMissing",
            Self::SignatureInvalid => "SignatureInvalid",
            Self::SecretInvalid => "SecretInvalid",
            Self::InvalidJson => "InvalidJson",
            Self::UnknownEvent => "UnknownEvent",
            Self::AmbiguousHandshake => "AmbiguousHandshake",
            Self::WebhookSecretMissing => "WebhookSecretMissing",
            Self::NotReady => "NotReady",
            Self::Overloaded => "Overloaded",
            Self::KeysUnavailable => "KeysUnavailable",
            Self::DatabaseUnavailable => "DatabaseUnavailable",
            Self::InternalError => "InternalError",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::InvalidParameter => "InvalidParameter",
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::AmbiguousLength => "send either Content-Length or Transfer-Encoding, not both",
            Self::NotFound => "nothing is served at this path",
            Self::MethodNotAllowed(_) => "use the method that the Allow header names",
            Self::UnsupportedMediaType => "send Content-Type: application/json",
            Self::BodyTooLarge => "a body may have 256 KiB at most",
            Self::BodyTimeout => "the body did not arrive in time",
            Self::BodyIncomplete => "the body broke off or is not framed correctly",
            Self::SignatureMissing => "no credential was sent; sign with X-Notion-Signature",
            Self::SignatureInvalid => {
                "X-Notion-Signature does not match the body and any known key"
            }
            Self::SecretInvalid => "send Authorization: Bearer with the binding's shared secret",
            Self::InvalidJson => "the body is not JSON that can be kept",
            Self::UnknownEvent => "the body is none of the known kinds of event",
            Self::AmbiguousHandshake => {
                "several bindings wait for a verification token; use the binding's own path"
            }
            Self::WebhookSecretMissing => {
                "create the Secret that verificationTokenSecretRef names, then resend the token"
            }
            Self::NotReady => "the bindings are not read yet",
            Self::Overloaded => "too much is in flight",
            Self::KeysUnavailable => "the keys of the bindings cannot be read now",
            Self::DatabaseUnavailable => "the event could not be stored",
            Self::InternalError => "the request could not be handled",
            Self::Unauthorized => "send Authorization: Bearer with an admin or Kubernetes token",
            Self::Forbidden => "this token may not get notionsyncbindings/health there",
            Self::InvalidParameter => "limit is a whole number from 0 to 1000",
        }
    }
}

/// A reply, not yet in HTTP's form.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    status: StatusCode,
    body: Value,
    header: Option<(HeaderName, HeaderValue)>,
    close: bool,
    label: (String, &'static str),
}

impl Reply {
    /// 200 with a JSON status and, where there is one, a reason.
    pub fn answer(status: &'static str, reason: Option<&'static str>) -> Self {
        let body = match reason {
            Some(reason) => json!({ "status": status, "reason": reason }),
            None => json!({ "status": status }),
        };
        Self::ok(body, status, reason.unwrap_or_default())
    }

    /// 200 although nothing was stored (S12); `code` is the cause, from the one vocabulary.
    pub fn not_stored(code: &'static str) -> Self {
        let reason = Refusal::DatabaseUnavailable;
        let error = json!({ "code": code, "message": reason.message() });
        let body = json!({ "status": "error", "reason": reason.code(), "error": error });
        Self::ok(body, "error", reason.code())
    }

    /// The answer to S2's challenge: the challenge and nothing else.
    pub fn challenge(challenge: &str) -> Self {
        Self::ok(json!({ "challenge": challenge }), "challenge", "")
    }

    fn ok(body: Value, status: &'static str, reason: &'static str) -> Self {
        let label = (status.to_owned(), reason);
        Self {
            status: StatusCode::OK,
            body,
            header: None,
            close: false,
            label,
        }
    }

    /// A refusal.
    pub fn refusal(refusal: Refusal, retry_after: Duration) -> Self {
        let status = refusal.status();
        let header = match refusal {
            Refusal::MethodNotAllowed(allowed) => Some((ALLOW, HeaderValue::from_static(allowed))),
            Refusal::Unauthorized => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                Some((RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1))))
            }
            _ => None,
        };
        let error = json!({ "code": refusal.code(), "message": refusal.message() });
        Self {
            status,
            body: json!({ "error": error }),
            header,
            close: matches!(
                refusal,
                Refusal::AmbiguousLength | Refusal::BodyTimeout | Refusal::BodyIncomplete
            ),
            label: (status.as_u16().to_string(), refusal.code()),
        }
    }

    /// Status and reason as `webhook_requests_total` counts them.
    pub fn labels(&self) -> (&str, &'static str) {
        (&self.label.0, self.label.1)
    }

    /// The HTTP status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The body.
    pub const fn body(&self) -> &Value {
        &self.body
    }

    /// The reply in HTTP's form.
    pub fn into_response(self) -> Response<String> {
        let mut response = Response::new(self.body.to_string());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
