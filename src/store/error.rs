//! What can go wrong with Postgres, and what it means for a binding.
//!
//! Postgres' own texts may hold row values and names of other tenants' objects, so they stay in
//! `source` for debug logs. Conditions, events and audit rows show only what is written here.

use sqlx::postgres::PgDatabaseError;

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

    /// Refuses without an error of Postgres behind it.
    pub(super) fn refused(reason: Reason, remedy: impl Into<String>) -> Self {
        Self::Refused {
            reason,
            remedy: remedy.into(),
            source: None,
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::State(error)
    }
}

impl From<sqlx::Error> for StoreError {
    /// Classifies by the SQLSTATE alone: texts depend on the server's language.
    fn from(error: sqlx::Error) -> Self {
        let known = match &error {
            sqlx::Error::Database(database) => database.code().map(|code| {
                let routine = database
                    .try_downcast_ref::<PgDatabaseError>()
                    .and_then(PgDatabaseError::routine);
                meaning(&code, routine)
            }),
            error if is_tls(error) => Some(Meaning::Remedy(
                Reason::DatabaseUnavailable,
                "TLS with the server failed; check sslmode and caSecretRef against its certificate",
            )),
            sqlx::Error::Io(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Some(Meaning::Unavailable),
            _ => None,
        };
        match known {
            Some(Meaning::Remedy(reason, remedy)) => Self::Refused {
                reason,
                remedy: remedy.to_owned(),
                source: Some(error),
            },
            Some(Meaning::Unavailable) => Self::Unavailable(error),
            Some(Meaning::Unknown) | None => Self::Database(error),
        }
    }
}

/// Whether an error comes from TLS. A handshake that fails arrives as an error of the socket.
pub(super) fn is_tls(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => {
            matches!(error.get_ref(), Some(inner) if inner.is::<rustls::Error>())
        }
        _ => false,
    }
}

/// What a SQLSTATE means for a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Remedy(Reason, &'static str),
    Unavailable,
    Unknown,
}

/// The routine of the server that refuses a query because row-level security would change its
/// result. It shares its SQLSTATE with every missing privilege.
const ROW_SECURITY_ROUTINE: &str = "check_enable_rls";

fn meaning(code: &str, routine: Option<&str>) -> Meaning {
    use Meaning::{Remedy, Unavailable, Unknown};
    match code {
        "42501" if routine == Some(ROW_SECURITY_ROUTINE) => {
            Remedy(Reason::RowSecurityActive, ROW_SECURITY_REMEDY)
        }
        "28P01" | "28000" => Remedy(
            Reason::DatabaseUnauthorized,
            "the server refused user, password or connection; check the connection Secret and the \
             server's pg_hba.conf",
        ),
        "3D000" => Remedy(
            Reason::DatabaseUnauthorized,
            "the database of the connection string does not exist on the server",
        ),
        "42501" => Remedy(
            Reason::PrivilegeMissing,
            "the role lacks a privilege; apply the GRANTs of docs/INSTALL.md",
        ),
        "42P01" => Remedy(
            Reason::TableNotFound,
            "a table that was there a moment ago is gone; it is looked for again",
        ),
        "42703" => Remedy(
            Reason::ColumnNotFound,
            "a column that was there a moment ago is gone; it is looked for again",
        ),
        "25006" => Remedy(Reason::DatabaseUnavailable, READ_ONLY_REMEDY),
        "53300" | "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "53000" | "53100" | "53200" => {
            Unavailable
        }
        _ if code.starts_with("08") || code.starts_with("58") => Unavailable,
        _ => Unknown,
    }
}

/// What to do about a server that accepts no writes.
pub(super) const READ_ONLY_REMEDY: &str =
    "the server accepts no writes (a standby, or read-only by its settings); use the primary";

/// What to do about row-level security.
pub(super) const ROW_SECURITY_REMEDY: &str = "row-level security would hide rows from the role; \
     give it BYPASSRLS or ownership of the table, or disable row-level security on it";

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(code: &str, routine: Option<&str>) -> Option<Reason> {
        match meaning(code, routine) {
            Meaning::Remedy(reason, _) => Some(reason),
            Meaning::Unavailable => Some(Reason::DatabaseUnavailable),
            Meaning::Unknown => None,
        }
    }

    #[test]
    fn every_state_that_a_person_can_mend_has_its_reason() {
        for (code, expected) in [
            ("28P01", Reason::DatabaseUnauthorized),
            ("28000", Reason::DatabaseUnauthorized),
            ("3D000", Reason::DatabaseUnauthorized),
            ("53300", Reason::DatabaseUnavailable),
            ("57P03", Reason::DatabaseUnavailable),
            ("08006", Reason::DatabaseUnavailable),
            ("25006", Reason::DatabaseUnavailable),
            ("42501", Reason::PrivilegeMissing),
            ("42P01", Reason::TableNotFound),
            ("42703", Reason::ColumnNotFound),
        ] {
            assert_eq!(reason(code, None), Some(expected), "{code}");
        }
        assert_eq!(
            reason("42501", Some("check_enable_rls")),
            Some(Reason::RowSecurityActive)
        );
    }

    #[test]
    fn what_one_row_can_cause_does_not_condemn_the_database() {
        for code in [
            "22001", "22003", "23505", "40P01", "55P03", "57014", "P0001",
        ] {
            assert_eq!(reason(code, None), None, "{code}");
        }
    }

    #[test]
    fn the_shown_text_holds_nothing_of_the_source() {
        let io = std::io::Error::other("connection refused by 10.0.0.7");
        let error = StoreError::from(sqlx::Error::Io(io));
        assert_eq!(error.to_string(), "Postgres does not answer");
        assert_eq!(error.reason(), Reason::DatabaseUnavailable);
    }
}
