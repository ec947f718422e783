//! The complete scan: every page, every row, and what is missing on either side.

use std::collections::HashSet;
use std::future::Future;
use std::pin::{Pin, pin};

use jiff::Timestamp;

use super::pages::Sighting;
use super::{
    Engine, EngineError, Notion, PassReport, ScanEnd, ScanProgress, Store, mapping_digest,
};
use crate::notion::{Lane, NotionError, QueryPage};
use crate::store::Progress;
use crate::sync::identity::PageId;
use crate::sync::page::PageSnapshot;
use crate::sync::window::{Answer, Scan, Step, watermark};

/// How often a pass starts a window again after a refused cursor, before it gives up.
pub(super) const MAX_RESTARTS: u32 = 5;

/// The place of a complete scan. It outlives a pass that was aborted.
#[derive(Debug, Default)]
pub struct ScanState {
    scan: Scan,
    seen: HashSet<PageId>,
    /// The server's `Date` of the first answer (our clock if it had none), and our clock when the
    /// scan began.
    first_answer: Option<Timestamp>,
    started: Option<Timestamp>,
    restarts: u32,
    mapping: String,
    /// The batch that is being handled, and the place before it: a pass that ends in between has
    /// seen these pages and not acted on them.
    unhandled: Option<(Scan, Vec<PageId>)>,
}

impl<N: Notion, S: Store> Engine<'_, N, S> {
    /// Reads everything, then settles what was not seen.
    pub(super) async fn scan(
        &self,
        progress: Progress,
        kept: &mut Option<ScanState>,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        let mapping = mapping_digest(&self.fingerprint);
        // A scan under another mapping proves nothing about this one.
        let fresh = || ScanState {
            mapping: mapping.clone(),
            ..ScanState::default()
        };
        let state = kept
            .take()
            .filter(|state| state.mapping == mapping)
            .unwrap_or_else(fresh);
        let state = kept.insert(state);
        state.step_back();
        // A cursor that was kept from an aborted pass may be refused for its age alone.
        state.restarts = 0;
        state.started.get_or_insert_with(|| self.now());
        let total = self.store.report().await?.counts.pages;
        let total = u64::try_from(total).ok().filter(|total| *total > 0);
        let step = self.read_all(state, total, report).await?;
        let complete = step == Step::Complete;
        if complete {
            self.settle_absent(&state.seen, report).await?;
        }
        self.store.count_table().await?;
        report.scan = Some(if complete {
            ScanEnd::Complete
        } else {
            ScanEnd::TooDense
        });
        let now = self.now();
        let next = if complete {
            Progress {
                watermark: Some(watermark(state.first_answer, state.started.unwrap_or(now))),
                last_full_scan: Some(now),
                scanned_mapping: Some(mapping),
            }
        } else {
            progress
        };
        *kept = None;
        self.signals.progress.send_replace(None);
        self.save(&next).await
    }

    /// Walks the windows. The next answer is asked for while the last one is being handled.
    async fn read_all(
        &self,
        state: &mut ScanState,
        total: Option<u64>,
        report: &mut PassReport,
    ) -> Result<Step, EngineError> {
        let mut waiting: Vec<PageSnapshot> = Vec::new();
        let mut handled = PassReport::default();
        loop {
            let request = state.scan.request().clone();
            let request = request.filtered(self.filter.as_ref());
            let pages = std::mem::take(&mut waiting);
            let query = self.notion.query(
                self.plan.data_source,
                &request,
                &self.wanted,
                Lane::Background,
            );
            let handling = self.handle_scanned(pages, &mut handled);
            let answer = self.settle_while(query, handling, report).await?;
            report.absorb(&std::mem::take(&mut handled));
            state.unhandled = None;
            let answer = match answer {
                Ok(answer) => answer,
                Err(NotionError::CursorRejected) if state.restarts < MAX_RESTARTS => {
                    state.restarts += 1;
                    state.scan.restart_window();
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let (step, pages) = state.take(answer);
            let done = state.seen.len() as u64;
            self.signals
                .progress
                .send_replace(Some(ScanProgress { done, total }));
            waiting = pages;
            if step != Step::More {
                self.handle_scanned(waiting, report).await?;
                return Ok(step);
            }
        }
    }

    /// Waits for a query, which the limiter may hold back for a minute, while the batch before it is
    /// handled and, after that, events are settled as they arrive. Never both at once: a batch that
    /// is not polled may hold the lock of a row that an event is about. The query is polled all the
    /// while: it may hold the place in the limiter's queue that the read for an event waits for.
    async fn settle_while<Q: Future>(
        &self,
        query: Q,
        handling: impl Future<Output = Result<(), EngineError>>,
        report: &mut PassReport,
    ) -> Result<Q::Output, EngineError> {
        let mut query = pin!(query);
        if let Some(answer) = answered_while(query.as_mut(), handling).await? {
            return Ok(answer);
        }
        loop {
            tokio::select! {
                answer = &mut query => return Ok(answer),
                () = self.signals.events.notified() => {}
            }
            let settling = self.settle_waiting(report);
            if let Some(answer) = answered_while(query.as_mut(), settling).await? {
                return Ok(answer);
            }
        }
    }

    /// Handles a batch of the scan, then whatever events arrived meanwhile.
    async fn handle_scanned(
        &self,
        pages: Vec<PageSnapshot>,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        let sightings = pages.into_iter().map(|page| Sighting {
            page,
            events: Vec::new(),
        });
        let sightings: Vec<Sighting> = sightings.collect();
        if !sightings.is_empty() {
            self.handle(sightings, report).await?;
        }
        self.settle_waiting(report).await
    }
}

/// Does `work` to its end while the query is on its way; gives the answer if it came meanwhile.
async fn answered_while<Q: Future>(
    mut query: Pin<&mut Q>,
    work: impl Future<Output = Result<(), EngineError>>,
) -> Result<Option<Q::Output>, EngineError> {
    let mut work = pin!(work);
    tokio::select! {
        answer = &mut query => {
            work.await?;
            Ok(Some(answer))
        }
        done = &mut work => done.map(|()| None),
    }
}

impl ScanState {
    /// Goes back before a batch that was read but not handled.
    fn step_back(&mut self) {
        if let Some((scan, pages)) = self.unhandled.take() {
            self.scan = scan;
            for page in pages {
                self.seen.remove(&page);
            }
        }
    }

    /// Takes an answer in; gives back the pages that were not seen before.
    fn take(&mut self, answer: QueryPage) -> (Step, Vec<PageSnapshot>) {
        if self.first_answer.is_none() {
            self.first_answer = answer.server_date.or(self.started);
        }
        let last = answer.pages.last();
        let before = self.scan.clone();
        let step = self.scan.advance(Answer {
            last_created: last.and_then(|page| page.created_time),
            last_edited: last.and_then(|page| page.last_edited_time),
            next_cursor: answer.next_cursor,
            incomplete: answer.incomplete,
        });
        let pages = answer.pages.into_iter();
        let new: Vec<_> = pages.filter(|page| self.seen.insert(page.id)).collect();
        self.unhandled = Some((before, new.iter().map(|page| page.id).collect()));
        (step, new)
    }
}

impl PassReport {
    /// Adds another report to this one.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.scan = other.scan.or(self.scan);
        self.pages_read += other.pages_read;
        self.rows_written += other.rows_written;
        self.fields_written += other.fields_written;
        self.fields_sent += other.fields_sent;
        self.events_settled += other.events_settled;
        if let Some(when) = other.come_back {
            self.come_back(when);
        }
        self.unannounced_edit = self.unannounced_edit.max(other.unannounced_edit);
        self.schema_check_due |= other.schema_check_due;
        self.incremental_due |= other.incremental_due;
        self.complete_scan_due |= other.complete_scan_due;
        self.retries_due += other.retries_due;
        self.left_open += other.left_open;
        self.failed_reads += other.failed_reads;
        self.outbound.extend(&other.outbound);
        self.open_changes.extend(&other.open_changes);
    }
}
