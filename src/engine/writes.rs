//! Carries out what was decided for rows, a few at a time.
//!
//! A row that panics, that Postgres refuses or whose page cannot be read now is marked or left open;
//! the others go on.

use std::panic::AssertUnwindSafe;

use futures::{FutureExt, StreamExt, stream};
use jiff::Timestamp;

use super::absent::Missing;
use super::failures::is_exhausted;
use super::pages::{Sighting, marked};
use super::{Engine, EngineError, Notion, PassReport, Store};
use crate::notion::NotionError;
use crate::store::{Applied, PairChange, StoreError};
use crate::sync::event::Outcome;
use crate::sync::identity::PropertyId;
use crate::sync::page::{PageSnapshot, PropertyValue, Provenance};
use crate::sync::reason::FieldReason;

/// How many rows of one batch are written at the same time. Each is a transaction of its own; the
/// pool has ten connections for all bindings of a database.
const PARALLEL_WRITES: usize = 4;

/// A write to a row that is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due<'a> {
    /// The page that was read.
    pub(super) sighting: &'a Sighting,
    /// What our own writes sent to it lately.
    pub(super) sent: &'a [(PropertyId, PropertyValue)],
    /// When the row was changed, as it was captured.
    pub(super) row_changed_at: Option<Timestamp>,
}

impl<'a> Due<'a> {
    /// The change as the store applies it, by this snapshot of the page.
    fn change(&self, page: &'a PageSnapshot) -> PairChange<'a> {
        PairChange {
            page,
            events: &self.sighting.events,
            sent: self.sent,
            row_changed_at: self.row_changed_at,
        }
    }
}

/// What came of one write.
enum Written {
    /// The store dealt with it.
    Applied(Applied),
    /// A fresh read shows that the page is gone.
    Missing(Missing),
    /// The fresh read that must decide failed.
    Unread(NotionError),
    /// Postgres refused the row.
    Refused(StoreError),
    /// The code panicked.
    Panicked,
}

impl<N: Notion, S: Store> Engine<'_, N, S> {
    /// Carries out the changes of a batch.
    pub(super) async fn apply_all(
        &self,
        changes: Vec<Due<'_>>,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        // The futures are made before the stream: a closure that borrows in both its argument and
        // its result cannot be proved `Send` for every caller.
        let mut due = Vec::with_capacity(changes.len());
        for change in changes {
            due.push(async move { (change.sighting, self.apply_one(change).await) });
        }
        let written: Vec<_> = stream::iter(due)
            .buffer_unordered(PARALLEL_WRITES)
            .collect()
            .await;
        for (sighting, written) in written {
            self.conclude(sighting, written?, report).await?;
        }
        Ok(())
    }

    /// Applies one change. What an old snapshot leaves open is decided by one fresh read.
    async fn apply_one(&self, due: Due<'_>) -> Result<Written, EngineError> {
        let sighting = due.sighting;
        let page = &sighting.page;
        let written = self.write(due.change(page)).await?;
        if !matches!(written, Written::Applied(Applied::Stale)) {
            return Ok(written);
        }
        let read = self.notion.page(page.id, &self.wanted, sighting.lane());
        let page = match read.await {
            Ok(page) => page,
            Err(error) if error.is_not_found() => {
                return Ok(Written::Missing(Missing::Unreachable));
            }
            Err(error) => return Ok(Written::Unread(error)),
        };
        if let Some(missing) = self.missing(&page) {
            return Ok(Written::Missing(missing));
        }
        self.write(due.change(&page)).await
    }

    /// Tells what concerns this row from what concerns the binding.
    async fn write(&self, change: PairChange<'_>) -> Result<Written, EngineError> {
        let applying = AssertUnwindSafe(self.store.apply(change));
        match applying.catch_unwind().await {
            Ok(Ok(applied)) => Ok(Written::Applied(applied)),
            Ok(Err(error @ (StoreError::Database(_) | StoreError::State(_)))) => {
                Ok(Written::Refused(error))
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Ok(Written::Panicked),
        }
    }

    async fn conclude(
        &self,
        sighting: &Sighting,
        written: Written,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        let (id, events) = (sighting.page.id, &sighting.events);
        match written {
            Written::Applied(Applied::Done {
                fields_written,
                notion_due,
                ..
            }) => {
                if notion_due {
                    report.outbound.push(id);
                }
                report.events_settled += events.len() as u64;
                count_fields(sighting, fields_written, report);
                Ok(())
            }
            Written::Applied(Applied::Stale | Applied::Relinked) => {
                self.leave_open(events, report).await
            }
            // Without an event the next complete scan classifies the page.
            Written::Missing(_) if events.is_empty() => Ok(()),
            Written::Missing(missing) => self.record_missing(id, missing, events, report).await,
            Written::Unread(error) => {
                self.leave_open(events, report).await?;
                self.pass_by(id, &error, report).await
            }
            Written::Refused(error) => {
                tracing::warn!(binding.name = %self.plan.binding.binding, page.id = %id,
                    error = %error, "a row could not be written");
                self.mark_failed(sighting, !is_exhausted(events), report)
                    .await
            }
            Written::Panicked => {
                tracing::error!(binding.name = %self.plan.binding.binding, page.id = %id,
                    "writing a row panicked");
                self.mark_failed(sighting, false, report).await
            }
        }
    }

    /// Marks a pair whose row could not be written; its base stays.
    async fn mark_failed(
        &self,
        sighting: &Sighting,
        again: bool,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        let reason = FieldReason::InternalError;
        let pairs = self.store.read_pairs(&[sighting.page.id]).await?;
        let row = pairs.first().and_then(|pair| pair.rows.first());
        let record = marked(&sighting.page, row, reason);
        self.store.record(vec![record]).await?;
        if again {
            return self.leave_open(&sighting.events, report).await;
        }
        let reason = Some(reason.as_str());
        let outcome = Outcome::Failed;
        Ok(self
            .end_events(&sighting.events, outcome, reason, report)
            .await?)
    }
}

fn count_fields(sighting: &Sighting, fields_written: usize, report: &mut PassReport) {
    if fields_written == 0 {
        return;
    }
    report.rows_written += 1;
    report.fields_written += fields_written as u64;
    // Direct reads without events belong to events that stay open, or to pages that a scan missed.
    if sighting.events.is_empty() && sighting.page.provenance == Provenance::Query {
        let edited = sighting.page.last_edited_time;
        report.unannounced_edit = report.unannounced_edit.max(edited);
    }
}
