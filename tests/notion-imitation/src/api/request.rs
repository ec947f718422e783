//! A request as the calls see it: who, with which version, query string and body.

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::api::route::Call;
use crate::error::ApiError;
use crate::ids::{decode, parse_uuid};
use crate::options::Switches;
use crate::properties::read::Version;
use crate::state::connection::{Capability, Connection};
use crate::state::world::World;

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) connection: Arc<Connection>,
    pub(crate) version: Version,
}

/// What is asked, beside the path.
#[derive(Debug, Clone, Default)]
pub(crate) struct ApiRequest {
    /// Decoded pairs of the query string.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Map<String, Json>,
    /// Where this server is reached.
    pub(crate) base_url: String,
}

impl Caller {
    /// Identifies the caller by token and version.
    pub(crate) fn identify(
        world: &World,
        authorization: Option<&str>,
        version: Option<&str>,
        call: &Call,
    ) -> Result<Self, ApiError> {
        let connection = bearer(authorization)
            .and_then(|token| world.connections.get(token))
            .filter(|connection| !connection.revoked)
            .ok_or_else(|| ApiError::new(401, "unauthorized", "API token is invalid."))?;
        let version = match version {
            Some("2026-03-11") => Version::March2026,
            Some("2025-09-03") => Version::September2025,
            Some("2022-06-28") if call.needs_data_sources() => return Err(ApiError::invalid_url()),
            Some(other) if !other.is_empty() => {
                return Err(ApiError::validation(format!(
                    "Notion-Version header failed validation: it should be `\"2025-09-03\"` or \
                     `\"2026-03-11\"`, instead was `\"{other}\"`."
                )));
            }
            _ => {
                return Err(ApiError::new(
                    400,
                    "missing_version",
                    "Notion-Version header failed validation: Notion-Version header should be \
                     defined, instead was `undefined`.",
                ));
            }
        };
        Ok(Self {
            connection: Arc::clone(connection),
            version,
        })
    }

    /// 403 unless the connection has a capability.
    pub(crate) fn needs(&self, capability: Capability) -> Result<(), ApiError> {
        if self.connection.may(capability) {
            Ok(())
        } else {
            Err(ApiError::restricted())
        }
    }
}

/// The token of an `Authorization` header.
pub(crate) fn bearer(authorization: Option<&str>) -> Option<&str> {
    authorization?.strip_prefix("Bearer ").map(str::trim)
}

impl ApiRequest {
    /// Reads query string and body.
    pub(crate) fn read(
        call: &Call,
        query: &str,
        body: &[u8],
        switches: &Switches,
    ) -> Result<Self, ApiError> {
        if body.len() > switches.max_body_bytes {
            return Err(ApiError::validation(format!(
                "body failed validation: body.length should be ≤ `{}`, instead was `{}`.",
                switches.max_body_bytes,
                body.len()
            )));
        }
        let needs_body = call.is_write() || matches!(call, Call::Query(_));
        let body = if needs_body && !body.is_empty() {
            match serde_json::from_slice(body) {
                Ok(Json::Object(body)) => body,
                Ok(_) => return Err(ApiError::body("", "an object")),
                Err(_) => {
                    return Err(ApiError::new(
                        400,
                        "invalid_json",
                        "Error parsing JSON body.",
                    ));
                }
            }
        } else {
            Map::new()
        };
        Ok(Self {
            query: pairs(query),
            body,
            base_url: String::new(),
        })
    }

    /// Refuses keys of the body that the endpoint does not know.
    pub(crate) fn only_keys(&self, known: &[&str]) -> Result<(), ApiError> {
        match self
            .body
            .iter()
            .find(|(key, _)| !known.contains(&key.as_str()))
        {
            Some((other, value)) => Err(ApiError::body(
                other,
                &format!("not present, instead was `{value}`"),
            )),
            None => Ok(()),
        }
    }

    /// A flag of the body.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, ApiError> {
        match self.body.get(key) {
            None => Ok(None),
            Some(Json::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(ApiError::body(
                key,
                &format!("a boolean or `undefined`, instead was `{other}`"),
            )),
        }
    }

    /// The values of `filter_properties`, in either spelling.
    pub(crate) fn filter_properties(&self) -> Option<Vec<&str>> {
        let wanted: Vec<&str> = self
            .query
            .iter()
            .filter(|(key, _)| matches!(key.as_str(), "filter_properties" | "filter_properties[]"))
            .map(|(_, value)| value.as_str())
            .collect();
        (!wanted.is_empty()).then_some(wanted)
    }

    /// A parameter of the query string.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// `page_size` and `start_cursor` of the query string.
    pub(crate) fn paging(&self) -> Result<(usize, Option<&str>), ApiError> {
        let size = match self.parameter("page_size") {
            None => 100,
            Some(text) => page_size(text.parse().ok()).map_err(|()| {
                ApiError::validation(format!(
                    "query failed validation: query.page_size should be between 1 and 100, \
                     instead was `{text}`."
                ))
            })?,
        };
        Ok((size, self.parameter("start_cursor")))
    }
}

/// A page size within its bounds.
pub(crate) fn page_size(given: Option<u64>) -> Result<usize, ()> {
    match given.and_then(|size| usize::try_from(size).ok()) {
        Some(size @ 1..=100) => Ok(size),
        _ => Err(()),
    }
}

/// An id in the path.
pub(crate) fn path_id(name: &str, given: &str) -> Result<Uuid, ApiError> {
    let text = decode(given);
    parse_uuid(&text).ok_or_else(|| ApiError::bad_path_id(name, &text))
}

fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                decode(&key.replace('+', " ")),
                decode(&value.replace('+', " ")),
            )
        })
        .collect()
}
