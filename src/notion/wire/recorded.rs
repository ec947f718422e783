//! The decoder against recorded answers of the real API (`tests/data/notion-payloads`).

use std::path::PathBuf;

use bigdecimal::BigDecimal;
use serde_json::{Value, json};

use super::error::{ErrorBody, bot_user};
use super::item::{ItemPage, PropertyItems};
use super::page::page;
use super::query::query_page;
use super::schema::{data_source, data_sources_of};
use crate::sync::identity::PropertyId;
use crate::sync::page::{DateOrTime, PropertyRead, PropertyType, PropertyValue};

pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/notion-payloads")
}

fn recorded(file: &str) -> Vec<u8> {
    std::fs::read(root().join(file)).unwrap()
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// What `expected.json` says of one property, compared with what was decoded.
fn assert_decoded(expected: &Value, kind: &str, read: &PropertyRead) {
    let PropertyRead::Value(value) = read else {
        panic!("{kind}: {read:?}");
    };
    match value {
        PropertyValue::Text { plain, .. } => match expected.as_str().unwrap() {
            start if start.starts_with("@startswith:") => {
                assert!(plain.starts_with(start.trim_start_matches("@startswith:")));
            }
            whole => assert_eq!(plain, whole),
        },
        PropertyValue::Number(number) => {
            let expected: Option<BigDecimal> =
                (!expected.is_null()).then(|| expected.to_string().parse().unwrap());
            assert_eq!(*number, expected);
        }
        PropertyValue::Choice(text) | PropertyValue::Line(text) => {
            assert_eq!(text.as_deref(), expected.as_str());
        }
        PropertyValue::Date(None) => assert!(expected.is_null()),
        PropertyValue::Date(Some(date)) if expected.is_string() => {
            let moment: jiff::Timestamp = expected.as_str().unwrap().parse().unwrap();
            assert_eq!((date.start, date.end), (DateOrTime::Moment(moment), None));
        }
        PropertyValue::Date(Some(date)) => {
            let end = [Some(date.start), date.end].map(|side| side.map(shown));
            let expected = ["start", "end"].map(|side| expected[side].as_str());
            assert_eq!(end.each_ref().map(Option::as_deref), expected);
        }
        // A button's value says nothing, whether it is taken for nothing or for an empty object.
        PropertyValue::Raw(value) => assert_eq!((value, expected), (&json!({}), &Value::Null)),
        PropertyValue::UniqueId(id) => {
            let expected = expected
                .as_str()
                .map_or(expected.to_string(), str::to_owned);
            assert_eq!(id.as_ref().map(ToString::to_string), Some(expected));
        }
        other => assert_eq!(other.to_json(), *expected),
    }
}

fn shown(side: DateOrTime) -> String {
    match side {
        DateOrTime::Day(day) => day.to_string(),
        DateOrTime::Moment(moment) => moment.to_string(),
    }
}

#[test]
fn every_expected_value_is_decoded() {
    let entries = parsed(&recorded("expected.json"));
    let mut decoded = 0;
    for entry in entries.as_array().unwrap() {
        let mut body = parsed(&recorded(entry["file"].as_str().unwrap()));
        if body["id"] == "****" {
            // One recording had its ids masked by its authors.
            body["id"] = "38b9ce7b-60a4-810a-a3e0-d0c7fde33f0c".into();
        }
        let pointer = entry["pointer"].as_str().unwrap();
        let property = body.pointer(pointer).unwrap();
        let id = PropertyId::new(property["id"].as_str().unwrap_or("absent"));
        let bytes = body.to_string();
        let wanted = [id.clone()];
        let pages = if body["object"] == "list" {
            let answer = query_page(bytes.as_bytes(), None, &wanted, None).unwrap();
            answer.pages
        } else {
            vec![page(bytes.as_bytes(), &wanted).unwrap()]
        };
        let read = &pages[0].properties[&id];
        let kind = entry["type"].as_str().unwrap();
        assert_eq!(read.kind.name(), kind, "{}", entry["label"]);
        assert_decoded(&entry["expected"], kind, &read.read);
        decoded += 1;
    }
    assert!(decoded >= 19);
}

#[test]
fn recorded_text_that_was_paged_is_joined() {
    let entries = parsed(&recorded("expected.json"));
    let full = entries
        .as_array()
        .unwrap()
        .iter()
        .find_map(|entry| entry["full"].as_str());
    let mut items = PropertyItems::default();
    let step = |items: &mut PropertyItems, name: &str| {
        let file = format!(
            "hkob__notion_ruby_mapping/property_item/retrieve_property_rich_text_{name}.json"
        );
        items.push(&recorded(&file)).unwrap()
    };
    assert!(matches!(step(&mut items, "limit_5"), ItemPage::More(_)));
    assert!(matches!(step(&mut items, "next_5"), ItemPage::More(_)));
    let ItemPage::Whole(PropertyRead::Value(PropertyValue::Text { plain, lossy })) =
        step(&mut items, "last_5")
    else {
        panic!("the last page ends the list");
    };
    assert_eq!(Some(plain.as_str()), full);
    assert!(lossy);
}

#[test]
fn recorded_single_items_are_decoded() {
    let item = |number: &str, kind: &str| {
        let file = format!(
            "ultimate-notion__ultimate-notion/property_item/\
             test_retrieve_property__{number}_GET_pages.ID.properties.{kind}.json"
        );
        match PropertyItems::default().push(&recorded(&file)).unwrap() {
            ItemPage::Whole(read) => read,
            ItemPage::More(_) => panic!("{kind} is no list"),
        }
    };
    let value = PropertyRead::Value;
    assert_eq!(
        item("013", "number"),
        value(PropertyValue::Number(Some(2.into())))
    );
    assert_eq!(item("016", "select"), value(PropertyValue::Choice(None)));
    assert_eq!(
        item("017", "status"),
        value(PropertyValue::Choice(Some("Not started".to_owned())))
    );
    assert_eq!(
        item("020", "created_time"),
        value(PropertyValue::Moment(
            "2026-06-26T13:45:00Z".parse().unwrap()
        ))
    );
    assert_eq!(item("023", "date"), value(PropertyValue::Date(None)));
    assert_eq!(item("025", "email"), value(PropertyValue::Line(None)));
    assert!(matches!(
        item("008", "multi_select"),
        PropertyRead::Value(PropertyValue::Names(_))
    ));
}

#[test]
fn recorded_queries_are_read() {
    let query = |file: &str| query_page(&recorded(file), None, &[], None).unwrap();
    let page = query("hkob__notion_ruby_mapping/query/query_data_source_limit_2.json");
    assert_eq!(page.pages.len(), 2);
    assert_eq!(
        page.next_cursor.as_deref(),
        Some("6601e719-a39a-460c-908e-8909467fcccf")
    );
    assert!(!page.incomplete);
    let last = query(
        "ultimate-notion__ultimate-notion/query/\
         test_text_query__005_POST_data_sources.ID.query.json",
    );
    assert_eq!(last.next_cursor, None);
    assert!(last.pages[0].data_source.is_some() && last.pages[0].created_time.is_some());
}

#[test]
fn recorded_schemas_and_databases_are_read() {
    let source = data_source(&recorded(
        "ultimate-notion__ultimate-notion/data_source/test_move_ds__001_GET_data_sources.ID.json",
    ))
    .unwrap();
    assert_eq!(source.properties.len(), 1);
    assert_eq!(source.properties[0].kind, PropertyType::Title);
    assert!(!source.in_trash);
    let sources = data_sources_of(&recorded(
        "ultimate-notion__ultimate-notion/database/test_create_db__000_POST_databases.json",
    ))
    .unwrap();
    assert_eq!(sources[0].1, "My Articles");
}

#[test]
fn recorded_errors_and_users_are_read() {
    let code = |file: &str| ErrorBody::read(&recorded(file)).code;
    assert_eq!(
        code("ultimate-notion__ultimate-notion/error/test_get_page_by_id__002_GET_pages.ID.json")
            .as_deref(),
        Some("object_not_found")
    );
    assert_eq!(
        code("ramnes__notion-sdk-py/error/test_api_response_error__001_GET_users.json").as_deref(),
        Some("unauthorized")
    );
    let bot = bot_user(&recorded(
        "ultimate-notion__ultimate-notion/user/\
         test_info_command_displays_system_and_notion_info__000_GET_users.me.json",
    ));
    assert_eq!(
        bot.unwrap().to_string(),
        "00000000-0000-4000-8000-0000000000f1"
    );
}
