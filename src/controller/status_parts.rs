//! The parts of status, each translated from what the domain says about it.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions::{Check, Problem};
use super::status::{Observation, SchemaCheck, Subject};
use crate::api::status::{
    CountsStatus, DriftSample, DriftStatus, HeldStatus, LagStatus, NotionStatus,
    PinnedPropertyStatus, WebhookStatus,
};
use crate::sync::drift::{Discrepancy, DriftReport};
use crate::sync::identity::DataSourceId;
use crate::sync::mapping::{PinnedProperty, StoppedField};
use crate::sync::reason::Reason;

/// How many discrepancies status shows.
pub(super) const SAMPLES_MAX: usize = 10;

/// Kubernetes writes whole seconds; a finer time would make every status a new one.
pub(super) fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// A time as Kubernetes writes it.
pub(super) fn time(time: Timestamp) -> Time {
    Time(whole_second(time))
}

pub(super) fn notion(
    (id, title, pinned): &(DataSourceId, String, Vec<PinnedProperty>),
) -> NotionStatus {
    NotionStatus {
        data_source_id: Some(id.to_string()),
        title: Some(title.clone()),
        properties: (pinned.iter().filter(|pin| !pin.is_key))
            .map(pinned_property)
            .collect(),
    }
}

fn pinned_property(pinned: &PinnedProperty) -> PinnedPropertyStatus {
    PinnedPropertyStatus {
        column: pinned.column.clone(),
        property_id: pinned.id.to_string(),
        property_name: pinned.name.clone(),
        kind: pinned.kind.name().to_owned(),
    }
}

pub(super) fn webhook(
    subject: &Subject,
    seen: &Observation,
    before: Option<WebhookStatus>,
) -> WebhookStatus {
    let before = before.unwrap_or_default();
    let (rejected, reason) = match &seen.last_rejection {
        Some((at, reason)) => (Some(time(*at)), Some(reason.clone())),
        None => (before.last_rejection_time, before.last_rejection_reason),
    };
    WebhookStatus {
        path: Some(subject.webhook_path.clone()),
        last_event_time: seen.last_event.map(time).or(before.last_event_time),
        last_rejection_time: rejected,
        last_rejection_reason: reason,
    }
}

pub(super) fn drift(report: &DriftReport, key_is_plain: bool) -> DriftStatus {
    let drift = &report.drift;
    DriftStatus {
        count: drift.count(),
        mismatched: drift.mismatched,
        orphaned_pages: drift.orphaned_pages,
        unlinked_rows: drift.unlinked_rows,
        missing_pages: drift.missing_pages,
        conflicts: drift.conflicts,
        failed: drift.failed,
        held: HeldStatus { count: drift.held },
        checked_at: report.checked_at.map(time),
        samples: (report.samples.iter().take(SAMPLES_MAX))
            .map(|sample| sample_of(sample, key_is_plain))
            .collect(),
    }
}

fn sample_of(found: &Discrepancy, key_is_plain: bool) -> DriftSample {
    DriftSample {
        page_id: found.page_id.map(|id| id.to_string()),
        row_key: found.row_key.as_ref().map(|key| key.shown(key_is_plain)),
        column: found.column.clone(),
        kind: found.kind.as_str().to_owned(),
    }
}

pub(super) fn counts(report: &DriftReport) -> CountsStatus {
    CountsStatus {
        pages: report.counts.pages,
        rows: report.counts.rows,
        linked: report.counts.linked,
    }
}

pub(super) fn lag(notion: Option<Duration>, postgres: Option<Duration>) -> Option<LagStatus> {
    let shown = |age: Duration| format!("{}s", age.as_secs());
    (notion.is_some() || postgres.is_some()).then(|| LagStatus {
        notion: notion.map(shown),
        postgres: postgres.map(shown),
    })
}

/// `InSync`. What waits for a person comes before what merely differs.
pub(super) fn in_sync(report: &DriftReport) -> Check {
    let drift = &report.drift;
    if drift.count() == 0 {
        return Check::Passed;
    }
    let reason = if drift.held > 0 {
        Reason::Held
    } else if drift.conflicts > 0 {
        Reason::ConflictsFound
    } else {
        Reason::DriftFound
    };
    let parts = [
        (drift.held, "changes held for approval"),
        (drift.conflicts, "conflicts to resolve"),
        (drift.mismatched, "fields differ"),
        (drift.failed, "fields cannot be written"),
        (drift.missing_pages, "linked pages are gone"),
    ];
    let shown: Vec<String> = (parts.iter().filter(|(count, _)| *count > 0))
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let text = format!("{}; status.drift has samples.", shown.join(", "));
    Check::Failed(Problem::new(reason, text))
}

/// `SchemaValid`: false if any column is stopped or anything else needs a hand.
pub(super) fn schema_check(check: &SchemaCheck) -> Check {
    match check {
        SchemaCheck::Unchecked => Check::Unchecked,
        SchemaCheck::Failed(problem) => Check::Failed(problem.clone()),
        SchemaCheck::Resolved {
            stopped, notices, ..
        } => {
            let mut problems = stopped
                .iter()
                .map(stopped_field)
                .chain(notices.iter().cloned());
            match problems.next() {
                None => Check::Passed,
                Some(first) => Check::Failed(problems.fold(first, |all, next| join(all, &next))),
            }
        }
    }
}

/// Why nothing is synced although the table was resolved.
pub(super) fn no_column_left(check: &SchemaCheck) -> Option<Problem> {
    match check {
        SchemaCheck::Resolved {
            working: 0,
            stopped,
            ..
        } => stopped.first().map(stopped_field),
        SchemaCheck::Resolved { .. } | SchemaCheck::Unchecked | SchemaCheck::Failed(_) => None,
    }
}

fn stopped_field(field: &StoppedField) -> Problem {
    Problem::new(field.reason, format!("{}: {}", field.column, field.remedy))
}

/// The first problem names the condition's reason; the others are told in its message.
fn join(mut first: Problem, next: &Problem) -> Problem {
    // Writing to a String cannot fail.
    let _ = write!(first.remedy, "; {}: {}", next.reason, next.remedy);
    first
}
