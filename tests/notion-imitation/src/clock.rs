//! The server's clock: real time plus an offset, or a fixed time that a test moves by hand.
//!
//! Everything that Notion would stamp (`created_time`, webhook timestamps, the `Date` header,
//! the expiry of file URLs) reads this clock. Lags and latencies do not: they run in real time.

use std::sync::Mutex;
use std::time::Instant;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sync::lock;

/// How the virtual time relates to real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum ClockMode {
    /// Real time plus an offset in milliseconds.
    Following {
        /// Milliseconds added to real time; negative lies in the past.
        offset_ms: i64,
    },
    /// Stands still until it is set or advanced.
    Fixed {
        /// The time it stands at.
        at: Timestamp,
    },
}

#[derive(Debug)]
pub(crate) struct Clock {
    mode: Mutex<ClockMode>,
    started: Instant,
}

impl Clock {
    pub(crate) fn new(mode: ClockMode) -> Self {
        Self {
            mode: Mutex::new(mode),
            started: Instant::now(),
        }
    }

    /// The virtual time in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        match *lock(&self.mode) {
            ClockMode::Following { offset_ms } => {
                Timestamp::now().as_millisecond().saturating_add(offset_ms)
            }
            ClockMode::Fixed { at } => at.as_millisecond(),
        }
    }

    /// Real milliseconds since the server started; never moves backwards.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn mode(&self) -> ClockMode {
        *lock(&self.mode)
    }

    pub(crate) fn set(&self, mode: ClockMode) {
        *lock(&self.mode) = mode;
    }

    /// Moves the virtual time, whatever the mode.
    pub(crate) fn advance(&self, by_ms: i64) {
        let mut mode = lock(&self.mode);
        *mode = match *mode {
            ClockMode::Following { offset_ms } => ClockMode::Following {
                offset_ms: offset_ms.saturating_add(by_ms),
            },
            ClockMode::Fixed { at } => ClockMode::Fixed {
                at: from_ms(at.as_millisecond() + by_ms),
            },
        };
    }
}

/// A timestamp of milliseconds since 1970; out of range reads as 1970.
pub(crate) fn from_ms(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// As Notion writes times: `2026-11-20T10:15:00.000Z`.
pub(crate) fn iso(ms: i64) -> String {
    format!("{:.3}", from_ms(ms))
}

/// As Notion writes the times of database objects: `2026-11-20T10:15:42.317+00:00`.
pub(crate) fn iso_offset(ms: i64) -> String {
    let mut text = iso(ms);
    text.truncate(text.len() - 1);
    text + "+00:00"
}

/// As HTTP's `Date` header writes times.
pub(crate) fn http_date(ms: i64) -> String {
    from_ms(ms)
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}

/// Down to the minute, as Notion stores the times of pages.
pub(crate) fn floor_minute(ms: i64) -> i64 {
    ms - ms.rem_euclid(60_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_notion_writes_them() {
        let ms = "2026-11-20T10:15:42.317Z"
            .parse::<Timestamp>()
            .unwrap()
            .as_millisecond();
        assert_eq!(iso(ms), "2026-11-20T10:15:42.317Z");
        assert_eq!(iso(floor_minute(ms)), "2026-11-20T10:15:00.000Z");
        assert_eq!(iso_offset(ms), "2026-11-20T10:15:42.317+00:00");
        assert_eq!(http_date(ms), "Fri, 20 Nov 2026 10:15:42 GMT");
    }

    #[test]
    fn a_fixed_clock_moves_only_by_hand() {
        let clock = Clock::new(ClockMode::Fixed {
            at: from_ms(60_000),
        });
        assert_eq!(clock.now_ms(), 60_000);
        clock.advance(1_500);
        assert_eq!(clock.now_ms(), 61_500);
    }
}
