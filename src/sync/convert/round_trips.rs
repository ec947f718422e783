//! There and back: what one side holds comes back from the other but for the losses that
//! `design/sync.md` §2 declares, and then the two agree.

use bigdecimal::BigDecimal;
use jiff::civil;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::sync::fixtures::field;
use crate::sync::mapping::{Field, OnUnknownValue, ValuePair};
use crate::sync::page::{DateOrTime, NotionDate};

fn array(element: ColumnKind) -> ColumnKind {
    ColumnKind::Array {
        element: Box::new(element),
    }
}

fn text() -> ColumnKind {
    ColumnKind::Text { max_chars: None }
}

/// Text without NUL, which no column holds.
fn words() -> impl Strategy<Value = String> {
    "[^\u{0}]{0,12}"
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["A", "B", "Doing", "In progress", "x y"]).prop_map(str::to_owned)
}

fn id() -> impl Strategy<Value = Uuid> {
    (0_u128..9).prop_map(Uuid::from_u128)
}

fn day() -> impl Strategy<Value = civil::Date> {
    (1900_i16..2200, 1_i8..13, 1_i8..29).prop_map(|(y, m, d)| civil::date(y, m, d))
}

/// A moment in whole seconds, so that Notion's minute is a loss.
fn moment() -> impl Strategy<Value = jiff::Timestamp> {
    (0_i64..4_000_000_000).prop_map(|second| jiff::Timestamp::from_second(second).unwrap())
}

fn date() -> impl Strategy<Value = NotionDate> {
    let ordered = |a: DateOrTime, b: DateOrTime| NotionDate {
        start: a,
        end: (a != b).then_some(b),
    };
    prop_oneof![
        (day(), prop::option::of(day())).prop_map(move |(a, b)| {
            let b = b.unwrap_or(a);
            ordered(DateOrTime::Day(a.min(b)), DateOrTime::Day(a.max(b)))
        }),
        (moment(), prop::option::of(moment())).prop_map(move |(a, b)| {
            let (a, b) = (minute(a), minute(b.unwrap_or(a)));
            ordered(DateOrTime::Moment(a.min(b)), DateOrTime::Moment(a.max(b)))
        }),
    ]
}

fn number() -> impl Strategy<Value = BigDecimal> {
    (any::<i64>(), 0_i64..6).prop_map(|(digits, scale)| BigDecimal::new(digits.into(), scale))
}

/// A field with its options known and, for options, `values` of which two share one.
fn mapped(kind: PropertyType, column: ColumnKind) -> Field {
    let mut field = field("f", kind, column);
    let pair = |notion: &str, postgres: &str| ValuePair {
        notion: notion.to_owned(),
        postgres: Some(postgres.to_owned()),
    };
    field.mapping.values = vec![pair("In progress", "BUSY"), pair("Doing", "BUSY")];
    field.mapping.on_unknown_value = OnUnknownValue::Pass;
    field.property.options = vec!["A".into(), "B".into(), "x y".into()];
    field
}

/// A value of a property that may be written, with a field that holds the whole of it.
fn on_notion() -> impl Strategy<Value = (Field, PropertyValue)> {
    use PropertyType as P;
    use PropertyValue as V;
    let ids = || prop::collection::vec(id(), 0..5).prop_map(V::Ids);
    let names = || prop::collection::vec(name(), 0..5).prop_map(V::Names);
    prop_oneof![
        words().prop_map(|plain| (
            field("f", P::RichText, text()),
            V::Text {
                plain,
                lossy: false
            }
        )),
        prop::option::of(words()).prop_map(|line| (field("f", P::Url, text()), V::Line(line))),
        prop::option::of(number()).prop_map(|number| {
            let numeric = ColumnKind::Numeric { declared: None };
            (field("f", P::Number, numeric), V::Number(number))
        }),
        any::<bool>().prop_map(|checked| (
            field("f", P::Checkbox, ColumnKind::Boolean),
            V::Checkbox(checked)
        )),
        prop::option::of(name()).prop_map(|name| (mapped(P::Status, text()), V::Choice(name))),
        names().prop_map(|value| (mapped(P::MultiSelect, array(text())), value)),
        names().prop_map(|value| (mapped(P::MultiSelect, ColumnKind::Json), value)),
        ids().prop_map(|value| (field("f", P::Relation, array(ColumnKind::Uuid)), value)),
        ids().prop_map(|value| (field("f", P::People, array(text())), value)),
        ids().prop_map(|value| (field("f", P::People, ColumnKind::Json), value)),
        prop::option::of(id()).prop_map(|id| (
            field("f", P::Relation, ColumnKind::Uuid),
            V::Ids(id.into_iter().collect())
        )),
        prop::option::of(date())
            .prop_map(|date| (field("f", P::Date, ColumnKind::Json), V::Date(date))),
    ]
}

/// What a column holds, with a field for it.
fn in_postgres() -> impl Strategy<Value = (Field, ColumnValue)> {
    use ColumnValue as C;
    use PropertyType as P;
    let filled = || "[^\u{0},]{1,12}".prop_map(C::Text);
    prop_oneof![
        words().prop_map(|held| (field("f", P::Title, text()), C::Text(held))),
        number().prop_map(|held| (
            field("f", P::Number, ColumnKind::Numeric { declared: None }),
            C::Number(held)
        )),
        any::<bool>().prop_map(|held| (
            field("f", P::Checkbox, ColumnKind::Boolean),
            C::Boolean(held)
        )),
        filled().prop_map(|held| (mapped(P::Select, text()), held)),
        prop::collection::vec(filled(), 0..5)
            .prop_map(|held| (mapped(P::MultiSelect, array(text())), C::Array(held))),
        prop::collection::vec(id().prop_map(C::Uuid), 0..5).prop_map(|held| (
            field("f", P::Relation, array(ColumnKind::Uuid)),
            C::Array(held)
        )),
        day().prop_map(|held| (field("f", P::Date, ColumnKind::Date), C::Date(held))),
        moment().prop_map(|held| (
            field("f", P::Date, ColumnKind::TimestampTz { precision: 6 }),
            C::TimestampTz(held)
        )),
        (day(), 0_i64..400).prop_map(|(start, days)| {
            let last = start.saturating_add(jiff::Span::new().days(days));
            (
                field("f", P::Date, ColumnKind::DateRange),
                C::DateRange { start, last },
            )
        }),
        (moment(), 60_i64..9_999).prop_map(|(start, seconds)| {
            let end = start + jiff::SignedDuration::from_secs(seconds);
            (
                field("f", P::Date, ColumnKind::TstzRange),
                C::TstzRange { start, end },
            )
        }),
    ]
}

proptest! {
    #[test]
    fn notion_comes_back_from_its_column((field, value) in on_notion()) {
        let held = column(&value, &field).unwrap();
        let text = held.to_text();
        prop_assert_eq!(&ColumnValue::parse(&field.column.kind, text.as_deref()), &held);
        prop_assert!(agree(&value, &held, &field));
        let back = notion(&held, &field);
        if field.mapping.values.is_empty() {
            // A double holds fewer digits than a column; all else comes back.
            if back != Err(FieldReason::NotRepresentable) {
                prop_assert!(same(&back.unwrap(), &value));
            }
        } else {
            // Options that share a value come back as the first of them, or as what the page has.
            prop_assert!(agree(&back.unwrap(), &held, &field));
            let beside = to_write(&held, &field, Some(&value)).unwrap();
            prop_assert!(agree(&beside, &held, &field));
            if matches!(value, PropertyValue::Names(_)) {
                prop_assert!(same(&beside, &value));
            }
        }
    }

    #[test]
    fn postgres_agrees_with_what_is_written((field, held) in in_postgres()) {
        let text = held.to_text();
        prop_assert_eq!(&ColumnValue::parse(&field.column.kind, text.as_deref()), &held);
        let Ok(value) = notion(&held, &field) else {
            prop_assert!(matches!(held, ColumnValue::Number(_)), "{:?}", held);
            return Ok(());
        };
        prop_assert_eq!(writable(&value, &field.property.kind), Ok(()));
        prop_assert!(agree(&value, &held, &field));
        let back = column(&value, &field).unwrap();
        // Moments lose their seconds, and an array the elements that occur twice.
        let lost = matches!(field.property.kind, PropertyType::Date) || field.property.kind.is_set();
        prop_assert!(lost || back.same(&held), "{:?} became {:?}", held, back);
        prop_assert!(agree(&value, &back, &field));
    }

    #[test]
    fn order_and_number_mean_nothing_in_a_set(
        ids in prop::collection::vec(id(), 0..5),
        shuffled in any::<prop::sample::Index>(),
    ) {
        let mut other = ids.clone();
        other.extend(ids.first().copied());
        if !other.is_empty() {
            let at = shuffled.index(other.len());
            other.rotate_left(at);
        }
        prop_assert!(same(&PropertyValue::Ids(ids), &PropertyValue::Ids(other)));
    }
}
