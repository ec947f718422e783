//! One reconcile of one binding, stage by stage: what is asked for, open both sides, run the pass,
//! say what came of it, and when to come back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;

use super::asked::Asked;
use super::conditions::Problem;
use super::context::Context;
use super::findings::Findings;
use super::publish::{Publisher, Stage};
use super::schedule::{PROBE_EVERY, Schedule, backoff, jittered};
use super::session::{self, Opened, Session};
use super::watch::binding_ref;
use super::worker::{Memory, Worker};
use super::{relations, resolving, writers};
use crate::api::NotionSyncBinding;
use crate::engine::{Engine, EngineError, PassReport, ScanEnd, ScanProgress, Work};
use crate::notion::Client;
use crate::store::StoreError;
use crate::store::catalog;
use crate::store::patience::answered;
use crate::store::postgres::PostgresBinding;
use crate::sync::identity::BindingRef;
use crate::sync::reason::Reason;

/// Intervals where the schema was not enforced when the object was stored.
pub(super) const DEFAULT_INTERVAL: Duration = Duration::from_mins(5);
const DEFAULT_FULL_SCAN_INTERVAL: Duration = Duration::from_hours(6);
/// How often a long scan shows its progress in status and log.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Brings one binding up to date.
pub async fn reconcile(binding: Arc<NotionSyncBinding>, context: Arc<Context>) -> Action {
    let name = binding_ref(&binding);
    if binding.metadata.deletion_timestamp.is_some() {
        // Nothing needs cleaning up: the claim stays for the binding that may come after.
        return Action::await_change();
    }
    let worker = context.nudges.worker(&name);
    let mut memory = worker.memory.lock().await;
    let asked = Asked::read(&binding, &worker, &memory);
    let mut pass = Pass {
        context: &context,
        binding: &binding,
        name,
        worker: &worker,
        asked,
    };
    pass.run(&mut memory).boxed().await
}

struct Pass<'a> {
    context: &'a Context,
    binding: &'a NotionSyncBinding,
    name: BindingRef,
    worker: &'a Worker,
    asked: Asked,
}

impl Pass<'_> {
    async fn run(&mut self, memory: &mut Memory) -> Action {
        let now = Instant::now();
        if self.binding.spec.suspend {
            return self.suspend(memory).await;
        }
        if let Some(until) = memory.wait_until
            && until > now
            && !self.asked.is_news()
        {
            return Action::requeue(until - now);
        }
        memory.complete_due |= std::mem::take(&mut memory.was_suspended);
        let mut work = self.work(memory, now);
        let opened = if memory.session.is_none() || self.asked.is_news() || work == Work::Complete {
            self.open(memory).await
        } else if work == Work::Incremental {
            self.look_at_table(memory).await
        } else {
            Ok(())
        };
        let opened = match opened {
            Ok(()) => self.look_around(memory).await,
            Err(findings) => Err(findings),
        };
        if let Err(findings) = opened {
            return self.failed(memory, findings).await;
        }
        if work > Work::Events || memory.schedule.is_none() {
            work = work.max(self.first_work(memory).await);
        }
        let passed = match self.capture(memory, work).await {
            Ok(more) => {
                work = work.max(more);
                match self.resolve(memory).await {
                    Ok(()) => self.drive(memory, work).await,
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        };
        match passed {
            Ok(report) => self.done(memory, work, &report).await,
            Err(error) => {
                let mut findings = Findings::default();
                tracing::warn!(binding.namespace = %self.name.namespace,
                    binding.name = %self.name.name, reason = %error.reason(), error = %error,
                    "the pass was stopped");
                tracing::debug!(error = ?error, "the cause of a stopped pass");
                findings.stop(problem_of(&error, memory));
                if matches!(error, EngineError::Store(_)) {
                    memory.session = None;
                }
                self.failed(memory, findings).await
            }
        }
    }

    /// What the clock and the annotations ask for.
    fn work(&self, memory: &Memory, now: Instant) -> Work {
        let clock = memory
            .schedule
            .map_or(Work::Incremental, |schedule| schedule.due(now));
        let asked = if self.asked.complete_requested || memory.complete_due {
            Work::Complete
        } else if self.asked.is_news() || memory.failures > 0 {
            // Edits were missed while the binding failed, and nobody announces them again.
            Work::Incremental
        } else {
            Work::Events
        };
        let away = self.worker.was_database_away();
        clock
            .max(asked)
            .max(if away { Work::Complete } else { Work::Events })
    }

    /// The first pass of a process is complete unless the last one left everything in order, and so
    /// is the first pass with another mapping.
    async fn first_work(&self, memory: &Memory) -> Work {
        let Some(session) = &memory.session else {
            return Work::Events;
        };
        let scanned = self.engine(session).is_scanned().await.unwrap_or(false);
        let in_order = memory.schedule.is_some() || super::publish::was_in_order(self.binding);
        if scanned && in_order {
            Work::Events
        } else {
            Work::Complete
        }
    }

    /// Keeps change capture in place. Where it was not continuous, or the table was emptied, only a
    /// complete pass from the start makes up for it.
    async fn capture(&self, memory: &mut Memory, work: Work) -> Result<Work, StoreError> {
        let Some(session) = memory.session.as_ref().filter(|_| work > Work::Events) else {
            return Ok(Work::Events);
        };
        let seen = session.store.ensure_capture().await?;
        let is_news = seen != memory.capture;
        memory.capture = seen;
        if !(seen.gap || seen.truncated || seen.replaced) {
            return Ok(Work::Events);
        }
        if is_news {
            memory.scan = None;
        }
        Ok(Work::Complete)
    }

    /// Notes what a person decided about conflicts.
    async fn resolve(&self, memory: &Memory) -> Result<(), StoreError> {
        let (Some(session), Some(text)) = (&memory.session, &self.asked.resolve) else {
            return Ok(());
        };
        let decided = session.store.resolve(&resolving::parse(text)).await?;
        tracing::info!(binding.namespace = %self.name.namespace, binding.name = %self.name.name,
            conflicts.decided = decided, "conflicts were decided by annotation");
        Ok(())
    }

    /// Closes the gap of capture that the pass made up for. What cannot be noted now makes the next
    /// pass complete again.
    async fn compared(&self, memory: &Memory) {
        let Some(session) = &memory.session else {
            return;
        };
        if let Err(error) = session.store.compared(&memory.capture).await {
            tracing::debug!(error = ?error, "a gap of change capture cannot be closed now");
        }
    }

    async fn suspend(&self, memory: &mut Memory) -> Action {
        memory.session = None;
        memory.scan = None;
        memory.wait_until = None;
        memory.was_suspended = true;
        memory.generation = self.binding.metadata.generation;
        memory.receipts = self.asked.receipts.clone();
        self.publish(memory, Stage::Suspended).await;
        Action::await_change()
    }

    /// Opens both sides anew.
    async fn open(&self, memory: &mut Memory) -> Result<(), Findings> {
        memory.session = None;
        let Opened {
            session,
            findings,
            renamed,
            table_replaced,
        } = session::open(self.context, self.binding, &self.asked.repin).await;
        memory.complete_due |= table_replaced;
        self.publisher().renamed(&renamed).await;
        if self.asked.spec_changed {
            self.tell_competitors();
        }
        match session {
            Some(session) => {
                memory.session = Some(session);
                Ok(())
            }
            None => Err(findings),
        }
    }

    /// Bindings that write to the same data source look again who writes what.
    fn tell_competitors(&self) {
        for other in self.context.bindings.state() {
            if writers::compete(self.binding, &other) {
                let name = binding_ref(&other);
                self.context.nudges.worker(&name).holder_changed();
                self.context.nudges.start(&name);
            }
        }
    }

    /// Makes sure that no older binding writes the same properties by now, and that mapped relations
    /// still show what they hold: a target that is no longer shared makes them look empty.
    async fn look_around(&self, memory: &mut Memory) -> Result<(), Findings> {
        let Some(session) = &memory.session else {
            return Ok(());
        };
        let mut findings = Findings::default();
        let others = self.context.bindings.state();
        if let Some(problem) = writers::elsewhere(self.binding, &session.plan, &others) {
            memory.session = None;
            findings.stop(problem);
            return Err(findings);
        }
        match relations::answer(&session.notion, &session.relations).await {
            Ok(true) => Ok(()),
            Ok(false) => self.open(memory).await,
            Err(problem) => {
                findings.stop(problem);
                Err(findings)
            }
        }
    }

    /// Makes sure that the table is still the one that was inspected; another one is opened anew.
    async fn look_at_table(&self, memory: &mut Memory) -> Result<(), Findings> {
        let Some(session) = &memory.session else {
            return self.open(memory).await;
        };
        let seen = answered(catalog::inspect(&session.pool, &session.plan.binding)).await;
        let stopped = !session.plan.stopped.is_empty() || !session.notices.is_empty();
        let unaudited = session.store.audit_problem().await.is_some();
        match seen {
            // A column or property that was stopped may be right by now.
            Ok(table) if table == session.table && !stopped && !unaudited => Ok(()),
            _ => self.open(memory).await,
        }
    }

    fn engine<'s>(&'s self, session: &'s Session) -> Engine<'s, Client, PostgresBinding> {
        Engine::new(
            &*session.notion,
            &session.store,
            &session.plan,
            &self.worker.signals,
            Timestamp::now,
        )
    }

    /// Runs the pass and shows its progress meanwhile.
    async fn drive(&self, memory: &mut Memory, work: Work) -> Result<PassReport, EngineError> {
        let Some(session) = memory.session.take() else {
            return Ok(PassReport::default());
        };
        let mut scan = memory.scan.take();
        if work == Work::Complete {
            let stage = self.scanning(None);
            self.publisher()
                .publish(memory, Some(&session), &self.asked.receipts, stage)
                .await;
        }
        let engine = self.engine(&session);
        let outcome = {
            let mut pass = engine.run(work, &mut scan).boxed();
            let mut ticks = tokio::time::interval_at(
                tokio::time::Instant::now() + PROGRESS_EVERY,
                PROGRESS_EVERY,
            );
            loop {
                tokio::select! {
                    outcome = &mut pass => break outcome,
                    _ = ticks.tick() => {
                        self.context.vitals.beat();
                        let progress = *self.worker.signals.progress.borrow();
                        if let Some(progress) = progress {
                            let stage = self.scanning(Some(progress));
                            let asked = &self.asked.receipts;
                            self.publisher().publish(memory, Some(&session), asked, stage).await;
                            log_progress(&self.name, progress);
                        }
                    }
                }
            }
        };
        memory.scan = scan;
        memory.session = Some(session);
        outcome
    }

    /// A pass that ended well: its times, its receipts, and what it asks for next.
    async fn done(&self, memory: &mut Memory, work: Work, report: &PassReport) -> Action {
        let now = Instant::now();
        let spec = &self.binding.spec;
        let uid = self.binding.uid().unwrap_or_default();
        let interval = jittered(spec.interval().unwrap_or(DEFAULT_INTERVAL), &uid);
        let complete_interval = jittered(
            spec.full_scan_interval()
                .unwrap_or(DEFAULT_FULL_SCAN_INTERVAL),
            &uid,
        );
        let before = memory.schedule;
        memory.schedule = Some(Schedule {
            next_incremental: match (work, before) {
                // What an event says of the schema may concern every page (seed row S4).
                (Work::Events, Some(_)) if report.incremental_due => Some(now),
                (Work::Events, Some(before)) => before.next_incremental,
                _ => Some(now + interval),
            },
            next_complete: match (work, before) {
                (Work::Complete, _) | (_, None) => Some(now + complete_interval),
                (_, Some(before)) => before.next_complete,
            },
        });
        if work == Work::Complete {
            memory.complete_due = false;
            self.worker.database_is_back();
        }
        if report.scan == Some(ScanEnd::Complete) {
            self.compared(memory).await;
        }
        memory.complete_due |= report.complete_scan_due;
        memory.failures = 0;
        memory.wait_until = None;
        memory.generation = self.binding.metadata.generation;
        memory.receipts = self.asked.receipts.clone();
        memory.last_sync = Some(Timestamp::now());
        if let Some(edit) = report
            .unannounced_edit
            .filter(|_| work == Work::Incremental)
        {
            memory.unannounced.get_or_insert((edit, now));
        }
        log_pass(&self.name, work, report);
        self.publish(memory, Stage::Done { report }).await;
        let reopen = report.schema_check_due;
        if reopen {
            memory.session = None;
        }
        if report.scan == Some(ScanEnd::TooDense) {
            // Reading it again at once would find the same.
            memory.complete_due = false;
        }
        let soon = reopen || memory.complete_due;
        let wait = memory
            .schedule
            .map_or(PROBE_EVERY, |schedule| schedule.wait(Instant::now()));
        let wait = wait.min(self.next_look(report));
        Action::requeue(if soon {
            Duration::from_secs(1).min(wait)
        } else {
            wait
        })
    }

    /// How long until what this pass left open is looked at again.
    fn next_look(&self, report: &PassReport) -> Duration {
        let until = |when: Timestamp| {
            let wait = Duration::try_from(when.duration_since(Timestamp::now()));
            wait.unwrap_or_default() + Duration::from_millis(100)
        };
        let judged = report.come_back.map_or(Duration::MAX, until);
        let again = if report.leaves_changes() {
            judged.min(PROBE_EVERY)
        } else {
            judged
        };
        let left = report.leaves_changes().then(|| Instant::now() + again);
        self.worker.leave_changes(left);
        again
    }

    /// A binding that could not be opened, or a pass that was stopped.
    async fn failed(&self, memory: &mut Memory, findings: Findings) -> Action {
        memory.failures = memory.failures.saturating_add(1);
        log_failure(&self.name, &findings, memory.failures);
        let wait = if findings.waits_for_a_side() {
            PROBE_EVERY
        } else {
            backoff(memory.failures)
        };
        memory.wait_until = Some(Instant::now() + wait);
        memory.generation = self.binding.metadata.generation;
        // What was asked for stays due without asking again, or every nudge would cut the wait short.
        memory.complete_due |= self.asked.complete_requested;
        memory.receipts.requested_at = self.asked.receipts.requested_at.clone();
        memory.receipts.full_scan_requested_at = self.asked.receipts.full_scan_requested_at.clone();
        if findings.database.is_some() {
            self.worker.database_was_away();
        }
        memory.complete_due |= memory.scan.is_some();
        self.publish(
            memory,
            Stage::Failed {
                findings: &findings,
            },
        )
        .await;
        let waits_for_another = |problem: &Problem| {
            matches!(
                problem.reason,
                Reason::TableAlreadyBound | Reason::PropertyAlreadyWritten
            )
        };
        if (findings.spec.as_ref()).is_some_and(|problem| !waits_for_another(problem)) {
            return Action::await_change();
        }
        Action::requeue(wait)
    }

    const fn scanning(&self, progress: Option<ScanProgress>) -> Stage<'static> {
        Stage::Scanning {
            requested: self.asked.complete_requested,
            progress,
        }
    }

    async fn publish(&self, memory: &mut Memory, stage: Stage<'_>) {
        let session = memory.session.take();
        self.publisher()
            .publish(memory, session.as_ref(), &self.asked.receipts, stage)
            .await;
        memory.session = session;
    }

    fn publisher(&self) -> Publisher<'_> {
        Publisher::new(self.context, self.binding, &self.name)
    }
}

fn problem_of(error: &EngineError, memory: &Memory) -> Problem {
    match error {
        EngineError::Notion(error) => {
            let source = memory
                .session
                .as_ref()
                .map(|session| session.plan.data_source);
            let object = source.map_or_else(String::new, |id| format!("data source {id}"));
            Problem::of_notion(error, &object)
        }
        EngineError::Store(error) => Problem::of_store(error),
    }
}

fn log_progress(name: &BindingRef, progress: ScanProgress) {
    tracing::info!(
        binding.namespace = %name.namespace,
        binding.name = %name.name,
        pages.done = progress.done,
        pages.total = progress.total,
        "the scan goes on"
    );
}

/// The first failure in a row is news; that it goes on stands in status.
fn log_failure(name: &BindingRef, findings: &Findings, failures: u32) {
    if let Some(problem) = findings.stopping().filter(|_| failures == 1) {
        tracing::warn!(
            binding.namespace = %name.namespace,
            binding.name = %name.name,
            reason = %problem.reason,
            remedy = problem.remedy,
            "the binding cannot be synced"
        );
    }
}

fn log_pass(name: &BindingRef, work: Work, report: &PassReport) {
    if work == Work::Events && report.is_idle() {
        return;
    }
    tracing::info!(
        binding.namespace = %name.namespace,
        binding.name = %name.name,
        pass.work = ?work,
        pages.read = report.pages_read,
        rows.written = report.rows_written,
        fields.written = report.fields_written,
        fields.sent = report.fields_sent,
        events.settled = report.events_settled,
        "the pass ended"
    );
}
