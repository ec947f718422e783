//! Settles the changes that were captured in Postgres.
//!
//! A captured change is a hint, as an event is: it names a row. A row whose columns are those of the
//! base changed nothing for Notion (our own writes are captured, too); any other has its page read.

use std::collections::HashMap;

use super::outbound::{BATCH as PAGES, Outbound, Pushed};
use super::{Engine, EngineError, Notion, PassReport, Store};
use crate::notion::Lane;
use crate::store::{CapturedChange, ChangeKind};
use crate::sync::column::ColumnValue;
use crate::sync::identity::{PageId, RowKey};
use crate::sync::pair::{PairBase, PairRead, RowRead};

/// Changes taken at once.
const BATCH: i64 = 500;
/// From this many rows on it is a bulk change, which must not delay a person's edit.
const BULK: usize = 50;

impl<N: Notion, S: Store> Engine<'_, N, S> {
    /// Settles everything that waits: events, then captured changes.
    pub(super) async fn settle_waiting(&self, report: &mut PassReport) -> Result<(), EngineError> {
        self.settle_events(report).await?;
        self.settle_changes(report).await
    }

    /// Settles the captured changes; what cannot be settled now is left for the next pass.
    async fn settle_changes(&self, report: &mut PassReport) -> Result<(), EngineError> {
        loop {
            // Those that stay open must not hide the ones behind them.
            let open = i64::try_from(report.open_changes.len()).unwrap_or(i64::MAX);
            let due = self.store.due_changes(BATCH.saturating_add(open)).await?;
            let is_open = |change: &CapturedChange| {
                let mut ids = change.ids.iter();
                ids.any(|id| report.open_changes.contains(id))
            };
            let fresh: Vec<_> = due.into_iter().filter(|change| !is_open(change)).collect();
            if fresh.is_empty() {
                return Ok(());
            }
            self.settle_batch(fresh, report).await?;
        }
    }

    async fn settle_batch(
        &self,
        changes: Vec<CapturedChange>,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        let mut kinds = changes.iter().map(|change| change.kind);
        // The table was emptied, and may be filled with anything since.
        report.complete_scan_due |= kinds.any(|kind| kind == ChangeKind::Truncate);
        let moved = self.moved_pages(&changes).await?;
        let is_moved =
            |change: &CapturedChange| change.row_key.as_ref().and_then(|key| moved.get(key));
        let settled = changes.iter().filter(|change| is_moved(change).is_none());
        let settled: Vec<i64> = settled.flat_map(|change| change.ids.clone()).collect();
        if !settled.is_empty() {
            self.store.settle_changes(&settled).await?;
        }
        let lane = if moved.len() < BULK {
            Lane::Edit
        } else {
            Lane::Background
        };
        let due: Vec<(&CapturedChange, Outbound)> = changes
            .iter()
            .filter_map(|change| {
                let page = *is_moved(change)?;
                let committed_at = Some(change.changed_at);
                Some((
                    change,
                    Outbound {
                        page,
                        lane,
                        committed_at,
                    },
                ))
            })
            .collect();
        for batch in due.chunks(PAGES) {
            let pages: Vec<_> = batch.iter().map(|(_, outbound)| *outbound).collect();
            let pushed = self.push_all(&pages, report).await?;
            let mut done = Vec::new();
            for ((change, _), pushed) in batch.iter().zip(pushed) {
                match pushed {
                    Pushed::Done => done.extend(&change.ids),
                    Pushed::Open => report.open_changes.extend(&change.ids),
                }
            }
            if !done.is_empty() {
                self.store.settle_changes(&done).await?;
            }
            self.settle_events(report).await?;
        }
        Ok(())
    }

    /// The changed rows that say something new about their pages.
    async fn moved_pages(
        &self,
        changes: &[CapturedChange],
    ) -> Result<HashMap<RowKey, PageId>, EngineError> {
        let upserts = changes
            .iter()
            .filter(|change| change.kind == ChangeKind::Upsert);
        let keys: Vec<RowKey> = upserts
            .filter_map(|change| change.row_key.clone())
            .collect();
        let rows = self.store.read_rows(&keys).await?;
        let linked = rows
            .into_iter()
            .filter_map(|found| Some((found.asked, found.page_id?, found.row)));
        let linked: Vec<(RowKey, PageId, RowRead)> = linked.collect();
        let pages: Vec<PageId> = linked.iter().map(|(_, page, _)| *page).collect();
        let pairs = self.store.read_pairs(&pages).await?;
        let pairs: HashMap<PageId, PairRead> =
            pairs.into_iter().map(|pair| (pair.page_id, pair)).collect();
        let bases = self.store.read_bases(&pages).await?;
        let moved = linked.into_iter().filter(|(_, page, row)| {
            !pairs
                .get(page)
                .is_some_and(|pair| self.is_base(pair, row, bases.get(page)))
        });
        Ok(moved.map(|(key, page, _)| (key, page)).collect())
    }

    /// Whether the row holds what it held at the last agreement, and nothing about the pair is open.
    fn is_base(&self, pair: &PairRead, row: &RowRead, base: Option<&PairBase>) -> bool {
        let (Some(head), Some(base)) = (&pair.head, base) else {
            return false;
        };
        let fields = self.plan.fields.iter().zip(&row.values);
        let mut unmoved = fields.map(|(field, text)| {
            base.get(&field.column.name).is_some_and(|base| {
                let before = ColumnValue::parse(&field.column.kind, base.postgres.as_deref());
                before.same(&ColumnValue::parse(&field.column.kind, text.as_deref()))
            })
        });
        head.row_key == row.key
            && !head.is_marked
            && pair.rows.len() == 1
            && unmoved.all(|is_base| is_base)
    }
}
