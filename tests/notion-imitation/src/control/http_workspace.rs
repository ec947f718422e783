//! The control API's routes of databases, data sources, pages and people.

use serde_json::{Value as Json, json};

use crate::control::ControlResult;
use crate::control::http::{ControlCall, done, id, show};

/// Answers a call, or `None` if there is no such route.
pub(crate) fn dispatch(
    call: &ControlCall<'_>,
    method: &str,
    path: &[&str],
) -> ControlResult<Option<Json>> {
    let controls = call.controls;
    let result = match (method, path) {
        ("POST", ["databases"]) => Ok(json!({"id": controls.create_database(call.read()?)?})),
        ("POST", ["databases", it, "trash"]) => done(controls.trash_database(id(it)?, true)),
        ("POST", ["databases", it, "restore"]) => done(controls.trash_database(id(it)?, false)),
        ("POST", ["people"]) => {
            let person = controls.add_person(call.text("name")?, call.text("email")?);
            Ok(json!({"id": person}))
        }
        ("POST", ["data_sources"]) => show(controls.create_data_source(call.read()?)?),
        (_, ["data_sources", it, rest @ ..]) => return data_source(call, method, it, rest),
        ("POST", ["pages"]) => Ok(json!({"id": controls.add_page(&call.read()?)?})),
        ("POST", ["pages", "bulk"]) => show(controls.bulk(&call.read()?)?),
        (_, ["pages", it, rest @ ..]) => return page(call, method, it, rest),
        _ => return Ok(None),
    };
    result.map(Some)
}

fn data_source(
    call: &ControlCall<'_>,
    method: &str,
    it: &str,
    rest: &[&str],
) -> ControlResult<Option<Json>> {
    let controls = call.controls;
    let it = id(it)?;
    let result = match (method, rest) {
        ("GET", []) => Ok(controls.data_source(it)),
        ("GET", ["pages"]) => show(controls.pages_of(it)),
        ("PATCH", ["schema"]) => done(controls.update_schema(it, call.body)),
        ("POST", ["trash"]) => done(controls.trash_data_source(it, true)),
        ("POST", ["restore"]) => done(controls.trash_data_source(it, false)),
        ("POST", ["options", "rename"]) => done(controls.rename_option(
            it,
            call.text("property")?,
            call.text("option")?,
            call.text("name")?,
        )),
        ("POST", ["options", "remove"]) => {
            done(controls.remove_option(it, call.text("property")?, call.text("option")?))
        }
        _ => return Ok(None),
    };
    result.map(Some)
}

fn page(
    call: &ControlCall<'_>,
    method: &str,
    it: &str,
    rest: &[&str],
) -> ControlResult<Option<Json>> {
    let controls = call.controls;
    let it = id(it)?;
    let result = match (method, rest) {
        ("GET", []) => controls.page(it),
        ("PATCH", []) => done(controls.edit_with(it, &call.read()?)),
        ("POST", ["edit_content"]) => done(controls.edit_content(it)),
        ("POST", ["trash"]) => done(controls.trash(it)),
        ("POST", ["restore"]) => done(controls.restore(it)),
        ("POST", ["purge"]) => done(controls.purge(it)),
        ("POST", ["archive"]) => done(controls.archive(it, true)),
        ("POST", ["unarchive"]) => done(controls.archive(it, false)),
        ("POST", ["lock"]) => done(controls.lock(it, true)),
        ("POST", ["unlock"]) => done(controls.lock(it, false)),
        ("POST", ["move"]) => {
            let target = call.optional("data_source").map(id).transpose()?;
            done(controls.move_page(it, target))
        }
        _ => return Ok(None),
    };
    result.map(Some)
}
