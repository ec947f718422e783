//! A clock that moves only when it is told to.

use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};

/// The virtual time; every clone is the same clock.
#[derive(Debug, Clone)]
pub(super) struct VirtualClock(Arc<Mutex<Timestamp>>);

impl VirtualClock {
    /// A clock that stands at `text`.
    pub(super) fn at(text: &str) -> Self {
        Self(Arc::new(Mutex::new(time(text))))
    }

    /// The time now.
    pub(super) fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    /// Moves the clock forward.
    pub(super) fn advance(&self, seconds: i64) {
        let mut now = self.0.lock().unwrap();
        *now += SignedDuration::from_secs(seconds);
    }
}

/// Reads a time.
pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}
