//! A look at pages that were read: compare with their rows, decide, carry out.
//!
//! One page that cannot be handled, or that makes the code panic, is marked and passed by
//! (`DESIGN.md` §2, principle 6).

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use super::writes::Due;
use super::{Engine, EngineError, Notion, PassReport, Store};
use crate::notion::Lane;
use crate::store::{PairRecord, StoreError};
use crate::sync::drift::{Discrepancy, DriftKind};
use crate::sync::event::{EventResult, InboxEvent, Outcome};
use crate::sync::identity::{PageId, PropertyId};
use crate::sync::page::{PageSnapshot, PropertyRead, PropertyValue};
use crate::sync::pair::{PairBase, PairHash, PairRead, RowRead, Traces};
use crate::sync::plan::{PairPlan, plan_pair};
use crate::sync::reason::FieldReason;
use crate::sync::side::Resolutions;

/// A page that was read, with the events that asked for it, oldest first.
#[derive(Debug)]
pub(super) struct Sighting {
    pub(super) page: PageSnapshot,
    pub(super) events: Vec<InboxEvent>,
}

impl Sighting {
    /// The lane of further reads: a person waits where there are events.
    pub(super) const fn lane(&self) -> Lane {
        if self.events.is_empty() {
            Lane::Background
        } else {
            Lane::Edit
        }
    }
}

/// What one look came to.
enum Look {
    /// Nothing to write to the row: what to store.
    Record(Box<Recorded>),
    /// Exactly as at the last look.
    Known,
    /// A write to the row is due.
    Change,
}

/// A look that writes nothing to the row.
struct Recorded {
    record: PairRecord,
    /// How its events end, and why.
    outcome: Outcome,
    reason: Option<String>,
    /// Whether a write to the page is due.
    notion_due: bool,
}

/// What our writes of the last minutes sent to pages that show our edit.
type Sent = HashMap<PageId, Vec<(PropertyId, PropertyValue)>>;

impl<N: Notion, S: Store> Engine<'_, N, S> {
    /// Handles pages of the data source that live. Writes to pages that are due are left in the
    /// report's queue.
    pub(super) async fn handle(
        &self,
        sightings: Vec<Sighting>,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        report.pages_read += sightings.len() as u64;
        let sightings = self.complete_values(sightings, report).await?;
        let ids: Vec<PageId> = sightings.iter().map(|sighting| sighting.page.id).collect();
        let pairs = self.store.read_pairs(&ids).await?;
        let pairs: HashMap<PageId, PairRead> =
            pairs.into_iter().map(|pair| (pair.page_id, pair)).collect();
        let bases = self.read_bases_of_changed(&sightings, &pairs).await?;
        let sent = self.read_sent(&sightings).await?;
        let nothing = Vec::new();
        let (mut records, mut ended, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        for sighting in &sightings {
            let Some(pair) = pairs.get(&sighting.page.id) else {
                continue;
            };
            let sent = sent.get(&sighting.page.id).unwrap_or(&nothing);
            let base = bases.get(&sighting.page.id);
            match self.look_safely(&sighting.page, pair, base, sent, report) {
                Look::Record(recorded) => {
                    if recorded.notion_due {
                        report.outbound.push(sighting.page.id);
                    }
                    records.push(recorded.record);
                    ended.push((sighting, recorded.outcome, recorded.reason));
                }
                Look::Known => ended.push((sighting, Outcome::Unchanged, None)),
                Look::Change => changes.push(Due {
                    sighting,
                    sent,
                    row_changed_at: pair.row_changed_at,
                }),
            }
        }
        if !records.is_empty() {
            self.store.record(records).await?;
        }
        for (sighting, outcome, reason) in ended {
            self.end_events(&sighting.events, outcome, reason.as_deref(), report)
                .await?;
        }
        self.apply_all(changes, report).await
    }

    /// Reads to their end the values that Notion may have cut short.
    pub(super) async fn complete_values(
        &self,
        mut sightings: Vec<Sighting>,
        report: &mut PassReport,
    ) -> Result<Vec<Sighting>, EngineError> {
        for sighting in &mut sightings {
            let lane = sighting.lane();
            let page = sighting.page.id;
            for (id, property) in &mut sighting.page.properties {
                if property.read == PropertyRead::Truncated {
                    match self.notion.whole_property(page, id, lane).await {
                        Ok(read) => property.read = read,
                        // The field stays `Truncated`, which neither side is written for.
                        Err(error) if error.is_not_found() => {}
                        Err(error) => {
                            report.left_open += 1;
                            self.pass_by(page, &error, report).await?;
                        }
                    }
                }
            }
        }
        Ok(sightings)
    }

    /// Bases are read only for pairs that moved since the last look.
    async fn read_bases_of_changed(
        &self,
        sightings: &[Sighting],
        pairs: &HashMap<PageId, PairRead>,
    ) -> Result<HashMap<PageId, PairBase>, EngineError> {
        let moved = sightings.iter().filter(|sighting| {
            let pair = pairs.get(&sighting.page.id);
            pair.and_then(|pair| pair.rows.first().map(|row| (pair, row)))
                .is_some_and(|(pair, row)| !self.is_known(&sighting.page, pair, row))
        });
        let ids: Vec<PageId> = moved.map(|sighting| sighting.page.id).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        Ok(self.store.read_bases(&ids).await?)
    }

    /// What we sent lately to those of the pages that we edited last.
    async fn read_sent(&self, sightings: &[Sighting]) -> Result<Sent, EngineError> {
        let ours = sightings.iter().map(|sighting| &sighting.page);
        let ours =
            ours.filter(|page| self.plan.bot.is_some() && page.last_edited_by == self.plan.bot);
        let ours: Vec<PageId> = ours.map(|page| page.id).collect();
        if ours.is_empty() {
            return Ok(Sent::new());
        }
        let intents = self.store.intents(&ours).await?;
        let sent = intents.into_iter().map(|(page, intents)| {
            let fields = intents.into_iter().flat_map(|intent| intent.intent.fields);
            let values = fields.map(|field| (field.property, field.sent));
            (page, values.collect())
        });
        Ok(sent.collect())
    }

    /// Whether this pair looks exactly as at the last look.
    fn is_known(&self, page: &PageSnapshot, pair: &PairRead, row: &RowRead) -> bool {
        let Some(head) = &pair.head else { return false };
        let Some(hash) = head.hash else { return false };
        head.row_key == row.key
            && pair.resolutions.is_empty()
            && !head.provisional
            && head.last_edited_seen >= page.last_edited_time
            && (hash == PairHash::in_step(&self.fingerprint, self.plan, page, row)
                || hash == PairHash::out_of_step(&self.fingerprint, self.plan, page, row))
    }

    fn look_safely(
        &self,
        page: &PageSnapshot,
        pair: &PairRead,
        base: Option<&PairBase>,
        sent: &[(PropertyId, PropertyValue)],
        report: &mut PassReport,
    ) -> Look {
        let look = AssertUnwindSafe(|| self.look(page, pair, base, sent));
        let look = std::panic::catch_unwind(look);
        if let Ok((look, unread)) = look {
            report.schema_check_due |= unread;
            look
        } else {
            tracing::error!(binding.name = %self.plan.binding.binding, page.id = %page.id,
                "the decision for a page panicked");
            Look::failed(page, pair.rows.first(), FieldReason::InternalError)
        }
    }

    /// Decides what a pair needs; the flag says that a schema check is due.
    fn look(
        &self,
        page: &PageSnapshot,
        pair: &PairRead,
        base: Option<&PairBase>,
        sent: &[(PropertyId, PropertyValue)],
    ) -> (Look, bool) {
        let row = match pair.rows.as_slice() {
            [] => return (self.orphaned(page), false),
            [row] => row,
            [first, ..] => {
                let look = Look::failed(page, Some(first), FieldReason::DuplicateLink);
                return (look, false);
            }
        };
        if self.is_known(page, pair, row) {
            return (Look::Known, false);
        }
        let head = pair.head.as_ref();
        let traces = Traces {
            own_write: head.and_then(|head| head.own_write),
            own_edit: head.and_then(|head| head.own_edit),
            sent: sent.to_vec(),
            row_changed_at: pair.row_changed_at,
            resolutions: pair.resolutions.clone(),
        };
        let no_base = PairBase::new();
        let plan = plan_pair(self.plan, page, row, base.unwrap_or(&no_base), &traces);
        // An old row of a query decides nothing; `apply` finds that out and asks for a read.
        let is_old = head.is_some_and(|head| head.outdates(page, self.now()));
        if plan.writes_postgres() || is_old {
            return (Look::Change, plan.is_unread());
        }
        let unread = plan.is_unread();
        (self.recorded(page, row, &plan, &pair.resolutions), unread)
    }

    fn recorded(
        &self,
        page: &PageSnapshot,
        row: &RowRead,
        plan: &PairPlan,
        resolutions: &Resolutions,
    ) -> Look {
        let discrepancies = plan.discrepancies(self.plan, page, row);
        let (outcome, reason) = outcome_of(&discrepancies);
        let notion_due = plan.writes_notion();
        let hash = if plan.is_unread() || notion_due {
            None
        } else if plan.is_in_step() {
            Some(PairHash::in_step(&self.fingerprint, self.plan, page, row))
        } else {
            Some(PairHash::out_of_step(
                &self.fingerprint,
                self.plan,
                page,
                row,
            ))
        };
        let record = PairRecord {
            page_id: page.id,
            row_key: Some(row.key.clone()),
            hash,
            last_edited: page.last_edited_time,
            settle: plan.settlements(self.plan),
            resolved: plan.resolved(self.plan, resolutions),
            discrepancies,
        };
        Look::Record(Box::new(Recorded {
            record,
            outcome,
            reason,
            notion_due,
        }))
    }

    fn orphaned(&self, page: &PageSnapshot) -> Look {
        let record = PairRecord {
            page_id: page.id,
            row_key: None,
            hash: None,
            last_edited: page.last_edited_time,
            settle: Vec::new(),
            resolved: Vec::new(),
            discrepancies: vec![Discrepancy {
                kind: DriftKind::OrphanedPage,
                page_id: Some(page.id),
                row_key: None,
                column: None,
                property: None,
                reason: None,
                notion: None,
                postgres: None,
            }],
        };
        tracing::debug!(binding.name = %self.plan.binding.binding, page.id = %page.id,
            "the page has no row");
        Look::Record(Box::new(Recorded {
            record,
            outcome: Outcome::Unlinked,
            reason: None,
            notion_due: false,
        }))
    }

    /// Ends events with one outcome.
    pub(super) async fn end_events(
        &self,
        events: &[InboxEvent],
        outcome: Outcome,
        reason: Option<&str>,
        report: &mut PassReport,
    ) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let results: Vec<EventResult> = events
            .iter()
            .map(|event| EventResult {
                id: event.id,
                outcome,
                reason: reason.map(str::to_owned),
            })
            .collect();
        self.store.finish_events(events, &results).await?;
        report.events_settled += events.len() as u64;
        Ok(())
    }
}

impl Look {
    /// A pair that is marked as a whole.
    fn failed(page: &PageSnapshot, row: Option<&RowRead>, reason: FieldReason) -> Self {
        Self::Record(Box::new(Recorded {
            record: marked(page, row, reason),
            outcome: Outcome::Failed,
            reason: Some(reason.as_str().to_owned()),
            notion_due: false,
        }))
    }
}

/// The outcome of a look that writes nothing.
fn outcome_of(discrepancies: &[Discrepancy]) -> (Outcome, Option<String>) {
    let of_kind = |kind| discrepancies.iter().find(|found| found.kind == kind);
    if let Some(failed) = of_kind(DriftKind::Failed) {
        (Outcome::Failed, failed.reason.clone())
    } else if of_kind(DriftKind::Conflict).is_some() {
        (Outcome::Conflict, None)
    } else {
        (Outcome::Unchanged, None)
    }
}

/// A pair that is marked as a whole.
pub(super) fn marked(
    page: &PageSnapshot,
    row: Option<&RowRead>,
    reason: FieldReason,
) -> PairRecord {
    PairRecord {
        page_id: page.id,
        row_key: row.map(|row| row.key.clone()),
        hash: None,
        last_edited: page.last_edited_time,
        settle: Vec::new(),
        resolved: Vec::new(),
        discrepancies: vec![Discrepancy {
            kind: DriftKind::Failed,
            page_id: Some(page.id),
            row_key: row.map(|row| row.key.clone()),
            column: None,
            property: None,
            reason: Some(reason.as_str().to_owned()),
            notion: None,
            postgres: None,
        }],
    }
}
