//! What stands between a binding and a pass, sorted by the condition that says so.

use super::conditions::Problem;
use crate::notion::NotionError;
use crate::store::StoreError;
use crate::sync::reason::Reason;

impl Problem {
    /// A failure of Notion about `object`.
    pub fn of_notion(error: &NotionError, object: &str) -> Self {
        let reason = error.reason();
        let remedy = match reason {
            Reason::NotionUnauthorized => {
                "Notion refuses the token; put a valid one into the Secret of \
                 spec.notion.tokenSecretRef"
                    .to_owned()
            }
            Reason::NotionForbidden => {
                "the connection lacks a capability; tick \"Read content\" in its settings in Notion"
                    .to_owned()
            }
            Reason::DataSourceNotFound => format!(
                "Notion does not show {object} to the connection; share it in Notion (... > \
                 Connections) or correct the id"
            ),
            Reason::NotionRateLimited => {
                "Notion limits the token's requests; the pass goes on when it may".to_owned()
            }
            _ => "Notion does not answer; it is asked again every few seconds".to_owned(),
        };
        Self::new(reason, remedy)
    }

    /// A failure of Postgres.
    pub fn of_store(error: &StoreError) -> Self {
        let remedy = match error {
            StoreError::Refused { remedy, .. } => remedy.clone(),
            StoreError::Unavailable(_) => {
                "Postgres does not answer; it is asked again every few seconds".to_owned()
            }
            StoreError::Fenced => "another replica has taken this binding over".to_owned(),
            StoreError::Database(_) | StoreError::State(_) => {
                "a statement failed; the operator's log at level debug has the cause".to_owned()
            }
        };
        Self::new(error.reason(), remedy)
    }
}

/// Everything that is wrong with a binding, by the condition that says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// The spec must change (`Stalled`).
    pub spec: Option<Problem>,
    /// `NotionReachable`.
    pub notion: Option<Problem>,
    /// `DatabaseReachable`.
    pub database: Option<Problem>,
    /// `SchemaValid`: of the whole table, or of single columns.
    pub schema: Vec<Problem>,
    /// Something inside the operator.
    pub internal: Option<Problem>,
    /// Whether a schema problem stops the whole binding.
    pub schema_stops: bool,
    /// Whether Notion was asked and answered.
    pub notion_reached: bool,
    /// Whether Postgres was asked and answered.
    pub database_reached: bool,
}

/// Which condition a reason belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Spec,
    Notion,
    Database,
    Schema,
    Internal,
}

impl Findings {
    /// Adds a problem where it belongs; the first of a condition stays.
    pub fn add(&mut self, problem: Problem) {
        match family(problem.reason) {
            Family::Spec => _ = self.spec.get_or_insert(problem),
            Family::Notion => _ = self.notion.get_or_insert(problem),
            Family::Database => _ = self.database.get_or_insert(problem),
            Family::Schema => self.schema.push(problem),
            Family::Internal => _ = self.internal.get_or_insert(problem),
        }
    }

    /// Adds a problem that stops the whole binding.
    pub fn stop(&mut self, problem: Problem) {
        self.schema_stops |= family(problem.reason) == Family::Schema;
        self.add(problem);
    }

    /// The problem that stops the binding, in the order in which a person would have to solve them.
    pub fn stopping(&self) -> Option<&Problem> {
        let schema = self.schema.first().filter(|_| self.schema_stops);
        let problems = [
            self.spec.as_ref(),
            self.notion.as_ref(),
            self.database.as_ref(),
            schema,
            self.internal.as_ref(),
        ];
        problems.into_iter().flatten().next()
    }

    /// Whether only the return of a side that does not answer, or does not let us in, is waited for:
    /// then it is asked every few seconds, and the asking is shared between bindings.
    pub fn waits_for_a_side(&self) -> bool {
        let database = self.database.as_ref().is_some_and(|problem| {
            matches!(
                problem.reason,
                Reason::DatabaseUnavailable | Reason::DatabaseUnauthorized
            )
        });
        let notion = self.notion.as_ref().is_some_and(|problem| {
            matches!(
                problem.reason,
                Reason::NotionUnavailable | Reason::NotionUnauthorized | Reason::NotionForbidden
            )
        });
        database || notion
    }
}

/// Whether a reason belongs to `SchemaValid`.
pub const fn is_about_schema(reason: Reason) -> bool {
    matches!(family(reason), Family::Schema)
}

const fn family(reason: Reason) -> Family {
    use Reason as R;
    match reason {
        R::InvalidSpec
        | R::TableAlreadyBound
        | R::PropertyAlreadyWritten
        | R::UnverifiedNotAllowed => Family::Spec,
        R::NotionTokenMissing
        | R::NotionUnauthorized
        | R::NotionForbidden
        | R::DataSourceNotFound
        | R::DataSourceTrashed
        | R::SeveralDataSources
        | R::NotionRateLimited
        | R::NotionUnavailable => Family::Notion,
        R::ConnectionSecretMissing
        | R::ConnectionStringInvalid
        | R::HostNotAllowed
        | R::DatabaseUnauthorized
        | R::DatabaseUnavailable
        | R::PoolerNotSupported => Family::Database,
        R::StateSchemaMissing
        | R::TableNotFound
        | R::TableReplaced
        | R::TableKindNotSupported
        | R::NoRowKey
        | R::RowSecurityActive
        | R::PrivilegeMissing
        | R::ColumnNotFound
        | R::ColumnTypeMismatch
        | R::PageIdNotUnique
        | R::PageIdNotNullable
        | R::RequiredColumnUnmapped
        | R::PropertyMissing
        | R::PropertyRetyped
        | R::PropertyReadOnly
        | R::RelatedDataSourceNotShared
        | R::AuditTableInvalid => Family::Schema,
        R::Synced
        | R::InitialScan
        | R::Suspended
        | R::Reachable
        | R::Valid
        | R::Verified
        | R::AwaitingVerification
        | R::WebhookSecretMissing
        | R::Silent
        | R::NotConfigured
        | R::InSync
        | R::DriftFound
        | R::ConflictsFound
        | R::Held
        | R::Complete
        | R::NotScanned
        | R::QueryLimitReached
        | R::WindowTooDense
        | R::ScanAborted
        | R::InternalError => Family::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_side_does_not_hide_the_other() {
        let mut findings = Findings::default();
        findings.stop(Problem::new(Reason::DatabaseUnavailable, "a"));
        findings.stop(Problem::new(Reason::NotionUnauthorized, "b"));
        findings.stop(Problem::new(Reason::NotionForbidden, "c"));
        assert_eq!(
            findings.stopping().map(|p| p.reason),
            Some(Reason::NotionUnauthorized)
        );
        assert_eq!(
            findings.database.as_ref().map(|p| p.reason),
            Some(Reason::DatabaseUnavailable)
        );
        assert!(findings.waits_for_a_side());
    }

    #[test]
    fn a_column_stops_alone_and_a_table_stops_the_binding() {
        let mut findings = Findings::default();
        findings.add(Problem::new(Reason::ColumnNotFound, "a"));
        assert_eq!(findings.stopping(), None);
        findings.stop(Problem::new(Reason::TableNotFound, "b"));
        assert!(findings.stopping().is_some());
        assert!(!findings.waits_for_a_side());
    }
}
