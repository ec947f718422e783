//! Status: a pure function from what a visit observed, and the status before, to the whole status.
//!
//! Nothing is patched piecemeal: every visit, good or bad, computes everything from its
//! [`Observation`], so that two code paths can never disagree about a field. The rules of `kstatus`
//! and of health (`design/resource.md`) are tested over every combination.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::conditions::{Builder, Check, Problem, Truth, is, kind, truth_of};
use super::status_parts as parts;
use crate::api::status::{Health, NotionSyncBindingStatus, ProgressStatus};
use crate::sync::drift::DriftReport;
use crate::sync::identity::DataSourceId;
use crate::sync::mapping::{PinnedProperty, StoppedField};
use crate::sync::reason::Reason;

/// What is known of a binding before anything is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// `metadata.generation` of the spec that was acted upon.
    pub generation: i64,
    /// `spec.suspend`.
    pub suspended: bool,
    /// Whether `spec.webhook` is there.
    pub webhook_configured: bool,
    /// The path of the binding's own receiver.
    pub webhook_path: String,
    /// `spec.interval`.
    pub interval: Duration,
}

/// Whether table, columns and properties fit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SchemaCheck {
    /// Not looked at: what was known before stands.
    #[default]
    Unchecked,
    /// The table as a whole cannot be synced.
    Failed(Problem),
    /// The table was resolved.
    Resolved {
        /// How many columns are synced.
        working: usize,
        /// Columns that are not.
        stopped: Vec<StoppedField>,
        /// What is wrong beside the columns and stops none of them (`AuditTableInvalid`).
        notices: Vec<Problem>,
    },
}

/// What a visit learnt about the pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PassFact {
    /// None ran on this visit.
    #[default]
    None,
    /// One is under way.
    Running,
    /// It ended well.
    Done,
    /// It ended early, for a reason that is not in one of the checks.
    Failed(Problem),
}

/// Everything that a visit observed. What it did not observe is left at its default, and what
/// status said before stands.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// What only a change of the spec can put right.
    pub stalled: Option<Problem>,
    /// `NotionReachable`.
    pub notion: Check,
    /// `DatabaseReachable`.
    pub database: Check,
    /// `SchemaValid`.
    pub schema: SchemaCheck,
    /// `WebhookVerified`; ignored where the binding has no `spec.webhook`.
    pub webhook: Check,
    /// `ScanComplete`.
    pub scan: Check,
    /// The pass.
    pub pass: PassFact,
    /// Whether the first or a requested full scan is under way.
    pub scanning: bool,
    /// How far a long pass has come; shown while it runs.
    pub progress: Option<ProgressStatus>,
    /// When the last pass before this visit ended, well or not.
    pub last_pass: Option<Timestamp>,
    /// When the last pass ended well.
    pub last_sync: Option<Timestamp>,
    /// When the last complete pass ended.
    pub last_full_scan: Option<Timestamp>,
    /// What drifts.
    pub report: Option<DriftReport>,
    /// Whether row keys may be shown in clear.
    pub key_is_plain: bool,
    /// The data source, its title and the pinned properties.
    pub resolved: Option<(DataSourceId, String, Vec<PinnedProperty>)>,
    /// When the last event was accepted.
    pub last_event: Option<Timestamp>,
    /// When a request was last refused, and why.
    pub last_rejection: Option<(Timestamp, String)>,
    /// Age of the oldest change in Notion that is not yet applied.
    pub notion_lag: Option<Duration>,
    /// The value of `requestedAt` that this visit answered.
    pub handled_reconcile: Option<String>,
    /// The value of `resolve` that this visit answered.
    pub handled_resolve: Option<String>,
    /// Age of the oldest captured change of the table that is not yet settled.
    pub postgres_lag: Option<Duration>,
    /// The value of `fullScanRequestedAt` that this visit answered.
    pub handled_full_scan: Option<String>,
}

impl Observation {
    /// What keeps the binding from syncing, nearest cause first.
    pub fn blocker(&self) -> Option<&Problem> {
        let schema = match &self.schema {
            SchemaCheck::Failed(problem) => Some(problem),
            SchemaCheck::Unchecked | SchemaCheck::Resolved { .. } => None,
        };
        let pass = match &self.pass {
            PassFact::Failed(problem) => Some(problem),
            PassFact::None | PassFact::Running | PassFact::Done => None,
        };
        self.stalled
            .as_ref()
            .or_else(|| self.notion.problem())
            .or_else(|| self.database.problem())
            .or(schema)
            .or(pass)
    }

    /// Whether a pass ended on this visit. One that could not even start did end.
    fn ended(&self) -> bool {
        self.blocker().is_some() || self.pass == PassFact::Done
    }
}

/// Computes the whole status.
pub fn compute(
    subject: &Subject,
    seen: &Observation,
    old: Option<&NotionSyncBindingStatus>,
    now: Timestamp,
) -> NotionSyncBindingStatus {
    let before = old.cloned().unwrap_or_default();
    let now = parts::whole_second(now);
    let conditions = conditions(subject, seen, &before, now);
    let last_sync = seen
        .last_sync
        .or_else(|| time(before.last_sync_time.as_ref()));
    let running = seen.pass == PassFact::Running;
    let last_pass = if seen.ended() || (running && last_sync.is_some()) {
        Some(now)
    } else {
        seen.last_pass.or(last_sync)
    };
    let health = health(subject, &conditions, last_pass, now);
    NotionSyncBindingStatus {
        observed_generation: Some(subject.generation),
        last_handled_reconcile_at: seen
            .handled_reconcile
            .clone()
            .or(before.last_handled_reconcile_at),
        last_handled_resolve: seen.handled_resolve.clone().or(before.last_handled_resolve),
        last_handled_full_scan_at: seen
            .handled_full_scan
            .clone()
            .or(before.last_handled_full_scan_at),
        health: Some(health),
        conditions,
        notion: seen.resolved.as_ref().map(parts::notion).or(before.notion),
        webhook: subject
            .webhook_configured
            .then(|| parts::webhook(subject, seen, before.webhook)),
        drift: (seen.report.as_ref())
            .map(|report| parts::drift(report, seen.key_is_plain))
            .or(before.drift),
        counts: seen.report.as_ref().map(parts::counts).or(before.counts),
        lag: parts::lag(seen.notion_lag, seen.postgres_lag),
        last_sync_time: last_sync.map(parts::time),
        last_full_scan_time: seen
            .last_full_scan
            .map(parts::time)
            .or(before.last_full_scan_time),
        progress: seen.progress.clone().filter(|_| running),
    }
}

/// Health in one word: the first line of `design/resource.md` that holds.
///
/// `last_pass` is when a pass last ended, well or not, or was seen at work. The admin API and the
/// metrics call this again at the time they are asked, because a status cannot say that nobody
/// writes it any more.
pub fn health(
    subject: &Subject,
    conditions: &[Condition],
    last_pass: Option<Timestamp>,
    now: Timestamp,
) -> Health {
    let late = |last: Timestamp| now.duration_since(last).unsigned_abs() > subject.interval * 3;
    let webhook_fails =
        subject.webhook_configured && is(conditions, kind::WEBHOOK_VERIFIED, Truth::False);
    let fails = |kind: &str| is(conditions, kind, Truth::False);
    if subject.suspended {
        Health::Suspended
    } else if last_pass.is_none_or(late) {
        Health::Unknown
    } else if !is(conditions, kind::READY, Truth::True) {
        Health::Failing
    } else if webhook_fails
        || fails(kind::SCHEMA_VALID)
        || fails(kind::IN_SYNC)
        || fails(kind::SCAN_COMPLETE)
    {
        Health::Degraded
    } else {
        Health::Healthy
    }
}

fn conditions(
    subject: &Subject,
    seen: &Observation,
    before: &NotionSyncBindingStatus,
    now: Timestamp,
) -> Vec<Condition> {
    let mut list = Builder::new(&before.conditions, subject.generation, now);
    let schema = parts::schema_check(&seen.schema);
    let ready = ready(subject, seen, before, list.old(kind::READY));
    list.set(kind::READY, ready.0, &ready.1, &ready.2);
    if let Some(problem) = &seen.stalled {
        list.set(
            kind::STALLED,
            Truth::True,
            problem.reason.as_str(),
            &problem.remedy,
        );
    } else if seen.scanning && !subject.suspended {
        let text = "A full scan is under way; status.progress says how far it has come.";
        list.set(
            kind::RECONCILING,
            Truth::True,
            Reason::InitialScan.as_str(),
            text,
        );
    }
    let unchecked = match seen.blocker() {
        Some(problem) => Problem::new(
            problem.reason,
            "Cannot be checked before Ready is put right.",
        ),
        None => Problem::new(Reason::InitialScan, "Not checked yet."),
    };
    let reachable = (Reason::Reachable, "Notion answers.");
    list.check(kind::NOTION_REACHABLE, &seen.notion, reachable, &unchecked);
    let reachable = (Reason::Reachable, "Postgres answers.");
    list.check(
        kind::DATABASE_REACHABLE,
        &seen.database,
        reachable,
        &unchecked,
    );
    let valid = (Reason::Valid, "Table, columns and properties fit.");
    list.check(kind::SCHEMA_VALID, &schema, valid, &unchecked);
    let not_configured = Problem::new(
        Reason::NotConfigured,
        "The binding has no spec.webhook: edits are found by polling alone.",
    );
    let verified = (Reason::Verified, "Events arrive and verify.");
    if subject.webhook_configured {
        let waiting = Problem::new(Reason::AwaitingVerification, "No event has verified yet.");
        list.check(kind::WEBHOOK_VERIFIED, &seen.webhook, verified, &waiting);
    } else {
        let check = Check::Unknown(not_configured);
        list.check(kind::WEBHOOK_VERIFIED, &check, verified, &unchecked);
    }
    let not_scanned = Problem::new(Reason::NotScanned, "No complete scan has ended yet.");
    let in_step = (Reason::InSync, "Nothing drifts.");
    let in_sync = seen.report.as_ref().map(parts::in_sync).unwrap_or_default();
    list.check(kind::IN_SYNC, &in_sync, in_step, &not_scanned);
    let complete = (Reason::Complete, "The last complete scan read every page.");
    list.check(kind::SCAN_COMPLETE, &seen.scan, complete, &not_scanned);
    list.finish()
}

/// Status, reason and message of Ready.
fn ready(
    subject: &Subject,
    seen: &Observation,
    before: &NotionSyncBindingStatus,
    old: Option<&Condition>,
) -> (Truth, String, String) {
    let say =
        |truth: Truth, reason: Reason, text: &str| (truth, reason.to_string(), text.to_owned());
    let was = old.map_or(Truth::Unknown, truth_of);
    if subject.suspended {
        let text = "Suspended: events are kept, passes resume with a full scan once spec.suspend is false.";
        return say(was, Reason::Suspended, text);
    }
    if let Some(problem) = seen.blocker() {
        return say(Truth::False, problem.reason, &problem.remedy);
    }
    if let Some(problem) = parts::no_column_left(&seen.schema) {
        return say(Truth::False, problem.reason, &problem.remedy);
    }
    let synced = "The last pass did everything that was due.";
    if seen.pass == PassFact::Done || was == Truth::True {
        return say(Truth::True, Reason::Synced, synced);
    }
    let scanned_before = before.last_sync_time.is_some();
    match old.filter(|old| scanned_before && old.reason != Reason::Suspended.as_str()) {
        Some(old) => (was, old.reason.clone(), old.message.clone()),
        None => say(
            Truth::False,
            Reason::InitialScan,
            "The first scan is under way.",
        ),
    }
}

fn time(time: Option<&Time>) -> Option<Timestamp> {
    time.map(|time| time.0)
}
