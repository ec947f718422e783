//! How the value of one property of one page is kept: small, since there may be 100,000 pages.
//!
//! An empty value is not kept at all. Options are numbers into the schema, so that renaming or
//! removing one never has to touch a page.

use serde_json::Value as Json;
use uuid::Uuid;

/// A value that is not empty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Title and rich text.
    Text(Text),
    Number(f64),
    /// Select and status: index of the option.
    Choice(u16),
    Choices(Box<[u16]>),
    Date(Box<DateValue>),
    People(Box<[Uuid]>),
    Relation(Box<[Uuid]>),
    Files(Box<[File]>),
    Checked,
    /// URL, e-mail and phone number.
    Line(Box<str>),
    /// Formula, rollup, verification, place and unknown types, as they are read.
    Json(Box<Json>),
}

/// Rich text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Text {
    /// One unstyled segment: the common case, without the JSON around it.
    Plain(Box<str>),
    /// Segments as they are read.
    Runs(Box<[Json]>),
}

/// Start and end as they are read: `2026-11-20` or `2026-11-20T10:15:00.000+01:00`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DateValue {
    pub(crate) start: Box<str>,
    pub(crate) end: Option<Box<str>>,
}

/// A file of a files property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum File {
    External {
        name: Box<str>,
        url: Box<str>,
    },
    /// Stored by Notion; its URL is signed anew by every read.
    Hosted {
        name: Box<str>,
        key: Uuid,
    },
}

/// The value of one property, if there is one.
pub(crate) fn get(values: &[(u16, Value)], index: u16) -> Option<&Value> {
    values
        .iter()
        .find(|(at, _)| *at == index)
        .map(|(_, value)| value)
}

/// Replaces the value of one property; says whether that changed anything.
pub(crate) fn set(values: &mut Vec<(u16, Value)>, index: u16, value: Option<Value>) -> bool {
    let place = values.iter().position(|(at, _)| *at == index);
    match (place, value) {
        (None, None) => false,
        (None, Some(value)) => {
            values.push((index, value));
            true
        }
        (Some(place), None) => {
            values.remove(place);
            true
        }
        (Some(place), Some(value)) => {
            let changed = values[place].1 != value;
            values[place].1 = value;
            changed
        }
    }
}

impl Text {
    /// All segments' text in order.
    pub(crate) fn plain(&self) -> String {
        match self {
            Self::Plain(text) => text.to_string(),
            Self::Runs(runs) => runs
                .iter()
                .filter_map(|run| run["plain_text"].as_str())
                .collect::<String>(),
        }
    }
}
