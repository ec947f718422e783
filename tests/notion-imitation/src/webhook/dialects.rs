//! Bodies of events to send by hand: the real envelope, and the dialects that others speak.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::clock::iso;
use crate::properties::read::{Version, View};
use crate::state::change::Detail;
use crate::state::connection::Connection;
use crate::state::page::Parent;
use crate::state::world::World;
use crate::webhook::event::{Event, Sender};
use crate::webhook::subscription::Subscription;

/// A page as a connection sees it, without the request id; null if it sees none.
pub(crate) fn page_object(world: &World, connection: &Connection, id: Uuid) -> Json {
    let Some(slot) = world.slot(id) else {
        return Json::Null;
    };
    let page = world.page(slot);
    let view = View {
        world,
        connection: Some(connection),
        version: Version::March2026,
    };
    view.page(page, &page.current, None)
}

/// `{"type":"page.updated","object":{"id","last_edited_time","properties"}}`
pub(crate) fn legacy(world: &World, connection: &Connection, id: Uuid) -> Json {
    let page = page_object(world, connection, id);
    json!({
        "type": "page.updated",
        "object": {
            "id": id,
            "last_edited_time": page["last_edited_time"],
            "properties": page["properties"],
        },
    })
}

/// The body of an automation's "Send webhook" action.
pub(crate) fn automation(
    world: &mut World,
    connection: &Connection,
    id: Uuid,
    event_id: Option<Uuid>,
) -> Json {
    let event_id = event_id.unwrap_or_else(|| world.random.uuid());
    json!({
        "source": {
            "type": "automation",
            "automation_id": world.random.uuid(),
            "action_id": world.random.uuid(),
            "event_id": event_id,
            "user_id": world.person,
            "attempt": 1,
        },
        "data": page_object(world, connection, id),
    })
}

/// A real envelope about a page (or data source), as if `person` had just done it.
pub(crate) fn envelope(
    world: &mut World,
    connection: &Connection,
    kind: &str,
    entity: Uuid,
    updated: &[String],
) -> Json {
    let of_page = world
        .slot(entity)
        .map(|slot| world.page(slot).current.parent);
    let database_of = |id: &Uuid| world.data_sources.get(id).map(|source| source.database);
    let (entity_type, parent) = if let Some(parent) = of_page {
        let database = match parent {
            Parent::DataSource(id) => database_of(&id),
            Parent::Page(_) => None,
        };
        ("page", parent.in_event(database))
    } else {
        (
            "data_source",
            json!({"id": database_of(&entity), "type": "database"}),
        )
    };
    let detail = match kind {
        "page.properties_updated" => Detail::Properties(updated.to_vec()),
        "page.content_updated" => Detail::Blocks(vec![world.random.uuid()]),
        _ => Detail::None,
    };
    let event = Event {
        id: world.random.uuid(),
        kind: kind.to_owned(),
        entity,
        entity_type,
        at_ms: world.moment.now_ms,
        authors: vec![(world.person, "person")],
        parent,
        detail,
    };
    let sender = Sender {
        workspace: world.workspace,
        workspace_name: world.workspace_name.clone(),
        subscription: world.random.uuid(),
        integration: connection.integration,
        bot: connection.bot,
    };
    event.envelope(&sender, &Subscription::default(), 1)
}

/// `{"type":"database.updated","object":{"id",...}}`
pub(crate) fn legacy_database(world: &World, id: Uuid) -> Json {
    json!({
        "type": "database.updated",
        "object": {"id": id, "last_edited_time": iso(world.moment.now_ms)},
    })
}
