//! Which failed read is tried again, when, and for how long (`facts/notion-api.md` §2.3).
//!
//! Pure: times and jitter are arguments. A person's change waits 20 seconds at
//! most, because a webhook's own values may stand in for it afterwards; scans have more patience.

use std::time::Duration;

use super::Lane;
use super::limiter::Patience;
use super::transport::Failure;

/// How long a person's change waits for a read, all attempts together.
const EDIT_PATIENCE: Duration = Duration::from_secs(20);
/// How long scans go on after the first failure of a request while Notion does not answer. An aborted
/// scan goes on where it was, and a person who looks at the condition wants to know.
const OUTAGE_PATIENCE: Duration = Duration::from_secs(20);
/// How long scans go on while Notion answers that there were too many requests.
const BACKGROUND_PATIENCE: Duration = Duration::from_secs(90);
/// How long scans stand in line. Bindings that share a token may be many, but the line moves.
const BACKGROUND_LINE: Duration = Duration::from_mins(10);
/// A request's time: Notion itself works 60 seconds on one at most.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
/// The time that the last attempt gets although patience ends earlier.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);
/// The first wait between attempts; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait between attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What to do about a failed read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Report it.
    GiveUp,
    /// Try again after the wait.
    Retry(Duration),
    /// Try again after the wait, asking for less if the request is a query; otherwise only if
    /// `anyway`.
    RetrySmaller { wait: Duration, anyway: bool },
}

/// The attempts of one request. Times are counted from its start.
#[derive(Debug)]
pub(super) struct Attempts {
    lane: Lane,
    failures: u32,
    first_failure: Option<Duration>,
}

impl Attempts {
    /// No attempt was made yet.
    pub(super) fn new(lane: Lane) -> Self {
        Self {
            lane,
            failures: 0,
            first_failure: None,
        }
    }

    /// How long to wait for the limiter at most.
    pub(super) fn patience(&self, elapsed: Duration) -> Patience {
        match self.lane {
            Lane::Edit => {
                let left = EDIT_PATIENCE.saturating_sub(elapsed);
                Patience {
                    line: left,
                    pause: left,
                }
            }
            Lane::Background => Patience {
                line: BACKGROUND_LINE,
                pause: BACKGROUND_PATIENCE,
            },
        }
    }

    /// How long the next attempt may take.
    pub(super) fn timeout(&self, elapsed: Duration) -> Duration {
        match self.lane {
            Lane::Edit => EDIT_PATIENCE.saturating_sub(elapsed).max(SHORTEST_TIMEOUT),
            Lane::Background => REQUEST_TIMEOUT,
        }
    }

    /// What to do about a failure at `elapsed`; `jitter` between 0 and 1 spreads the attempts of
    /// many bindings.
    pub(super) fn after(&mut self, failure: &Failure, elapsed: Duration, jitter: f64) -> Next {
        self.failures += 1;
        let first_failure = *self.first_failure.get_or_insert(elapsed);
        let end = match self.lane {
            Lane::Edit => EDIT_PATIENCE,
            Lane::Background if is_throttled(failure) => first_failure + BACKGROUND_PATIENCE,
            Lane::Background => first_failure + OUTAGE_PATIENCE,
        };
        let backoff = FIRST_WAIT.saturating_mul(1 << (self.failures - 1).min(16));
        let wait = backoff.min(LONGEST_WAIT).mul_f64(0.5 + jitter / 2.0);
        let next = classify(failure, wait);
        let (Next::Retry(wait) | Next::RetrySmaller { wait, .. }) = next else {
            return next;
        };
        if elapsed + wait >= end {
            return Next::GiveUp;
        }
        next
    }
}

const fn is_throttled(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Answered {
            status: 429 | 529,
            ..
        }
    )
}

/// The table of the facts, for reads. (400, 401, 403 and 404 are Notion's word.)
fn classify(failure: &Failure, wait: Duration) -> Next {
    let smaller = |anyway| Next::RetrySmaller { wait, anyway };
    match failure {
        Failure::TooLarge => Next::RetrySmaller {
            wait: Duration::ZERO,
            anyway: false,
        },
        Failure::Transport(error) if error.is_timeout() => smaller(true),
        Failure::Transport(_) => Next::Retry(wait),
        Failure::Answered { status, body, .. } => match status {
            429 if body.is_blocked() => Next::GiveUp,
            // The limiter waits as long as Notion asks.
            429 | 529 => Next::Retry(Duration::ZERO),
            504 => smaller(true),
            503 if body.has_retry_guidance => smaller(true),
            409 | 500 | 502 | 503 => Next::Retry(wait),
            _ => Next::GiveUp,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::ErrorBody;
    use super::*;

    fn answered(status: u16, body: &str) -> Failure {
        Failure::Answered {
            status,
            body: ErrorBody::read(body.as_bytes()),
            retry_after: None,
        }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn first(status: u16, body: &str) -> Next {
        Attempts::new(Lane::Edit).after(&answered(status, body), at(1), 1.0)
    }

    #[test]
    fn what_notion_said_clearly_is_not_asked_again() {
        for status in [400, 401, 403, 404] {
            assert_eq!(first(status, "{}"), Next::GiveUp, "{status}");
        }
        let blocked = r#"{"additional_data":{"rate_limit_reason":"public_api_request_blocked"}}"#;
        assert_eq!(first(429, blocked), Next::GiveUp);
    }

    #[test]
    fn what_may_pass_is_asked_again() {
        for status in [409, 500, 502, 503] {
            assert_eq!(first(status, "<html>"), Next::Retry(FIRST_WAIT), "{status}");
        }
        for status in [429, 529] {
            assert_eq!(first(status, "{}"), Next::Retry(Duration::ZERO), "{status}");
        }
        let guided = r#"{"additional_data":{"retry_guidance":["less"]}}"#;
        let smaller = Next::RetrySmaller {
            wait: FIRST_WAIT,
            anyway: true,
        };
        assert_eq!(first(503, guided), smaller);
        assert_eq!(first(504, "{}"), smaller);
    }

    #[test]
    fn waits_double_are_spread_and_end_with_the_patience() {
        let failure = answered(502, "");
        let mut edit = Attempts::new(Lane::Edit);
        let waits: Vec<Next> = (0..6).map(|_| edit.after(&failure, at(2), 0.0)).collect();
        let half = [250, 500, 1_000, 2_000, 4_000, 5_000];
        let expected = half.map(|wait| Next::Retry(Duration::from_millis(wait)));
        assert_eq!(waits, expected);
        assert_eq!(edit.after(&failure, at(16), 0.0), Next::GiveUp);
        assert_eq!(edit.patience(at(15)).line, at(5));
        assert_eq!(edit.timeout(at(15)), at(5));
        assert_eq!(edit.timeout(at(25)), at(1));
    }

    #[test]
    fn scans_count_from_their_first_failure() {
        let failure = answered(502, "");
        let mut scan = Attempts::new(Lane::Background);
        assert!(matches!(scan.after(&failure, at(300), 0.0), Next::Retry(_)));
        assert!(matches!(scan.after(&failure, at(315), 0.0), Next::Retry(_)));
        assert_eq!(scan.timeout(at(315)), at(60));
        assert_eq!(scan.after(&failure, at(320), 0.0), Next::GiveUp);
        let throttled = answered(429, "{}");
        assert_eq!(
            scan.after(&throttled, at(320), 0.0),
            Next::Retry(Duration::ZERO)
        );
        assert_eq!(scan.after(&throttled, at(390), 0.0), Next::GiveUp);
    }
}
