//! The decision for one linked pair (`design/sync.md` §3).

use super::column::ColumnValue;
use super::drift::Discrepancy;
use super::mapping::TablePlan;
use super::page::{PageSnapshot, PropertyValue};
use super::pair::{OwnWrite, PairBase, RowRead};
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
    let _ = (plan, page, row, base, own_write);
    PairPlan { fields: Vec::new() }
}

impl PairPlan {
    /// What stays out of step after this plan, when it writes nothing more.
    pub fn discrepancies(
        &self,
        plan: &TablePlan,
        page: &PageSnapshot,
        row: &RowRead,
    ) -> Vec<Discrepancy> {
        let _ = (plan, page, row);
        Vec::new()
    }
}
