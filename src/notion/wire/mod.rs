//! The wire form of Notion's API, `Notion-Version: 2026-03-11`.
//!
//! Pure: bytes in, domain types out, no IO. Reading is lenient (`object.rs`), because additions
//! reach every version of the API at once; what is needed and missing is an error that says which
//! answer it was. The door for property types is `property.rs`.

mod body;
mod computed;
mod date;
mod error;
mod item;
mod lists;
mod object;
mod page;
mod payload;
mod property;
mod query;
mod schema;
mod text;
mod write;

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod recorded_types;

pub use payload::payload_page;
pub use write::property_json;

pub(super) use body::{new_page, properties, search};
pub(super) use error::{ErrorBody, bot_user};
pub(super) use item::{ItemPage, PropertyItems};
pub(super) use page::{page, page_id};
pub(super) use query::{query_body, query_page};
pub(super) use schema::{data_source, data_sources_of};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::error::NotionError;

/// What `encodeURIComponent` leaves alone: the form in which Notion itself writes property ids.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Text as part of a path, and a property's id as Notion writes it.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// Parses an answer. The error keeps the place but not the text that serde would quote: it may be
/// somebody's data.
fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], context: &'static str) -> Result<T, NotionError> {
    serde_json::from_slice(body).map_err(|error| {
        let place = format!(
            "{:?} error at line {} column {}",
            error.classify(),
            error.line(),
            error.column()
        );
        NotionError::Unreadable {
            context,
            source: Some(serde::de::Error::custom(place)),
        }
    })
}

/// The error for an answer that parses but lacks what it must have.
fn lacking(context: &'static str) -> NotionError {
    NotionError::Unreadable {
        context,
        source: None,
    }
}
