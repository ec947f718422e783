//! Databases and data sources.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::api::request::{ApiRequest, Caller, path_id};
use crate::clock::{iso, iso_offset};
use crate::error::ApiError;
use crate::properties::read::Version;
use crate::properties::schema_read;
use crate::properties::text::plain_run;
use crate::state::connection::Capability;
use crate::state::people::partial;
use crate::state::world::World;

/// `GET /v1/databases/{id}`
pub(crate) fn database(world: &World, caller: &Caller, id: &str) -> Result<Json, ApiError> {
    let id = path_id("database_id", id)?;
    caller.needs(Capability::ReadContent)?;
    let missing = || {
        ApiError::not_found(
            "database",
            id,
            &caller.connection.name,
            caller.connection.bot,
        )
    };
    let found = world.databases.get(&id).ok_or_else(missing)?;
    if !caller.connection.sees(id) {
        return Err(missing());
    }
    let sources: Vec<Json> = found
        .data_sources
        .iter()
        .filter(|id| world.sees_data_source(&caller.connection, **id))
        .filter_map(|id| world.data_sources.get(id))
        .map(|source| json!({"id": source.id, "name": source.title}))
        .collect();
    Ok(json!({
        "object": "database",
        "id": id,
        "title": title(&found.title),
        "description": [],
        "parent": {"type": "page_id", "page_id": found.parent_page},
        "is_inline": false,
        "in_trash": found.in_trash,
        "is_locked": false,
        "created_time": iso_offset(found.created_ms),
        "last_edited_time": iso_offset(found.edited_ms),
        "data_sources": sources,
        "icon": null,
        "cover": null,
        "url": format!("https://app.notion.com/p/{}", id.simple()),
        "public_url": null,
    }))
}

/// `GET /v1/data_sources/{id}`
pub(crate) fn data_source(world: &World, caller: &Caller, id: &str) -> Result<Json, ApiError> {
    let id = path_id("data_source_id", id)?;
    caller.needs(Capability::ReadContent)?;
    world.visible_data_source(&caller.connection, id)?;
    Ok(show(world, id, caller.version))
}

/// A data source object; null if there is none.
pub(crate) fn show(world: &World, id: Uuid, version: Version) -> Json {
    let Some(source) = world.data_sources.get(&id) else {
        return Json::Null;
    };
    let page = world
        .databases
        .get(&source.database)
        .map(|database| database.parent_page);
    let mut object = json!({
        "object": "data_source",
        "id": id,
        "cover": null,
        "icon": null,
        "created_time": iso(source.created_ms),
        "created_by": partial(source.created_by),
        "last_edited_by": partial(source.edited_by),
        "last_edited_time": iso(source.edited_ms),
        "title": title(&source.title),
        "description": title(&source.description),
        "is_inline": false,
        "properties": schema_read::properties(world, &source.properties),
        "parent": {"type": "database_id", "database_id": source.database},
        "database_parent": {"type": "page_id", "page_id": page},
        "url": format!("https://app.notion.com/p/{}", source.database.simple()),
        "public_url": null,
        "in_trash": world.is_data_source_trashed(id),
    });
    if version == Version::September2025 {
        object["archived"] = object["in_trash"].clone();
    }
    object
}

fn title(text: &str) -> Json {
    if text.is_empty() {
        json!([])
    } else {
        json!([plain_run(text)])
    }
}

/// `PATCH /v1/data_sources/{id}`: properties, title, description and trash.
pub(crate) fn update_data_source(
    world: &mut World,
    caller: &Caller,
    id: &str,
    request: &ApiRequest,
) -> Result<Json, ApiError> {
    let id = path_id("data_source_id", id)?;
    let mut known = vec![
        "title",
        "description",
        "icon",
        "properties",
        "in_trash",
        "parent",
        "is_inline",
    ];
    if caller.version == Version::September2025 {
        known.push("archived");
    }
    request.only_keys(&known)?;
    caller.needs(Capability::UpdateContent)?;
    world.visible_data_source(&caller.connection, id)?;
    let author = caller.connection.bot;
    if let Some(properties) = request.body.get("properties") {
        let given = properties
            .as_object()
            .ok_or_else(|| ApiError::body("properties", "an object or `undefined`"))?;
        if properties.to_string().len() > 50_000 {
            return Err(ApiError::validation(
                "The schema update is larger than 50 KB.",
            ));
        }
        world.update_schema(id, given, false, author)?;
    }
    let in_trash = request.flag("in_trash")?.or(request.flag("archived")?);
    if let Some(in_trash) = in_trash {
        world.set_data_source_trash(id, in_trash, author);
    }
    for key in ["title", "description"] {
        if let Some(Json::Array(runs)) = request.body.get(key) {
            let text: String = runs
                .iter()
                .filter_map(|run| run["text"]["content"].as_str())
                .collect();
            world.name_data_source(id, key, text, author);
        }
    }
    Ok(show(world, id, caller.version))
}

impl World {
    /// Moves a data source to the trash or restores it.
    pub(crate) fn set_data_source_trash(&mut self, id: Uuid, in_trash: bool, author: Uuid) {
        let stamp = self.stamp();
        let Some(source) = self.data_sources.get_mut(&id) else {
            return;
        };
        if source.in_trash == in_trash {
            return;
        }
        source.in_trash = in_trash;
        source.edited_ms = stamp;
        source.edited_by = author;
        let kind = if in_trash {
            "data_source.deleted"
        } else {
            "data_source.undeleted"
        };
        self.note_data_source(kind, id, author, Vec::new());
    }

    fn name_data_source(&mut self, id: Uuid, key: &str, text: String, author: Uuid) {
        let stamp = self.stamp();
        let Some(source) = self.data_sources.get_mut(&id) else {
            return;
        };
        if key == "title" {
            source.title = text;
        } else {
            source.description = text;
        }
        source.edited_ms = stamp;
        source.edited_by = author;
        self.note_data_source("data_source.content_updated", id, author, Vec::new());
    }
}
