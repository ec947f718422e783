//! The decision for one linked pair (`design/sync.md` §3).
//!
//! Each side is compared with its own base; what changed follows from that and never from times
//! alone. Times matter only where both sides changed, or where there is no base yet.

use jiff::Timestamp;

use super::column::ColumnValue;
use super::convert;
use super::drift::{Discrepancy, DriftKind};
use super::identity::PropertyId;
use super::mapping::{ConflictPolicy, DriftPolicy, Field, OnLossyWrite, TablePlan};
use super::page::{PageSnapshot, PropertyRead, PropertyValue};
use super::pair::{FieldBase, PairBase, RowRead, Traces};
use super::reason::FieldReason;
use super::side::{Resolutions, Side};

/// What to do with one field.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The sides agree; the base is set to them if it is not already.
    Agree,
    /// Notion's value goes to the row.
    WritePostgres(ColumnValue),
    /// The row's value goes to the page.
    WriteNotion(PropertyValue),
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
    /// Whether the base must be set to the two values: the sides agree, or a person chose a value
    /// that may not be written.
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
    traces: &Traces,
) -> PairPlan {
    let look = Look {
        drift_policy: plan.binding.drift_policy,
        notion_is_newer: is_newer(page_time(plan, page, traces), row_time(row, traces)),
        // Only what we wrote ourselves can be a late arrival.
        sent: if edited_by_us(plan, page) {
            &traces.sent
        } else {
            &[]
        },
        resolutions: &traces.resolutions,
    };
    let fields = plan.fields.iter().zip(&row.values).map(|(field, value)| {
        let postgres = ColumnValue::parse(&field.column.kind, value.as_deref());
        let base = base
            .get(&field.column.name)
            .filter(|base| belongs(base, field));
        plan_field(&look, field, page, postgres, base)
    });
    PairPlan {
        fields: fields.collect(),
    }
}

/// What is the same for all fields of a pair.
struct Look<'a> {
    drift_policy: DriftPolicy,
    notion_is_newer: bool,
    sent: &'a [(PropertyId, PropertyValue)],
    resolutions: &'a Resolutions,
}

fn plan_field(
    look: &Look<'_>,
    field: &Field,
    page: &PageSnapshot,
    postgres: ColumnValue,
    base: Option<&FieldBase>,
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
    let values = Values {
        notion: &notion,
        postgres: &postgres,
    };
    if let Some(winner) = look.resolutions.get(&field.column.name) {
        let decision = moved(look, field, values, *winner);
        // What may not be written is parked, or the same conflict would open again.
        let settle = matches!(decision, Decision::Drift | Decision::Failed(_));
        return FieldPlan {
            settle,
            contested: true,
            ..decided(decision, Some(notion), postgres)
        };
    }
    let (decision, contested) = disagree(look, field, values, base);
    FieldPlan {
        contested,
        ..decided(decision, Some(notion), postgres)
    }
}

/// What the two sides of a field hold.
#[derive(Clone, Copy)]
struct Values<'a> {
    notion: &'a PropertyValue,
    postgres: &'a ColumnValue,
}

/// Decides a field whose sides do not agree, by the table of `design/sync.md` §3; the flag says that
/// a policy decided.
fn disagree(
    look: &Look<'_>,
    field: &Field,
    values: Values<'_>,
    base: Option<&FieldBase>,
) -> (Decision, bool) {
    let Some(base) = base else {
        return (contest(look, field, values, true), true);
    };
    let before = ColumnValue::parse(&field.column.kind, base.postgres.as_deref());
    let postgres_moved = !convert::same_column(&before, values.postgres, field);
    let notion_moved = !convert::same(&base.notion, values.notion);
    let late = notion_moved && is_late_arrival(look, field, values.notion);
    let decision = match (notion_moved && !late, postgres_moved) {
        (true, true) => return (contest(look, field, values, false), true),
        (true, false) => moved(look, field, values, Side::Notion),
        (false, true) => moved(look, field, values, Side::Postgres),
        (false, false) if late => moved(look, field, values, Side::Postgres),
        (false, false) => base.reason.map_or(Decision::Drift, Decision::Failed),
    };
    (decision, false)
}

/// Whether the page shows what an earlier write of ours sent, which came after a later one.
fn is_late_arrival(look: &Look<'_>, field: &Field, notion: &PropertyValue) -> bool {
    look.sent
        .iter()
        .any(|(property, sent)| *property == field.property.id && convert::same(sent, notion))
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
    base.reason.is_none()
        && convert::same(&base.notion, notion)
        && convert::same_column(&before, postgres, field)
}

/// Both sides changed, or there is no base: the policy decides.
fn contest(look: &Look<'_>, field: &Field, values: Values<'_>, is_first: bool) -> Decision {
    let winner = match field.mapping.conflict_policy {
        ConflictPolicy::Manual => return Decision::Conflict,
        ConflictPolicy::NotionWins => Side::Notion,
        ConflictPolicy::NewestWins if look.notion_is_newer => Side::Notion,
        ConflictPolicy::PostgresWins | ConflictPolicy::NewestWins => Side::Postgres,
    };
    let is_emptied = is_first
        && field.property.repinned
        && convert::is_empty(values.notion)
        && values.postgres.is_filled();
    match moved(look, field, values, winner) {
        // The property that a person pinned anew may be empty on every page.
        Decision::WritePostgres(_) if is_emptied => Decision::Drift,
        decision => decision,
    }
}

/// The value of `side` is the one that counts: it goes to the other side where it may. Where it may
/// not, the sides differ, or `Repair` puts the other side's value back.
fn moved(look: &Look<'_>, field: &Field, values: Values<'_>, side: Side) -> Decision {
    let direction = field.mapping.direction;
    let target = match side {
        Side::Notion if direction.writes_postgres() => Side::Postgres,
        Side::Postgres if direction.writes_notion() => Side::Notion,
        side if look.drift_policy == DriftPolicy::Repair => side,
        _ => return Decision::Drift,
    };
    match target {
        Side::Postgres => write_postgres(values.notion, field),
        Side::Notion => write_notion(values, field),
    }
}

fn write_postgres(notion: &PropertyValue, field: &Field) -> Decision {
    match convert::column(notion, field) {
        Ok(value) => Decision::WritePostgres(value),
        Err(reason) => Decision::Failed(reason),
    }
}

/// A write never destroys what the column cannot hold, unless it may (`design/sync.md` §4).
fn write_notion(values: Values<'_>, field: &Field) -> Decision {
    let destroyed = convert::destroyed(values.notion, field)
        .filter(|_| field.mapping.on_lossy_write == OnLossyWrite::Reject);
    if let Some(reason) = destroyed {
        return Decision::Failed(reason);
    }
    match convert::to_write(values.postgres, field, Some(values.notion)) {
        Ok(value) => Decision::WriteNotion(value),
        Err(reason) => Decision::Failed(reason),
    }
}

/// Whether the page's last edit was ours.
fn edited_by_us(plan: &TablePlan, page: &PageSnapshot) -> bool {
    plan.bot.is_some() && page.last_edited_by == plan.bot
}

/// The time at which people last changed the page: a time that our own write produced counts as the
/// one before it.
fn page_time(plan: &TablePlan, page: &PageSnapshot, traces: &Traces) -> Option<Timestamp> {
    match (page.last_edited_time, traces.own_edit) {
        (Some(now), Some(own)) if own.written == now && edited_by_us(plan, page) => own.before,
        (now, _) => now,
    }
}

/// The time at which people last changed the row: its own column, else the captured change's time.
/// A time that our own write set counts as the one before it.
fn row_time(row: &RowRead, traces: &Traces) -> Option<Timestamp> {
    let told = match (row.updated_at, traces.own_write) {
        (Some(now), Some(own)) if own.written == now => own.before,
        (now, _) => now,
    };
    told.or(traces.row_changed_at)
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

    /// Whether something must be written to the page.
    pub fn writes_notion(&self) -> bool {
        self.fields
            .iter()
            .any(|field| matches!(field.decision, Decision::WriteNotion(_)))
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

    /// The columns whose conflict a person resolved and about which nothing is left to do: the
    /// sides agree, or the field is parked. A field that could not be read waits.
    pub fn resolved(&self, plan: &TablePlan, resolutions: &Resolutions) -> Vec<String> {
        let fields = plan.fields.iter().zip(&self.fields);
        let done = fields.filter(|(_, decided)| match decided.decision {
            Decision::Agree | Decision::Drift => true,
            Decision::Failed(_) => decided.notion.is_some(),
            _ => false,
        });
        let columns = done.map(|(field, _)| &field.column.name);
        columns
            .filter(|column| resolutions.contains_key(*column))
            .cloned()
            .collect()
    }

    /// The bases to set because the sides agree, or because a person's choice may not be written,
    /// by column.
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
                reason: match decided.decision {
                    Decision::Failed(reason) => Some(reason),
                    _ => None,
                },
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
                Decision::Agree
                | Decision::WritePostgres(_)
                | Decision::WriteNotion(_)
                | Decision::Unread => return None,
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
#[cfg(test)]
mod two_way;
#[cfg(test)]
mod type_tests;
