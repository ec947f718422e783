//! From the bytes of an authenticated body to an event, in any of the three dialects (S3).
//!
//! Pure and lenient: unknown fields and unknown types are carried, absent and null ones are fine;
//! only what is no event at all is refused. The text that is stored is the sender's own, made
//! acceptable to `jsonb`.

use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::place::Place;
use crate::sync::event::NewEvent;
use crate::sync::identity::PageId;
use crate::sync::json::{sanitize_surrogates, without_nul};

mod envelope;
mod numbers;
mod seed;

/// Longest type text or sender's id that is kept as it is, in bytes.
const MAX_WORD: usize = 200;

/// What a body says.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The event, for the inbox. `authenticated` is left false.
    pub event: NewEvent,
    /// What decides which bindings it concerns.
    pub place: Place,
    /// The page by whose link a binding may claim the event.
    pub page: Option<PageId>,
}

/// Why a body is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// It is not JSON, or JSON that `jsonb` cannot hold.
    #[error("the body is not JSON")]
    InvalidJson,
    /// It is JSON, but none of the three dialects.
    #[error("the body is no event")]
    UnknownEvent,
}

/// Reads a body. `nonce` stands in for the dedupe key where the sender gives nothing to tell two
/// deliveries apart by.
pub fn parse(body: Vec<u8>, nonce: Uuid) -> Result<Parsed, PayloadError> {
    let text = storable(body)?;
    let value: Value = serde_json::from_str(&text).map_err(|_| PayloadError::InvalidJson)?;
    let Value::Object(object) = value else {
        return Err(PayloadError::UnknownEvent);
    };
    let mut parsed = envelope::read(&object)
        .or_else(|| seed::automation(&object, nonce))
        .or_else(|| seed::legacy(&object, nonce))
        .ok_or(PayloadError::UnknownEvent)?;
    parsed.event.body = text;
    Ok(parsed)
}

/// The body as text that both Rust and `jsonb` accept. Copies only where something is replaced.
fn storable(body: Vec<u8>) -> Result<String, PayloadError> {
    let bytes = match sanitize_surrogates(&body) {
        std::borrow::Cow::Borrowed(_) => body,
        std::borrow::Cow::Owned(clean) => clean,
    };
    let text = String::from_utf8(bytes).map_err(|_| PayloadError::InvalidJson)?;
    if !numbers::fit_jsonb(&text) {
        return Err(PayloadError::InvalidJson);
    }
    Ok(match without_nul(&text) {
        std::borrow::Cow::Borrowed(_) => text,
        std::borrow::Cow::Owned(clean) => clean,
    })
}

/// A text field that is there and not empty.
fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// A field that holds a UUID, with or without dashes.
fn id(object: &Map<String, Value>, key: &str) -> Option<Uuid> {
    Uuid::parse_str(text(object, key)?.trim()).ok()
}

/// A field that holds a time; anything that is none counts as absent.
fn time(object: &Map<String, Value>, key: &str) -> Option<Timestamp> {
    text(object, key)?.trim().parse().ok()
}

/// An id that the sender made, in one spelling if it is a UUID, and never longer than a key may be.
fn word(text: &str) -> String {
    if let Ok(uuid) = Uuid::parse_str(text.trim()) {
        return uuid.hyphenated().to_string();
    }
    if text.len() <= MAX_WORD {
        return text.to_owned();
    }
    hex::encode(Sha256::digest(text))
}

/// A type text, cut where it is absurdly long.
fn type_text(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_WORD)].to_owned()
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
