use std::str::FromStr;

use bigdecimal::BigDecimal;
use jiff::civil::date;

use super::*;
use crate::sync::fixtures::{field, text as rich};
use crate::sync::mapping::{OnUnknownValue, ValuePair};
use crate::sync::page::{DateOrTime, NotionDate};

fn number(text: &str) -> PropertyValue {
    PropertyValue::Number(Some(BigDecimal::from_str(text).unwrap()))
}

fn stored(value: &str, kind: ColumnKind) -> Converted<Option<String>> {
    let field = field("f", PropertyType::Number, kind);
    column(&number(value), &field).map(|value| value.to_text())
}

fn choice(name: &str) -> PropertyValue {
    PropertyValue::Choice(Some(name.to_owned()))
}

fn status(values: &[(&str, Option<&str>)], on_unknown: OnUnknownValue) -> Field {
    let mut field = field(
        "f",
        PropertyType::Status,
        ColumnKind::Text { max_chars: None },
    );
    field.mapping.on_unknown_value = on_unknown;
    let pair = |(notion, postgres): &(&str, Option<&str>)| ValuePair {
        notion: (*notion).to_owned(),
        postgres: postgres.map(str::to_owned),
    };
    field.mapping.values = values.iter().map(pair).collect();
    field
}

#[test]
fn numbers_take_the_declared_form() {
    let declared = |p, s| ColumnKind::Numeric {
        declared: Some((p, s)),
    };
    assert_eq!(stored("19.555", declared(10, 2)), Ok(Some("19.56".into())));
    assert_eq!(
        stored("-19.555", declared(10, 2)),
        Ok(Some("-19.56".into()))
    );
    assert_eq!(
        stored("99999999.99", declared(10, 2)),
        Ok(Some("99999999.99".into()))
    );
    let refused = Err(FieldReason::NotRepresentable);
    assert_eq!(stored("99999999.995", declared(10, 2)), refused);
    assert_eq!(stored("1250", declared(2, -3)), Ok(Some("1000".into())));
    assert_eq!(
        stored("32767", ColumnKind::Integer { bits: 16 }),
        Ok(Some("32767".into()))
    );
    assert_eq!(stored("32768", ColumnKind::Integer { bits: 16 }), refused);
    assert_eq!(
        stored("-32768", ColumnKind::Integer { bits: 16 }),
        Ok(Some("-32768".into()))
    );
    assert_eq!(stored("1.5", ColumnKind::Integer { bits: 64 }), refused);
    let big = "9007199254740993";
    assert_eq!(
        stored(big, ColumnKind::Integer { bits: 64 }),
        Ok(Some(big.into()))
    );
    assert_eq!(
        stored(big, ColumnKind::Numeric { declared: None }),
        Ok(Some(big.into()))
    );
    assert_eq!(stored(big, ColumnKind::Float { bits: 64 }), refused);
    assert_eq!(
        stored("0.1", ColumnKind::Float { bits: 32 }),
        Ok(Some("0.1".into()))
    );
    assert_eq!(stored("16777217", ColumnKind::Float { bits: 32 }), refused);
    assert_eq!(
        stored("1e999999999", ColumnKind::Numeric { declared: None }),
        refused
    );
}

#[test]
fn a_rounded_number_agrees_with_what_was_stored() {
    let kind = ColumnKind::Numeric {
        declared: Some((10, 2)),
    };
    let field = field("f", PropertyType::Number, kind.clone());
    let held = ColumnValue::parse(&kind, Some("19.56"));
    assert!(agree(&number("19.555"), &held, &field));
    assert!(!agree(&number("19.57"), &held, &field));
}

#[test]
fn text_is_whole_or_refused() {
    let short = field(
        "f",
        PropertyType::Title,
        ColumnKind::Text { max_chars: Some(3) },
    );
    assert_eq!(
        column(&rich("äöü"), &short),
        Ok(ColumnValue::Text("äöü".into()))
    );
    assert_eq!(
        column(&rich("äöüß"), &short),
        Err(FieldReason::NotRepresentable)
    );
    let any = field(
        "f",
        PropertyType::RichText,
        ColumnKind::Text { max_chars: None },
    );
    assert_eq!(
        column(&rich("a\0b"), &any),
        Err(FieldReason::NotRepresentable)
    );
    assert_eq!(column(&rich(""), &any), Ok(ColumnValue::Null));
    let mut filled = any;
    filled.column.nullable = false;
    assert_eq!(
        column(&rich(""), &filled),
        Ok(ColumnValue::Text(String::new()))
    );
    assert!(agree(&rich(""), &ColumnValue::Null, &filled));
}

#[test]
fn values_stand_for_each_other() {
    let pairs = [
        ("In progress", Some("IN_PROGRESS")),
        ("Doing", Some("IN_PROGRESS")),
        ("None", None),
    ];
    let field = status(&pairs, OnUnknownValue::Reject);
    let to = |name| column(&choice(name), &field);
    assert_eq!(to("Doing"), Ok(ColumnValue::Text("IN_PROGRESS".into())));
    assert_eq!(
        to("IN_PROGRESS"),
        Ok(ColumnValue::Text("IN_PROGRESS".into()))
    );
    assert_eq!(to("None"), Ok(ColumnValue::Null));
    assert_eq!(to("in progress"), Err(FieldReason::UnknownOption));
    assert_eq!(
        column(&PropertyValue::Choice(None), &field),
        Ok(ColumnValue::Null)
    );
    let back = |text: &str| notion(&ColumnValue::Text(text.into()), &field);
    assert_eq!(back("IN_PROGRESS"), Ok(choice("In progress")));
    assert_eq!(back("DONE"), Err(FieldReason::UnknownOption));
    assert_eq!(notion(&ColumnValue::Null, &field), Ok(choice("None")));
}

#[test]
fn a_name_that_notion_does_not_know_is_written_only_where_the_spec_says_so() {
    let unknown = Err(FieldReason::UnknownOption);
    let written = |kind: PropertyType, values, on_unknown, name: &str| {
        let mut field = status(values, on_unknown);
        field.property.kind = kind;
        field.property.options = vec!["Known".into()];
        notion(&ColumnValue::Text(name.into()), &field)
    };
    let listed: &[(&str, Option<&str>)] = &[("In progress", Some("BUSY"))];
    let (reject, pass) = (OnUnknownValue::Reject, OnUnknownValue::Pass);
    for kind in [PropertyType::Select, PropertyType::Status] {
        let of = |values, on_unknown, name| written(kind.clone(), values, on_unknown, name);
        assert_eq!(of(listed, reject, "BUSY"), Ok(choice("In progress")));
        assert_eq!(of(listed, reject, "Known"), unknown);
        assert_eq!(of(listed, pass, "Known"), Ok(choice("Known")));
        assert_eq!(of(&[], reject, "Known"), Ok(choice("Known")));
        assert_eq!(of(&[], reject, "New"), unknown);
        assert_eq!(of(&[], pass, "New, or not"), unknown);
    }
    assert_eq!(
        written(PropertyType::Select, &[], pass, "New"),
        Ok(choice("New"))
    );
    assert_eq!(written(PropertyType::Status, &[], pass, "New"), unknown);
}

#[test]
fn an_option_of_a_set_stays_while_it_means_the_same() {
    let values = [
        ("In progress", Some("BUSY")),
        ("Doing", Some("BUSY")),
        ("None", None),
    ];
    let mut field = status(&values, OnUnknownValue::Reject);
    field.property.kind = PropertyType::MultiSelect;
    let element = Box::new(ColumnKind::Text { max_chars: None });
    field.column.kind = ColumnKind::Array { element };
    let names =
        |names: &[&str]| PropertyValue::Names(names.iter().map(|&name| name.to_owned()).collect());
    let held = |text: &str| ColumnValue::parse(&field.column.kind, Some(text));
    let page = names(&["Doing", "None"]);
    assert_eq!(column(&page, &field), Ok(held("{BUSY,NULL}")));
    let both = names(&["Doing", "In progress"]);
    assert_eq!(column(&both, &field), Ok(held("{BUSY}")));
    assert_eq!(notion(&held("{BUSY}"), &field), Ok(names(&["In progress"])));
    let beside = |text: &str, page: &PropertyValue| to_write(&held(text), &field, Some(page));
    assert_eq!(beside("{BUSY}", &page), Ok(names(&["Doing"])));
    assert_eq!(
        beside("{NULL,BUSY}", &names(&[])),
        Ok(names(&["None", "In progress"]))
    );
    assert_eq!(beside("{OTHER}", &page), Err(FieldReason::UnknownOption));
}

#[test]
fn an_unlisted_option_passes_where_the_spec_says_so_or_lists_nothing() {
    let listed = status(&[("A", Some("a"))], OnUnknownValue::Pass);
    assert_eq!(
        column(&choice("B"), &listed),
        Ok(ColumnValue::Text("B".into()))
    );
    let bare = status(&[], OnUnknownValue::Reject);
    assert_eq!(
        column(&choice("B"), &bare),
        Ok(ColumnValue::Text("B".into()))
    );
}

#[test]
fn an_enum_takes_its_labels_only() {
    let kind = ColumnKind::Enum {
        labels: vec!["a".into(), "b".into()],
    };
    let field = field("f", PropertyType::Select, kind);
    assert_eq!(
        column(&choice("b"), &field),
        Ok(ColumnValue::Text("b".into()))
    );
    assert_eq!(
        column(&choice("c"), &field),
        Err(FieldReason::NotRepresentable)
    );
}

fn day(day: i8) -> DateOrTime {
    DateOrTime::Day(date(2026, 6, day))
}

fn dated(start: DateOrTime, end: Option<DateOrTime>, kind: ColumnKind) -> Option<String> {
    let field = field("f", PropertyType::Date, kind);
    let value = PropertyValue::Date(Some(NotionDate { start, end }));
    column(&value, &field).unwrap().to_text()
}

#[test]
fn dates_go_into_every_column_of_their_lines() {
    let moment = DateOrTime::Moment("2026-06-27T23:30:00-02:00".parse().unwrap());
    let tz = ColumnKind::TimestampTz { precision: 6 };
    let local = ColumnKind::Timestamp { precision: 0 };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(dated(day(27), None, ColumnKind::Date), some("2026-06-27"));
    assert_eq!(dated(moment, None, ColumnKind::Date), some("2026-06-28"));
    assert_eq!(
        dated(day(27), None, tz.clone()),
        some("2026-06-27T00:00:00Z")
    );
    assert_eq!(
        dated(moment, Some(day(30)), tz),
        some("2026-06-28T01:30:00Z")
    );
    assert_eq!(dated(moment, None, local), some("2026-06-28T01:30:00"));
    assert_eq!(
        dated(day(27), None, ColumnKind::DateRange),
        some("[2026-06-27,2026-06-27]")
    );
    assert_eq!(
        dated(day(27), Some(day(29)), ColumnKind::DateRange),
        some("[2026-06-27,2026-06-29]")
    );
    assert_eq!(
        dated(day(27), Some(day(28)), ColumnKind::TstzRange),
        some("[2026-06-27T00:00:00Z,2026-06-28T00:00:00Z]")
    );
    assert_eq!(
        dated(day(27), None, ColumnKind::Json),
        some(r#"{"end":null,"start":"2026-06-27"}"#)
    );
}

#[test]
fn whole_dates_come_back_from_ranges_and_json() {
    for kind in [ColumnKind::DateRange, ColumnKind::Json] {
        let field = field("f", PropertyType::Date, kind);
        for end in [None, Some(day(29))] {
            let value = PropertyValue::Date(Some(NotionDate {
                start: day(27),
                end,
            }));
            let held = column(&value, &field).unwrap();
            assert_eq!(notion(&held, &field), Ok(value));
        }
    }
}

#[test]
fn a_day_stays_a_day_while_the_instant_is_equal() {
    let field = field(
        "f",
        PropertyType::Date,
        ColumnKind::TimestampTz { precision: 6 },
    );
    let value = PropertyValue::Date(Some(NotionDate {
        start: day(27),
        end: None,
    }));
    let held = ColumnValue::TimestampTz("2026-06-27T00:00:00Z".parse().unwrap());
    assert!(agree(&value, &held, &field));
    let seconds = ColumnValue::TimestampTz("2026-06-27T10:00:42Z".parse().unwrap());
    let shown = DateOrTime::Moment("2026-06-27T10:00:00Z".parse().unwrap());
    let minute = PropertyValue::Date(Some(NotionDate {
        start: shown,
        end: None,
    }));
    assert!(agree(&minute, &seconds, &field));
}

#[test]
fn each_property_type_fits_the_columns_of_its_line_only() {
    let text = ColumnKind::Text { max_chars: None };
    let fits = |property: PropertyType, kind: &ColumnKind| {
        super::fits(
            &property,
            &field("f", PropertyType::Title, kind.clone()).column,
        )
    };
    assert!(fits(PropertyType::Email, &text));
    assert!(!fits(PropertyType::Number, &text));
    assert!(!fits(
        PropertyType::CreatedTime,
        &ColumnKind::Timestamp { precision: 6 }
    ));
    assert!(fits(PropertyType::Date, &ColumnKind::TstzRange));
    assert!(!fits(PropertyType::Other("hologram".into()), &text));
    assert!(!fits(
        PropertyType::Checkbox,
        &ColumnKind::Integer { bits: 16 }
    ));
}
