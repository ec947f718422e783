//! What a failed write means for the page (`design/sync.md` §4, `facts/notion-api.md` §2.3).
//!
//! Pure. Only what is known to have left the page alone counts so; a status that nobody has seen is
//! taken for one behind which the write may have been done.

use super::transport::Failure;

/// What is known of a write that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was not done: Notion, or the edge before it, refused it.
    Refused,
    /// It was not done, and may be sent again when the limiter says so.
    Throttled,
    /// It was not sent: no connection was made.
    NotConnected,
    /// It may have been done, or may still be.
    Unknown,
}

/// What a failure says.
pub(super) fn outcome(failure: &Failure) -> Outcome {
    match failure {
        Failure::Answered { status, body, .. } => match status {
            429 if !body.is_blocked() => Outcome::Throttled,
            529 => Outcome::Throttled,
            // The edge gave up waiting for the rest of the request, or for whoever handles it.
            408 | 499 => Outcome::Unknown,
            400..=499 => Outcome::Refused,
            _ => Outcome::Unknown,
        },
        // A time-out that covers connecting and more may have struck later.
        Failure::Transport(error) if error.is_connect() => Outcome::NotConnected,
        Failure::Transport(_) | Failure::TooLarge => Outcome::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::ErrorBody;
    use super::*;

    fn answered(status: u16, body: &str) -> Outcome {
        outcome(&Failure::Answered {
            status,
            body: ErrorBody::read(body.as_bytes()),
            retry_after: None,
        })
    }

    #[test]
    fn every_status_has_its_meaning() {
        for status in [400, 401, 403, 404, 405, 409, 413, 422] {
            assert_eq!(answered(status, "{}"), Outcome::Refused, "{status}");
        }
        for status in [429, 529] {
            assert_eq!(answered(status, "<html>"), Outcome::Throttled, "{status}");
        }
        for status in [301, 307, 408, 499, 500, 502, 503, 504, 520, 524] {
            assert_eq!(answered(status, "{}"), Outcome::Unknown, "{status}");
        }
        let blocked = r#"{"additional_data":{"rate_limit_reason":"public_api_request_blocked"}}"#;
        assert_eq!(answered(429, blocked), Outcome::Refused);
        assert_eq!(outcome(&Failure::TooLarge), Outcome::Unknown);
    }
}
