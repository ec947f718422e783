//! What a Notion in memory is like: how it behaves, and how its calls fail.

use jiff::SignedDuration;

use crate::notion::NotionError;

/// How a call fails; made into a [`NotionError`] when it does.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine::tests) enum Failure {
    Status(u16),
    Unreachable,
    Throttled,
    CursorRejected,
    Unreadable,
    /// A write is answered with 504 and done this many seconds later.
    Late(i64),
}

impl Failure {
    pub(super) fn error(self) -> NotionError {
        match self {
            Self::Status(status) => NotionError::Answered {
                status,
                code: "scripted".to_owned(),
                retry_after: None,
            },
            Self::Late(_) => Self::Status(504).error(),
            Self::Unreachable => {
                let error = reqwest::Proxy::all("\u{0}").expect_err("this is no address");
                NotionError::Unreachable(error)
            }
            Self::Throttled => NotionError::Throttled {
                retry_after: std::time::Duration::from_secs(30),
            },
            Self::CursorRejected => NotionError::CursorRejected,
            Self::Unreadable => NotionError::Unreadable {
                context: "a scripted answer",
                source: None,
            },
        }
    }
}

/// How this Notion behaves.
#[derive(Debug, Clone)]
pub(in crate::engine::tests) struct Behaviour {
    /// Rows that one query returns at most, over all its answers.
    pub(in crate::engine::tests) cap: usize,
    /// Rows of one answer.
    pub(in crate::engine::tests) page_size: usize,
    /// How far queries lag behind edits.
    pub(in crate::engine::tests) query_lag: SignedDuration,
    /// How far direct reads lag behind edits.
    pub(in crate::engine::tests) get_lag: SignedDuration,
    /// Whether answers carry a `Date`, and how far the server's clock is ahead of ours.
    pub(in crate::engine::tests) date: Option<SignedDuration>,
    /// Whether a 503 after a create names the page that was made.
    pub(in crate::engine::tests) names_committed: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            cap: 10_000,
            page_size: 100,
            query_lag: SignedDuration::ZERO,
            get_lag: SignedDuration::ZERO,
            date: Some(SignedDuration::ZERO),
            names_committed: true,
        }
    }
}
