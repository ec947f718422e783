//! The decision for one linked pair (`design/sync.md` §3).
//!
//! Each side is compared with its own base; what changed follows from that and never from times
//! alone. Times matter only where both sides changed, or where there is no base yet.

use jiff::Timestamp;

use super::column::ColumnValue;
use super::convert;
use super::drift::{Discrepancy, DriftKind};
use super::mapping::{ConflictPolicy, Direction, DriftPolicy, Field, TablePlan};
use super::page::{PageSnapshot, PropertyRead, PropertyValue};
use super::pair::{FieldBase, OwnWrite, PairBase, RowRead};
use super::reason::FieldReason;

/// What to do with one field.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The sides agree; the base is set to them if it is not already.
    Agree,
    /// Notion's value goes to the row.
    WritePostgres(ColumnValue),
    /// The sides differ and nothing is due.
    Drift,
    /// The sides differ and a person decides.
    Conflict,
    /// The field cannot be brought into step.
    Failed(FieldReason),
    /// This read says nothing about the field: the page does not have the pinned property, or has
    /// it in another type (a schema check is due), or a payload left it out.
    Unread,
}

/// One field of a pair, decided.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldPlan {
    /// What to do.
    pub decision: Decision,
    /// Notion's value, where it could be read.
    pub notion: Option<PropertyValue>,
    /// The row's value.
    pub postgres: ColumnValue,
    /// Whether the base must be set to the two values (only with [`Decision::Agree`]).
    pub settle: bool,
    /// Whether both sides had changed, or nobody knows, so that a policy decided.
    pub contested: bool,
}

/// A pair, decided: one entry for each of [`TablePlan::fields`], in that order.
#[derive(Debug, Clone, PartialEq)]
pub struct PairPlan {
    /// The fields.
    pub fields: Vec<FieldPlan>,
}

/// Decides a pair: compares each side with its own base and applies the policies.
pub fn plan_pair(
    plan: &TablePlan,
    page: &PageSnapshot,
    row: &RowRead,
    base: &PairBase,
    own_write: Option<OwnWrite>,
) -> PairPlan {
    let notion_is_newer = is_newer(page.last_edited_time, row_time(row, own_write));
    let fields = plan.fields.iter().zip(&row.values).map(|(field, value)| {
        let postgres = ColumnValue::parse(&field.column.kind, value.as_deref());
        let base = base
            .get(&field.column.name)
            .filter(|base| belongs(base, field));
        plan_field(plan, field, page, postgres, base, notion_is_newer)
    });
    PairPlan {
        fields: fields.collect(),
    }
}

fn plan_field(
    plan: &TablePlan,
    field: &Field,
    page: &PageSnapshot,
    postgres: ColumnValue,
    base: Option<&FieldBase>,
    notion_is_newer: bool,
) -> FieldPlan {
    let decided = |decision, notion, postgres| FieldPlan {
        decision,
        notion,
        postgres,
        settle: false,
        contested: false,
    };
    let read = page.properties.get(&field.property.id);
    let notion = match read.filter(|property| property.kind == field.property.kind) {
        None => return decided(Decision::Unread, None, postgres),
        Some(property) => match &property.read {
            PropertyRead::Value(value) => value.clone(),
            PropertyRead::Truncated => {
                return decided(Decision::Failed(FieldReason::Truncated), None, postgres);
            }
            PropertyRead::Unsupported => {
                return decided(Decision::Failed(FieldReason::Unsupported), None, postgres);
            }
        },
    };
    if convert::agree(&notion, &postgres, field) {
        let settle = base.is_none_or(|base| !is_settled(base, &notion, &postgres, field));
        return FieldPlan {
            settle,
            ..decided(Decision::Agree, Some(notion), postgres)
        };
    }
    let changes = base.map(|base| {
        let before = ColumnValue::parse(&field.column.kind, base.postgres.as_deref());
        (
            !convert::same(&base.notion, &notion),
            !before.same(&postgres),
            base.reason,
        )
    });
    let contested = matches!(changes, None | Some((true, true, _)));
    let decision = match changes {
        Some((true, false, _)) => write_postgres(&notion, field),
        Some((false, true, _)) => read_only_side_moved(plan),
        Some((false, false, Some(reason))) => Decision::Failed(reason),
        Some((false, false, None)) => Decision::Drift,
        None if field.property.repinned && convert::is_empty(&notion) && postgres.is_filled() => {
            Decision::Drift
        }
        None | Some((true, true, _)) => contest(plan, field, &notion, notion_is_newer),
    };
    FieldPlan {
        contested,
        ..decided(decision, Some(notion), postgres)
    }
}

/// Whether a base is one of the property that is pinned now.
fn belongs(base: &FieldBase, field: &Field) -> bool {
    base.property == field.property.id && base.kind == field.property.kind
}

fn is_settled(
    base: &FieldBase,
    notion: &PropertyValue,
    postgres: &ColumnValue,
    field: &Field,
) -> bool {
    let before = ColumnValue::parse(&field.column.kind, base.postgres.as_deref());
    base.reason.is_none() && convert::same(&base.notion, notion) && before.same(postgres)
}

/// Both sides changed, or there is no base: the policy decides.
fn contest(
    plan: &TablePlan,
    field: &Field,
    notion: &PropertyValue,
    notion_is_newer: bool,
) -> Decision {
    let notion_wins = match field.mapping.conflict_policy {
        ConflictPolicy::Manual => return Decision::Conflict,
        ConflictPolicy::NotionWins => true,
        ConflictPolicy::PostgresWins => false,
        ConflictPolicy::NewestWins => notion_is_newer,
    };
    if notion_wins {
        write_postgres(notion, field)
    } else {
        // Postgres wins, but its value may not be written to Notion.
        read_only_side_moved(plan)
    }
}

/// The side that may not be written from has the value that would count.
fn read_only_side_moved(plan: &TablePlan) -> Decision {
    match (plan.binding.direction, plan.binding.drift_policy) {
        (Direction::ToPostgres, DriftPolicy::Report) => Decision::Drift,
    }
}

fn write_postgres(notion: &PropertyValue, field: &Field) -> Decision {
    match convert::column(notion, field) {
        Ok(value) => Decision::WritePostgres(value),
        Err(reason) => Decision::Failed(reason),
    }
}

/// The time at which people last changed the row: a time that our own write set counts as the one
/// before it.
fn row_time(row: &RowRead, own_write: Option<OwnWrite>) -> Option<Timestamp> {
    match (row.updated_at, own_write) {
        (Some(now), Some(own)) if own.written == now => own.before,
        (now, _) => now,
    }
}

/// S8: Notion wins only when it is strictly later; unknown is oldest, and both unknown is Postgres.
fn is_newer(notion: Option<Timestamp>, row: Option<Timestamp>) -> bool {
    notion > row
}

impl PairPlan {
    /// Whether something must be written to the row.
    pub fn writes_postgres(&self) -> bool {
        self.fields
            .iter()
            .any(|field| matches!(field.decision, Decision::WritePostgres(_)))
    }

    /// Whether every field agrees.
    pub fn is_in_step(&self) -> bool {
        self.fields
            .iter()
            .all(|field| field.decision == Decision::Agree)
    }

    /// Whether some property could not be found as it was pinned, so that a schema check is due.
    pub fn is_unread(&self) -> bool {
        self.fields
            .iter()
            .any(|field| field.decision == Decision::Unread)
    }

    /// The bases to set because the sides agree, by column.
    pub fn settlements(&self, plan: &TablePlan) -> Vec<(String, FieldBase)> {
        let settled = plan
            .fields
            .iter()
            .zip(&self.fields)
            .filter(|(_, decided)| decided.settle);
        let bases = settled.filter_map(|(field, decided)| {
            let base = FieldBase {
                property: field.property.id.clone(),
                kind: field.property.kind.clone(),
                notion: decided.notion.clone()?,
                postgres: decided.postgres.to_text(),
                reason: None,
            };
            Some((field.column.name.clone(), base))
        });
        bases.collect()
    }

    /// What stays out of step while nothing is written. A field with a write due is not among them.
    pub fn discrepancies(
        &self,
        plan: &TablePlan,
        page: &PageSnapshot,
        row: &RowRead,
    ) -> Vec<Discrepancy> {
        let fields = plan.fields.iter().zip(&self.fields);
        let open = fields.filter_map(|(field, decided)| {
            let (kind, reason) = match decided.decision {
                Decision::Agree | Decision::WritePostgres(_) | Decision::Unread => return None,
                Decision::Drift => (DriftKind::Mismatch, None),
                Decision::Conflict => (DriftKind::Conflict, None),
                Decision::Failed(reason) => (DriftKind::Failed, Some(reason)),
            };
            Some(Discrepancy {
                kind,
                page_id: Some(page.id),
                row_key: Some(row.key.clone()),
                column: Some(field.column.name.clone()),
                property: Some(field.property.id.clone()),
                reason: reason.map(|reason| reason.as_str().to_owned()),
                notion: decided.notion.as_ref().map(PropertyValue::to_json),
                postgres: Some(decided.postgres.to_json()),
            })
        });
        open.collect()
    }
}

#[cfg(test)]
mod tests;
