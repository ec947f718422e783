//! Controls of the weather, the clock, the switches and the request log.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{ClockMode, from_ms};
use crate::control::Controls;
use crate::log::{RequestCounts, RequestRecord};
use crate::options::Switches;
use crate::sync::lock;
use crate::weather::{Failure, InjectedFailure};

impl Controls {
    /// The switches as they stand.
    pub fn switches(&self) -> Switches {
        (*self.shared.switches()).clone()
    }

    /// Turns switches: `notion.switch(|it| it.query_cap = 100)`.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        let mut switches = self.switches();
        change(&mut switches);
        self.shared.set_switches(switches);
    }

    /// Injects a failure; gives its id.
    pub fn fail(&self, failure: Failure) -> u64 {
        lock(&self.shared.weather).add(failure)
    }

    /// What was injected, and how often it struck.
    pub fn failures(&self) -> Vec<InjectedFailure> {
        lock(&self.shared.weather).all()
    }

    /// Ends one failure, or all.
    pub fn clear_failures(&self, id: Option<u64>) {
        lock(&self.shared.weather).clear(id);
    }

    /// Starts the windows of all rate limits anew.
    pub fn reset_rate_limits(&self) {
        lock(&self.shared.limits).reset();
    }

    /// From now on queries show the workspace as it is now, whatever happens.
    pub fn freeze_queries(&self) {
        self.shared
            .with(|world| world.frozen_ms = Some(world.moment.elapsed_ms));
    }

    /// Queries show the present again.
    pub fn thaw_queries(&self) {
        self.shared.with(|world| world.frozen_ms = None);
    }

    /// The virtual time.
    pub fn now(&self) -> Timestamp {
        from_ms(self.shared.clock.now_ms())
    }

    /// How the virtual time relates to real time.
    pub fn clock(&self) -> ClockMode {
        self.shared.clock.mode()
    }

    /// Stops the clock at a time.
    pub fn set_clock(&self, at: Timestamp) {
        self.shared.clock.set(ClockMode::Fixed { at });
    }

    /// Sets how the virtual time relates to real time.
    pub fn set_clock_mode(&self, mode: ClockMode) {
        self.shared.clock.set(mode);
    }

    /// Moves the virtual time forward.
    pub fn advance(&self, by: Duration) {
        self.shared
            .clock
            .advance(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    }

    /// The logged requests.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.requests_since(0)
    }

    /// The logged requests after a sequence number.
    pub fn requests_since(&self, seq: u64) -> Vec<RequestRecord> {
        lock(&self.shared.log).since(seq)
    }

    /// How many requests there were, by operation and status.
    pub fn counts(&self) -> RequestCounts {
        lock(&self.shared.log).counts()
    }

    /// Empties the request log and its counts.
    pub fn reset_requests(&self) {
        lock(&self.shared.log).reset();
    }
}
