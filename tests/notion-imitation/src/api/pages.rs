//! Pages: create, read, change, move, trash.

use serde_json::{Map, Value as Json, json};

use crate::api::queries::only;
use crate::api::request::{ApiRequest, Caller, path_id};
use crate::error::ApiError;
use crate::ids::parse_uuid;
use crate::properties::read::{Version, View};
use crate::properties::schema::Property;
use crate::properties::write::{Parsed, WriteContext, parse};
use crate::state::connection::Capability;
use crate::state::edit::NewPage;
use crate::state::page::{Parent, Snapshot};
use crate::state::world::World;

/// The state of a page that reads show: that of `get_lag_ms` ago.
pub(crate) fn lagging<'a>(
    world: &'a World,
    caller: &Caller,
    slot: u32,
) -> Result<&'a Snapshot, ApiError> {
    let page = world.page(slot);
    let at = world
        .moment
        .elapsed_ms
        .saturating_sub(world.switches.get_lag_ms);
    page.as_of(at).ok_or_else(|| {
        ApiError::not_found(
            "page",
            page.id,
            &caller.connection.name,
            caller.connection.bot,
        )
    })
}

fn show(
    world: &World,
    caller: &Caller,
    slot: u32,
    state: &Snapshot,
    request: &ApiRequest,
) -> Result<Json, ApiError> {
    let trimmed = only(world.schema_of(state.parent), request)?;
    let view = View {
        world,
        connection: Some(&caller.connection),
        version: caller.version,
    };
    Ok(view.page(world.page(slot), state, trimmed.as_deref()))
}

/// `GET /v1/pages/{id}`
pub(crate) fn retrieve(
    world: &World,
    caller: &Caller,
    id: &str,
    request: &ApiRequest,
) -> Result<Json, ApiError> {
    let id = path_id("page_id", id)?;
    caller.needs(Capability::ReadContent)?;
    let slot = world.visible_page(&caller.connection, id)?;
    show(world, caller, slot, lagging(world, caller, slot)?, request)
}

fn properties_of<'a>(
    request: &'a ApiRequest,
    empty: &'a Map<String, Json>,
) -> Result<&'a Map<String, Json>, ApiError> {
    match request.body.get("properties") {
        None => Ok(empty),
        Some(Json::Object(properties)) => Ok(properties),
        Some(other) => {
            let should = format!("an object or `undefined`, instead was `{other}`");
            Err(ApiError::body("properties", &should))
        }
    }
}

fn read_properties(
    world: &World,
    caller: &Caller,
    schema: &[Property],
    request: &ApiRequest,
) -> Result<Parsed, ApiError> {
    let context = WriteContext {
        world,
        connection: Some(&caller.connection),
    };
    parse(&context, schema, properties_of(request, &Map::new())?)
}

/// `POST /v1/pages`
pub(crate) fn create(
    world: &mut World,
    caller: &Caller,
    request: &ApiRequest,
) -> Result<Json, ApiError> {
    request.only_keys(&[
        "parent",
        "properties",
        "icon",
        "cover",
        "content",
        "children",
        "markdown",
        "allow_async",
        "template",
        "position",
    ])?;
    caller.needs(Capability::InsertContent)?;
    let parent = request.body.get("parent").unwrap_or(&Json::Null);
    let parent = parent_of(world, caller, parent)?;
    let parsed = read_properties(world, caller, world.schema_of(parent), request)?;
    only(world.schema_of(parent), request)?;
    let slot = world.create_page(NewPage {
        id: None,
        parent,
        parsed,
        created_ms: None,
        edited_ms: None,
        author: caller.connection.bot,
        quiet: false,
    })?;
    let state = world.page(slot).current.clone();
    show(world, caller, slot, &state, request)
}

/// The parent that a body names, if the caller may put pages there.
fn parent_of(world: &World, caller: &Caller, given: &Json) -> Result<Parent, ApiError> {
    let id = |key: &str| -> Result<Option<uuid::Uuid>, ApiError> {
        let Some(text) = given[key].as_str() else {
            return Ok(None);
        };
        let bad = || {
            let should = format!("a valid uuid, instead was `\"{text}\"`");
            ApiError::body(&format!("parent.{key}"), &should)
        };
        parse_uuid(text).map(Some).ok_or_else(bad)
    };
    let connection = &caller.connection;
    let missing = |kind, id| ApiError::not_found(kind, id, &connection.name, connection.bot);
    if let Some(source) = id("data_source_id")? {
        world.visible_data_source(connection, source)?;
        if world.is_data_source_trashed(source) {
            return Err(missing("data source", source));
        }
        return Ok(Parent::DataSource(source));
    }
    if let Some(database) = id("database_id")? {
        let found = world
            .databases
            .get(&database)
            .ok_or_else(|| missing("database", database))?;
        let [only] = found.data_sources.as_slice() else {
            return Err(ApiError::validation(format!(
                "Database with ID {database} has multiple data sources: name one of them."
            )));
        };
        world.visible_data_source(connection, *only)?;
        return Ok(Parent::DataSource(*only));
    }
    if let Some(page) = id("page_id")? {
        if page != world.root_page {
            world.visible_page(connection, page)?;
        }
        return Ok(Parent::Page(page));
    }
    Err(ApiError::body(
        "parent",
        "defined: `data_source_id` or `page_id`",
    ))
}

/// `PATCH /v1/pages/{id}`
pub(crate) fn update(
    world: &mut World,
    caller: &Caller,
    id: &str,
    request: &ApiRequest,
) -> Result<Json, ApiError> {
    let id = path_id("page_id", id)?;
    let mut known = vec![
        "properties",
        "in_trash",
        "is_archived",
        "is_locked",
        "icon",
        "cover",
        "template",
        "erase_content",
    ];
    if caller.version == Version::September2025 {
        known.push("archived");
    }
    request.only_keys(&known)?;
    caller.needs(Capability::UpdateContent)?;
    let slot = world.visible_page(&caller.connection, id)?;
    let in_trash = request.flag("in_trash")?.or(request.flag("archived")?);
    let (is_archived, is_locked) = (request.flag("is_archived")?, request.flag("is_locked")?);
    let state = world.page(slot).current.clone();
    let parsed = read_properties(world, caller, world.schema_of(state.parent), request)?;
    only(world.schema_of(state.parent), request)?;
    let stays_trashed = in_trash.unwrap_or(state.in_trash);
    if stays_trashed && state.in_trash && !parsed.values.is_empty() {
        return Err(ApiError::validation(
            "Can't edit block that is archived. You must unarchive the block before editing.",
        ));
    }
    let author = caller.connection.bot;
    if let Some(in_trash) = in_trash {
        world.set_trash(slot, in_trash, author);
    }
    if let Some(is_archived) = is_archived {
        world.set_archived(slot, is_archived, author);
    }
    if let Some(is_locked) = is_locked {
        world.set_locked(slot, is_locked, author);
    }
    if request.body.contains_key("properties") {
        world.edit_page(slot, parsed, author);
    }
    let state = world.page(slot).current.clone();
    show(world, caller, slot, &state, request)
}

/// `POST /v1/pages/{id}/move`
pub(crate) fn move_to(
    world: &mut World,
    caller: &Caller,
    id: &str,
    request: &ApiRequest,
) -> Result<Json, ApiError> {
    let id = path_id("page_id", id)?;
    request.only_keys(&["parent"])?;
    caller.needs(Capability::UpdateContent)?;
    let slot = world.visible_page(&caller.connection, id)?;
    let parent = request.body.get("parent").unwrap_or(&Json::Null);
    let parent = parent_of(world, caller, parent)?;
    world.move_page(slot, parent, caller.connection.bot);
    let state = world.page(slot).current.clone();
    show(world, caller, slot, &state, request)
}

/// `DELETE /v1/blocks/{id}`: of a page, moves it to the trash.
pub(crate) fn delete_block(world: &mut World, caller: &Caller, id: &str) -> Result<Json, ApiError> {
    let id = path_id("block_id", id)?;
    caller.needs(Capability::UpdateContent)?;
    let connection = &caller.connection;
    let slot = world
        .visible_page(connection, id)
        .map_err(|_| ApiError::not_found("block", id, &connection.name, connection.bot))?;
    world.set_trash(slot, true, connection.bot);
    let page = world.page(slot);
    let view = View {
        world,
        connection: Some(connection),
        version: caller.version,
    };
    Ok(json!({
        "object": "block",
        "id": id,
        "parent": view.parent(page.current.parent),
        "created_time": crate::clock::iso(page.created_ms),
        "last_edited_time": crate::clock::iso(page.current.edited_ms),
        "created_by": crate::state::people::partial(page.created_by),
        "last_edited_by": crate::state::people::partial(page.current.edited_by),
        "has_children": false,
        "in_trash": true,
        "type": "child_page",
        "child_page": {"title": world.title_of(id).unwrap_or_default()},
    }))
}
