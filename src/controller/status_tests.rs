//! Every combination of findings, judged by the rules of `kstatus`, of conditions and of health.

use std::time::Duration;

use jiff::Timestamp;

use super::conditions::{Check, Problem, Truth, find, is, kind};
use super::status::*;
use crate::api::status::{Health, NotionSyncBindingStatus};
use crate::sync::drift::{Discrepancy, DriftCounts, DriftKind, DriftReport};
use crate::sync::identity::RowKey;
use crate::sync::mapping::StoppedField;
use crate::sync::reason::Reason;

const NOW: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn subject(suspended: bool, webhook_configured: bool) -> Subject {
    Subject {
        generation: 7,
        suspended,
        webhook_configured,
        webhook_path: "/api/webhooks/notion/a/b".to_owned(),
        interval: Duration::from_mins(1),
    }
}

fn problem(reason: Reason) -> Problem {
    Problem::new(reason, format!("remedy of {reason}"))
}

fn checks(reason: Reason) -> [Check; 3] {
    [
        Check::Unchecked,
        Check::Passed,
        Check::Failed(problem(reason)),
    ]
}

fn schemas() -> Vec<SchemaCheck> {
    let stopped = vec![StoppedField {
        column: "status".to_owned(),
        reason: Reason::PropertyMissing,
        remedy: "put it back".to_owned(),
    }];
    let resolved = |working, stopped, notices| SchemaCheck::Resolved {
        working,
        stopped,
        notices,
    };
    vec![
        SchemaCheck::Unchecked,
        SchemaCheck::Failed(problem(Reason::TableNotFound)),
        resolved(2, vec![], vec![]),
        resolved(1, stopped.clone(), vec![]),
        resolved(0, stopped, vec![]),
        resolved(2, vec![], vec![problem(Reason::AuditTableInvalid)]),
    ]
}

fn reports() -> Vec<Option<DriftReport>> {
    let report = |drift| {
        Some(DriftReport {
            drift,
            ..Default::default()
        })
    };
    vec![
        None,
        report(DriftCounts {
            orphaned_pages: 4,
            unlinked_rows: 2,
            ..Default::default()
        }),
        report(DriftCounts {
            mismatched: 1,
            conflicts: 1,
            ..Default::default()
        }),
    ]
}

fn passes() -> [PassFact; 4] {
    [
        PassFact::None,
        PassFact::Running,
        PassFact::Done,
        PassFact::Failed(problem(Reason::ScanAborted)),
    ]
}

/// Every observation that differs in something that matters to a condition.
fn observations() -> Vec<Observation> {
    let mut all = Vec::new();
    let stalls = [None, Some(problem(Reason::TableAlreadyBound))];
    let flags = [false, true];
    for stalled in &stalls {
        for notion in checks(Reason::NotionTokenMissing) {
            for database in checks(Reason::DatabaseUnavailable) {
                for schema in schemas() {
                    for pass in passes() {
                        for scanning in flags {
                            for report in reports() {
                                all.push(Observation {
                                    stalled: stalled.clone(),
                                    notion: notion.clone(),
                                    database: database.clone(),
                                    schema: schema.clone(),
                                    pass: pass.clone(),
                                    scanning,
                                    report,
                                    ..Default::default()
                                });
                            }
                        }
                    }
                }
            }
        }
    }
    all
}

/// Statuses that an observation may meet.
fn pasts() -> Vec<Option<NotionSyncBindingStatus>> {
    let good = Observation {
        notion: Check::Passed,
        database: Check::Passed,
        schema: SchemaCheck::Resolved {
            working: 2,
            stopped: vec![],
            notices: vec![],
        },
        webhook: Check::Passed,
        scan: Check::Passed,
        pass: PassFact::Done,
        last_sync: Some(at(NOW - 30)),
        report: Some(DriftReport::default()),
        ..Default::default()
    };
    let bad = Observation {
        notion: Check::Failed(problem(Reason::NotionUnauthorized)),
        ..good.clone()
    };
    let asleep = subject(true, true);
    let awake = subject(false, true);
    let healthy = compute(&awake, &good, None, at(NOW - 30));
    vec![
        None,
        Some(compute(&awake, &bad, None, at(NOW - 30))),
        Some(compute(
            &asleep,
            &Observation::default(),
            Some(&healthy),
            at(NOW - 20),
        )),
        Some(healthy),
    ]
}

#[derive(Debug, PartialEq)]
enum Kstatus {
    InProgress,
    Failed,
    Current,
}

/// The library's own order of evaluation, for an object that is not being deleted.
fn kstatus(status: &NotionSyncBindingStatus, generation: i64) -> Kstatus {
    let conditions = &status.conditions;
    if status.observed_generation != Some(generation)
        || is(conditions, kind::RECONCILING, Truth::True)
    {
        Kstatus::InProgress
    } else if is(conditions, kind::STALLED, Truth::True) {
        Kstatus::Failed
    } else if is(conditions, kind::READY, Truth::True) {
        Kstatus::Current
    } else {
        Kstatus::InProgress
    }
}

fn every(
    mut judge: impl FnMut(
        &Subject,
        &Observation,
        Option<&NotionSyncBindingStatus>,
        &NotionSyncBindingStatus,
    ),
) {
    let pasts = pasts();
    for seen in observations() {
        for past in &pasts {
            for suspended in [false, true] {
                let subject = subject(suspended, true);
                let status = compute(&subject, &seen, past.as_ref(), at(NOW));
                judge(&subject, &seen, past.as_ref(), &status);
            }
        }
    }
}

#[test]
fn kstatus_tells_the_truth() {
    every(|subject, seen, _, status| {
        let expected = if seen.stalled.is_some() {
            Kstatus::Failed
        } else if seen.scanning && !subject.suspended {
            Kstatus::InProgress
        } else if is(&status.conditions, kind::READY, Truth::True) {
            Kstatus::Current
        } else {
            Kstatus::InProgress
        };
        assert_eq!(kstatus(status, 7), expected, "{seen:?}");
    });
}

#[test]
fn every_condition_is_there_and_well_formed() {
    let always = [
        kind::READY,
        kind::NOTION_REACHABLE,
        kind::DATABASE_REACHABLE,
        kind::SCHEMA_VALID,
        kind::WEBHOOK_VERIFIED,
        kind::IN_SYNC,
        kind::SCAN_COMPLETE,
    ];
    every(|_, seen, past, status| {
        for name in always {
            assert!(find(&status.conditions, name).is_some(), "{name}: {seen:?}");
        }
        for condition in &status.conditions {
            assert!(!condition.reason.is_empty() && !condition.message.is_empty());
            assert!(matches!(&*condition.status, "True" | "False" | "Unknown"));
            assert_eq!(condition.observed_generation, Some(7));
            let old = past.and_then(|past| find(&past.conditions, &condition.type_));
            let moved = old.is_none_or(|old| old.status != condition.status);
            let since = condition.last_transition_time.0;
            assert_eq!(moved, since == at(NOW), "{condition:?}");
        }
        let abnormal = [kind::RECONCILING, kind::STALLED];
        for condition in status
            .conditions
            .iter()
            .filter(|c| abnormal.contains(&&*c.type_))
        {
            assert_eq!(condition.status, "True");
        }
        let mut names: Vec<_> = status.conditions.iter().map(|c| &c.type_).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), status.conditions.len());
    });
}

#[test]
fn health_is_the_first_line_that_holds() {
    every(|subject, seen, past, status| {
        let ready = is(&status.conditions, kind::READY, Truth::True);
        let never =
            past.is_none() && !matches!(seen.pass, PassFact::Done) && seen.blocker().is_none();
        let worn = [
            kind::SCHEMA_VALID,
            kind::IN_SYNC,
            kind::SCAN_COMPLETE,
            kind::WEBHOOK_VERIFIED,
        ]
        .iter()
        .any(|name| is(&status.conditions, name, Truth::False));
        let expected = match (subject.suspended, never, ready, worn) {
            (true, ..) => Health::Suspended,
            (_, true, ..) => Health::Unknown,
            (_, _, false, _) => Health::Failing,
            (_, _, _, true) => Health::Degraded,
            _ => Health::Healthy,
        };
        assert_eq!(status.health, Some(expected), "{seen:?} after {past:?}");
    });
}

#[test]
fn drift_never_makes_ready_false() {
    every(|_, seen, past, status| {
        let with_drift = Observation {
            report: reports()[2].clone(),
            ..seen.clone()
        };
        let subject = subject(status.health == Some(Health::Suspended), true);
        let drifting = compute(&subject, &with_drift, past, at(NOW));
        let ready =
            |status: &NotionSyncBindingStatus| find(&status.conditions, kind::READY).cloned();
        assert_eq!(ready(&drifting), ready(status));
    });
}

#[test]
fn a_second_visit_that_sees_the_same_changes_nothing() {
    every(|subject, seen, _, status| {
        let again = compute(subject, seen, Some(status), at(NOW + 5));
        if seen.pass == PassFact::Done {
            assert_eq!(again.conditions, status.conditions, "{seen:?}");
        }
    });
}

#[test]
fn silence_of_three_intervals_is_unknown() {
    let healthy = pasts().pop().flatten();
    let subject = subject(false, true);
    let quiet = Observation::default();
    let after =
        |seconds| compute(&subject, &quiet, healthy.as_ref(), at(NOW - 30 + seconds)).health;
    assert_eq!(after(180), Some(Health::Healthy));
    assert_eq!(after(181), Some(Health::Unknown));
}

#[test]
fn a_binding_without_webhook_is_not_degraded_by_it() {
    let healthy = pasts().pop().flatten().unwrap();
    let status = compute(
        &subject(false, false),
        &Observation::default(),
        Some(&healthy),
        at(NOW),
    );
    let webhook = find(&status.conditions, kind::WEBHOOK_VERIFIED).unwrap();
    assert_eq!(
        (&*webhook.status, &*webhook.reason),
        ("Unknown", "NotConfigured")
    );
    assert_eq!(status.health, Some(Health::Healthy));
    assert_eq!(status.webhook, None);
}

#[test]
fn suspension_keeps_ready_and_resuming_ends_it() {
    let pasts = pasts();
    let suspended = pasts[2].as_ref().unwrap();
    let ready = find(&suspended.conditions, kind::READY).unwrap();
    assert_eq!((&*ready.status, &*ready.reason), ("True", "Suspended"));
    let running = Observation {
        pass: PassFact::Running,
        ..Default::default()
    };
    let resumed = compute(&subject(false, true), &running, Some(suspended), at(NOW));
    let ready = find(&resumed.conditions, kind::READY).unwrap();
    assert_eq!((&*ready.status, &*ready.reason), ("True", "Synced"));
    let fresh = compute(&subject(true, true), &running, None, at(NOW));
    let ready = find(&fresh.conditions, kind::READY).unwrap();
    assert_eq!((&*ready.status, &*ready.reason), ("Unknown", "Suspended"));
}

#[test]
fn status_shows_keys_and_no_values() {
    let found = Discrepancy {
        kind: DriftKind::Mismatch,
        page_id: None,
        row_key: Some(RowKey(vec!["canary@example.org".to_owned()])),
        column: Some("status".to_owned()),
        property: None,
        reason: None,
        notion: Some("canary".into()),
        postgres: Some("canary".into()),
    };
    let report = DriftReport {
        drift: DriftCounts {
            mismatched: 20,
            ..Default::default()
        },
        samples: vec![found; 20],
        ..Default::default()
    };
    let seen = Observation {
        report: Some(report),
        ..Default::default()
    };
    let status = compute(&subject(false, true), &seen, None, at(NOW));
    let text = serde_json::to_string(&status).unwrap();
    assert!(!text.contains("canary"), "{text}");
    assert_eq!(status.drift.unwrap().samples.len(), 10);
    let in_sync = find(&status.conditions, kind::IN_SYNC).unwrap();
    assert_eq!(&*in_sync.reason, "DriftFound");
}
