//! Sorts of a query.

use std::cmp::Ordering;

use serde_json::Value as Json;

use crate::error::ApiError;
use crate::filter::TimeKind;
use crate::properties::kind::Kind;
use crate::properties::read::date_ms;
use crate::properties::schema::{Property, find};
use crate::properties::value::{Value, get};
use crate::state::page::{Page, Snapshot};
use crate::state::world::World;

/// One sort.
#[derive(Debug, Clone)]
pub(crate) struct Sort {
    pub(crate) by: SortBy,
    pub(crate) descending: bool,
}

/// What is sorted by.
#[derive(Debug, Clone)]
pub(crate) enum SortBy {
    Time(TimeKind),
    Property(u16),
}

/// A value in an order; empty ones come last in either direction.
#[derive(Debug)]
pub(crate) enum Key {
    Time(i64),
    Number(f64),
    Text(String),
    Empty,
}

/// Reads `sorts`.
pub(crate) fn parse(schema: &[Property], given: &Json) -> Result<Vec<Sort>, ApiError> {
    let sorts = given
        .as_array()
        .ok_or_else(|| ApiError::body("sorts", "an array"))?;
    sorts.iter().map(|sort| parse_one(schema, sort)).collect()
}

fn parse_one(schema: &[Property], given: &Json) -> Result<Sort, ApiError> {
    let descending = match given["direction"].as_str() {
        Some("ascending") => false,
        Some("descending") => true,
        _ => {
            return Err(ApiError::body(
                "sorts.direction",
                "`ascending` or `descending`",
            ));
        }
    };
    let by = match (given["timestamp"].as_str(), given["property"].as_str()) {
        (Some("created_time"), None) => SortBy::Time(TimeKind::Created),
        (Some("last_edited_time"), None) => SortBy::Time(TimeKind::Edited),
        (None, Some(name)) => {
            SortBy::Property(find(schema, name).ok_or_else(|| ApiError::no_such_property(name))?)
        }
        _ => {
            return Err(ApiError::body(
                "sorts",
                "objects with `property` or `timestamp`",
            ));
        }
    };
    Ok(Sort { by, descending })
}

impl Sort {
    /// The page's place.
    pub(crate) fn key(&self, world: &World, page: &Page, state: &Snapshot) -> Key {
        let index = match self.by {
            SortBy::Time(TimeKind::Created) => return Key::Time(page.created_ms),
            SortBy::Time(TimeKind::Edited) => return Key::Time(state.edited_ms),
            SortBy::Property(index) => index,
        };
        let property = &world.schema_of(state.parent)[usize::from(index)];
        match (&property.kind, get(&state.values, index)) {
            (Kind::CreatedTime, _) => Key::Time(page.created_ms),
            (Kind::LastEditedTime, _) => Key::Time(state.edited_ms),
            (Kind::UniqueId, _) => Key::Number(f64::from(page.unique_number)),
            (Kind::Checkbox, value) => Key::Number(f64::from(u8::from(value.is_some()))),
            (_, Some(Value::Number(number))) => Key::Number(*number),
            (_, Some(Value::Text(text))) => Key::Text(text.plain().to_lowercase()),
            (_, Some(Value::Line(line))) => Key::Text(line.to_lowercase()),
            (_, Some(Value::Date(date))) => date_ms(date).map_or(Key::Empty, Key::Time),
            (_, Some(Value::Choice(option))) => Key::Number(f64::from(*option)),
            (_, Some(Value::Json(value))) => {
                let kind = value["type"].as_str().unwrap_or_default();
                match &value[kind] {
                    Json::Number(number) => number.as_f64().map_or(Key::Empty, Key::Number),
                    Json::String(text) => Key::Text(text.to_lowercase()),
                    _ => Key::Empty,
                }
            }
            _ => Key::Empty,
        }
    }

    /// The order of two places.
    pub(crate) fn compare(&self, first: &Key, second: &Key) -> Ordering {
        let ascending = match (first, second) {
            (Key::Time(first), Key::Time(second)) => first.cmp(second),
            (Key::Number(first), Key::Number(second)) => first.total_cmp(second),
            (Key::Text(first), Key::Text(second)) => first.cmp(second),
            (Key::Empty, Key::Empty) => Ordering::Equal,
            (Key::Empty, _) => return Ordering::Greater,
            (_, Key::Empty) => return Ordering::Less,
            _ => Ordering::Equal,
        };
        if self.descending {
            ascending.reverse()
        } else {
            ascending
        }
    }
}
