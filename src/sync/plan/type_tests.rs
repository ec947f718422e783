//! What the types of §5 make of the decision: sets, sizes, options that stay.

use super::*;
use crate::sync::column::ColumnKind;
use crate::sync::fixtures::{field, page, row, table, text};
use crate::sync::mapping::{Direction, OnUnknownValue, ValuePair};
use crate::sync::page::PropertyType;

const TEXT: ColumnKind = ColumnKind::Text { max_chars: None };

fn names(names: &[&str]) -> PropertyValue {
    PropertyValue::Names(names.iter().map(|&name| name.to_owned()).collect())
}

/// Decides a field that goes both ways, between a base and what the sides hold now.
fn decide(mut field: Field, base: (PropertyValue, &str), now: (PropertyValue, &str)) -> FieldPlan {
    field.mapping.direction = Direction::TwoWay;
    let base = FieldBase {
        property: field.property.id.clone(),
        kind: field.property.kind.clone(),
        notion: base.0,
        postgres: Some(base.1.to_owned()),
        reason: None,
    };
    let base = [(field.column.name.clone(), base)].into();
    let mut plan = table(vec![field]);
    plan.binding.direction = Direction::TwoWay;
    let page = page(&plan, "2026-11-20T10:00:00Z", vec![now.0]);
    let row = row(None, &[Some(now.1)]);
    let mut planned = plan_pair(&plan, &page, &row, &base, &Traces::default());
    planned.fields.remove(0)
}

fn options() -> Field {
    let element = Box::new(TEXT);
    let mut field = field(
        "f",
        PropertyType::MultiSelect,
        ColumnKind::Array { element },
    );
    field.mapping.on_unknown_value = OnUnknownValue::Pass;
    field
}

#[test]
fn a_row_whose_set_was_only_reordered_did_not_change() {
    let planned = decide(
        options(),
        (names(&["A", "B"]), "{A,B}"),
        (names(&["A"]), "{B,A}"),
    );
    let one = ColumnValue::Array(vec![ColumnValue::Text("A".to_owned())]);
    assert_eq!(planned.decision, Decision::WritePostgres(one));
    assert!(!planned.contested);
}

#[test]
fn an_option_that_still_means_its_value_is_not_replaced() {
    let mut field = options();
    let pair = |notion: &str| ValuePair {
        notion: notion.to_owned(),
        postgres: Some("BUSY".to_owned()),
    };
    field.mapping.values = vec![pair("In progress"), pair("Doing")];
    let planned = decide(
        field,
        (names(&["Doing"]), "{BUSY}"),
        (names(&["Doing"]), "{BUSY,New}"),
    );
    let written = names(&["Doing", "New"]);
    assert_eq!(planned.decision, Decision::WriteNotion(written));
}

#[test]
fn what_notion_does_not_take_is_not_sent() {
    let title = field("f", PropertyType::Title, TEXT);
    let long = "a".repeat(200_001);
    let planned = decide(title, (text("a"), "a"), (text("a"), &long));
    let refused = Decision::Failed(FieldReason::NotRepresentable);
    assert_eq!(planned.decision, refused);
    let ids = |count: u128| {
        let ids = (0..count).map(|id| uuid::Uuid::from_u128(id).to_string());
        format!("{{{}}}", ids.collect::<Vec<_>>().join(","))
    };
    let relation = |count| {
        let element = Box::new(ColumnKind::Uuid);
        let field = field("f", PropertyType::Relation, ColumnKind::Array { element });
        let none = || PropertyValue::Ids(Vec::new());
        decide(field, (none(), "{}"), (none(), &ids(count))).decision
    };
    assert!(matches!(relation(100), Decision::WriteNotion(_)));
    assert_eq!(relation(101), refused);
}
