//! Users: `users/me`, the list, and single ones.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::api::request::{ApiRequest, Caller, path_id};
use crate::error::ApiError;
use crate::state::world::World;

/// The bot of the caller's connection.
pub(crate) fn me(world: &World, caller: &Caller) -> Json {
    bot(world, caller.connection.bot, &caller.connection.name)
}

fn bot(world: &World, id: Uuid, name: &str) -> Json {
    json!({
        "object": "user",
        "id": id,
        "name": name,
        "avatar_url": null,
        "type": "bot",
        "bot": {
            "owner": {"type": "workspace", "workspace": true},
            "workspace_id": world.workspace,
            "workspace_name": world.workspace_name,
            "workspace_limits": {"max_file_upload_size_in_bytes": 5_242_880},
        },
    })
}

fn full(world: &World, id: Uuid) -> Option<Json> {
    let user = world.users.get(&id)?;
    Some(if user.email.is_some() {
        user.full()
    } else {
        bot(world, id, &user.name)
    })
}

/// A page of all users.
pub(crate) fn list(world: &World, request: &ApiRequest) -> Result<Json, ApiError> {
    let (size, cursor) = request.paging()?;
    let mut ids: Vec<Uuid> = world.users.keys().copied().collect();
    ids.sort_unstable();
    let from = match cursor {
        None => 0,
        Some(cursor) => crate::ids::parse_uuid(cursor)
            .and_then(|id| ids.binary_search(&id).ok())
            .ok_or_else(|| ApiError::validation("The start_cursor provided is invalid."))?,
    };
    let next = ids.get(from + size);
    let shown: Vec<Json> = ids
        .iter()
        .skip(from)
        .take(size)
        .filter_map(|id| full(world, *id))
        .collect();
    Ok(json!({
        "object": "list",
        "results": shown,
        "next_cursor": next,
        "has_more": next.is_some(),
        "type": "user",
        "user": {},
    }))
}

/// One user.
pub(crate) fn retrieve(world: &World, caller: &Caller, id: &str) -> Result<Json, ApiError> {
    let id = path_id("user_id", id)?;
    full(world, id).ok_or_else(|| {
        ApiError::not_found("user", id, &caller.connection.name, caller.connection.bot)
    })
}
