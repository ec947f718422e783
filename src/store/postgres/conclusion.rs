//! What follows from an applied change: the base, what is still out of step, and what the audit row
//! says. Pure: the rows come from the transaction.

use jiff::Timestamp;

use super::write::Written;
use crate::store::PairChange;
use crate::store::audit::{ColumnChange, Side};
use crate::sync::column::ColumnValue;
use crate::sync::convert::agree;
use crate::sync::drift::{Discrepancy, DriftKind};
use crate::sync::event::Outcome;
use crate::sync::mapping::TablePlan;
use crate::sync::page::{PageSnapshot, Provenance};
use crate::sync::pair::{FieldBase, OwnEdit, OwnWrite, PairBase, PairHash, RowRead, Traces};
use crate::sync::plan::{Decision, FieldPlan, PairPlan, plan_pair};
use crate::sync::reason::FieldReason;
use crate::sync::side::Resolutions;

/// What was known about the pair before.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    pub(super) base: PairBase,
    pub(super) seen: Option<Timestamp>,
    pub(super) own_write: Option<OwnWrite>,
    pub(super) own_edit: Option<OwnEdit>,
    pub(super) provisional: bool,
    pub(super) resolutions: Resolutions,
}

impl Remembered {
    /// What our own writes left behind, for the plan.
    pub(super) fn traces(&self, change: &PairChange<'_>) -> Traces {
        Traces {
            own_write: self.own_write,
            own_edit: self.own_edit,
            sent: change.sent.to_vec(),
            row_changed_at: change.row_changed_at,
            resolutions: self.resolutions.clone(),
        }
    }

    /// The newest time seen, with this snapshot. A time that only a payload claimed gives way to
    /// the first one that was read.
    pub(super) fn seen_with(&self, page: &PageSnapshot) -> Option<Timestamp> {
        if self.provisional && page.provenance == Provenance::Get {
            return page.last_edited_time;
        }
        self.seen.max(page.last_edited_time)
    }
}

/// The end of a change.
#[derive(Debug)]
pub(super) struct Conclusion {
    /// The row as it is now.
    pub(super) row: RowRead,
    pub(super) base: PairBase,
    pub(super) own_write: Option<OwnWrite>,
    pub(super) discrepancies: Vec<Discrepancy>,
    /// The columns whose conflict a person resolved and which are done.
    pub(super) resolved: Vec<String>,
    /// The columns whose value is another now.
    pub(super) changes: Vec<ColumnChange>,
    pub(super) outcome: Outcome,
    pub(super) reason: Option<String>,
    /// Contested fields that were overwritten, and those that were left.
    pub(super) won_by_notion: u64,
    pub(super) won_by_postgres: u64,
    after: PairPlan,
}

impl Conclusion {
    /// Draws it: `decided` was planned on `before`, and its writes went as `written` says.
    pub(super) fn of(
        plan: &TablePlan,
        change: &PairChange<'_>,
        decided: &PairPlan,
        remembered: &Remembered,
        before: &RowRead,
        written: &Written,
    ) -> Self {
        let page = change.page;
        let row = written.found.row.clone();
        let mut base = remembered.base.clone();
        base.extend(decided.settlements(plan));
        base.extend(written_bases(plan, decided, written));
        let own_write = own_write(remembered.own_write, before, written);
        let traces = Traces {
            own_write,
            ..remembered.traces(change)
        };
        let after = plan_pair(plan, page, &row, &base, &traces);
        base.extend(after.settlements(plan));
        let discrepancies = after.discrepancies(plan, page, &row);
        let changes = changes(plan, decided, &row);
        let (outcome, reason) = outcome(&changes, &discrepancies);
        let contested = |won: fn(&FieldPlan) -> bool| {
            let fields = decided.fields.iter();
            fields.filter(|field| field.contested && won(field)).count() as u64
        };
        Self {
            won_by_notion: changes
                .iter()
                .filter(|change| !change.overwrote.is_null())
                .count() as u64,
            won_by_postgres: contested(|field| field.decision == Decision::Drift),
            resolved: after.resolved(plan, &remembered.resolutions),
            row,
            base,
            own_write,
            discrepancies,
            changes,
            outcome,
            reason,
            after,
        }
    }

    /// Whether a write to the page is due now.
    pub(super) fn writes_notion(&self) -> bool {
        self.after.writes_notion()
    }

    /// The fingerprint by which the next look finds that nothing moved. There is none while that
    /// look has something to do: a write is due, a property was not read, or values are provisional.
    pub(super) fn hash(
        &self,
        fingerprint: &[u8; 32],
        plan: &TablePlan,
        page: &PageSnapshot,
    ) -> Option<PairHash> {
        let is_open = self.after.writes_postgres()
            || self.after.writes_notion()
            || self.after.is_unread()
            || page.provenance == Provenance::Payload;
        if is_open {
            None
        } else if self.after.is_in_step() {
            Some(PairHash::in_step(fingerprint, plan, page, &self.row))
        } else {
            Some(PairHash::out_of_step(fingerprint, plan, page, &self.row))
        }
    }
}

/// The bases of the columns that were to be written: the page's value, and what the row holds now.
/// Where these do not agree, or the row refused, the field is parked until either side changes.
fn written_bases(
    plan: &TablePlan,
    decided: &PairPlan,
    written: &Written,
) -> Vec<(String, FieldBase)> {
    let fields = plan.fields.iter().zip(&decided.fields).enumerate();
    let bases = fields.filter_map(|(index, (field, decided))| {
        if !matches!(decided.decision, Decision::WritePostgres(_)) {
            return None;
        }
        let notion = decided.notion.clone()?;
        let text = written.found.row.values[index].clone();
        let stored = ColumnValue::parse(&field.column.kind, text.as_deref());
        let accepted = !written.refused.contains(&index) && agree(&notion, &stored, field);
        let base = FieldBase {
            property: field.property.id.clone(),
            kind: field.property.kind.clone(),
            notion,
            postgres: text,
            reason: (!accepted).then_some(FieldReason::NotAccepted),
        };
        Some((field.column.name.clone(), base))
    });
    bases.collect()
}

/// The time that our write set counts as the last one before it, also over several writes of ours.
fn own_write(known: Option<OwnWrite>, before: &RowRead, written: &Written) -> Option<OwnWrite> {
    let Some(now) = written.found.row.updated_at.filter(|_| written.touched) else {
        return known;
    };
    let before = match known {
        Some(own) if before.updated_at == Some(own.written) => own.before,
        _ => before.updated_at,
    };
    Some(OwnWrite {
        written: now,
        before,
    })
}

/// The columns that were to be written and hold another value now.
fn changes(plan: &TablePlan, decided: &PairPlan, row: &RowRead) -> Vec<ColumnChange> {
    let fields = plan.fields.iter().zip(&decided.fields).zip(&row.values);
    let changes = fields.filter_map(|((field, decided), now)| {
        if !matches!(decided.decision, Decision::WritePostgres(_)) {
            return None;
        }
        let now = ColumnValue::parse(&field.column.kind, now.as_deref());
        if now == decided.postgres {
            return None;
        }
        let from = decided.postgres.to_json();
        let lost = decided.contested && decided.postgres.is_filled();
        Some(ColumnChange {
            column: field.column.name.clone(),
            side: Side::Postgres,
            overwrote: if lost {
                from.clone()
            } else {
                serde_json::Value::Null
            },
            from,
            to: now.to_json(),
        })
    });
    changes.collect()
}

/// How it ended, and the first field's reason where one failed.
fn outcome(changes: &[ColumnChange], discrepancies: &[Discrepancy]) -> (Outcome, Option<String>) {
    let first = |kind| discrepancies.iter().find(|one| one.kind == kind);
    let failed = first(DriftKind::Failed);
    let outcome = if !changes.is_empty() {
        Outcome::Applied
    } else if first(DriftKind::Conflict).is_some() {
        Outcome::Conflict
    } else if failed.is_some() {
        Outcome::Failed
    } else {
        Outcome::Unchanged
    };
    (outcome, failed.and_then(|one| one.reason.clone()))
}
