//! Says what came of a pass: status, events and the binding's metrics, all from one observation.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;

use super::conditions::{self, Check, Problem, Truth, kind};
use super::context::Context;
use super::events::{self, Notice};
use super::findings::Findings;
use super::session::Session;
use super::status::{Observation, PassFact, SchemaCheck, Subject, compute};
use super::status_writer::{IDLE_WRITE, StatusWriter, Target, Written};
use super::webhook_check;
use super::worker::{Memory, Receipts};
use crate::api::status::{Health, ProgressStatus};
use crate::api::{NotionSyncBinding, NotionSyncBindingStatus};
use crate::engine::{PassReport, ScanEnd, ScanProgress};
use crate::metrics::{DriftLabels, HealthLabels, LagLabels, Metrics};
use crate::store::{BindingStore, ChangeStore};
use crate::sync::drift::{DriftCounts, DriftKind};
use crate::sync::identity::BindingRef;
use crate::sync::reason::Reason;
use crate::sync::schema::Rename;

/// Where a pass is when something is to be said.
#[derive(Debug, Clone, Copy)]
pub enum Stage<'a> {
    /// `spec.suspend` is set.
    Suspended,
    /// A complete scan begins, or goes on.
    Scanning {
        /// A person asked for it.
        requested: bool,
        /// How far it has come.
        progress: Option<ScanProgress>,
    },
    /// The pass ended well.
    Done {
        /// What it did.
        report: &'a PassReport,
    },
    /// The binding could not be opened, or the pass was stopped.
    Failed {
        /// Why.
        findings: &'a Findings,
    },
}

/// Speaks for one binding.
pub struct Publisher<'a> {
    context: &'a Context,
    binding: &'a NotionSyncBinding,
    name: &'a BindingRef,
}

impl<'a> Publisher<'a> {
    /// A publisher for this binding.
    pub const fn new(
        context: &'a Context,
        binding: &'a NotionSyncBinding,
        name: &'a BindingRef,
    ) -> Self {
        Self {
            context,
            binding,
            name,
        }
    }

    /// Writes status where it is worth a write, publishes transitions, sets the gauges. A failure
    /// to write is logged and made up for by the next pass.
    pub async fn publish(
        &self,
        memory: &mut Memory,
        session: Option<&Session>,
        asked: &Receipts,
        stage: Stage<'_>,
    ) {
        let seen = self.observe(memory, session, asked, stage).await;
        let subject = subject(self.binding);
        let target = self.target();
        let now = Timestamp::now();
        let written = StatusWriter::new(self.context.kube.clone())
            .write(&target, subject.interval, |old| {
                compute(&subject, &seen, old, now)
            })
            .await;
        match written {
            Ok(Written::Patched { old, new }) => {
                let notices = events::transitions(&old.conditions, &new.conditions);
                self.context.events.publish(&target, &notices).await;
                self.gauge(&new, &seen);
            }
            Ok(Written::Unchanged(new)) => self.gauge(&new, &seen),
            Ok(Written::Gone) => {}
            Err(error) => tracing::warn!(binding.namespace = %self.name.namespace,
                binding.name = %self.name.name, error = %error, "status could not be written"),
        }
    }

    /// Publishes that properties were renamed, and that the rename was followed.
    pub async fn renamed(&self, renamed: &[Rename]) {
        let notices: Vec<Notice> = renamed
            .iter()
            .map(|rename| Notice::property_renamed(&rename.column, &rename.from, &rename.to))
            .collect();
        self.context.events.publish(&self.target(), &notices).await;
    }

    fn target(&self) -> Target {
        Target {
            namespace: self.name.namespace.clone(),
            name: self.name.name.clone(),
            uid: self.binding.uid().unwrap_or_default(),
        }
    }

    async fn observe(
        &self,
        memory: &mut Memory,
        session: Option<&Session>,
        asked: &Receipts,
        stage: Stage<'_>,
    ) -> Observation {
        let mut seen = Observation {
            last_sync: memory.last_sync,
            ..Observation::default()
        };
        if let Some(session) = session {
            self.observe_session(session, &mut seen).await;
        }
        match stage {
            Stage::Suspended => return seen,
            Stage::Scanning {
                requested,
                progress,
            } => {
                seen.pass = PassFact::Running;
                // The first of the binding, not of this process.
                let status = self.binding.status.as_ref();
                let synced = status.is_some_and(|status| status.last_sync_time.is_some());
                seen.scanning = requested || (memory.last_sync.is_none() && !synced);
                seen.progress = progress.map(shown_progress);
            }
            Stage::Done { report } => {
                seen.pass = PassFact::Done;
                seen.handled_reconcile.clone_from(&asked.requested_at);
                seen.handled_resolve.clone_from(&asked.resolve);
                seen.scan = match report.scan {
                    None => Check::Unchecked,
                    Some(ScanEnd::Complete) => Check::Passed,
                    Some(ScanEnd::TooDense) => Check::Failed(too_dense()),
                };
                if report.scan.is_some() {
                    seen.last_full_scan = Some(Timestamp::now());
                    seen.handled_full_scan
                        .clone_from(&asked.full_scan_requested_at);
                }
            }
            Stage::Failed { findings } => {
                seen.handled_reconcile.clone_from(&asked.requested_at);
                Self::observe_failure(findings, &mut seen);
                if memory.scan.is_some() {
                    let text = "The scan ended early; the next pass goes on where it was.";
                    seen.scan = Check::Failed(Problem::new(Reason::ScanAborted, text));
                }
            }
        }
        let inbox = session.and_then(|_| self.context.inboxes.of(self.name));
        webhook_check::observe(
            self.context,
            self.binding,
            self.name,
            inbox,
            memory,
            &mut seen,
        )
        .await;
        seen
    }

    /// What an open session shows: both sides answer, and these columns work.
    async fn observe_session(&self, session: &Session, seen: &mut Observation) {
        seen.notion = Check::Passed;
        seen.database = Check::Passed;
        let audit = session.store.audit_problem().await;
        let notice = audit.map(|remedy| Problem::new(Reason::AuditTableInvalid, remedy));
        seen.schema = SchemaCheck::Resolved {
            working: session.plan.fields.len(),
            stopped: session.plan.stopped.clone(),
            notices: session.notices.iter().cloned().chain(notice).collect(),
        };
        seen.key_is_plain = session.plan.key_is_plain;
        let source = session.plan.data_source;
        seen.resolved = Some((source, session.title.clone(), session.pinned.clone()));
        match session.store.report().await {
            Ok(report) => seen.report = Some(report),
            Err(error) => {
                tracing::debug!(error = ?error, "the drift report cannot be read");
                return;
            }
        }
        if let Ok(Some(oldest)) = session.store.oldest_event().await {
            seen.notion_lag = Some(age(oldest));
        }
        if let Ok(Some(oldest)) = session.store.oldest_change().await {
            seen.postgres_lag = Some(age(oldest));
        }
    }

    fn observe_failure(findings: &Findings, seen: &mut Observation) {
        seen.stalled.clone_from(&findings.spec);
        let check = |problem: &Option<Problem>, reached: bool| match problem {
            Some(problem) => Check::Failed(problem.clone()),
            None if reached => Check::Passed,
            None => Check::Unchecked,
        };
        seen.notion = check(&findings.notion, findings.notion_reached);
        seen.database = check(&findings.database, findings.database_reached);
        if let Some(problem) = findings.schema.first().filter(|_| findings.schema_stops) {
            seen.schema = SchemaCheck::Failed(problem.clone());
        }
        if let Some(problem) = &findings.internal {
            seen.pass = PassFact::Failed(problem.clone());
        }
    }

    fn gauge(&self, status: &NotionSyncBindingStatus, seen: &Observation) {
        if self.context.find(self.name).is_none() {
            return;
        }
        let BindingRef { namespace, name } = self.name;
        let metrics = &self.context.metrics;
        for health in Health::ALL {
            let is = status.health == Some(health);
            let labels = HealthLabels::new(namespace, name, health.as_str());
            metrics
                .binding_health
                .get_or_create(&labels)
                .set(i64::from(is));
        }
        if let Some(report) = &seen.report {
            for (kind, count) in report.drift.by_kind() {
                let labels = DriftLabels::new(namespace, name, DriftKind::as_str(kind));
                metrics.binding_drift.get_or_create(&labels).set(count);
            }
        }
        for (side, lag) in [(SIDES[0], seen.notion_lag), (SIDES[1], seen.postgres_lag)] {
            metrics
                .binding_lag_seconds
                .get_or_create(&LagLabels::new(namespace, name, side))
                .set(lag.unwrap_or_default().as_secs_f64());
        }
    }
}

/// The sides, as metrics and audit rows spell them.
const SIDES: [&str; 2] = ["Notion", "Postgres"];

fn age(since: Timestamp) -> Duration {
    let age = Timestamp::now().duration_since(since);
    Duration::try_from(age).unwrap_or_default()
}

/// Forgets the gauges of a binding that is gone.
pub fn forget_gauges(metrics: &Metrics, binding: &BindingRef) {
    let BindingRef { namespace, name } = binding;
    for health in Health::ALL {
        let labels = HealthLabels::new(namespace, name, health.as_str());
        metrics.binding_health.remove(&labels);
    }
    for (kind, _) in DriftCounts::default().by_kind() {
        let labels = DriftLabels::new(namespace, name, DriftKind::as_str(kind));
        metrics.binding_drift.remove(&labels);
    }
    for side in SIDES {
        let labels = LagLabels::new(namespace, name, side);
        metrics.binding_lag_seconds.remove(&labels);
    }
}

/// The health of a binding at this moment: a status cannot say that nobody writes it any more.
pub fn health_now(binding: &NotionSyncBinding) -> Health {
    let status = binding.status.as_ref();
    let conditions = status
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let last = status
        .and_then(|status| status.last_sync_time.as_ref())
        .map(|time| time.0);
    let now = Timestamp::now();
    let shown = status
        .and_then(|status| status.health)
        .unwrap_or(Health::Unknown);
    let mut subject = subject(binding);
    // While nothing changes, status is this much behind the passes.
    subject.interval += subject.interval.max(IDLE_WRITE) / 3;
    let current = super::status::health(&subject, conditions, last, now);
    if current == Health::Unknown && shown == Health::Failing {
        shown
    } else {
        current
    }
}

fn subject(binding: &NotionSyncBinding) -> Subject {
    let spec = &binding.spec;
    Subject {
        generation: binding.metadata.generation.unwrap_or_default(),
        suspended: spec.suspend,
        webhook_configured: spec.webhook.is_some(),
        webhook_path: binding.webhook_path(),
        interval: spec
            .interval()
            .unwrap_or(super::reconcile::DEFAULT_INTERVAL),
    }
}

/// Whether the last pass, by whatever process, left the binding so that an incremental pass can go
/// on from it.
pub fn was_in_order(binding: &NotionSyncBinding) -> bool {
    let Some(status) = &binding.status else {
        return false;
    };
    // Resuming starts with a complete pass, also where the process was another one meanwhile.
    status.health != Some(Health::Suspended)
        && conditions::is(&status.conditions, kind::DATABASE_REACHABLE, Truth::True)
        && conditions::is(&status.conditions, kind::SCAN_COMPLETE, Truth::True)
}

fn too_dense() -> Problem {
    let text = "More pages share a creation and an edit minute than one query returns: what was read \
                is used, and no page counts as missing.";
    Problem::new(Reason::WindowTooDense, text)
}

fn shown_progress(progress: ScanProgress) -> ProgressStatus {
    ProgressStatus {
        phase: "Scan".to_owned(),
        done: i64::try_from(progress.done).unwrap_or(i64::MAX),
        total: progress.total.and_then(|total| i64::try_from(total).ok()),
    }
}
