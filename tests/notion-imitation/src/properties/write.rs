//! Reading the `properties` of a write against a schema. Nothing is changed here: the result says
//! what to set and which options to add.

use serde_json::{Map, Value as Json};

use crate::error::ApiError;
use crate::options::Switches;
use crate::properties::schema::{Property, find};
use crate::properties::value::Value;
use crate::properties::write_value;
use crate::state::connection::Connection;
use crate::state::world::World;

/// Who writes, and into what.
#[derive(Clone, Copy)]
pub(crate) struct WriteContext<'a> {
    pub(crate) world: &'a World,
    /// `None` is a person in Notion's own client, to whom the API's limits do not apply.
    pub(crate) connection: Option<&'a Connection>,
}

/// A write that is known to be possible.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    /// New values by property; `None` empties.
    pub(crate) values: Vec<(u16, Option<Value>)>,
    pub(crate) new_options: Vec<NewOption>,
}

/// An option that a write creates.
#[derive(Debug, Clone)]
pub(crate) struct NewOption {
    pub(crate) property: u16,
    pub(crate) name: String,
    pub(crate) color: Option<String>,
}

impl WriteContext<'_> {
    /// Whether the API's sizes and refusals apply.
    pub(crate) fn has_limits(&self) -> bool {
        self.connection.is_some()
    }

    pub(crate) fn switches(&self) -> &Switches {
        &self.world.switches
    }
}

/// Reads `{"<name or id>": {"<type>": value}}`.
pub(crate) fn parse(
    context: &WriteContext<'_>,
    properties: &[Property],
    given: &Map<String, Json>,
) -> Result<Parsed, ApiError> {
    let mut parsed = Parsed::default();
    for (key, value) in given {
        let Some(index) = find(properties, key) else {
            if context.has_limits() && context.switches().drop_unknown_properties {
                continue;
            }
            return Err(ApiError::validation(format!(
                "{key} is not a property that exists."
            )));
        };
        let property = &properties[usize::from(index)];
        let inner = typed_value(context, property, key, value)?;
        let mut write = write_value::PropertyWrite {
            context: *context,
            property,
            index,
            place: format!("properties.{key}.{}", property.kind.name()),
            new_options: &mut parsed.new_options,
        };
        let value = write.parse(inner)?;
        parsed.values.push((index, value));
    }
    Ok(parsed)
}

/// The value under the type's name.
fn typed_value<'a>(
    context: &WriteContext<'_>,
    property: &Property,
    key: &str,
    value: &'a Json,
) -> Result<&'a Json, ApiError> {
    let kind = property.kind.name();
    if !value.is_object() {
        return Err(ApiError::body(
            &format!("properties.{key}"),
            &format!("an object or `undefined`, instead was `{value}`"),
        ));
    }
    let Some(inner) = value.get(kind) else {
        return Err(ApiError::validation(format!(
            "{key} is expected to be {kind}."
        )));
    };
    if context.has_limits() && property.kind.is_read_only() {
        return Err(ApiError::validation(format!(
            "{key} is a {kind} property, which cannot be written through the API."
        )));
    }
    Ok(inner)
}
