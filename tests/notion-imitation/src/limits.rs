//! Rate limits: fixed windows per token and for the whole workspace, in real time.

use std::collections::HashMap;

use serde_json::json;

use crate::error::ApiError;
use crate::options::Switches;

/// The running windows.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    by_token: HashMap<String, Window>,
    workspace: Window,
}

#[derive(Debug, Default, Clone, Copy)]
struct Window {
    started_ms: u64,
    used: u32,
}

impl Window {
    /// Counts a request; otherwise the milliseconds until the window ends.
    fn admit(&mut self, limit: u32, length_ms: u64, elapsed_ms: u64) -> Result<(), u64> {
        if limit == 0 {
            return Ok(());
        }
        if self.used == 0 || elapsed_ms >= self.started_ms + length_ms {
            *self = Self {
                started_ms: elapsed_ms,
                used: 0,
            };
        }
        if self.used >= limit {
            return Err(self.started_ms + length_ms - elapsed_ms);
        }
        self.used += 1;
        Ok(())
    }
}

impl Limits {
    /// Counts a request of a token, or refuses it with 429.
    pub(crate) fn admit(
        &mut self,
        switches: &Switches,
        token: &str,
        elapsed_ms: u64,
    ) -> Result<(), ApiError> {
        let length = switches.rate_window_ms;
        let own = self.by_token.entry(token.to_owned()).or_default();
        own.admit(switches.requests_per_minute, length, elapsed_ms)
            .map_err(|wait| rate_limited("public_api_request_rate_limit", wait))?;
        self.workspace
            .admit(switches.workspace_requests_per_minute, length, elapsed_ms)
            .map_err(|wait| rate_limited("public_api_space_request_rate_limit", wait))
    }

    /// Starts all windows anew.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

fn rate_limited(reason: &str, wait_ms: u64) -> ApiError {
    let seconds = wait_ms.div_ceil(1_000).max(1);
    let mut error = ApiError::new(
        429,
        "rate_limited",
        "You have been rate limited. Please try again in a few minutes.",
    );
    error
        .additional_data
        .insert("rate_limit_reason".into(), json!(reason));
    error
        .additional_data
        .insert("retry_after".into(), json!(seconds.to_string()));
    error.retry_after = Some(seconds);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_be_spent_at_once_and_then_says_when_it_ends() {
        let switches = Switches {
            requests_per_minute: 3,
            ..Switches::default()
        };
        let mut limits = Limits::default();
        for _ in 0..3 {
            limits.admit(&switches, "a", 1_000).unwrap();
        }
        let refused = limits.admit(&switches, "a", 21_500).unwrap_err();
        assert_eq!((refused.status, refused.retry_after), (429, Some(40)));
        assert_eq!(refused.additional_data["retry_after"], "40");
        limits.admit(&switches, "b", 21_500).unwrap();
        limits.admit(&switches, "a", 61_000).unwrap();
    }

    #[test]
    fn the_workspace_limit_is_shared() {
        let switches = Switches {
            workspace_requests_per_minute: 2,
            ..Switches::default()
        };
        let mut limits = Limits::default();
        limits.admit(&switches, "a", 0).unwrap();
        limits.admit(&switches, "b", 0).unwrap();
        let refused = limits.admit(&switches, "c", 0).unwrap_err();
        assert_eq!(
            refused.additional_data["rate_limit_reason"],
            "public_api_space_request_rate_limit"
        );
    }
}
