//! Notion's own envelope: `id`, `type` and `entity`, never a value.
//!
//! An envelope is recognised by these three alone, so that a type that Notion adds tomorrow is
//! stored like any other (`facts/notion-api.md` §6.4 and §6.5).

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Parsed, id, text, time, type_text, word};
use crate::sync::event::{Dialect, EventSubject, NewEvent};
use crate::sync::identity::{DataSourceId, DatabaseId, PageId, UserId};
use crate::webhook::place::Place;

/// Authors that are kept of one event; aggregation names a handful.
const MAX_AUTHORS: usize = 100;

/// Reads an envelope; `None` if the body is none.
pub(super) fn read(object: &Map<String, Value>) -> Option<Parsed> {
    let key = text(object, "id")?;
    let event_type = text(object, "type")?;
    let entity = object.get("entity")?.as_object()?;
    let data = object.get("data").and_then(Value::as_object);
    let parent = data
        .and_then(|data| data.get("parent"))
        .and_then(Value::as_object);
    let about = About {
        kind: text(entity, "type").unwrap_or_default(),
        id: id(entity, "id"),
        parent,
    };
    let place = about.place();
    Some(Parsed {
        page: about
            .page()
            .or_else(|| data.and_then(|data| id(data, "page_id")).map(PageId)),
        event: NewEvent {
            dialect: Dialect::Envelope,
            event_type: type_text(event_type),
            subject: about.subject(event_type),
            data_source: place.data_source,
            occurred_at: time(object, "timestamp"),
            dedupe_key: word(key),
            authenticated: false,
            authors: authors(object),
            body: String::new(),
        },
        place,
    })
}

/// What an envelope is about.
struct About<'a> {
    kind: &'a str,
    id: Option<Uuid>,
    parent: Option<&'a Map<String, Value>>,
}

impl About<'_> {
    fn page(&self) -> Option<PageId> {
        self.id.filter(|_| self.kind == "page").map(PageId)
    }

    fn database(&self) -> Option<Uuid> {
        let of_parent = || {
            let parent = self.parent?;
            (text(parent, "type") == Some("database")).then(|| id(parent, "id"))?
        };
        self.id
            .filter(|_| self.kind == "database")
            .or_else(of_parent)
    }

    fn data_source(&self) -> Option<Uuid> {
        let of_parent = || id(self.parent?, "data_source_id");
        self.id
            .filter(|_| self.kind == "data_source")
            .or_else(of_parent)
    }

    fn place(&self) -> Place {
        Place {
            data_source: self.data_source().map(DataSourceId),
            database: self.database().map(DatabaseId),
            // A subscription of an older API version calls a data source a database.
            perhaps_data_source: self
                .id
                .filter(|_| self.kind == "database")
                .map(DataSourceId),
            // Notion sends what happens to every object that the connection may see; a page below
            // another page, or in a workspace, is no row of any data source.
            elsewhere: self
                .parent
                .and_then(|parent| text(parent, "type"))
                .is_some(),
        }
    }

    fn subject(&self, event_type: &str) -> EventSubject {
        if let Some(page) = self.page() {
            return EventSubject::Page(page);
        }
        let of_schema = ["data_source.", "database."];
        if of_schema.iter().any(|start| event_type.starts_with(start)) {
            return EventSubject::Schema {
                data_source: self.data_source().map(DataSourceId),
                database: self.database().map(DatabaseId),
            };
        }
        EventSubject::Other
    }
}

fn authors(object: &Map<String, Value>) -> Vec<(UserId, String)> {
    let list = object.get("authors").and_then(Value::as_array);
    let author = |value: &Value| {
        let author = value.as_object()?;
        let kind = type_text(text(author, "type").unwrap_or_default());
        Some((UserId(id(author, "id")?), kind))
    };
    list.into_iter()
        .flatten()
        .take(MAX_AUTHORS)
        .filter_map(author)
        .collect()
}
