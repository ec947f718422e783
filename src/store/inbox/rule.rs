//! The seed's rule for legacy events (S5): skip one that is not newer than the newest accepted for
//! its page, and one without a time while another was accepted within the last minute.

use jiff::{SignedDuration, Timestamp};

use super::end_of_minute;
use crate::sync::event::Skip;

/// Within this time a second event without a time says nothing new.
const RECENT: SignedDuration = SignedDuration::from_secs(60);

/// How far into the future a sender's minute may reach before our own clock is believed instead.
const PATIENCE: SignedDuration = SignedDuration::from_secs(120);

/// What is known about the accepted legacy events of one page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// The latest time that one of them carried.
    pub(super) newest: Option<Timestamp>,
    /// When the last of them was accepted.
    pub(super) accepted_at: Option<Timestamp>,
}

impl Known {
    /// Judges an event, and remembers it if it is accepted. The database keeps microseconds, so
    /// times are compared as such: a redelivery must not look newer than itself.
    pub(super) fn judge(&mut self, occurred: Option<Timestamp>, now: Timestamp) -> Option<Skip> {
        let occurred = occurred.map(to_microsecond);
        let skip = match (occurred, self.newest) {
            (Some(time), Some(newest)) if time <= newest => Some(Skip::NotNewer),
            (None, _)
                if self
                    .accepted_at
                    .is_some_and(|at| now.duration_since(at) < RECENT) =>
            {
                Some(Skip::ProcessedRecently)
            }
            _ => None,
        };
        if skip.is_none() {
            self.newest = self.newest.max(occurred);
            self.accepted_at = self.accepted_at.max(Some(now));
        }
        skip
    }
}

fn to_microsecond(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// When the page of a skipped event is read again: once the event's minute is over, so that every
/// edit that carries the same minute is in what is read. A minute that is past already, absent, or
/// too far ahead gives no such moment; then it is the end of the current minute, so that further
/// events of this minute share the read.
pub(super) fn reread_at(occurred: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let end = occurred.map(end_of_minute);
    end.filter(|end| *end > now && end.duration_since(now) <= PATIENCE)
        .unwrap_or_else(|| end_of_minute(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const NOW: &str = "2026-11-20T10:05:30Z";

    #[test]
    fn only_a_newer_event_is_accepted() {
        let mut known = Known::default();
        let mut judge = |text: &str| known.judge(Some(time(text)), time(NOW));
        assert_eq!(judge("2026-11-20T10:04:00Z"), None);
        assert_eq!(judge("2026-11-20T10:04:00Z"), Some(Skip::NotNewer));
        assert_eq!(judge("2026-11-20T10:03:00Z"), Some(Skip::NotNewer));
        assert_eq!(judge("2026-11-20T10:05:00.000000900Z"), None);
        assert_eq!(
            judge("2026-11-20T10:05:00.000000950Z"),
            Some(Skip::NotNewer)
        );
    }

    #[test]
    fn without_a_time_the_page_rests_for_a_minute() {
        let mut known = Known::default();
        assert_eq!(known.judge(None, time("2026-11-20T10:00:00Z")), None);
        let recently = Some(Skip::ProcessedRecently);
        assert_eq!(known.judge(None, time("2026-11-20T10:00:59Z")), recently);
        assert_eq!(known.judge(None, time("2026-11-20T10:01:00Z")), None);
        // A skipped event does not prolong the rest.
        assert_eq!(known.judge(None, time("2026-11-20T10:01:59Z")), recently);
        assert_eq!(known.judge(None, time("2026-11-20T10:02:00Z")), None);
    }

    #[test]
    fn an_event_with_a_time_is_judged_by_it_alone() {
        let mut known = Known::default();
        assert_eq!(known.judge(None, time(NOW)), None);
        assert_eq!(
            known.judge(Some(time("2026-11-20T10:04:00Z")), time(NOW)),
            None
        );
        assert_eq!(known.judge(None, time(NOW)), Some(Skip::ProcessedRecently));
    }

    #[test]
    fn the_page_is_read_again_when_the_minute_is_over() {
        let at = |text: &str| reread_at(Some(time(text)), time(NOW));
        assert_eq!(at("2026-11-20T10:05:00Z"), time("2026-11-20T10:06:00Z"));
        assert_eq!(at("2026-11-20T10:06:00Z"), time("2026-11-20T10:07:00Z"));
        let this_minute = time("2026-11-20T10:06:00Z");
        assert_eq!(at("2026-11-20T10:01:00Z"), this_minute);
        assert_eq!(at("2099-01-01T00:00:00Z"), this_minute);
        assert_eq!(reread_at(None, time(NOW)), this_minute);
    }
}
