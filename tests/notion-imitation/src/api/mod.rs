//! The imitated API: routes, authentication, and one module per kind of object.

pub(crate) mod containers;
pub(crate) mod pages;
pub(crate) mod property_items;
pub(crate) mod queries;
pub(crate) mod request;
pub(crate) mod route;
pub(crate) mod users;

use crate::api::request::{ApiRequest, Caller};
use crate::api::route::Call;
use crate::error::ApiError;
use crate::state::world::World;

/// Does what a request asks for.
pub(crate) fn execute(
    world: &mut World,
    caller: &Caller,
    call: &Call,
    request: &ApiRequest,
) -> Result<serde_json::Value, ApiError> {
    match call {
        Call::Me => Ok(users::me(world, caller)),
        Call::Users => users::list(world, request),
        Call::User(id) => users::retrieve(world, caller, id),
        Call::Database(id) => containers::database(world, caller, id),
        Call::DataSource(id) => containers::data_source(world, caller, id),
        Call::UpdateDataSource(id) => containers::update_data_source(world, caller, id, request),
        Call::Query(id) => queries::query(world, caller, id, request),
        Call::CreatePage => pages::create(world, caller, request),
        Call::Page(id) => pages::retrieve(world, caller, id, request),
        Call::UpdatePage(id) => pages::update(world, caller, id, request),
        Call::MovePage(id) => pages::move_to(world, caller, id, request),
        Call::Property { page, property } => {
            property_items::retrieve(world, caller, page, property, request)
        }
        Call::DeleteBlock(id) => pages::delete_block(world, caller, id),
    }
}
