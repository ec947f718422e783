//! `GET /v1/pages/{page_id}/properties/{property_id}`

use serde_json::Value as Json;
use uuid::Uuid;

use crate::api::pages::lagging;
use crate::api::request::{ApiRequest, Caller, path_id};
use crate::error::ApiError;
use crate::properties::item::{Item, item, list};
use crate::properties::read::View;
use crate::properties::schema::find_by_id;
use crate::state::connection::Capability;
use crate::state::world::World;

/// One property of a page, complete, in pages where it is a list.
pub(crate) fn retrieve(
    world: &World,
    caller: &Caller,
    page: &str,
    property: &str,
    request: &ApiRequest,
) -> Result<Json, ApiError> {
    let id = path_id("page_id", page)?;
    caller.needs(Capability::ReadContent)?;
    let slot = world.visible_page(&caller.connection, id)?;
    let page = world.page(slot);
    let state = lagging(world, caller, slot)?;
    let schema = world.schema_of(state.parent);
    let index = find_by_id(schema, property)
        .ok_or_else(|| ApiError::no_such_property(&crate::ids::decode(property)))?;
    let property = &schema[usize::from(index)];
    let view = View {
        world,
        connection: Some(&caller.connection),
        version: caller.version,
    };
    let (size, cursor) = request.paging()?;
    match item(&view, page, state, index, property) {
        Item::Single(object) => Ok(object),
        Item::List {
            elements,
            element_kind,
            rollup,
        } => {
            let from = match cursor {
                None => 0,
                Some(cursor) => offset(id, cursor, elements.len())?,
            };
            let until = elements.len().min(from + size);
            let next = (until < elements.len()).then(|| cursor_at(id, until));
            let base = format!(
                "{}/v1/pages/{id}/properties/{}",
                request.base_url,
                property.encoded_id()
            );
            let shown = (
                &elements[from..until],
                element_kind.as_str(),
                rollup.as_ref(),
            );
            Ok(list(property, shown, next.as_deref(), &base))
        }
    }
}

fn cursor_at(page: Uuid, offset: usize) -> String {
    format!("{}-{offset:x}", page.simple())
}

fn offset(page: Uuid, cursor: &str, length: usize) -> Result<usize, ApiError> {
    cursor
        .strip_prefix(&page.simple().to_string())
        .and_then(|rest| usize::from_str_radix(rest.strip_prefix('-')?, 16).ok())
        .filter(|offset| *offset <= length)
        .ok_or_else(|| {
            ApiError::validation(format!("The start_cursor provided is invalid: {cursor}"))
        })
}
