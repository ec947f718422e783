//! The transaction that applies one change, and the count of the table.

use jiff::Timestamp;

use super::{AuditRow, Change, Pair, Rounding, State};
use crate::store::{Applied, PairChange, TableCounts};
use crate::sync::column::ColumnValue;
use crate::sync::convert;
use crate::sync::drift::{Discrepancy, DriftKind};
use crate::sync::event::{EventResult, Outcome};
use crate::sync::identity::RowKey;
use crate::sync::mapping::TablePlan;
use crate::sync::page::{PageSnapshot, Provenance};
use crate::sync::pair::{FieldBase, OwnWrite, PairBase, PairHash, Traces, outdates};
use crate::sync::plan::{Decision, PairPlan, plan_pair};
use crate::sync::reason::FieldReason;

/// How many unlinked rows are named at most.
const MAX_SAMPLES: usize = 1_000;

impl State {
    pub(super) fn apply(
        &mut self,
        plan: &TablePlan,
        change: &PairChange<'_>,
        now: Timestamp,
        rounding: Rounding,
    ) -> Applied {
        let page = change.page;
        let [index] = self.rows_of(page.id)[..] else {
            return Applied::Relinked;
        };
        let pair = self.pairs.remove(&page.id);
        let seen = pair.as_ref().and_then(|pair| pair.last_edited_seen);
        let own_edit = pair.as_ref().and_then(|pair| pair.own_edit);
        if outdates(seen, own_edit, page, now) {
            self.pairs.extend(pair.map(|pair| (page.id, pair)));
            return Applied::Stale;
        }
        let mut base = pair.as_ref().map(|pair| pair.base.clone());
        let base = base.get_or_insert_default();
        let own_write = pair.as_ref().and_then(|pair| pair.own_write);
        let row = self.rows[index].read();
        let resolutions = self.chosen(page.id);
        let traces = |own_write| Traces {
            own_write,
            own_edit,
            sent: change.sent.to_vec(),
            row_changed_at: change.row_changed_at,
            resolutions: resolutions.clone(),
        };
        let decided = plan_pair(plan, page, &row, base, &traces(own_write));
        base.extend(decided.settlements(plan));
        let before = self.rows[index].clone();
        let changes = self.update(index, plan, page, &decided, base, rounding);
        let after = self.rows[index].clone();
        self.capture_update(&before, &after, now, true);
        let own_write = self.stamp(index, plan, &changes, own_write, now);
        let row = self.rows[index].read();
        let after = plan_pair(plan, page, &row, base, &traces(own_write));
        let discrepancies = after.discrepancies(plan, page, &row);
        let (outcome, reason) = outcome(&discrepancies, changes.len());
        let pair = Pair {
            row_key: row.key.clone(),
            hash: hash(plan, page, &row, &after),
            last_edited_seen: seen.max(page.last_edited_time),
            own_write,
            own_edit,
            provisional: page.provenance == Provenance::Payload,
            base: std::mem::take(base),
        };
        self.pairs.insert(page.id, pair);
        self.replace_discrepancies(page.id, &discrepancies);
        self.close_resolved(page.id, &after.resolved(plan, &resolutions));
        self.audit(change, outcome, reason, &changes);
        Applied::Done {
            outcome,
            fields_written: changes.len(),
            notion_due: after.writes_notion(),
            discrepancies,
        }
    }

    fn update(
        &mut self,
        index: usize,
        plan: &TablePlan,
        page: &PageSnapshot,
        decided: &PairPlan,
        base: &mut PairBase,
        rounding: Rounding,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for (at, (field, decision)) in plan.fields.iter().zip(&decided.fields).enumerate() {
            let Decision::WritePostgres(value) = &decision.decision else {
                continue;
            };
            let returned = rounding(&field.column, value.to_text().as_deref());
            let from = std::mem::replace(&mut self.rows[index].values[at], returned.clone());
            changes.push(Change {
                column: field.column.name.clone(),
                overwrote: from.clone().filter(|_| decision.contested),
                from,
                to: returned.clone(),
            });
            let property = &page.properties[&field.property.id];
            let crate::sync::page::PropertyRead::Value(notion) = property.read.clone() else {
                panic!("a value that was not read is written");
            };
            let stored = ColumnValue::parse(&field.column.kind, returned.as_deref());
            let agrees = convert::agree(&notion, &stored, field);
            let settled = FieldBase {
                property: field.property.id.clone(),
                kind: field.property.kind.clone(),
                notion,
                postgres: returned,
                reason: (!agrees).then_some(FieldReason::NotAccepted),
            };
            base.insert(field.column.name.clone(), settled);
        }
        changes
    }

    /// Sets `updatedAtColumn` where something was written.
    fn stamp(
        &mut self,
        index: usize,
        plan: &TablePlan,
        changes: &[Change],
        own_write: Option<OwnWrite>,
        now: Timestamp,
    ) -> Option<OwnWrite> {
        if changes.is_empty() {
            return own_write;
        }
        let row = &mut self.rows[index];
        self.written.push(row.key.clone());
        plan.binding.updated_at_column.as_ref()?;
        let before = match own_write {
            Some(own) if row.updated_at == Some(own.written) => own.before,
            _ => row.updated_at,
        };
        row.updated_at = Some(now);
        Some(OwnWrite {
            written: now,
            before,
        })
    }

    fn audit(
        &mut self,
        change: &PairChange<'_>,
        outcome: Outcome,
        reason: Option<String>,
        changes: &[Change],
    ) {
        if change.events.is_empty() {
            if !changes.is_empty() {
                self.audit.push(AuditRow {
                    event: None,
                    page_id: Some(change.page.id),
                    outcome,
                    reason,
                    changes: changes.to_vec(),
                });
            }
            return;
        }
        let results = change.events.iter().map(|event| EventResult {
            id: event.id,
            outcome,
            reason: reason.clone(),
        });
        let results: Vec<_> = results.collect();
        self.finish(&results, changes);
    }

    pub(super) fn count_table(&mut self) -> TableCounts {
        let unlinked = self.rows.iter().filter(|row| row.page_id.is_none());
        let keys: Vec<RowKey> = unlinked.map(|row| row.key.clone()).collect();
        self.discrepancies
            .retain(|one| one.kind != DriftKind::UnlinkedRow);
        self.discrepancies
            .extend(keys.iter().map(|key| Discrepancy {
                kind: DriftKind::UnlinkedRow,
                page_id: None,
                row_key: Some(key.clone()),
                column: None,
                property: None,
                reason: None,
                notion: None,
                postgres: None,
            }));
        TableCounts {
            rows: i64::try_from(self.rows.len()).unwrap(),
            unlinked: i64::try_from(keys.len()).unwrap(),
            unlinked_samples: keys.into_iter().take(MAX_SAMPLES).collect(),
        }
    }
}

fn hash(
    plan: &TablePlan,
    page: &PageSnapshot,
    row: &crate::sync::pair::RowRead,
    decided: &PairPlan,
) -> Option<PairHash> {
    let fingerprint = plan.fingerprint();
    if decided.is_unread() || decided.writes_notion() {
        None
    } else if decided.is_in_step() {
        Some(PairHash::in_step(&fingerprint, plan, page, row))
    } else {
        Some(PairHash::out_of_step(&fingerprint, plan, page, row))
    }
}

fn outcome(discrepancies: &[Discrepancy], written: usize) -> (Outcome, Option<String>) {
    let of = |kind| discrepancies.iter().find(|found| found.kind == kind);
    if written > 0 {
        (Outcome::Applied, None)
    } else if let Some(failed) = of(DriftKind::Failed) {
        (Outcome::Failed, failed.reason.clone())
    } else if of(DriftKind::Conflict).is_some() {
        (Outcome::Conflict, None)
    } else {
        (Outcome::Unchanged, None)
    }
}
