//! Linked pages that a complete scan did not see.
//!
//! Absence is proved only by a complete scan *and* a direct read (`design/sync.md` §7): the page is
//! trashed, moved away, archived (alive), or unreachable, which may mean unshared or purged.

use std::collections::HashSet;

use super::pages::Sighting;
use super::{Engine, EngineError, Notion, PassReport, Store};
use crate::notion::Lane;
use crate::store::PairRecord;
use crate::sync::drift::{Discrepancy, DriftKind};
use crate::sync::event::{InboxEvent, Outcome};
use crate::sync::identity::PageId;
use crate::sync::page::PageSnapshot;
use crate::sync::pair::PairRead;

/// How a page is missing, as its discrepancy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Trashed,
    MovedAway,
    Unreachable,
}

impl Missing {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Trashed => "Trashed",
            Self::MovedAway => "MovedAway",
            Self::Unreachable => "Unreachable",
        }
    }
}

impl<N: Notion, S: Store> Engine<'_, N, S> {
    /// Reads every linked page that the scan did not see, and forgets what is recorded about pages
    /// that are gone and linked to nothing.
    pub(super) async fn settle_absent(
        &self,
        seen: &HashSet<PageId>,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        let linked: HashSet<PageId> = self.store.linked_pages().await?.into_iter().collect();
        let absent: Vec<PageId> = linked.difference(seen).copied().collect();
        if !absent.is_empty() && !self.source_lives().await? {
            report.schema_check_due = true;
            return Ok(());
        }
        for id in absent {
            self.settle_one(id, report).await?;
            self.settle_waiting(report).await?;
        }
        let recorded = self.store.recorded_pages().await?;
        let gone: Vec<PageId> = recorded
            .into_iter()
            .filter(|page| !seen.contains(page) && !linked.contains(page))
            .collect();
        if !gone.is_empty() {
            self.store.forget(&gone).await?;
        }
        Ok(())
    }

    /// Whether the data source is there: below one that is trashed or unreadable nothing is
    /// classified.
    async fn source_lives(&self) -> Result<bool, EngineError> {
        let source = self.notion.data_source(self.plan.data_source).await?;
        Ok(!source.in_trash)
    }

    /// Reads one page and handles it as what it turns out to be.
    async fn settle_one(&self, id: PageId, report: &mut PassReport) -> Result<(), EngineError> {
        match self.notion.page(id, &self.wanted, Lane::Background).await {
            Ok(page) => {
                report.failed_reads = 0;
                self.settle_read(page, Vec::new(), report).await
            }
            Err(error) if error.is_not_found() => {
                self.record_missing(id, Missing::Unreachable, &[], report)
                    .await
            }
            // What was known about the page stays; the next complete scan reads it again.
            Err(error) => self.pass_by(id, &error, report).await,
        }
    }

    /// Handles a page that was read directly.
    pub(super) async fn settle_read(
        &self,
        page: PageSnapshot,
        events: Vec<InboxEvent>,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        match self.missing(&page) {
            Some(missing) => self.record_missing(page.id, missing, &events, report).await,
            None => self.handle(vec![Sighting { page, events }], report).await,
        }
    }

    /// How the page is missing from the data source, if it is. An archived page lives.
    pub(super) fn missing(&self, page: &PageSnapshot) -> Option<Missing> {
        if page.in_trash {
            return Some(Missing::Trashed);
        }
        let moved = page
            .data_source
            .is_none_or(|source| source != self.plan.data_source);
        // A payload need not say where its page lives.
        let says =
            page.data_source.is_some() || page.provenance > crate::sync::page::Provenance::Payload;
        (moved && says).then_some(Missing::MovedAway)
    }

    /// Records a missing page: a discrepancy where it is linked, nothing where it is not.
    pub(super) async fn record_missing(
        &self,
        id: PageId,
        missing: Missing,
        events: &[InboxEvent],
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        let pairs = self.store.read_pairs(&[id]).await?;
        let row_key = pairs.first().and_then(first_row);
        // A scan asks once for all the pages that it did not see; an event asks here.
        if row_key.is_some() && !events.is_empty() && !self.source_lives().await? {
            report.schema_check_due = true;
            return Ok(self
                .end_events(events, Outcome::Unchanged, None, report)
                .await?);
        }
        let outcome = if row_key.is_some() {
            Outcome::Unchanged
        } else {
            Outcome::Unlinked
        };
        let kind = DriftKind::MissingPage;
        let discrepancies = row_key.iter().map(|key| Discrepancy {
            kind,
            page_id: Some(id),
            row_key: Some(key.clone()),
            column: None,
            property: None,
            reason: Some(missing.as_str().to_owned()),
            notion: None,
            postgres: None,
        });
        let record = PairRecord {
            page_id: id,
            discrepancies: discrepancies.collect(),
            row_key: row_key.clone(),
            // Without a hash the page is looked at again as soon as it is back.
            hash: None,
            last_edited: None,
            settle: Vec::new(),
            resolved: Vec::new(),
        };
        self.store.record(vec![record]).await?;
        let reason = row_key.is_some().then_some(kind.as_str());
        Ok(self.end_events(events, outcome, reason, report).await?)
    }
}

fn first_row(pair: &PairRead) -> Option<crate::sync::identity::RowKey> {
    pair.rows.first().map(|row| row.key.clone())
}
