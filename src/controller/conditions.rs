//! Conditions: their names, what was found out about each, and how a finding becomes a
//! `metav1.Condition`.
//!
//! Conditions are observations. What a visit did not look at keeps what was seen before, so an
//! incremental pass does not forget that the last scan was complete.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::sync::reason::Reason;

/// Names of the conditions, in the order in which status lists them.
pub mod kind {
    /// Whether the last pass did everything that was due.
    pub const READY: &str = "Ready";
    /// Present only during the first or a requested full scan.
    pub const RECONCILING: &str = "Reconciling";
    /// Present only where the spec must change.
    pub const STALLED: &str = "Stalled";
    /// Whether Notion answers.
    pub const NOTION_REACHABLE: &str = "NotionReachable";
    /// Whether Postgres answers.
    pub const DATABASE_REACHABLE: &str = "DatabaseReachable";
    /// Whether table, columns and properties fit.
    pub const SCHEMA_VALID: &str = "SchemaValid";
    /// Whether Notion's events arrive and verify.
    pub const WEBHOOK_VERIFIED: &str = "WebhookVerified";
    /// Whether nothing drifts.
    pub const IN_SYNC: &str = "InSync";
    /// Whether the last complete scan read everything.
    pub const SCAN_COMPLETE: &str = "ScanComplete";
}

/// The longest message in bytes; also what an event's note may hold.
pub const MESSAGE_MAX: usize = 1000;

/// Something that is wrong, and what to do about it.
///
/// The remedy names objects (Secrets, keys, tables, columns, pages to share, grants), never a row
/// value, a token or a text that Postgres or Notion sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The reason, from the one vocabulary.
    pub reason: Reason,
    /// What to do.
    pub remedy: String,
}

impl Problem {
    /// A problem with its remedy.
    pub fn new(reason: Reason, remedy: impl Into<String>) -> Self {
        Self {
            reason,
            remedy: remedy.into(),
        }
    }
}

/// What a visit found out about one condition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Check {
    /// It was not looked at: what was known before stands.
    #[default]
    Unchecked,
    /// It holds.
    Passed,
    /// It does not hold.
    Failed(Problem),
    /// It was looked at and cannot be known.
    Unknown(Problem),
}

impl Check {
    /// The problem, where the condition does not hold.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Failed(problem) => Some(problem),
            Self::Unchecked | Self::Passed | Self::Unknown(_) => None,
        }
    }
}

/// The status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody knows.
    Unknown,
}

impl Truth {
    /// The word, as `metav1.Condition` spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// The conditions of one visit, built over those of the visit before.
pub struct Builder<'a> {
    old: &'a [Condition],
    generation: i64,
    now: Timestamp,
    built: Vec<Condition>,
}

impl<'a> Builder<'a> {
    /// Starts an empty list. `now` becomes the time of every transition.
    pub fn new(old: &'a [Condition], generation: i64, now: Timestamp) -> Self {
        Self {
            old,
            generation,
            now,
            built: Vec::new(),
        }
    }

    /// The condition as it was.
    pub fn old(&self, kind: &str) -> Option<&'a Condition> {
        find(self.old, kind)
    }

    /// Adds a condition. `lastTransitionTime` moves only when the status does.
    pub fn set(&mut self, kind: &str, truth: Truth, reason: &str, message: &str) {
        let since = self
            .old(kind)
            .filter(|old| old.status == truth.as_str())
            .map_or(Time(self.now), |old| old.last_transition_time.clone());
        self.built.push(Condition {
            type_: kind.to_owned(),
            status: truth.as_str().to_owned(),
            reason: reason.to_owned(),
            message: cut(message, MESSAGE_MAX).to_owned(),
            observed_generation: Some(self.generation),
            last_transition_time: since,
        });
    }

    /// Adds what `check` found. Unchecked, the condition stays as it was; never checked, it is
    /// `Unknown` for the reason `unchecked`.
    pub fn check(
        &mut self,
        kind: &str,
        check: &Check,
        passed: (Reason, &str),
        unchecked: &Problem,
    ) {
        let (truth, reason, message) = match check {
            Check::Passed => (Truth::True, passed.0.as_str(), passed.1),
            Check::Failed(problem) => (Truth::False, problem.reason.as_str(), &*problem.remedy),
            Check::Unknown(problem) => (Truth::Unknown, problem.reason.as_str(), &*problem.remedy),
            Check::Unchecked => match self.old(kind).filter(|old| is_known(old)) {
                Some(old) => (truth_of(old), &*old.reason, &*old.message),
                None => (
                    Truth::Unknown,
                    unchecked.reason.as_str(),
                    &*unchecked.remedy,
                ),
            },
        };
        self.set(kind, truth, reason, message);
    }

    /// The conditions.
    pub fn finish(self) -> Vec<Condition> {
        self.built
    }
}

/// The condition of this type.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether the condition of this type is there and has this status.
pub fn is(conditions: &[Condition], kind: &str, truth: Truth) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status == truth.as_str())
}

/// The status of a condition as it was read; anything unheard of is unknown.
pub fn truth_of(condition: &Condition) -> Truth {
    match condition.status.as_str() {
        "True" => Truth::True,
        "False" => Truth::False,
        _ => Truth::Unknown,
    }
}

/// Cuts a text to `max` bytes, at a border between characters.
pub fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// An `Unknown` was no finding, so there is nothing in it to keep.
fn is_known(condition: &Condition) -> bool {
    truth_of(condition) != Truth::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn missing() -> Problem {
        Problem::new(Reason::InitialScan, "not looked at yet")
    }

    #[test]
    fn time_moves_only_with_the_status() {
        let mut first = Builder::new(&[], 1, at(10));
        first.set(kind::READY, Truth::False, "NotionUnavailable", "a");
        let old = first.finish();
        let mut second = Builder::new(&old, 2, at(20));
        second.set(kind::READY, Truth::False, "DatabaseUnavailable", "b");
        let old = second.finish();
        assert_eq!(old[0].last_transition_time, Time(at(10)));
        assert_eq!(old[0].observed_generation, Some(2));
        let mut third = Builder::new(&old, 2, at(30));
        third.set(kind::READY, Truth::True, "Synced", "c");
        assert_eq!(third.finish()[0].last_transition_time, Time(at(30)));
    }

    #[test]
    fn what_was_not_looked_at_stays() {
        let passed = (Reason::Complete, "all read");
        let mut first = Builder::new(&[], 1, at(10));
        first.check(kind::SCAN_COMPLETE, &Check::Unchecked, passed, &missing());
        let old = first.finish();
        assert_eq!(
            (&*old[0].status, &*old[0].reason),
            ("Unknown", "InitialScan")
        );
        let mut second = Builder::new(&old, 1, at(20));
        second.check(kind::SCAN_COMPLETE, &Check::Passed, passed, &missing());
        let old = second.finish();
        let mut third = Builder::new(&old, 1, at(30));
        third.check(kind::SCAN_COMPLETE, &Check::Unchecked, passed, &missing());
        let last = third.finish();
        assert_eq!((&*last[0].status, &*last[0].reason), ("True", "Complete"));
        assert_eq!(last[0].last_transition_time, Time(at(20)));
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("aäb", 2), "a");
        assert_eq!(cut("aäb", 3), "aä");
        assert_eq!(cut("ab", 10), "ab");
    }
}
