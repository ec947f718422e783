//! Errors of the imitated API, in Notion's form.
//!
//! Codes and statuses are those of Notion's "status codes" page. Message texts follow recorded
//! ones where there is a recording; Notion promises nothing about them.

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

/// One refusal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) additional_data: Map<String, Json>,
    /// Seconds of the `Retry-After` header.
    pub(crate) retry_after: Option<u64>,
}

impl ApiError {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            additional_data: Map::new(),
            retry_after: None,
        }
    }

    /// 400 `validation_error`.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "validation_error", message)
    }

    /// 400 `validation_error` about a place in the body, in Notion's wording.
    pub(crate) fn body(place: &str, should: &str) -> Self {
        Self::validation(format!(
            "body failed validation: body.{place} should be {should}."
        ))
    }

    /// 400 `validation_error` for an id in the path that is no UUID.
    pub(crate) fn bad_path_id(name: &str, given: &str) -> Self {
        Self::validation(format!(
            "path failed validation: path.{name} should be a valid uuid, instead was `\"{given}\"`."
        ))
    }

    /// 404 `object_not_found`: does not exist, or is not shared, which look the same.
    pub(crate) fn not_found(kind: &str, id: Uuid, connection: &str, bot: Uuid) -> Self {
        let mut error = Self::new(
            404,
            "object_not_found",
            format!(
                "Could not find {kind} with ID: {id}. Make sure the relevant pages and databases \
                 are shared with your integration \"{connection}\"."
            ),
        );
        error
            .additional_data
            .insert("integration_id".into(), json!(bot));
        error
    }

    /// 403 `restricted_resource`.
    pub(crate) fn restricted() -> Self {
        Self::new(
            403,
            "restricted_resource",
            "Insufficient permissions for this endpoint.",
        )
    }

    /// 400 `invalid_request_url`.
    pub(crate) fn invalid_url() -> Self {
        Self::new(400, "invalid_request_url", "Invalid request URL.")
    }

    /// A property that a filter, sort or trim names and the schema does not have.
    pub(crate) fn no_such_property(name: &str) -> Self {
        Self::validation(format!("Could not find property with name or id: {name}"))
    }

    /// The body of the answer.
    pub(crate) fn to_json(&self, request_id: Uuid) -> Json {
        let mut body = json!({
            "object": "error",
            "status": self.status,
            "code": self.code,
            "message": self.message,
            "request_id": request_id,
        });
        if !self.additional_data.is_empty() {
            body["additional_data"] = Json::Object(self.additional_data.clone());
        }
        body
    }
}
