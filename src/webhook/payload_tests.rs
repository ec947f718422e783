use super::*;
use crate::sync::event::{Dialect, EventSubject};
use crate::sync::identity::{DataSourceId, DatabaseId};

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!(
            "../../tests/data/notion-payloads/webhook.",
            $name,
            ".json"
        ))
    };
}

fn read(text: &str) -> Result<Parsed, PayloadError> {
    parse(text.as_bytes().to_vec(), Uuid::from_u128(42))
}

fn uuid(text: &str) -> Uuid {
    text.parse().unwrap()
}

#[test]
fn every_recorded_event_is_an_envelope() {
    for (text, event_type) in [
        (recorded!("comment.created"), "comment.created"),
        (
            recorded!("data_source.content_updated"),
            "data_source.content_updated",
        ),
        (recorded!("data_source.created"), "data_source.created"),
        (
            recorded!("data_source.schema_updated"),
            "data_source.schema_updated",
        ),
        (recorded!("database.created"), "database.created"),
        (recorded!("page.content_updated"), "page.content_updated"),
        (recorded!("page.created"), "page.created"),
        (recorded!("page.deleted"), "page.deleted"),
        (
            recorded!("page.properties_updated"),
            "page.properties_updated",
        ),
    ] {
        let parsed = read(text).unwrap();
        let source: Value = serde_json::from_str(text).unwrap();
        assert_eq!(parsed.event.dialect, Dialect::Envelope);
        assert_eq!(parsed.event.event_type, event_type);
        assert_eq!(parsed.event.dedupe_key, source["id"].as_str().unwrap());
        let time: Timestamp = source["timestamp"].as_str().unwrap().parse().unwrap();
        assert_eq!(parsed.event.occurred_at, Some(time));
        assert_eq!(parsed.event.authors.len(), 1);
        assert_eq!(parsed.event.authors[0].1, "person");
        assert_eq!(parsed.event.body, text);
        let entity = uuid(source["entity"]["id"].as_str().unwrap());
        let expected = match event_type.split_once('.').unwrap().0 {
            "page" => EventSubject::Page(PageId(entity)),
            "data_source" => EventSubject::Schema {
                data_source: Some(DataSourceId(entity)),
                database: None,
            },
            "database" => EventSubject::Schema {
                data_source: None,
                database: Some(DatabaseId(entity)),
            },
            _ => EventSubject::Other,
        };
        assert_eq!(parsed.event.subject, expected, "{event_type}");
    }
    let comment = read(recorded!("comment.created")).unwrap();
    assert_eq!(
        comment.page,
        Some(PageId(uuid("0ef104cd-477e-80e1-8571-cfd10e92339a")))
    );
}

#[test]
fn a_rows_event_names_its_data_source_and_its_database() {
    let parsed = read(
        r#"{"id":"E-1","type":"page.moved","entity":{"id":"00000000000000000000000000000009","type":"page"},
        "data":{"parent":{"id":"00000000000000000000000000000007","type":"database","data_source_id":"00000000000000000000000000000001"}}}"#,
    )
    .unwrap();
    assert_eq!(
        parsed.event.data_source,
        Some(DataSourceId(Uuid::from_u128(1)))
    );
    assert_eq!(parsed.place.database, Some(DatabaseId(Uuid::from_u128(7))));
    assert_eq!(parsed.page, Some(PageId(Uuid::from_u128(9))));
    assert_eq!(parsed.event.dedupe_key, "E-1");
    assert!(!parsed.event.authenticated);
}

#[test]
fn the_legacy_dialect_needs_an_id_and_nothing_else() {
    let object = r#""object":{"id":"00000000000000000000000000000009","last_edited_time":"2026-11-20T10:15:00.000Z","properties":{"Name":null}}"#;
    let parsed = read(&format!(r#"{{"type":"page.updated",{object}}}"#)).unwrap();
    assert_eq!(parsed.event.dialect, Dialect::Legacy);
    assert_eq!(
        parsed.event.subject,
        EventSubject::Page(PageId(Uuid::from_u128(9)))
    );
    let dashed = "00000000-0000-0000-0000-000000000009";
    assert_eq!(
        parsed.event.dedupe_key,
        format!("{dashed}/2026-11-20T10:15:00Z")
    );
    for time in [
        r#""last_edited_time":null,"#,
        r#""last_edited_time":"soon","#,
        "",
    ] {
        let body = format!(r#"{{"type":"page.updated","object":{{{time}"id":"{dashed}"}}}}"#);
        let parsed = read(&body).unwrap();
        assert_eq!(parsed.event.occurred_at, None);
        assert_eq!(
            parsed.event.dedupe_key,
            format!("{dashed}/{}", Uuid::from_u128(42))
        );
    }
    let database = read(&format!(r#"{{"type":"database.updated",{object}}}"#)).unwrap();
    assert_eq!(
        database.event.subject,
        EventSubject::Schema {
            data_source: None,
            database: Some(DatabaseId(Uuid::from_u128(9)))
        }
    );
    for bad in [
        r#"{"type":"page.updated","object":{"id":"9"}}"#,
        r#"{"type":"page.updated","object":null}"#,
        r#"{"type":"page.updated"}"#,
        r#"{"type":"user.updated","object":{"id":"00000000000000000000000000000009"}}"#,
    ] {
        assert_eq!(read(bad), Err(PayloadError::UnknownEvent), "{bad}");
    }
}

#[test]
fn an_automations_body_is_keyed_by_its_event() {
    let page = r#"{"object":"page","id":"00000000000000000000000000000009","last_edited_time":"2026-11-20T10:15:00.000Z","parent":{"type":"data_source_id","data_source_id":"00000000000000000000000000000001","database_id":"00000000000000000000000000000007"},"properties":{}}"#;
    let body = |source: &str| format!(r#"{{"source":{source},"data":{page}}}"#);
    let parsed = read(&body(
        r#"{"type":"automation","event_id":"0000000000000000000000000000000E","attempt":1}"#,
    ))
    .unwrap();
    assert_eq!(parsed.event.dialect, Dialect::Automation);
    assert_eq!(
        parsed.event.dedupe_key,
        "00000000-0000-0000-0000-00000000000e"
    );
    assert_eq!(
        parsed.event.data_source,
        Some(DataSourceId(Uuid::from_u128(1)))
    );
    assert_eq!(parsed.page, Some(PageId(Uuid::from_u128(9))));
    let parsed = read(&body(r#"{"type":"automation"}"#)).unwrap();
    assert!(parsed.event.dedupe_key.ends_with("/2026-11-20T10:15:00Z"));
}

#[test]
fn what_jsonb_cannot_hold_is_replaced_in_the_stored_text_only() {
    let head = r#"{"id":"x","type":"page.created","entity":{"id":"y","type":"page"},"#;
    let parsed = read(&format!(r#"{head}"a":"\u0000\ud83d \ud83d\ude00"}}"#)).unwrap();
    assert_eq!(
        parsed.event.body,
        format!(r#"{head}"a":"\ufffd\ufffd \ud83d\ude00"}}"#)
    );
    let mut invalid = b"{\"id\":\"".to_vec();
    invalid.push(0xff);
    assert_eq!(parse(invalid, Uuid::nil()), Err(PayloadError::InvalidJson));
}

#[test]
fn senders_words_are_bounded() {
    let long = "é".repeat(5_000);
    let parsed = read(&format!(
        r#"{{"id":"{long}","type":"{long}","entity":{{}}}}"#
    ))
    .unwrap();
    assert_eq!(parsed.event.dedupe_key.len(), 64);
    assert!(parsed.event.event_type.len() <= MAX_WORD);
}
