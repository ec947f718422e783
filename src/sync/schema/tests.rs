use std::collections::BTreeMap;

use super::*;
use crate::sync::column::Column;
use crate::sync::column::ColumnKind;
use crate::sync::fixtures;
use crate::sync::identity::{DataSourceId, PropertyId};
use crate::sync::mapping::{BindingPlan, Direction};
use crate::sync::page::PropertyType;
use crate::sync::policy::{OnPageTrashed, OnUnlinkedPage, OnUnlinkedRow};

fn source(properties: &[(&str, &str, PropertyType)]) -> DataSource {
    let property = |(id, name, kind): &(&str, &str, PropertyType)| {
        PropertySchema::new(PropertyId::new(id), (*name).to_owned(), kind.clone())
    };
    DataSource {
        id: DataSourceId(uuid::Uuid::from_u128(1)),
        title: "Projects".into(),
        in_trash: false,
        properties: properties.iter().map(property).collect(),
    }
}

/// A table with a unique, nullable page id and every privilege.
struct Shape {
    columns: BTreeMap<String, Column>,
    stopped: Vec<StoppedField>,
    page_id: Column,
    page_id_is_unique: bool,
    required: Vec<String>,
    lacks_delete: bool,
}

impl Shape {
    fn of(columns: &[Column]) -> Self {
        let named = |column: &Column| (column.name.clone(), column.clone());
        Self {
            columns: columns.iter().map(named).collect(),
            stopped: Vec::new(),
            page_id: text_column("notionPageId"),
            page_id_is_unique: true,
            required: Vec::new(),
            lacks_delete: false,
        }
    }

    fn shape(&self) -> TableShape<'_> {
        TableShape {
            columns: &self.columns,
            stopped: &self.stopped,
            key_columns: &self.columns,
            key_stopped: &self.stopped,
            page_id: &self.page_id,
            page_id_is_unique: self.page_id_is_unique,
            required: &self.required,
            lacking: Lacking {
                delete: self.lacks_delete.then_some("GRANT DELETE"),
                ..Lacking::default()
            },
            key_is_plain: true,
        }
    }
}

fn text_column(name: &str) -> Column {
    let text = ColumnKind::Text { max_chars: None };
    fixtures::field(name, PropertyType::Title, text).column
}

fn key(column: &str, property: &str) -> KeyMapping {
    KeyMapping {
        column: column.to_owned(),
        property: PropertySelector::parse(property),
    }
}

/// A binding that maps these columns, and links whatever it can by `slug`.
fn linking(fields: Vec<FieldMapping>) -> BindingPlan {
    let mut binding = fixtures::table(Vec::new()).binding;
    binding.fields = fields;
    binding.policies.linking.on_unlinked_page = OnUnlinkedPage::Insert;
    binding.policies.linking.on_unlinked_row = OnUnlinkedRow::Create;
    binding.policies.linking.match_on = vec![key("slug", "Slug")];
    binding
}

fn fit(binding: BindingPlan, schema: &DataSource, table: &Shape) -> Fitted {
    let keys = &binding.policies.linking.match_on;
    let pinning = pin(&binding.fields, keys, &[], schema, &[]);
    table_plan(binding, schema.id, &pinning, table.shape())
}

fn reasons(fitted: &Fitted) -> Vec<Reason> {
    fitted.notices.iter().map(|(reason, _)| *reason).collect()
}

fn mapping(column: &str, property: &str) -> FieldMapping {
    let text = ColumnKind::Text { max_chars: None };
    let mut mapping = fixtures::field(column, PropertyType::Title, text).mapping;
    mapping.property = PropertySelector::parse(property);
    mapping
}

#[test]
fn a_rename_is_followed_by_id_even_if_another_property_takes_the_name() {
    let fields = [mapping("stage", "Stage")];
    let first = source(&[("a", "Stage", PropertyType::Select)]);
    let pins = pin(&fields, &[], &[], &first, &[]).pinned;
    let later = source(&[
        ("b", "Stage", PropertyType::Select),
        ("a", "Phase", PropertyType::Select),
    ]);
    let after = pin(&fields, &[], &pins, &later, &[]);
    assert!(after.stopped.is_empty());
    assert_eq!(after.pinned[0].id, PropertyId::new("a"));
    let rename = Rename {
        column: "stage".into(),
        from: "Stage".into(),
        to: "Phase".into(),
    };
    assert_eq!(after.renamed, [rename]);
    assert!(
        pin(&fields, &[], &after.pinned, &later, &[])
            .renamed
            .is_empty()
    );
}

#[test]
fn a_vanished_or_retyped_property_stops_its_column_until_it_is_repinned() {
    let fields = [mapping("stage", "Stage")];
    let before = pin(
        &fields,
        &[],
        &[],
        &source(&[("a", "Stage", PropertyType::Select)]),
        &[],
    );
    let recreated = source(&[("b", "Stage", PropertyType::Select)]);
    let gone = pin(&fields, &[], &before.pinned, &recreated, &[]);
    assert_eq!(gone.stopped[0].reason, Reason::PropertyMissing);
    assert_eq!(gone.pinned, before.pinned);
    let retyped = source(&[("a", "Stage", PropertyType::Status)]);
    let stopped = pin(&fields, &[], &before.pinned, &retyped, &[]);
    assert_eq!(stopped.stopped[0].reason, Reason::PropertyRetyped);
    let repinned = pin(&fields, &[], &before.pinned, &recreated, &["stage".into()]);
    assert!(repinned.stopped.is_empty());
    assert_eq!(repinned.pinned[0].id, PropertyId::new("b"));
    assert!(repinned.pinned[0].repinned);
}

#[test]
fn repinning_to_a_name_that_nobody_has_keeps_a_pin_that_works() {
    let fields = [mapping("stage", "Stage")];
    let first = source(&[("a", "Stage", PropertyType::Select)]);
    let pins = pin(&fields, &[], &[], &first, &[]).pinned;
    let renamed = source(&[("a", "Phase", PropertyType::Select)]);
    let again = pin(&fields, &[], &pins, &renamed, &["stage".into()]);
    assert!(again.stopped.is_empty());
    assert_eq!(again.pinned[0].name, "Phase");
}

#[test]
fn another_entry_in_the_spec_is_resolved_anew() {
    let before = pin(
        &[mapping("stage", "Stage")],
        &[],
        &[],
        &source(&[("a", "Stage", PropertyType::Select)]),
        &[],
    );
    let schema = source(&[
        ("a", "Stage", PropertyType::Select),
        ("U%60%3BC", "Phase", PropertyType::Select),
    ]);
    let after = pin(
        &[mapping("stage", "id:U`;C")],
        &[],
        &before.pinned,
        &schema,
        &[],
    );
    assert_eq!(after.pinned[0].id, PropertyId::new("U`;C"));
    assert!(after.pinned[0].repinned);
    let missing = pin(
        &[mapping("stage", "Stge")],
        &[],
        &before.pinned,
        &schema,
        &[],
    );
    assert_eq!(missing.stopped[0].reason, Reason::PropertyMissing);
    assert_eq!(missing.pinned, before.pinned);
}

#[test]
fn only_the_field_that_does_not_fit_stops() {
    let fields = vec![
        mapping("name", "Name"),
        mapping("price", "Price"),
        mapping("gone", "Name"),
    ];
    let schema = source(&[
        ("t", "Name", PropertyType::Title),
        ("p", "Price", PropertyType::Number),
    ]);
    let pinning = pin(&fields, &[], &[], &schema, &[]);
    let text = ColumnKind::Text { max_chars: None };
    let column = |name: &str| fixtures::field(name, PropertyType::Title, text.clone()).column;
    let gone = StoppedField {
        column: "gone".into(),
        reason: Reason::ColumnNotFound,
        remedy: String::new(),
    };
    let mut table = Shape::of(&[column("name"), column("price")]);
    table.stopped.push(gone);
    let mut binding = fixtures::table(Vec::new()).binding;
    binding.fields = fields;
    let fitted = table_plan(binding, schema.id, &pinning, table.shape());
    assert_eq!(fitted.plan.fields.len(), 1);
    let stopped = fitted.plan.stopped.iter();
    let reasons: Vec<_> = stopped.map(|field| field.reason).collect();
    assert_eq!(
        reasons,
        [Reason::ColumnNotFound, Reason::ColumnTypeMismatch]
    );
}

#[test]
fn a_read_only_property_narrows_two_way_and_refuses_to_be_written() {
    let schema = source(&[("f", "Sum", PropertyType::Formula)]);
    let table = Shape::of(&[text_column("sum")]);
    for (direction, works) in [
        (Direction::TwoWay, true),
        (Direction::ToPostgres, true),
        (Direction::ToNotion, false),
    ] {
        let mut binding = fixtures::table(Vec::new()).binding;
        binding.fields = vec![mapping("sum", "Sum")];
        binding.fields[0].direction = direction;
        let plan = fit(binding, &schema, &table).plan;
        if works {
            assert_eq!(plan.fields[0].mapping.direction, Direction::ToPostgres);
            assert!(plan.stopped.is_empty());
        } else {
            assert_eq!(plan.stopped[0].reason, Reason::PropertyReadOnly);
        }
    }
}

#[test]
fn a_generated_column_is_read_and_never_written() {
    let schema = source(&[("t", "Name", PropertyType::Title)]);
    let mut column = text_column("name");
    column.generated = true;
    let table = Shape::of(&[column]);
    for (direction, works) in [
        (Direction::ToNotion, true),
        (Direction::TwoWay, false),
        (Direction::ToPostgres, false),
    ] {
        let mut binding = fixtures::table(Vec::new()).binding;
        binding.fields = vec![mapping("name", "Name")];
        binding.fields[0].direction = direction;
        let plan = fit(binding, &schema, &table).plan;
        assert_eq!(
            (plan.fields.len(), plan.stopped.len()),
            (usize::from(works), usize::from(!works))
        );
    }
}

#[test]
fn a_key_is_pinned_beside_the_fields() {
    let schema = source(&[
        ("t", "Name", PropertyType::Title),
        ("s", "Slug", PropertyType::RichText),
    ]);
    let table = Shape::of(&[text_column("name"), text_column("slug")]);
    let fields = vec![mapping("name", "Name"), mapping("slug", "Name")];
    let pinning = pin(&fields, &[key("slug", "Slug")], &[], &schema, &[]);
    let keys: Vec<_> = pinning.pinned.iter().filter(|pin| pin.is_key).collect();
    assert_eq!((keys.len(), &*keys[0].name), (1, "Slug"));
    let fitted = fit(linking(fields), &schema, &table);
    assert!(fitted.notices.is_empty(), "{:?}", fitted.notices);
    assert_eq!(fitted.plan.match_on[0].property.id, PropertyId::new("s"));
    assert_eq!(fitted.plan.fields[1].property.id, PropertyId::new("t"));
    let mapped = vec![mapping("name", "Name"), mapping("slug", "Slug")];
    let pinned = pin(&mapped, &[key("slug", "Slug")], &[], &schema, &[]).pinned;
    assert!(pinned.iter().all(|pin| !pin.is_key));
    let fitted = fit(linking(mapped), &schema, &table);
    assert_eq!(fitted.plan.match_on[0], fitted.plan.fields[1]);
}

#[test]
fn a_policy_that_cannot_be_acted_on_is_left_out_alone() {
    let schema = source(&[
        ("t", "Name", PropertyType::Title),
        ("s", "Slug", PropertyType::UniqueId),
    ]);
    let fields = || vec![mapping("name", "Name")];
    let mut table = Shape::of(&[text_column("name"), text_column("slug")]);
    table.required = vec![
        "name".into(),
        "slug".into(),
        "owner".into(),
        "notionPageId".into(),
    ];
    let fitted = fit(linking(fields()), &schema, &table);
    assert_eq!(
        reasons(&fitted),
        [Reason::RequiredColumnUnmapped, Reason::PropertyReadOnly]
    );
    assert!(
        fitted.notices[0].1.contains("column \"owner\":"),
        "{:?}",
        fitted.notices
    );
    let left = &fitted.plan.binding.policies.linking;
    assert!(!left.writes_page_id() && fitted.plan.match_on.is_empty());
    assert_eq!(fitted.plan.fields.len(), 1);

    table.page_id_is_unique = false;
    let mut binding = linking(fields());
    binding.policies.linking.match_on = vec![key("slug", "Sulg")];
    binding.policies.deletion.on_page_trashed = OnPageTrashed::Unlink;
    table.page_id.nullable = false;
    let fitted = fit(binding, &schema, &table);
    let expected = [
        Reason::PageIdNotUnique,
        Reason::PropertyMissing,
        Reason::PageIdNotNullable,
    ];
    assert_eq!(reasons(&fitted), expected);
    let policies = &fitted.plan.binding.policies;
    assert!(!policies.linking.writes_page_id());
    assert_eq!(policies.deletion.on_page_trashed, OnPageTrashed::Ignore);

    table.lacks_delete = true;
    let mut binding = fixtures::table(Vec::new()).binding;
    binding.policies.deletion.on_page_trashed = OnPageTrashed::DeleteRow;
    assert_eq!(
        reasons(&fit(binding, &schema, &table)),
        [Reason::PrivilegeMissing]
    );
}
