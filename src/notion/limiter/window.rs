//! The requests of the last minute.
//!
//! Notion counts in fixed 60-second windows whose phase nobody tells us, so no span of 60 seconds
//! may hold more than the budget. A request arrives somewhere between being sent and being
//! answered; it is therefore held against the budget until 60 seconds after its answer, which is
//! exact whatever the network does.

use std::time::Duration;

use crate::notion::Lane;

/// A point in time, as the time since the limiter was made.
pub(super) type Moment = Duration;

/// The length of Notion's window (`facts/notion-api.md` §2.4).
pub(super) const SPAN: Duration = Duration::from_mins(1);

/// A request that was let through.
#[derive(Debug)]
struct Entry {
    id: u64,
    sent: Moment,
    /// When it was answered or given up.
    done: Option<Moment>,
    /// Whether Notion took it on, as far as is known.
    accepted: bool,
    lane: Lane,
    /// Whether it belongs to the part of the budget that is spent at a pace.
    paced: bool,
}

/// All requests that still count.
#[derive(Debug, Default)]
pub(super) struct Window {
    entries: Vec<Entry>,
}

impl Window {
    /// Forgets what counts no more.
    pub(super) fn prune(&mut self, now: Moment) {
        self.entries
            .retain(|entry| entry.done.is_none_or(|done| done + SPAN > now));
    }

    /// Records a request.
    pub(super) fn open(&mut self, id: u64, lane: Lane, paced: bool, now: Moment) {
        self.entries.push(Entry {
            id,
            sent: now,
            done: None,
            accepted: false,
            lane,
            paced,
        });
    }

    /// Records its end and tells when it was sent.
    pub(super) fn close(&mut self, id: u64, accepted: bool, now: Moment) -> Option<Moment> {
        let entry = self.entries.iter_mut().find(|entry| entry.id == id)?;
        entry.done = Some(now);
        entry.accepted = accepted;
        Some(entry.sent)
    }

    /// How many requests count.
    pub(super) fn used(&self) -> usize {
        self.entries.len()
    }

    /// How many of them belong to a lane.
    pub(super) fn used_by(&self, lane: Lane) -> usize {
        self.entries.iter().filter(|it| it.lane == lane).count()
    }

    /// How many requests of a lane were paced.
    pub(super) fn paced(&self, lane: Lane) -> usize {
        let paced = |entry: &&Entry| entry.paced && entry.lane == lane;
        self.entries.iter().filter(paced).count()
    }

    /// How many requests wait for their answer.
    pub(super) fn in_flight(&self) -> usize {
        self.entries.iter().filter(|e| e.done.is_none()).count()
    }

    /// How many requests were accepted and answered at or after `from`.
    pub(super) fn accepted_since(&self, from: Moment) -> usize {
        let counts = |entry: &&Entry| entry.accepted && entry.done.is_some_and(|done| done >= from);
        self.entries.iter().filter(counts).count()
    }

    /// When fewer than `limit` requests count. `None` where that depends on answers to come.
    pub(super) fn below_at(&self, limit: usize) -> Option<Moment> {
        let mut ends: Vec<Moment> = self.entries.iter().filter_map(|entry| entry.done).collect();
        ends.sort_unstable();
        let leaving = self.used().checked_sub(limit)?;
        ends.get(leaving).map(|done| *done + SPAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_request_counts_until_a_minute_after_its_answer() {
        let mut window = Window::default();
        window.open(1, Lane::Edit, false, at(0));
        window.prune(at(500));
        assert_eq!((window.used(), window.in_flight()), (1, 1));
        assert_eq!(window.close(1, true, at(501)), Some(at(0)));
        window.prune(at(560));
        assert_eq!((window.used(), window.in_flight()), (1, 0));
        window.prune(at(561));
        assert_eq!(window.used(), 0);
    }

    #[test]
    fn the_next_free_place_is_known_once_answers_are() {
        let mut window = Window::default();
        for id in 0..4 {
            window.open(id, Lane::Background, id == 3, at(id));
        }
        assert_eq!(window.paced(Lane::Background), 1);
        assert_eq!(window.paced(Lane::Edit), 0);
        assert_eq!(window.used_by(Lane::Background), 4);
        assert_eq!(window.below_at(3), None);
        window.close(2, true, at(5));
        window.close(0, true, at(9));
        assert_eq!(window.below_at(4), Some(at(65)));
        assert_eq!(window.below_at(3), Some(at(69)));
        assert_eq!(window.below_at(2), None);
        assert_eq!(window.accepted_since(at(6)), 1);
    }
}
