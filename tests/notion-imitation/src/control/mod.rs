//! The controls: a test plays people and weather with them.
//!
//! Everything here can also be done over HTTP below `/_control/` (`crate::control::http`).

mod access;
pub(crate) mod http;
mod http_workspace;
mod schema;
pub(crate) mod spec;
mod steer;
mod webhooks;
mod workspace;

use std::fmt;
use std::sync::Arc;

use crate::error::ApiError;
use crate::shared::Shared;

/// Controls of a running server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Controls {
    pub(crate) shared: Arc<Shared>,
}

/// A control call that could not be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlError(String);

impl fmt::Display for ControlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for ControlError {}

impl From<ApiError> for ControlError {
    fn from(error: ApiError) -> Self {
        Self(error.message)
    }
}

impl ControlError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// What control calls return.
pub type ControlResult<T> = Result<T, ControlError>;

impl Controls {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// `http://127.0.0.1:port`, to which a client adds `/v1/...`.
    pub fn base_url(&self) -> &str {
        &self.shared.base_url
    }
}
