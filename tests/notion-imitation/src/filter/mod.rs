//! Filters of a query: reading them strictly, and testing pages against them.

pub(crate) mod condition;
pub(crate) mod date;

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::error::ApiError;
use crate::filter::condition::Condition;
use crate::filter::date::DateTest;
use crate::properties::schema::{Property, find};
use crate::state::page::{Page, Snapshot};
use crate::state::world::World;

/// A filter.
#[derive(Debug, Clone)]
pub(crate) enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Created(DateTest),
    Edited(DateTest),
    Property(u16, Condition),
}

/// What a filter is read against.
pub(crate) struct FilterContext<'a> {
    pub(crate) schema: &'a [Property],
    pub(crate) now_ms: i64,
    /// Whom `me` means.
    pub(crate) bot: Uuid,
}

/// Which time of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeKind {
    Created,
    Edited,
}

/// Reads a filter. Compounds nest at most two levels deep.
pub(crate) fn parse(
    context: &FilterContext<'_>,
    given: &Json,
    depth: usize,
) -> Result<Filter, ApiError> {
    let object = given
        .as_object()
        .ok_or_else(|| ApiError::body("filter", &format!("an object, instead was `{given}`")))?;
    for (key, combine) in [("and", Filter::And as fn(_) -> _), ("or", Filter::Or)] {
        let Some(parts) = object.get(key) else {
            continue;
        };
        let parts = parts
            .as_array()
            .ok_or_else(|| ApiError::body(&format!("filter.{key}"), "an array"))?;
        if depth >= 2 {
            return Err(ApiError::body(
                &format!("filter.{key}"),
                "nested at most two levels deep",
            ));
        }
        if object.len() > 1 {
            return Err(ApiError::body(
                "filter",
                "either a compound or a single filter",
            ));
        }
        let parts: Result<Vec<_>, _> = parts
            .iter()
            .map(|part| parse(context, part, depth + 1))
            .collect();
        return Ok(combine(parts?));
    }
    if object.contains_key("timestamp") {
        return timestamp(context, object);
    }
    property(context, object)
}

fn timestamp(context: &FilterContext<'_>, object: &Map<String, Json>) -> Result<Filter, ApiError> {
    if object.contains_key("property") {
        return Err(ApiError::body(
            "filter.property",
            "not present beside `timestamp`",
        ));
    }
    let name = object["timestamp"].as_str().unwrap_or_default();
    let wrap = match name {
        "created_time" => Filter::Created,
        "last_edited_time" => Filter::Edited,
        _ => {
            return Err(ApiError::body(
                "filter.timestamp",
                "`created_time` or `last_edited_time`",
            ));
        }
    };
    let test = object.get(name).ok_or_else(|| {
        ApiError::body(
            &format!("filter.{name}"),
            "defined, instead was `undefined`",
        )
    })?;
    no_other_keys(object, &["timestamp", "type", name])?;
    DateTest::parse(context.now_ms, name, test).map(wrap)
}

fn property(context: &FilterContext<'_>, object: &Map<String, Json>) -> Result<Filter, ApiError> {
    let name = object
        .get("property")
        .and_then(Json::as_str)
        .ok_or_else(|| ApiError::body("filter.property", "defined, instead was `undefined`"))?;
    let index = find(context.schema, name).ok_or_else(|| ApiError::no_such_property(name))?;
    let key = object
        .keys()
        .find(|key| !matches!(key.as_str(), "property" | "type"))
        .ok_or_else(|| ApiError::body("filter", "a filter with a condition"))?;
    no_other_keys(object, &["property", "type", key])?;
    let property = &context.schema[usize::from(index)];
    Condition::parse(context, property, key, &object[key])
        .map(|condition| Filter::Property(index, condition))
}

fn no_other_keys(object: &Map<String, Json>, known: &[&str]) -> Result<(), ApiError> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(other) => Err(ApiError::body(&format!("filter.{other}"), "not present")),
        None => Ok(()),
    }
}

impl Filter {
    /// Whether a page in a given state passes.
    pub(crate) fn passes(&self, world: &World, page: &Page, state: &Snapshot) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.passes(world, page, state)),
            Self::Or(parts) => parts.iter().any(|part| part.passes(world, page, state)),
            Self::Created(test) => test.passes(Some(page.created_ms)),
            Self::Edited(test) => test.passes(Some(state.edited_ms)),
            Self::Property(index, condition) => condition.passes(world, page, state, *index),
        }
    }

    /// The closed interval outside of which no page passes, by one of the page's times.
    pub(crate) fn bounds(&self, kind: TimeKind) -> (i64, i64) {
        let everything = (i64::MIN, i64::MAX);
        match (self, kind) {
            (Self::And(parts), kind) => parts
                .iter()
                .map(|part| part.bounds(kind))
                .fold(everything, |(low, high), next| {
                    (low.max(next.0), high.min(next.1))
                }),
            (Self::Created(test), TimeKind::Created) | (Self::Edited(test), TimeKind::Edited) => {
                test.bounds()
            }
            _ => everything,
        }
    }
}
