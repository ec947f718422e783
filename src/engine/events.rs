//! Settles the events that wait in the inbox.
//!
//! An event is a hint: it says which page to read. Events of one page that wait together are
//! settled by one read, and three or more pages are read by one query (`design/sync.md` §4).

use std::collections::{BTreeMap, HashMap};

use super::failures::concerns_the_token;
use super::pages::Sighting;
use super::{Engine, EngineError, Notion, PassReport, Store};
use crate::notion::{Lane, NotionError, QueryRequest, payload_page};
use crate::sync::event::{Dialect, EventSubject, InboxEvent, Outcome, Skip};
use crate::sync::identity::PageId;
use crate::sync::page::PageSnapshot;
use crate::sync::window::{floor_to_minute, overlap_before};

/// Events taken from the inbox at once.
const BATCH: u16 = 500;
/// From this many dirty pages on one query reads them.
const QUERY_FROM: usize = 3;
/// When a read that is older than its event is repeated; then it is left to the next pass.
const REREADS: [i64; 3] = [2, 5, 15];

impl<N: Notion, S: Store> Engine<'_, N, S> {
    /// Settles everything that is due in the inbox, and writes to the pages where that is due now.
    pub(super) async fn settle_events(&self, report: &mut PassReport) -> Result<(), EngineError> {
        // A queue of its own: what a scan found waits for the scan's end.
        let mut own = PassReport::default();
        let mut settled = self.settle_inbox(&mut own).await;
        if settled.is_ok() {
            settled = self.push_queued(Lane::Edit, &mut own).await;
        }
        report.absorb(&own);
        settled
    }

    async fn settle_inbox(&self, report: &mut PassReport) -> Result<(), EngineError> {
        loop {
            let due = self.store.due_events(BATCH.into()).await?;
            let full = due.len() >= usize::from(BATCH);
            if due.is_empty() {
                return Ok(());
            }
            self.note_overwrites(&due).await?;
            let pages = self.sort_out(due, report).await?;
            self.settle_pages(pages, report).await?;
            if !full {
                return Ok(());
            }
        }
    }

    /// A person may have edited what we wrote between our read and our write; Notion has no lock
    /// against that, but its event tells.
    async fn note_overwrites(&self, due: &[InboxEvent]) -> Result<(), EngineError> {
        let by_people = due.iter().filter(|event| {
            let mut authors = event.event.authors.iter();
            event.event.event_type == "page.properties_updated"
                && authors.any(|(_, kind)| kind == "person")
        });
        let by_people: Vec<InboxEvent> = by_people.cloned().collect();
        if self.plan.writes_notion() && !by_people.is_empty() {
            self.store.note_overwrites(&by_people).await?;
        }
        Ok(())
    }

    /// Ends what needs no read; gives back the rest by page, in order of arrival.
    async fn sort_out(
        &self,
        due: Vec<InboxEvent>,
        report: &mut PassReport,
    ) -> Result<BTreeMap<PageId, Vec<InboxEvent>>, EngineError> {
        let mut pages: BTreeMap<PageId, Vec<InboxEvent>> = BTreeMap::new();
        let (mut skipped, mut done) = (Vec::new(), Vec::new());
        for event in due {
            match (&event.skipped, &event.event.subject) {
                (Some(_), _) => skipped.push(event),
                (None, EventSubject::Page(page)) => pages.entry(*page).or_default().push(event),
                (None, EventSubject::Schema { .. }) => {
                    report.schema_check_due = true;
                    report.incremental_due = true;
                    done.push(event);
                }
                (None, EventSubject::Other) => done.push(event),
            }
        }
        for event in &skipped {
            let reason = match event.skipped {
                Some(Skip::NotNewer) => "NotNewer",
                _ => "ProcessedRecently",
            };
            let one = std::slice::from_ref(event);
            self.end_events(one, Outcome::Skipped, Some(reason), report)
                .await?;
        }
        self.end_events(&done, Outcome::Unchanged, None, report)
            .await?;
        Ok(pages)
    }

    async fn settle_pages(
        &self,
        mut pages: BTreeMap<PageId, Vec<InboxEvent>>,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        if pages.len() >= QUERY_FROM {
            let found = self.query_dirty(&pages).await?;
            let mut sightings = Vec::new();
            for (id, page) in found {
                // A row older than its event's minute decides nothing: it gets its own read.
                let fresh = pages
                    .get(&id)
                    .is_some_and(|events| reads_behind(&page, events).is_none());
                if fresh && let Some(events) = pages.remove(&id) {
                    sightings.push(Sighting { page, events });
                }
            }
            if !sightings.is_empty() {
                self.handle(sightings, report).await?;
            }
        }
        for (id, events) in pages {
            self.settle_page(id, events, report).await?;
        }
        Ok(())
    }

    /// One query for all dirty pages, from the oldest event less the overlap. It is given up where
    /// it costs more requests than it can save, and where it fails: each page gets its own read
    /// then.
    async fn query_dirty(
        &self,
        pages: &BTreeMap<PageId, Vec<InboxEvent>>,
    ) -> Result<HashMap<PageId, PageSnapshot>, EngineError> {
        let times = pages.values().flatten().map(|event| {
            event
                .event
                .occurred_at
                .map_or(event.received_at, |at| at.min(event.received_at))
        });
        let Some(oldest) = times.min() else {
            return Ok(HashMap::new());
        };
        // Without the binding's filter: a linked page stays synced after it left it.
        let mut request = QueryRequest::edited_since(overlap_before(oldest));
        let mut found = HashMap::new();
        for _ in pages {
            let source = self.plan.data_source;
            let answer = self
                .notion
                .query(source, &request, &self.wanted, Lane::Edit)
                .await;
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) if concerns_the_token(&error) => return Err(error.into()),
                Err(_) => break,
            };
            let wanted = answer
                .pages
                .into_iter()
                .filter(|page| pages.contains_key(&page.id));
            found.extend(wanted.map(|page| (page.id, page)));
            request.cursor = answer.next_cursor;
            if request.cursor.is_none() || found.len() == pages.len() {
                break;
            }
        }
        Ok(found)
    }

    /// Reads one page for its events. A failure that concerns this page alone puts only it off.
    async fn settle_page(
        &self,
        id: PageId,
        events: Vec<InboxEvent>,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        match self.notion.page(id, &self.wanted, Lane::Edit).await {
            Ok(page) => {
                report.failed_reads = 0;
                self.settle_event_read(page, events, report).await
            }
            Err(error) if error.is_not_found() => {
                let missing = super::absent::Missing::Unreachable;
                self.record_missing(id, missing, &events, report).await
            }
            Err(error) => self.fall_back(id, events, error, report).await,
        }
    }

    async fn settle_event_read(
        &self,
        page: PageSnapshot,
        events: Vec<InboxEvent>,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        let again = reads_behind(&page, &events).and_then(|before| REREADS.get(before));
        let Some(delay) = again else {
            return self.settle_read(page, events, report).await;
        };
        // What was read is applied at once; the events stay open for the repeated read.
        self.settle_read(page, Vec::new(), report).await?;
        self.put_off(&events, *delay, report).await
    }

    /// Seed row S6: where the read failed, the values of an authenticated payload stand in.
    async fn fall_back(
        &self,
        id: PageId,
        events: Vec<InboxEvent>,
        error: NotionError,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        if error.allows_payload()
            && let Some(page) = self.newest_payload(id, &events).await?
        {
            tracing::warn!(binding.name = %self.plan.binding.binding, page.id = %id,
                error = %error, "the page cannot be read; its event's own values stand in");
            self.settle_read(page, events, report).await?;
            return Ok(());
        }
        self.leave_open(&events, report).await?;
        self.pass_by(id, &error, report).await
    }

    async fn newest_payload(
        &self,
        id: PageId,
        events: &[InboxEvent],
    ) -> Result<Option<PageSnapshot>, EngineError> {
        let pins: Vec<_> = self
            .plan
            .fields
            .iter()
            .map(|field| field.property.clone())
            .collect();
        let payloads = events
            .iter()
            .filter(|event| event.event.authenticated)
            .filter_map(|event| payload_page(event.event.dialect, &event.event.body, &pins));
        let Some(newest) = payloads.max_by_key(|page| page.last_edited_time) else {
            return Ok(None);
        };
        let pairs = self.store.read_pairs(&[id]).await?;
        let seen = pairs
            .first()
            .and_then(|pair| pair.head.as_ref()?.last_edited_seen);
        // An older payload would undo a newer read.
        let is_current = seen.is_none() || newest.last_edited_time >= seen;
        Ok(Some(newest).filter(|page| is_current && page.id == id))
    }
}

/// How often a read was repeated already that is older than the minute of an event that announces
/// an edit of values; nothing where the read is as new as its events. An edit of a page's content
/// alone need not move its time.
fn reads_behind(page: &PageSnapshot, events: &[InboxEvent]) -> Option<usize> {
    let edited = page.last_edited_time?;
    let behind = events.iter().filter(|event| {
        let of_values = event.event.dialect != Dialect::Envelope
            || event.event.event_type == "page.properties_updated";
        let minute = event.event.occurred_at.map(floor_to_minute);
        of_values && minute.is_some_and(|minute| edited < minute)
    });
    let attempts = behind.map(|event| event.attempts).min()?;
    usize::try_from(attempts).ok()
}
