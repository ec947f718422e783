//! The one vocabulary of reasons.
//!
//! The same string is the condition's reason, the event's reason and the metric's label
//! (`DESIGN.md` §2, principle 8), so each exists once, here.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// The reason as conditions, events and metrics spell it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

vocabulary!(
    /// Why a binding, or one side of it, is as it is.
    Reason {
        /// The last pass did everything that was due.
        Synced,
        /// The first scan is under way.
        InitialScan,
        /// `spec.suspend` is set.
        Suspended,
        /// The spec cannot be acted on although the schema accepted it.
        InvalidSpec,
        /// Another live binding holds this table and page id column.
        TableAlreadyBound,
        /// Another binding writes the same property.
        PropertyAlreadyWritten,
        /// `None` is listed but the operator runs without `--allow-unverified-webhooks`.
        UnverifiedNotAllowed,
        /// The other side answers.
        Reachable,
        /// The Secret or key that holds the Notion token does not exist.
        NotionTokenMissing,
        /// Notion answered 401.
        NotionUnauthorized,
        /// Notion answered 403: a capability is missing.
        NotionForbidden,
        /// Notion answered 404: not shared, or no such data source.
        DataSourceNotFound,
        /// The data source, or its database, lies in the trash.
        DataSourceTrashed,
        /// The database holds several data sources; one must be named.
        SeveralDataSources,
        /// Notion limits the token beyond patience.
        NotionRateLimited,
        /// Notion does not answer, or answers 5xx.
        NotionUnavailable,
        /// The Secret or key that holds the connection string does not exist.
        ConnectionSecretMissing,
        /// The connection string is not accepted.
        ConnectionStringInvalid,
        /// The database host is not allowed.
        HostNotAllowed,
        /// Postgres refused user or password.
        DatabaseUnauthorized,
        /// Postgres does not answer, or is read-only.
        DatabaseUnavailable,
        /// A transaction pooler stands before Postgres.
        PoolerNotSupported,
        /// Table, columns and properties fit.
        Valid,
        /// Schema `notion_sync` is missing and may not be created.
        StateSchemaMissing,
        /// The table does not exist.
        TableNotFound,
        /// Another table stands under the name.
        TableReplaced,
        /// Not an ordinary or partitioned table.
        TableKindNotSupported,
        /// No primary key and no unique index over NOT NULL columns.
        NoRowKey,
        /// Row-level security would hide rows.
        RowSecurityActive,
        /// A grant is missing.
        PrivilegeMissing,
        /// A column does not exist.
        ColumnNotFound,
        /// A column's type cannot hold the property.
        ColumnTypeMismatch,
        /// The page id column needs a unique index.
        PageIdNotUnique,
        /// The page id column must accept NULL.
        PageIdNotNullable,
        /// A NOT NULL column without default is not mapped.
        RequiredColumnUnmapped,
        /// The data source has no such property (any more).
        PropertyMissing,
        /// The property changed its type.
        PropertyRetyped,
        /// The property cannot be written.
        PropertyReadOnly,
        /// The target of a relation is not shared with the connection.
        RelatedDataSourceNotShared,
        /// `audit_logs` exists in another shape.
        AuditTableInvalid,
        /// An event whose signature verified has arrived.
        Verified,
        /// No verification token is stored yet, or none has verified an event.
        AwaitingVerification,
        /// The Secret of the webhook does not exist.
        WebhookSecretMissing,
        /// Polling finds edits that no event announced.
        Silent,
        /// The binding has no `spec.webhook`.
        NotConfigured,
        /// Nothing drifts.
        InSync,
        /// Some fields or pairs differ.
        DriftFound,
        /// Conflicts wait for a person.
        ConflictsFound,
        /// A set of changes waits for approval.
        Held,
        /// The last complete scan read everything.
        Complete,
        /// No complete scan yet.
        NotScanned,
        /// Notion capped the result.
        QueryLimitReached,
        /// More pages share a minute than one query returns.
        WindowTooDense,
        /// The scan ended before its end.
        ScanAborted,
        /// Something inside the operator failed; the log has more.
        InternalError,
    }
);

vocabulary!(
    /// Why one field of one pair is not in step.
    FieldReason {
        /// An option that `values` does not list, under `onUnknownValue: Reject`.
        UnknownOption,
        /// The value has no representation on the other side.
        NotRepresentable,
        /// The other side stored something that does not agree, or refused the value.
        NotAccepted,
        /// The page's text has mentions, equations or links that a write would destroy.
        FormattedText,
        /// The page's date has an end that a write would destroy.
        DateRange,
        /// Notion returned only part of the value.
        Truncated,
        /// The property's type is not supported.
        Unsupported,
        /// Several rows or pages share the key.
        AmbiguousMatch,
        /// Several rows carry the same page id.
        DuplicateLink,
        /// The schema lost the option that the value had.
        OptionRemoved,
        /// Handling the row failed inside the operator; the log has more.
        InternalError,
    }
);
