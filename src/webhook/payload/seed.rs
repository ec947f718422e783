//! The two dialects that carry values: the seed's own, and an automation's "Send webhook".
//!
//! Both hold a page object as the API prints it, of any version and as far as the sender bothered.

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Parsed, id, text, time, type_text, word};
use crate::sync::event::{Dialect, EventSubject, NewEvent};
use crate::sync::identity::{DataSourceId, DatabaseId, PageId};
use crate::webhook::place::Place;

const LAST_EDITED: &str = "last_edited_time";

/// `{"type":"page.updated","object":{…}}` and kin; `None` if the body is none.
pub(super) fn legacy(body: &Map<String, Value>, nonce: Uuid) -> Option<Parsed> {
    let event_type = text(body, "type")?;
    let object = body.get("object")?.as_object()?;
    let object_id = id(object, "id")?;
    let (family, _) = event_type.split_once('.')?;
    let (subject, place) = match family {
        "page" => (EventSubject::Page(PageId(object_id)), parent_of(object)),
        "database" | "data_source" => schema(object_id, family == "data_source"),
        _ => return None,
    };
    let edited = time(object, LAST_EDITED);
    let dedupe_key = object_key(object_id, edited, nonce);
    Some(parsed(
        Dialect::Legacy,
        event_type,
        subject,
        place,
        edited,
        dedupe_key,
    ))
}

/// `{"source":{"type":"automation",…},"data":{<page>}}`; `None` if the body is none.
pub(super) fn automation(body: &Map<String, Value>, nonce: Uuid) -> Option<Parsed> {
    let source = body.get("source")?.as_object()?;
    let event_type = text(source, "type")?;
    let page = body.get("data")?.as_object()?;
    let page_id = id(page, "id")?;
    if !matches!(text(page, "object"), None | Some("page")) {
        return None;
    }
    let edited = time(page, LAST_EDITED);
    let dedupe_key = match text(source, "event_id") {
        Some(event) => word(event),
        None => object_key(page_id, edited, nonce),
    };
    let subject = EventSubject::Page(PageId(page_id));
    Some(parsed(
        Dialect::Automation,
        event_type,
        subject,
        parent_of(page),
        edited,
        dedupe_key,
    ))
}

fn parsed(
    dialect: Dialect,
    event_type: &str,
    subject: EventSubject,
    place: Place,
    occurred_at: Option<Timestamp>,
    dedupe_key: String,
) -> Parsed {
    let page = match &subject {
        EventSubject::Page(page) => Some(*page),
        EventSubject::Schema { .. } | EventSubject::Other => None,
    };
    let event = NewEvent {
        dialect,
        event_type: type_text(event_type),
        subject,
        data_source: place.data_source,
        occurred_at,
        dedupe_key,
        authenticated: false,
        authors: Vec::new(),
        body: String::new(),
    };
    Parsed { event, place, page }
}

/// The object's id may be that of a database or, since databases hold several data sources, of one
/// of these; only the binding knows.
fn schema(object: Uuid, is_data_source: bool) -> (EventSubject, Place) {
    let data_source = is_data_source.then_some(DataSourceId(object));
    let database = (!is_data_source).then_some(DatabaseId(object));
    let perhaps_data_source = (!is_data_source).then_some(DataSourceId(object));
    let place = Place {
        data_source,
        database,
        perhaps_data_source,
        elsewhere: false,
    };
    (
        EventSubject::Schema {
            data_source,
            database,
        },
        place,
    )
}

fn parent_of(page: &Map<String, Value>) -> Place {
    let parent = page.get("parent").and_then(Value::as_object);
    Place {
        data_source: parent
            .and_then(|parent| id(parent, "data_source_id"))
            .map(DataSourceId),
        database: parent
            .and_then(|parent| id(parent, "database_id"))
            .map(DatabaseId),
        perhaps_data_source: None,
        elsewhere: parent.and_then(|parent| text(parent, "type")).is_some(),
    }
}

/// Without a time nothing tells a redelivery from another edit: the rule of 60 s decides (S5), and
/// the key must not.
fn object_key(object: Uuid, edited: Option<Timestamp>, nonce: Uuid) -> String {
    match edited {
        Some(edited) => format!("{object}/{edited}"),
        None => format!("{object}/{nonce}"),
    }
}
