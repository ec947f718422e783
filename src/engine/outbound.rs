//! Writes to Notion: read the page, settle what was sent before, plan, announce, write, settle
//! (`design/sync.md` §4).
//!
//! The page is read immediately before, and only properties are sent whose value there is what the
//! plan was made from. Postgres is never locked meanwhile. A process that dies at any point leaves
//! an intent behind, and the next read of the page tells what became of it.

use futures::{StreamExt, stream};
use jiff::Timestamp;

use super::pages::Sighting;
use super::{Engine, EngineError, Notion, PassReport, Store};
use crate::notion::writer::{MAY_ARRIVE, WriteError, WriteTerms, is_sendable, not_after};
use crate::notion::{Lane, NotionError};
use crate::store::intents::{
    Intent, IntentField, IntentState, NewIntent, NotionChange, Operation, Settlement,
};
use crate::sync::column::ColumnValue;
use crate::sync::convert;
use crate::sync::event::Outcome;
use crate::sync::identity::{PageId, RowKey};
use crate::sync::page::{PageSnapshot, PropertyRead, PropertyValue};
use crate::sync::pair::{FieldBase, OwnEdit, PairBase, Traces};
use crate::sync::plan::{Decision, plan_pair};
use crate::sync::reason::FieldReason;

/// Pages written at the same time; the limiter decides how fast.
const PARALLEL_PAGES: usize = 4;
/// Pages after which waiting events have their turn.
pub(super) const BATCH: usize = 16;
/// A page that a write may be due to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outbound {
    /// The page.
    pub(super) page: PageId,
    /// Which queue its requests wait in.
    pub(super) lane: Lane,
    /// When the change was made in Postgres, where it was captured.
    pub(super) committed_at: Option<Timestamp>,
}

/// What came of one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// Nothing is left to do now.
    Done,
    /// It must be looked at again.
    Open,
}

/// What came of one request.
enum Sent {
    /// It is settled, or nobody knows.
    Settled(Pushed),
    /// Notion does not take one of the values.
    Refused,
}

impl<N: Notion, S: Store> Engine<'_, N, S> {
    /// Writes to the pages that the looks of this pass left in the queue.
    pub(super) async fn push_queued(
        &self,
        lane: Lane,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        let due = queued(lane, report);
        self.push_all(&due, report).await.map(drop)
    }

    /// The same after a scan: there may be thousands, and what waits has its turn in between.
    pub(super) async fn push_scanned(&self, report: &mut PassReport) -> Result<(), EngineError> {
        let due = queued(Lane::Background, report);
        for batch in due.chunks(BATCH) {
            self.push_all(batch, report).await?;
            self.settle_waiting(report).await?;
        }
        Ok(())
    }

    /// Reads the pages of writes whose answer was ambiguous, once they can be judged.
    pub(super) async fn settle_intents(&self, report: &mut PassReport) -> Result<(), EngineError> {
        let now = self.now();
        let mut due = Vec::new();
        for intent in self.store.unsettled().await? {
            match intent.intent.page_id {
                Some(page) if !intent.blocks(now) => due.push(Outbound {
                    page,
                    lane: Lane::Background,
                    committed_at: None,
                }),
                _ => report.come_back(intent.intent.not_after),
            }
        }
        self.push_all(&due, report).await.map(drop)
    }

    /// Writes to these pages, a few at a time; tells what came of each, in the same order.
    pub(super) async fn push_all(
        &self,
        due: &[Outbound],
        report: &mut PassReport,
    ) -> Result<Vec<Pushed>, EngineError> {
        let mut pushes = Vec::with_capacity(due.len());
        for outbound in due {
            pushes.push(async move {
                let mut own = PassReport::default();
                let outcome = self.push(*outbound, &mut own).await;
                (outcome, own)
            });
        }
        let outcomes: Vec<_> = stream::iter(pushes)
            .buffered(PARALLEL_PAGES)
            .collect()
            .await;
        let mut results = Vec::with_capacity(due.len());
        for (outcome, mut own) in outcomes {
            // What is due again was due a moment ago: the next pass has a fresh look.
            own.outbound.clear();
            report.absorb(&own);
            results.push(outcome?);
        }
        Ok(results)
    }

    /// Brings one page into step, both ways, by a read of its own.
    async fn push(
        &self,
        outbound: Outbound,
        report: &mut PassReport,
    ) -> Result<Pushed, EngineError> {
        let id = outbound.page;
        let _writing = self.signals.writes.lock(id).await;
        let intents = self.intents_of(id).await?;
        let now = self.now();
        let blocked = intents.iter().filter(|intent| intent.blocks(now));
        if let Some(until) = blocked.map(|intent| intent.intent.not_after).max() {
            report.come_back(until);
            return Ok(Pushed::Open);
        }
        let read_at = now;
        let read = self.notion.page(id, &self.wanted, outbound.lane).await;
        let page = match read {
            Ok(page) => page,
            Err(error) if error.is_not_found() => {
                let missing = super::absent::Missing::Unreachable;
                self.record_missing(id, missing, &[], report).await?;
                return Ok(Pushed::Done);
            }
            Err(error) => return self.push_later(id, &error, report).await,
        };
        report.failed_reads = 0;
        if let Some(missing) = self.missing(&page) {
            self.record_missing(id, missing, &[], report).await?;
            return Ok(Pushed::Done);
        }
        let sighting = Sighting {
            page,
            events: Vec::new(),
        };
        let Some(sighting) = self.complete_values(vec![sighting], report).await?.pop() else {
            return Ok(Pushed::Done);
        };
        let page = sighting.page.clone();
        for intent in &intents {
            self.judge(intent, &page).await?;
        }
        self.handle(vec![sighting], report).await?;
        if !report.outbound.contains(&id) {
            return Ok(Pushed::Done);
        }
        let Some(intent) = self.intent(&page, &intents, outbound, read_at).await? else {
            return Ok(Pushed::Done);
        };
        self.write_page(&page, intent, outbound, report).await
    }

    async fn intents_of(&self, id: PageId) -> Result<Vec<Intent>, EngineError> {
        Ok(self
            .store
            .intents(&[id])
            .await?
            .remove(&id)
            .unwrap_or_default())
    }

    /// What the page needs, by the read that was just made and the row as it is now.
    async fn intent(
        &self,
        page: &PageSnapshot,
        intents: &[Intent],
        outbound: Outbound,
        read_at: Timestamp,
    ) -> Result<Option<NewIntent>, EngineError> {
        let pairs = self.store.read_pairs(&[page.id]).await?;
        let Some(pair) = pairs.first() else {
            return Ok(None);
        };
        let [row] = pair.rows.as_slice() else {
            return Ok(None);
        };
        let bases = self.store.read_bases(&[page.id]).await?;
        let no_base = PairBase::new();
        let base = bases.get(&page.id).unwrap_or(&no_base);
        let head = pair.head.as_ref();
        let sent = intents.iter().flat_map(|intent| &intent.intent.fields);
        let traces = Traces {
            own_write: head.and_then(|head| head.own_write),
            own_edit: head.and_then(|head| head.own_edit),
            sent: sent
                .map(|field| (field.property.clone(), field.sent.clone()))
                .collect(),
            row_changed_at: pair.row_changed_at,
            resolutions: pair.resolutions.clone(),
        };
        let plan = plan_pair(self.plan, page, row, base, &traces);
        let fields = self.plan.fields.iter().zip(&plan.fields).zip(&row.values);
        let fields = fields.filter_map(|((field, decided), text)| {
            let Decision::WriteNotion(value) = &decided.decision else {
                return None;
            };
            Some(IntentField {
                column: field.column.name.clone(),
                property: field.property.id.clone(),
                kind: field.property.kind.clone(),
                before: decided.notion.clone()?,
                sent: value.clone(),
                postgres: text.clone(),
                contested: decided.contested,
            })
        });
        let fields: Vec<_> = fields.collect();
        Ok((!fields.is_empty()).then(|| NewIntent {
            page_id: Some(page.id),
            row_key: row.key.clone(),
            operation: Operation::Update,
            fields,
            read_at,
            not_after: not_after(self.now(), outbound.lane),
        }))
    }

    /// Writes what is due; where Notion refuses it, one bad value never keeps the others from the
    /// page.
    async fn write_page(
        &self,
        page: &PageSnapshot,
        intent: NewIntent,
        outbound: Outbound,
        report: &mut PassReport,
    ) -> Result<Pushed, EngineError> {
        match self.send(page, &intent, outbound, report).await? {
            Sent::Settled(pushed) => return Ok(pushed),
            Sent::Refused if intent.fields.len() == 1 => {
                self.park(page, &intent, report).await?;
                return Ok(Pushed::Done);
            }
            Sent::Refused => {}
        }
        for field in &intent.fields {
            let one = NewIntent {
                fields: vec![field.clone()],
                not_after: not_after(self.now(), outbound.lane),
                ..intent.clone()
            };
            match self.send(page, &one, outbound, report).await? {
                Sent::Settled(Pushed::Done) => {}
                Sent::Settled(Pushed::Open) => return Ok(Pushed::Open),
                Sent::Refused => self.park(page, &one, report).await?,
            }
        }
        Ok(Pushed::Done)
    }

    /// Announces one write, sends it, and stores what came of it.
    async fn send(
        &self,
        page: &PageSnapshot,
        intent: &NewIntent,
        outbound: Outbound,
        report: &mut PassReport,
    ) -> Result<Sent, EngineError> {
        let id = page.id;
        let number = self.store.begin_intent(intent).await?;
        let properties: Vec<_> = intent
            .fields
            .iter()
            .map(|field| {
                (
                    field.property.clone(),
                    field.kind.clone(),
                    field.sent.clone(),
                )
            })
            .collect();
        let guard = || is_sendable(self.now(), intent.not_after);
        let terms = WriteTerms {
            lane: outbound.lane,
            guard: &guard,
        };
        let wanted = &self.wanted;
        match self
            .notion
            .update_page(id, &properties, wanted, terms)
            .await
        {
            Ok(echo) => {
                report.fields_sent += intent.fields.len() as u64;
                self.settle_echo(number, intent, page, &echo, outbound.committed_at)
                    .await?;
                self.look_again(echo, report).await?;
                Ok(Sent::Settled(Pushed::Done))
            }
            Err(WriteError::NotWritten(error)) => {
                let settlement = Settlement::not_written(number, id, &intent.row_key);
                self.store.settle_intent(&settlement).await?;
                if matches!(error, NotionError::Answered { status: 400, .. }) {
                    return Ok(Sent::Refused);
                }
                let pushed = self.push_later(id, &error, report).await?;
                Ok(Sent::Settled(pushed))
            }
            Err(WriteError::Ambiguous {
                source, sent_at, ..
            }) => {
                tracing::warn!(binding.name = %self.plan.binding.binding, page.id = %id,
                    error = %source, "nobody knows whether a page was written; it is read later");
                let until = sent_at.saturating_add(MAY_ARRIVE).unwrap_or(Timestamp::MAX);
                self.store.sent_intent(number, until).await?;
                report.come_back(until);
                Ok(Sent::Settled(Pushed::Open))
            }
        }
    }

    /// A value that Notion does not take is left alone until either side changes.
    async fn park(
        &self,
        page: &PageSnapshot,
        intent: &NewIntent,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        let reason = FieldReason::NotAccepted;
        let bases = intent.fields.iter().map(|field| {
            let base = field.base(field.before.clone(), Some(reason));
            (field.column.clone(), base)
        });
        let number = self.store.begin_intent(intent).await?;
        let settlement = Settlement {
            settle: bases.collect(),
            outcome: Outcome::Failed,
            reason: Some(reason.as_str().to_owned()),
            ..Settlement::not_written(number, page.id, &intent.row_key)
        };
        self.store.settle_intent(&settlement).await?;
        self.look_again(page.clone(), report).await
    }

    /// Looks at a page as it is now, so that what is recorded about it is true.
    async fn look_again(
        &self,
        page: PageSnapshot,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        let events = Vec::new();
        self.handle(vec![Sighting { page, events }], report).await
    }

    /// A failure that concerns this page only puts it off.
    async fn push_later(
        &self,
        id: PageId,
        error: &NotionError,
        report: &mut PassReport,
    ) -> Result<Pushed, EngineError> {
        report.retries_due += 1;
        self.pass_by(id, error, report).await?;
        Ok(Pushed::Open)
    }

    /// Stores what the echo of a write shows.
    async fn settle_echo(
        &self,
        number: i64,
        intent: &NewIntent,
        before: &PageSnapshot,
        echo: &PageSnapshot,
        committed_at: Option<Timestamp>,
    ) -> Result<(), EngineError> {
        let mut settlement = self.written(number, echo, intent);
        settlement.is_certain = true;
        settlement.own_edit = echo.last_edited_time.map(|written| OwnEdit {
            written,
            before: before.last_edited_time,
            settled: self.now(),
        });
        settlement.committed_at = committed_at;
        Ok(self.store.settle_intent(&settlement).await?)
    }

    /// Settles an intent by a read: a page that shows its values has it; one that does not, after
    /// the time until which it could arrive, never got it.
    async fn judge(&self, intent: &Intent, page: &PageSnapshot) -> Result<(), EngineError> {
        if intent.state != IntentState::Pending || intent.is_foreign {
            return Ok(());
        }
        let shows = |field: &IntentField| {
            shown(page, field).is_some_and(|value| convert::same(value, &field.sent))
        };
        let number = intent.id;
        if intent.intent.fields.iter().all(shows) {
            let mut settlement = self.written(number, page, &intent.intent);
            settlement.own_edit = page.last_edited_time.map(|written| OwnEdit {
                written,
                before: None,
                settled: self.now(),
            });
            self.store.settle_intent(&settlement).await?;
        } else if !intent.blocks(self.now()) {
            let row = &intent.intent.row_key;
            let settlement = Settlement::not_written(number, page.id, row);
            self.store.settle_intent(&settlement).await?;
        }
        Ok(())
    }

    /// The settlement of a write that this page shows.
    fn written(&self, number: i64, page: &PageSnapshot, intent: &NewIntent) -> Settlement {
        let mut settlement = Settlement {
            state: IntentState::Written,
            is_certain: false,
            outcome: Outcome::Applied,
            last_edited: page.last_edited_time,
            ..Settlement::not_written(number, page.id, &intent.row_key)
        };
        for field in &intent.fields {
            let now = shown(page, field).unwrap_or(&field.sent);
            let mapped = self.plan.fields.iter();
            let mut mapped = mapped.filter(|mapped| mapped.column.name == field.column);
            let agrees = mapped.next().is_some_and(|mapped| {
                let text = field.postgres.as_deref();
                let postgres = ColumnValue::parse(&mapped.column.kind, text);
                convert::agree(now, &postgres, mapped)
            });
            let reason = (!agrees).then_some(FieldReason::NotAccepted);
            let base = field.base(now.clone(), reason);
            settlement.settle.push((field.column.clone(), base));
            let lost = field.contested && !convert::is_empty(&field.before);
            let before = field.before.to_json();
            settlement.changes.push(NotionChange {
                column: field.column.clone(),
                overwrote: if lost {
                    before.clone()
                } else {
                    serde_json::Value::Null
                },
                from: before,
                to: now.to_json(),
            });
        }
        settlement
    }
}

/// Takes the pages out of the queue, each once.
fn queued(lane: Lane, report: &mut PassReport) -> Vec<Outbound> {
    let mut pages = std::mem::take(&mut report.outbound);
    pages.sort_unstable();
    pages.dedup();
    let due = pages.into_iter().map(|page| Outbound {
        page,
        lane,
        committed_at: None,
    });
    due.collect()
}

/// The value that a page shows for a property of an intent.
fn shown<'a>(page: &'a PageSnapshot, field: &IntentField) -> Option<&'a PropertyValue> {
    match &page.properties.get(&field.property)?.read {
        PropertyRead::Value(value) => Some(value),
        PropertyRead::Truncated | PropertyRead::Unsupported => None,
    }
}

impl IntentField {
    /// The base that this write leaves: what the page shows now, and the column that it came from.
    fn base(&self, notion: PropertyValue, reason: Option<FieldReason>) -> FieldBase {
        FieldBase {
            property: self.property.clone(),
            kind: self.kind.clone(),
            notion,
            postgres: self.postgres.clone(),
            reason,
        }
    }
}

impl Settlement {
    /// Nothing was written.
    fn not_written(intent: i64, page_id: PageId, row_key: &RowKey) -> Self {
        Self {
            intent,
            state: IntentState::NotWritten,
            is_certain: true,
            page_id,
            row_key: row_key.clone(),
            settle: Vec::new(),
            own_edit: None,
            last_edited: None,
            changes: Vec::new(),
            outcome: Outcome::Unchanged,
            reason: None,
            committed_at: None,
        }
    }
}
