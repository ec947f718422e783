//! Every cell of the table of `design/sync.md` §5: each property type against each column type.

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::sync::column::Column;
use crate::sync::fixtures::{field, text as rich};
use crate::sync::page::{DateOrTime, NotionDate, UniqueId, User};

const ID: &str = "00000000-0000-0000-0000-000000000007";
const OTHER: &str = "00000000-0000-0000-0000-000000000008";

fn array(element: ColumnKind) -> ColumnKind {
    ColumnKind::Array {
        element: Box::new(element),
    }
}

/// Every column type by a short name.
fn columns() -> Vec<(&'static str, ColumnKind)> {
    let text = || ColumnKind::Text { max_chars: None };
    let labels = || ColumnKind::Enum {
        labels: vec!["A".into(), "B".into()],
    };
    let moment = || ColumnKind::TimestampTz { precision: 6 };
    vec![
        ("text", text()),
        (
            "varchar",
            ColumnKind::Text {
                max_chars: Some(60),
            },
        ),
        ("enum", labels()),
        ("bool", ColumnKind::Boolean),
        ("int", ColumnKind::Integer { bits: 32 }),
        ("numeric", ColumnKind::Numeric { declared: None }),
        ("float", ColumnKind::Float { bits: 64 }),
        ("date", ColumnKind::Date),
        ("timestamp", ColumnKind::Timestamp { precision: 6 }),
        ("timestamptz", moment()),
        ("daterange", ColumnKind::DateRange),
        ("tstzrange", ColumnKind::TstzRange),
        ("jsonb", ColumnKind::Json),
        ("uuid", ColumnKind::Uuid),
        ("text[]", array(text())),
        ("enum[]", array(labels())),
        ("uuid[]", array(ColumnKind::Uuid)),
        ("int[]", array(ColumnKind::Integer { bits: 32 })),
        ("bool[]", array(ColumnKind::Boolean)),
        ("timestamptz[]", array(moment())),
        ("text[][]", array(array(text()))),
        ("point", ColumnKind::Other("point".into())),
    ]
}

/// The columns that each property type goes into, as the table has them.
fn lines() -> Vec<(PropertyType, &'static str)> {
    use PropertyType as P;
    let results = "text varchar bool int numeric float date timestamp timestamptz daterange \
                   tstzrange jsonb text[] enum[] uuid[] int[] bool[] timestamptz[]";
    vec![
        (P::Title, "text varchar"),
        (P::RichText, "text varchar"),
        (P::Number, "int numeric float"),
        (P::Select, "text varchar enum"),
        (P::MultiSelect, "text[] enum[] jsonb"),
        (P::Status, "text varchar enum"),
        (P::Checkbox, "bool"),
        (
            P::Date,
            "date timestamp timestamptz daterange tstzrange jsonb",
        ),
        (P::Url, "text varchar"),
        (P::Email, "text varchar"),
        (P::PhoneNumber, "text varchar"),
        (P::Relation, "uuid[] text[] jsonb uuid text varchar"),
        (P::People, "uuid[] text[] jsonb uuid text varchar"),
        (P::Files, "text[] jsonb"),
        (P::CreatedTime, "timestamptz"),
        (P::LastEditedTime, "timestamptz"),
        (P::CreatedBy, "text varchar uuid"),
        (P::LastEditedBy, "text varchar uuid"),
        (P::UniqueId, "text varchar int"),
        (P::Formula, results),
        (P::Rollup, results),
        (P::Verification, "text varchar"),
        (P::Button, "jsonb"),
        (P::Place, "jsonb"),
        (P::Other("hologram".into()), "jsonb"),
    ]
}

#[test]
fn every_property_type_goes_into_the_columns_of_its_lines_and_no_other() {
    let lines = lines();
    let mut known = PropertyType::all();
    known.push(PropertyType::Other("hologram".into()));
    let listed: Vec<_> = lines.iter().map(|(kind, _)| kind.clone()).collect();
    assert!(known.iter().all(|kind| listed.contains(kind)));
    for (kind, wanted) in &lines {
        for (name, column) in columns() {
            let place = field("f", kind.clone(), column).column;
            let wanted = wanted.split_whitespace().any(|wanted| wanted == name);
            assert_eq!(fits(kind, &place), wanted, "{kind:?} into {name}");
        }
    }
}

fn day(text: &str) -> DateOrTime {
    DateOrTime::Day(text.parse().unwrap())
}

fn ids(ids: &[&str]) -> PropertyValue {
    PropertyValue::Ids(ids.iter().map(|id| id.parse().unwrap()).collect())
}

fn names(names: &[&str]) -> PropertyValue {
    PropertyValue::Names(names.iter().map(|&name| name.into()).collect())
}

fn number(text: &str) -> PropertyValue {
    PropertyValue::Number(Some(text.parse().unwrap()))
}

fn choice(name: &str) -> PropertyValue {
    PropertyValue::Choice(Some(name.into()))
}

fn line(text: &str) -> PropertyValue {
    PropertyValue::Line(Some(text.into()))
}

fn user(name: Option<&str>) -> PropertyValue {
    PropertyValue::User(Some(User {
        id: ID.parse().unwrap(),
        name: name.map(str::to_owned),
    }))
}

fn unique(prefix: Option<&str>, number: i64) -> PropertyValue {
    PropertyValue::UniqueId(Some(UniqueId {
        prefix: prefix.map(str::to_owned),
        number,
    }))
}

/// What a value is in a column, by the column's short name, in the text that goes to Postgres.
fn held(value: &PropertyValue, kind: &PropertyType, column: &str) -> Converted<Option<String>> {
    let (_, of) = columns()
        .into_iter()
        .find(|(name, _)| *name == column)
        .unwrap();
    let field = field("f", kind.clone(), of);
    assert!(fits(kind, &field.column), "{kind:?} into {column}");
    super::column(value, &field).map(|value| value.to_text())
}

/// Property type, value, and for each column what it holds; `None` is `NotRepresentable`.
type Case = (
    PropertyType,
    PropertyValue,
    Vec<(&'static str, Option<&'static str>)>,
);

fn lists() -> Vec<Case> {
    use PropertyType as P;
    let both = ids(&[ID, OTHER]);
    let one = [
        ("uuid[]", Some("{\"00000000-0000-0000-0000-000000000007\"}")),
        ("text[]", Some("{\"00000000-0000-0000-0000-000000000007\"}")),
        ("jsonb", Some("[\"00000000-0000-0000-0000-000000000007\"]")),
        ("uuid", Some(ID)),
        ("text", Some(ID)),
    ];
    let files = PropertyValue::Files(vec!["https://a.example/x".into(), "b c".into()]);
    vec![
        (
            P::MultiSelect,
            names(&["B", "A"]),
            vec![
                ("text[]", Some(r#"{"B","A"}"#)),
                ("enum[]", Some(r#"{"B","A"}"#)),
                ("jsonb", Some(r#"["B","A"]"#)),
            ],
        ),
        (P::MultiSelect, names(&["C"]), vec![("enum[]", None)]),
        (P::Relation, ids(&[ID]), one.to_vec()),
        (P::People, ids(&[ID]), one.to_vec()),
        (
            P::Relation,
            both.clone(),
            vec![("uuid", None), ("text", None), ("varchar", None)],
        ),
        (
            P::People,
            both,
            vec![(
                "uuid[]",
                Some(
                    r#"{"00000000-0000-0000-0000-000000000007","00000000-0000-0000-0000-000000000008"}"#,
                ),
            )],
        ),
        (
            P::Files,
            files,
            vec![
                ("text[]", Some(r#"{"https://a.example/x","b c"}"#)),
                ("jsonb", Some(r#"["https://a.example/x","b c"]"#)),
            ],
        ),
    ]
}

fn read_only() -> Vec<Case> {
    use PropertyType as P;
    let raw = json!({"lat": 1.5, "name": "x"});
    vec![
        (
            P::CreatedBy,
            user(Some("Ada")),
            vec![("text", Some("Ada")), ("uuid", Some(ID))],
        ),
        (
            P::LastEditedBy,
            user(None),
            vec![("varchar", Some(ID)), ("uuid", Some(ID))],
        ),
        (
            P::UniqueId,
            unique(Some("TASK"), 12),
            vec![("text", Some("TASK-12")), ("int", Some("12"))],
        ),
        (
            P::UniqueId,
            unique(None, 12),
            vec![("text", Some("12")), ("int", Some("12"))],
        ),
        (
            P::UniqueId,
            unique(None, 3_000_000_000),
            vec![("int", None), ("text", Some("3000000000"))],
        ),
        (
            P::Verification,
            line("verified"),
            vec![("text", Some("verified"))],
        ),
        (
            P::Place,
            PropertyValue::Raw(raw.clone()),
            vec![("jsonb", Some(r#"{"lat":1.5,"name":"x"}"#))],
        ),
        (
            P::Other("hologram".into()),
            PropertyValue::Raw(raw),
            vec![("jsonb", Some(r#"{"lat":1.5,"name":"x"}"#))],
        ),
        (
            P::Button,
            PropertyValue::Raw(json!({})),
            vec![("jsonb", Some("{}"))],
        ),
        (
            P::Place,
            PropertyValue::Raw(json!({"name": "\u{0}"})),
            vec![("jsonb", None)],
        ),
    ]
}

fn computed() -> Vec<Case> {
    use PropertyType as P;
    let date = PropertyValue::Date(Some(NotionDate {
        start: day("2026-06-27"),
        end: None,
    }));
    let of = PropertyValue::List;
    vec![
        (
            P::Formula,
            rich("a"),
            vec![
                ("text", Some("a")),
                ("int", None),
                ("bool", None),
                ("jsonb", None),
            ],
        ),
        (
            P::Formula,
            number("1.5"),
            vec![
                ("numeric", Some("1.5")),
                ("int", None),
                ("text", None),
                ("jsonb", None),
            ],
        ),
        (
            P::Formula,
            PropertyValue::Checkbox(true),
            vec![("bool", Some("true")), ("text", None), ("int", None)],
        ),
        (
            P::Rollup,
            date,
            vec![
                ("date", Some("2026-06-27")),
                ("jsonb", Some(r#"{"end":null,"start":"2026-06-27"}"#)),
                ("text", None),
            ],
        ),
        (
            P::Rollup,
            of(vec![rich("a"), rich("")]),
            vec![
                ("text[]", Some(r#"{"a",NULL}"#)),
                ("jsonb", Some(r#"["a",""]"#)),
                ("int[]", None),
                ("text", None),
            ],
        ),
        (
            P::Rollup,
            of(vec![choice("A"), PropertyValue::Choice(None)]),
            vec![
                ("enum[]", Some(r#"{"A",NULL}"#)),
                ("text[]", Some(r#"{"A",NULL}"#)),
                ("jsonb", Some(r#"["A",null]"#)),
            ],
        ),
        (
            P::Rollup,
            of(vec![number("1"), number("1"), PropertyValue::Number(None)]),
            vec![
                ("int[]", Some(r#"{"1","1",NULL}"#)),
                ("jsonb", Some("[1,1,null]")),
            ],
        ),
        (
            P::Rollup,
            of(vec![ids(&[ID]), ids(&[])]),
            vec![
                (
                    "uuid[]",
                    Some(r#"{"00000000-0000-0000-0000-000000000007",NULL}"#),
                ),
                (
                    "jsonb",
                    Some(r#"[["00000000-0000-0000-0000-000000000007"],[]]"#),
                ),
            ],
        ),
        (
            P::Rollup,
            of(vec![names(&["A", "B"])]),
            vec![("jsonb", Some(r#"[["A","B"]]"#)), ("text[]", None)],
        ),
    ]
}

#[test]
fn every_value_has_the_form_of_its_line() {
    for (kind, value, columns) in lists().into_iter().chain(read_only()).chain(computed()) {
        for (column, expected) in columns {
            let expected = expected.map_or(Err(FieldReason::NotRepresentable), |text| {
                Ok(Some(text.to_owned()))
            });
            let what = format!("{value:?} of {kind:?} in {column}");
            assert_eq!(held(&value, &kind, column), expected, "{what}");
        }
    }
}

/// The empty value of each type that has one.
fn empties() -> Vec<(PropertyType, PropertyValue)> {
    use PropertyType as P;
    use PropertyValue as V;
    vec![
        (P::Title, rich("")),
        (P::RichText, rich("")),
        (P::Number, V::Number(None)),
        (P::Select, V::Choice(None)),
        (P::MultiSelect, names(&[])),
        (P::Status, V::Choice(None)),
        (P::Date, V::Date(None)),
        (P::Url, V::Line(None)),
        (P::Email, V::Line(None)),
        (P::PhoneNumber, V::Line(None)),
        (P::Relation, ids(&[])),
        (P::People, ids(&[])),
        (P::Files, V::Files(vec![])),
        (P::CreatedBy, V::User(None)),
        (P::LastEditedBy, V::User(None)),
        (P::UniqueId, V::UniqueId(None)),
        (P::Formula, V::Number(None)),
        (P::Formula, V::Raw(json!(null))),
        (P::Rollup, V::Date(None)),
        (P::Rollup, V::List(vec![])),
        (P::Verification, V::Line(None)),
        (P::Place, V::Raw(json!(null))),
    ]
}

#[test]
fn empty_is_null_or_the_empty_value_of_the_column() {
    for (kind, value) in empties() {
        assert!(is_empty(&value), "{value:?}");
        for (name, of) in columns() {
            let mut field = field("f", kind.clone(), of);
            if !fits(&kind, &field.column) {
                continue;
            }
            let what = format!("{value:?} of {kind:?} in {name}");
            let null = super::column(&value, &field);
            assert_eq!(null, Ok(ColumnValue::Null), "{what}");
            assert!(agree(&value, &ColumnValue::Null, &field), "{what}");
            field.column.nullable = false;
            let filled = super::column(&value, &field).map(|value| value.to_text());
            let expected = match name {
                "text" | "varchar" => Some(""),
                "bool" => Some("false"),
                array if array.ends_with(']') => Some("{}"),
                "jsonb" if is_list(&value) => Some("[]"),
                _ => None,
            };
            let expected = expected.map_or(Err(FieldReason::NotRepresentable), |text| {
                Ok(Some(text.to_owned()))
            });
            assert_eq!(filled, expected, "{what}, NOT NULL");
        }
    }
}

fn is_list(value: &PropertyValue) -> bool {
    use PropertyValue as V;
    matches!(value, V::Names(_) | V::Ids(_) | V::Files(_) | V::List(_))
}

fn stored(field: &crate::sync::mapping::Field, text: &str) -> ColumnValue {
    ColumnValue::parse(&field.column.kind, Some(text))
}

#[test]
fn sets_agree_in_any_order_and_lists_do_not() {
    let texts = || array(ColumnKind::Text { max_chars: None });
    let options = field("f", PropertyType::MultiSelect, texts());
    assert!(agree(
        &names(&["A", "B"]),
        &stored(&options, "{B,A,A}"),
        &options
    ));
    assert!(!agree(
        &names(&["A", "B"]),
        &stored(&options, "{B}"),
        &options
    ));
    assert!(!agree(
        &names(&["A"]),
        &stored(&options, "{A,NULL}"),
        &options
    ));
    let (one, other) = (stored(&options, "{A,B}"), stored(&options, "{B,A}"));
    assert!(same_column(&one, &other, &options) && !one.same(&other));
    let document = field("f", PropertyType::MultiSelect, ColumnKind::Json);
    let two = stored(&document, r#"["B","A"]"#);
    assert!(agree(&names(&["A", "B"]), &two, &document));
    assert!(!agree(
        &names(&["A"]),
        &stored(&document, r#"{"A":1}"#),
        &document
    ));
    let rollup = field("f", PropertyType::Rollup, texts());
    let list = PropertyValue::List(vec![choice("A"), choice("B")]);
    assert!(agree(&list, &stored(&rollup, "{A,B}"), &rollup));
    assert!(!agree(&list, &stored(&rollup, "{B,A}"), &rollup));
    let relation = field("f", PropertyType::Relation, texts());
    let undashed = stored(&relation, "{00000000000000000000000000000007}");
    assert!(agree(&ids(&[ID]), &undashed, &relation));
}

#[test]
fn what_is_no_set_of_names_or_ids_has_no_form_in_notion() {
    let refused = Err(FieldReason::NotRepresentable);
    let texts = || array(ColumnKind::Text { max_chars: None });
    let relation = field("f", PropertyType::Relation, texts());
    for text in ["{me}", "{NULL}", "{{a},{b}}"] {
        assert_eq!(
            notion(&stored(&relation, text), &relation),
            refused,
            "{text}"
        );
    }
    let options = field("f", PropertyType::MultiSelect, ColumnKind::Json);
    for text in ["[1]", "[null]", r#"[""]"#, r#""A""#, "{}"] {
        assert_eq!(notion(&stored(&options, text), &options), refused, "{text}");
    }
    assert_eq!(notion(&stored(&options, "null"), &options), Ok(names(&[])));
    for kind in PropertyType::all()
        .into_iter()
        .filter(PropertyType::is_read_only)
    {
        let place = field("f", kind.clone(), ColumnKind::Boolean);
        assert!(
            notion(&ColumnValue::Boolean(true), &place).is_err(),
            "{kind:?}"
        );
        let value = PropertyValue::Line(Some(String::new()));
        assert_eq!(writable(&value, &kind), Err(FieldReason::Unsupported));
    }
}

#[test]
fn ids_are_read_in_every_spelling() {
    let scalar = field(
        "f",
        PropertyType::People,
        ColumnKind::Text { max_chars: None },
    );
    for text in [ID, "00000000000000000000000000000007"] {
        assert_eq!(notion(&stored(&scalar, text), &scalar), Ok(ids(&[ID])));
    }
    assert_eq!(notion(&stored(&scalar, ""), &scalar), Ok(ids(&[])));
    let uuid = field("f", PropertyType::Relation, ColumnKind::Uuid);
    assert_eq!(notion(&stored(&uuid, ID), &uuid), Ok(ids(&[ID])));
    assert_eq!(stored(&uuid, ID), ColumnValue::Uuid(Uuid::from_u128(7)));
}

#[test]
fn what_a_column_cannot_hold_is_not_destroyed() {
    let text = ColumnKind::Text { max_chars: None };
    let destroys = |value: &PropertyValue, kind, of| destroyed(value, &field("f", kind, of));
    let mention = PropertyValue::Text {
        plain: "@Ada".into(),
        lossy: true,
    };
    let formatted = Some(FieldReason::FormattedText);
    assert_eq!(
        destroys(&mention, PropertyType::Title, text.clone()),
        formatted
    );
    assert_eq!(
        destroys(&rich("a"), PropertyType::Title, text.clone()),
        None
    );
    let range = PropertyValue::Date(Some(NotionDate {
        start: day("2026-06-27"),
        end: Some(day("2026-06-28")),
    }));
    for (name, of) in columns() {
        let column: Column = field("f", PropertyType::Date, of.clone()).column;
        if fits(&PropertyType::Date, &column) {
            let whole = matches!(name, "daterange" | "tstzrange" | "jsonb");
            let expected = (!whole).then_some(FieldReason::DateRange);
            assert_eq!(destroys(&range, PropertyType::Date, of), expected, "{name}");
        }
    }
    let two = ids(&[ID, OTHER]);
    let one_of_two = Some(FieldReason::NotRepresentable);
    assert_eq!(
        destroys(&two, PropertyType::Relation, text.clone()),
        one_of_two
    );
    assert_eq!(destroys(&two, PropertyType::Relation, array(text)), None);
}
