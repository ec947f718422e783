//! What can go wrong with Postgres, and what it means for a binding.

use crate::sync::reason::Reason;

/// An error of the Postgres side.
///
/// The text of an error that Postgres sent may hold row values, so it stays in `source` for debug
/// logs and never reaches a condition, an event or an audit row.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Something must be put right; the remedy names objects, never values.
    #[error("{reason}: {remedy}")]
    Refused {
        /// The condition's reason.
        reason: Reason,
        /// What to do.
        remedy: String,
        /// What Postgres said.
        #[source]
        source: Option<sqlx::Error>,
    },
    /// Another process works on this binding now.
    #[error("another process has taken this binding over")]
    Fenced,
    /// Postgres cannot be reached or does not answer in time.
    #[error("Postgres does not answer")]
    Unavailable(#[source] sqlx::Error),
    /// Postgres refused a statement for a reason that this code does not know.
    #[error("Postgres refused a statement")]
    Database(#[source] sqlx::Error),
    /// Something in the state schema does not have the form that this code wrote.
    #[error("the state of the binding cannot be read")]
    State(#[source] serde_json::Error),
}

impl StoreError {
    /// The condition's reason for this error.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Refused { reason, .. } => *reason,
            Self::Unavailable(_) => Reason::DatabaseUnavailable,
            Self::Fenced | Self::Database(_) | Self::State(_) => Reason::InternalError,
        }
    }
}
