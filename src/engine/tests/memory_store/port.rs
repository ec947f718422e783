//! The port itself: each call is logged, scripted, and has its effect under one lock.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::{MemoryStore, StoreCall};
use crate::store::{
    Applied, BindingStore, PairChange, PairRecord, Progress, StoreError, TableCounts,
};
use crate::sync::drift::DriftReport;
use crate::sync::event::{EventResult, InboxEvent};
use crate::sync::identity::PageId;
use crate::sync::pair::{PairBase, PairRead, RowRead};

impl BindingStore for MemoryStore {
    async fn read_pairs(&self, pages: &[PageId]) -> Result<Vec<PairRead>, StoreError> {
        let call = StoreCall::ReadPairs(pages.to_vec());
        let _held = self.begin(call.clone()).await?;
        let found = {
            let state = self.state();
            let wanted: HashSet<PageId> = pages.iter().copied().collect();
            let mut rows: HashMap<PageId, Vec<RowRead>> = HashMap::new();
            for row in &state.rows {
                if let Some(page) = row.page_id.filter(|page| wanted.contains(page)) {
                    rows.entry(page).or_default().push(row.read());
                }
            }
            let pairs = pages.iter().map(|page| PairRead {
                page_id: *page,
                rows: rows.remove(page).unwrap_or_default(),
                head: state.head(*page),
                row_changed_at: state.row_changed_at(*page),
                resolutions: state.chosen(*page),
            });
            pairs.collect()
        };
        self.end(&call).await?;
        Ok(found)
    }

    async fn read_bases(&self, pages: &[PageId]) -> Result<HashMap<PageId, PairBase>, StoreError> {
        let call = StoreCall::ReadBases(pages.to_vec());
        let _held = self.begin(call.clone()).await?;
        let found = {
            let state = self.state();
            let pairs = pages.iter().filter_map(|page| {
                let pair = state.pairs.get(page)?;
                Some((*page, pair.base.clone()))
            });
            pairs.collect()
        };
        self.end(&call).await?;
        Ok(found)
    }

    async fn record(&self, records: Vec<PairRecord>) -> Result<(), StoreError> {
        let pages = records.iter().map(|record| record.page_id).collect();
        let call = StoreCall::Record(pages);
        let _held = self.begin(call.clone()).await?;
        {
            let mut state = self.state();
            for record in records {
                state.record(record);
            }
        }
        self.end(&call).await
    }

    async fn apply(&self, change: PairChange<'_>) -> Result<Applied, StoreError> {
        let call = StoreCall::Apply(change.page.id);
        let _held = self.begin(call.clone()).await?;
        let now = self.clock.now();
        let applied = self.state().apply(&self.plan, &change, now, self.rounding);
        self.end(&call).await?;
        Ok(applied)
    }

    async fn finish_events(
        &self,
        events: &[InboxEvent],
        results: &[EventResult],
    ) -> Result<(), StoreError> {
        let call = StoreCall::FinishEvents(events.iter().map(|event| event.id).collect());
        let _held = self.begin(call.clone()).await?;
        self.state().finish(results, &[]);
        self.end(&call).await
    }

    async fn defer_events(
        &self,
        events: &[i64],
        until: Timestamp,
        failed: bool,
    ) -> Result<(), StoreError> {
        let call = StoreCall::DeferEvents(events.to_vec());
        let _held = self.begin(call.clone()).await?;
        for stored in &mut self.state().inbox {
            if events.contains(&stored.event.id) {
                stored.not_before = until;
                stored.event.attempts += i32::from(failed);
            }
        }
        self.end(&call).await
    }

    async fn due_events(&self, limit: i64) -> Result<Vec<InboxEvent>, StoreError> {
        let _held = self.begin(StoreCall::DueEvents).await?;
        let now = self.clock.now();
        let due = {
            let state = self.state();
            let due = state.inbox.iter();
            let due = due.filter(|one| one.end.is_none() && one.not_before <= now);
            due.take(usize::try_from(limit).unwrap())
                .map(|one| one.event.clone())
                .collect()
        };
        self.end(&StoreCall::DueEvents).await?;
        Ok(due)
    }

    async fn oldest_event(&self) -> Result<Option<Timestamp>, StoreError> {
        let _held = self.begin(StoreCall::OldestEvent).await?;
        let oldest = {
            let state = self.state();
            let open = state.inbox.iter().filter(|one| one.end.is_none());
            open.map(|one| one.event.received_at).min()
        };
        self.end(&StoreCall::OldestEvent).await?;
        Ok(oldest)
    }

    async fn linked_pages(&self) -> Result<Vec<PageId>, StoreError> {
        let _held = self.begin(StoreCall::LinkedPages).await?;
        let pages = {
            let state = self.state();
            state.rows.iter().filter_map(|row| row.page_id).collect()
        };
        self.end(&StoreCall::LinkedPages).await?;
        Ok(pages)
    }

    async fn recorded_pages(&self) -> Result<Vec<PageId>, StoreError> {
        let _held = self.begin(StoreCall::RecordedPages).await?;
        let pages = {
            let state = self.state();
            let marked = state.discrepancies.iter().filter_map(|one| one.page_id);
            let mut pages: Vec<PageId> = state.pairs.keys().copied().chain(marked).collect();
            pages.sort_unstable();
            pages.dedup();
            pages
        };
        self.end(&StoreCall::RecordedPages).await?;
        Ok(pages)
    }

    async fn forget(&self, pages: &[PageId]) -> Result<(), StoreError> {
        let call = StoreCall::Forget(pages.to_vec());
        let _held = self.begin(call.clone()).await?;
        {
            let mut state = self.state();
            for page in pages {
                state.replace_discrepancies(*page, &[]);
                let unlinked = state.rows_of(*page).is_empty();
                let row_exists = state.pairs.get(page).is_some_and(|pair| {
                    let mut rows = state.rows.iter();
                    rows.any(|row| row.key == pair.row_key)
                });
                if unlinked && row_exists {
                    state.pairs.remove(page);
                }
            }
        }
        self.end(&call).await
    }

    async fn count_table(&self) -> Result<TableCounts, StoreError> {
        let _held = self.begin(StoreCall::CountTable).await?;
        let counts = self.state().count_table();
        self.end(&StoreCall::CountTable).await?;
        Ok(counts)
    }

    async fn report(&self) -> Result<DriftReport, StoreError> {
        let _held = self.begin(StoreCall::Report).await?;
        let report = self.state().report();
        self.end(&StoreCall::Report).await?;
        Ok(report)
    }

    async fn progress(&self) -> Result<Progress, StoreError> {
        let _held = self.begin(StoreCall::Progress).await?;
        let progress = self.state().progress.clone();
        self.end(&StoreCall::Progress).await?;
        Ok(progress)
    }

    async fn save_progress(&self, progress: &Progress) -> Result<(), StoreError> {
        let _held = self.begin(StoreCall::SaveProgress).await?;
        self.state().progress = progress.clone();
        self.end(&StoreCall::SaveProgress).await
    }
}
