//! What can go wrong with Notion, and what it means for a binding.

use std::time::Duration;

use crate::sync::identity::PropertyId;
use crate::sync::reason::Reason;

/// An error of the Notion side, after all retries.
///
/// Notion's `message` may echo what was sent, so it is not kept; `code` and the status are stable
/// (`facts/notion-api.md` §1).
#[derive(Debug, thiserror::Error)]
pub enum NotionError {
    /// Notion answered with an error.
    #[error("Notion answered {status} {code}")]
    Answered {
        /// The HTTP status.
        status: u16,
        /// Notion's error code, or `unknown` where the edge answered.
        code: String,
        /// How long Notion asked to wait.
        retry_after: Option<Duration>,
    },
    /// No answer: connection refused or lost, or the deadline passed.
    #[error("Notion does not answer")]
    Unreachable(#[source] reqwest::Error),
    /// The limiter would have to wait longer than the caller may.
    #[error("the token's request budget is used up")]
    Throttled {
        /// When to come back.
        retry_after: Duration,
    },
    /// Notion no longer knows the cursor: the list must be read again from its start.
    #[error("Notion refused the cursor")]
    CursorRejected,
    /// Notion left the content of an object out: the connection may not read content.
    #[error("the connection lacks the capability to read content")]
    ContentNotReadable,
    /// The token holds characters that no token has, so it was not sent.
    #[error("the token is malformed")]
    TokenMalformed,
    /// The caller's guard did not let a write go: its lease or its intent would not outlast it.
    #[error("the time to send the write is over")]
    SendRefused,
    /// A value that cannot be written as a property of its type.
    #[error("property {0} cannot hold the value")]
    NotWritable(PropertyId),
    /// A key by which Notion cannot be asked for pages.
    #[error("no property of the key can be searched for")]
    NotSearchable,
    /// The answer is not what the API promises.
    #[error("Notion's answer cannot be read: {context}")]
    Unreadable {
        /// Which answer.
        context: &'static str,
        /// What did not fit.
        #[source]
        source: Option<serde_json::Error>,
    },
}

impl NotionError {
    /// The reason of the condition `NotionReachable` for this error.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Answered { status, .. } => match status {
                401 => Reason::NotionUnauthorized,
                403 => Reason::NotionForbidden,
                404 => Reason::DataSourceNotFound,
                429 => Reason::NotionRateLimited,
                _ => Reason::NotionUnavailable,
            },
            Self::Throttled { .. } => Reason::NotionRateLimited,
            Self::TokenMalformed => Reason::NotionUnauthorized,
            Self::ContentNotReadable => Reason::NotionForbidden,
            Self::Unreachable(_)
            | Self::CursorRejected
            | Self::SendRefused
            | Self::NotWritable(_)
            | Self::NotSearchable
            | Self::Unreadable { .. } => Reason::NotionUnavailable,
        }
    }

    /// Whether a payload's values may stand in for the read that failed (seed row S6): 429, 529,
    /// 5xx and time-outs, never 401, 403 or 404, where Notion did say something.
    pub fn allows_payload(&self) -> bool {
        match self {
            Self::Answered { status, .. } => *status == 429 || *status >= 500,
            Self::Unreachable(_) | Self::Throttled { .. } => true,
            Self::Unreadable { .. }
            | Self::CursorRejected
            | Self::ContentNotReadable
            | Self::SendRefused
            | Self::NotWritable(_)
            | Self::NotSearchable
            | Self::TokenMalformed => false,
        }
    }

    /// Whether Notion says that the object does not exist for this connection.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Answered { status: 404, .. })
    }
}
