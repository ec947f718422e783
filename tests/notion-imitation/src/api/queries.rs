//! `POST /v1/data_sources/{id}/query`

use serde_json::Value as Json;

use crate::api::request::{ApiRequest, Caller, page_size, path_id};
use crate::error::ApiError;
use crate::properties::read::Version;
use crate::properties::schema::{Property, find};
use crate::query::{Query, filter_context, run, shower};
use crate::state::connection::Capability;
use crate::state::page::Parent;
use crate::state::world::World;
use crate::{filter, sort};

/// Answers a query.
pub(crate) fn query(
    world: &mut World,
    caller: &Caller,
    id: &str,
    request: &ApiRequest,
) -> Result<Json, ApiError> {
    let id = path_id("data_source_id", id)?;
    let mut known = vec![
        "filter",
        "sorts",
        "start_cursor",
        "page_size",
        "result_type",
        "is_archived",
    ];
    if caller.version == Version::September2025 {
        known.extend(["archived", "in_trash"]);
    }
    request.only_keys(&known)?;
    caller.needs(Capability::ReadContent)?;
    world.visible_data_source(&caller.connection, id)?;
    let trashed = world.is_data_source_trashed(id);
    if trashed && !world.switches.trashed_query_is_empty {
        let connection = &caller.connection;
        return Err(ApiError::not_found(
            "data source",
            id,
            &connection.name,
            connection.bot,
        ));
    }
    let mut query = read(world, caller, id, request)?;
    query.pages &= !trashed;
    let only = query.only.clone();
    run(
        world,
        &caller.connection,
        shower(&caller.connection, caller.version, only.as_deref()),
        &query,
    )
}

fn read(
    world: &World,
    caller: &Caller,
    id: uuid::Uuid,
    request: &ApiRequest,
) -> Result<Query, ApiError> {
    let schema = world.schema_of(Parent::DataSource(id));
    let body = &request.body;
    let filter = match body.get("filter") {
        None => None,
        Some(given) => Some(filter::parse(
            &filter_context(world, id, &caller.connection),
            given,
            0,
        )?),
    };
    let sorts = body
        .get("sorts")
        .map(|given| sort::parse(schema, given))
        .transpose()?;
    let size = match body.get("page_size") {
        None => 100,
        Some(given) => page_size(given.as_u64()).map_err(|()| {
            ApiError::body(
                "page_size",
                &format!("between 1 and 100, instead was `{given}`"),
            )
        })?,
    };
    let cursor = match body.get("start_cursor") {
        None | Some(Json::Null) => None,
        Some(Json::String(cursor)) if !cursor.is_empty() => Some(cursor.clone()),
        Some(other) => {
            return Err(ApiError::body(
                "start_cursor",
                &format!("a cursor, instead was `{other}`"),
            ));
        }
    };
    let pages = match body.get("result_type").map(|given| (given, given.as_str())) {
        None | Some((_, Some("page"))) => true,
        Some((_, Some("data_source"))) => false,
        Some((other, _)) => {
            let should = format!("`page` or `data_source`, instead was `{other}`");
            return Err(ApiError::body("result_type", &should));
        }
    };
    let archived = request.flag("is_archived")?.unwrap_or(false);
    let of = |key: &str| body.get(key).map(ToString::to_string).unwrap_or_default();
    Ok(Query {
        source: id,
        filter,
        sorts: sorts.unwrap_or_default(),
        archived,
        pages,
        page_size: size,
        cursor,
        fingerprint: format!("{id}|{}|{}|{archived}|{pages}", of("filter"), of("sorts")),
        only: only(schema, request)?,
    })
}

/// The properties that `filter_properties` leaves.
pub(crate) fn only(
    schema: &[Property],
    request: &ApiRequest,
) -> Result<Option<Vec<u16>>, ApiError> {
    let Some(wanted) = request.filter_properties() else {
        return Ok(None);
    };
    let found: Result<Vec<u16>, ApiError> = wanted
        .into_iter()
        .map(|key| find(schema, key).ok_or_else(|| ApiError::no_such_property(key)))
        .collect();
    found.map(Some)
}
