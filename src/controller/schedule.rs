//! When a binding is due, and how long a failed one waits. Pure: the time is an argument.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::engine::Work;

/// The wait after the first failure; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// How often a side that does not answer is asked whether it does again, so that a pass starts
/// within 5 s of its return (`DESIGN.md` §4). The answer is shared between bindings.
pub const PROBE_EVERY: Duration = Duration::from_secs(4);

/// An interval lengthened by 0 to 10 %, always the same for one binding: after a restart the
/// bindings of a cluster do not all come due at once.
pub fn jittered(interval: Duration, uid: &str) -> Duration {
    let digest = Sha256::digest(uid.as_bytes());
    let share = u32::from(u16::from_be_bytes([digest[0], digest[1]])) % 1001;
    interval + interval / 10_000 * share
}

/// The wait after `failures` failures in a row.
pub fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT)
}

/// When the next passes of a binding are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// When the next incremental pass is due; `None` means now.
    pub next_incremental: Option<Instant>,
    /// When the next complete pass is due; `None` means as soon as somebody asks for it.
    pub next_complete: Option<Instant>,
}

impl Schedule {
    /// The work that the clock alone asks for.
    pub fn due(&self, now: Instant) -> Work {
        if self.next_complete.is_some_and(|at| at <= now) {
            Work::Complete
        } else if self.next_incremental.is_none_or(|at| at <= now) {
            Work::Incremental
        } else {
            Work::Events
        }
    }

    /// How long until the clock asks for something.
    pub fn wait(&self, now: Instant) -> Duration {
        let next = [self.next_incremental, self.next_complete]
            .into_iter()
            .flatten()
            .min();
        next.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_fixed_by_uid_and_at_most_a_tenth() {
        let interval = Duration::from_mins(5);
        let mut waits: Vec<_> = (0..200)
            .map(|n| jittered(interval, &format!("uid-{n}")))
            .collect();
        assert_eq!(waits[0], jittered(interval, "uid-0"));
        waits.sort();
        assert!(waits[0] >= interval && waits[199] <= interval.mul_f64(1.1001));
        assert!(waits[199] > waits[0] + Duration::from_secs(20));
    }

    #[test]
    fn waits_double_from_five_seconds_to_five_minutes() {
        let waits: Vec<u64> = (1..10).map(|n| backoff(n).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(backoff(u32::MAX), LONGEST_WAIT);
    }

    #[test]
    fn the_clock_asks_for_the_most_that_is_due() {
        let now = Instant::now();
        let later = Some(now + Duration::from_secs(9));
        let due = |incremental, complete| {
            Schedule {
                next_incremental: incremental,
                next_complete: complete,
            }
            .due(now)
        };
        assert_eq!(due(later, later), Work::Events);
        assert_eq!(due(Some(now), later), Work::Incremental);
        assert_eq!(due(None, later), Work::Incremental);
        assert_eq!(due(later, Some(now)), Work::Complete);
        let schedule = Schedule {
            next_incremental: later,
            next_complete: None,
        };
        assert_eq!(schedule.wait(now), Duration::from_secs(9));
    }
}
