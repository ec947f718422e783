//! Error bodies, and the answer to "who am I".

use std::time::Duration;

use super::object::Object;
use super::{lacking, parse};
use crate::notion::error::NotionError;
use crate::sync::identity::{PageId, UserId};

/// What is used of an error body. Its message is free text that may echo what was sent, so it is
/// not read at all.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::notion) struct ErrorBody {
    /// The stable code; `None` where the body is not Notion's.
    pub(in crate::notion) code: Option<String>,
    /// Which limit a 429 is about.
    pub(in crate::notion) rate_limit_reason: Option<String>,
    /// The body's copy of `Retry-After`.
    pub(in crate::notion) retry_after: Option<Duration>,
    /// Whether Notion advises to ask for less.
    pub(in crate::notion) has_retry_guidance: bool,
    /// What a write made although it was answered with an error.
    pub(in crate::notion) committed: Option<PageId>,
}

impl ErrorBody {
    /// Reads what there is; the edge in front of Notion answers with HTML.
    pub(in crate::notion) fn read(body: &[u8]) -> Self {
        let Ok(object) = serde_json::from_slice::<Object<'_>>(body) else {
            return Self::default();
        };
        let additional = object.object("additional_data");
        let text = |name| additional.as_ref().and_then(|data| data.text(name));
        Self {
            code: object.text("code").filter(|code| is_code(code)),
            rate_limit_reason: text("rate_limit_reason"),
            retry_after: text("retry_after")
                .and_then(|seconds| seconds.parse().ok())
                .map(Duration::from_secs),
            committed: text("committed_resource_id").and_then(|id| id.parse().ok()),
            has_retry_guidance: additional.is_some_and(|data| data.has("retry_guidance")),
        }
    }

    /// Whether the connection is shut out; waiting does not help (`facts/notion-api.md` §2.4).
    pub(in crate::notion) fn is_blocked(&self) -> bool {
        self.rate_limit_reason.as_deref() == Some("public_api_request_blocked")
    }
}

/// Whether a code is a word of Notion's: it is shown to people, free text is not.
fn is_code(code: &str) -> bool {
    code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// The bot user in the answer to `users/me`.
pub(in crate::notion) fn bot_user(body: &[u8]) -> Result<UserId, NotionError> {
    let user: Object<'_> = parse(body, "user")?;
    let id = user.text("id").and_then(|id| id.parse().ok());
    id.ok_or_else(|| lacking("user"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_guidance_are_read() {
        let body = br#"{"object":"error","status":429,"code":"rate_limited","message":"secret",
            "additional_data":{"rate_limit_reason":"public_api_request_rate_limit",
            "retry_after":"17","retry_guidance":["ask for less"],
            "committed_resource_id":"38b9ce7b-60a4-810a-a3e0-d0c7fde33f0c"}}"#;
        let error = ErrorBody::read(body);
        assert_eq!(error.code.as_deref(), Some("rate_limited"));
        assert_eq!(
            error.rate_limit_reason.as_deref(),
            Some("public_api_request_rate_limit")
        );
        assert_eq!(error.retry_after, Some(Duration::from_secs(17)));
        assert!(error.has_retry_guidance && error.committed.is_some());
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn a_body_that_is_not_notions_reads_as_nothing() {
        for body in [
            br#"{"code":"Free text"}"#,
            &b"<html>"[..],
            b"",
            b"[]",
            br#"{"code":7,"additional_data":[]}"#,
        ] {
            assert_eq!(ErrorBody::read(body), ErrorBody::default());
        }
    }

    #[test]
    fn the_bot_user_is_read() {
        let body = br#"{"object":"user","id":"0b6b8f52-4f2f-4c1e-9a53-2c1d8e0c7a11"}"#;
        assert!(bot_user(body).is_ok());
        assert!(bot_user(br#"{"object":"user"}"#).is_err());
    }
}
