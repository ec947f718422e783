//! The CEL rules of the schema, each with a message that says what to write instead.
//!
//! There is no admission webhook, so whatever the API server accepts here is acted on. Formats are
//! rules and not `pattern`s because the error of a pattern only quotes the pattern. Every string
//! and list they look at is bounded, or the API server refuses the definition for its estimated
//! cost.

/// A rule and its message.
pub type CelRule = (&'static str, &'static str);

/// Length of an identifier in characters; [`IDENTIFIER`] bounds it in bytes.
pub const IDENTIFIER_MAX: usize = 63;
/// Length of names of properties and options, and of mapped values.
pub const NAME_MAX: usize = 256;
/// Length of names and keys of Secrets.
pub const SECRET_MAX: usize = 253;
/// Length of a duration's text.
pub const DURATION_MAX: usize = 32;

/// Postgres counts bytes (`NAMEDATALEN` - 1), `maxLength` counts characters.
pub const IDENTIFIER: CelRule = (
    "size(bytes(self)) <= 63 && !self.contains('\\u0000')",
    "Postgres names hold at most 63 bytes of UTF-8 and no NUL: write the name as the catalog has it, without quotes around it",
);

/// Neither Postgres text nor jsonb can hold NUL.
pub const NO_NUL: CelRule = (
    "!self.contains('\\u0000')",
    "must not contain NUL: remove the character",
);

/// An id of Notion.
pub const NOTION_ID: CelRule = (
    "self.matches('^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$')",
    "must be an id of Notion: write its 32 hexadecimal digits, with or without dashes, not a link or a name",
);

/// The name of a Secret; it becomes a segment of a request path.
pub const SECRET_NAME: CelRule = (
    "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
    "must be the name of a Secret in this namespace: write lower-case letters, digits, '-' and '.' only",
);

/// The key of a Secret.
pub const SECRET_KEY: CelRule = (
    "self.matches('^[-._a-zA-Z0-9]+$')",
    "must be a key of the Secret: write letters, digits, '-', '_' and '.' only",
);

/// `spec.interval`. The form is tested first, so that `duration()` cannot fail.
pub const INTERVAL: CelRule = (
    "self.matches('^([0-9]{1,5}([.][0-9]{1,3})?(h|m|s|ms)){1,4}$') && duration(self) >= duration('10s')",
    "must be a duration of at least 10s: write for example 30s, 5m or 1h30m",
);

/// `spec.fullScanInterval`.
pub const FULL_SCAN_INTERVAL: CelRule = (
    "self.matches('^([0-9]{1,5}([.][0-9]{1,3})?(h|m|s|ms)){1,4}$') && duration(self) >= duration('1m')",
    "must be a duration of at least 1m: write for example 30m, 6h or 24h",
);

/// Exactly one way to name the data source.
pub const ONE_SOURCE: CelRule = (
    "has(self.dataSourceId) != has(self.databaseId)",
    "name the source exactly once: set either dataSourceId or databaseId",
);

/// Ids stay; the rule sits on the parent because a rule on an optional field does not see its
/// removal.
pub const DATA_SOURCE_IMMUTABLE: CelRule = (
    "has(self.dataSourceId) == has(oldSelf.dataSourceId) && (!has(self.dataSourceId) || self.dataSourceId == oldSelf.dataSourceId)",
    "dataSourceId is immutable: make a new binding for another data source",
);

/// Likewise.
pub const DATABASE_IMMUTABLE: CelRule = (
    "has(self.databaseId) == has(oldSelf.databaseId) && (!has(self.databaseId) || self.databaseId == oldSelf.databaseId)",
    "databaseId is immutable: make a new binding for another database",
);

/// What the binding's claim stands on.
pub const IMMUTABLE: CelRule = (
    "self == oldSelf",
    "is immutable: make a new binding for another schema, table or page id column",
);

/// A listed way of authentication needs its Secret.
pub const SIGNATURE_NEEDS_SECRET: CelRule = (
    "!self.authentication.exists(a, a == 'Signature') || has(self.verificationTokenSecretRef)",
    "authentication lists Signature (the default): set verificationTokenSecretRef to the Secret that holds the verification token",
);

/// Likewise.
pub const SHARED_SECRET_NEEDS_SECRET: CelRule = (
    "!self.authentication.exists(a, a == 'SharedSecret') || has(self.sharedSecretRef)",
    "authentication lists SharedSecret: set sharedSecretRef to the Secret that holds it",
);

/// The two columns have different meanings.
pub const TIME_IS_NOT_PAGE_ID: CelRule = (
    "!has(self.updatedAtColumn) || self.updatedAtColumn != self.pageIdColumn",
    "updatedAtColumn and pageIdColumn are the same column: name the column that holds the time of the row's last change, or leave updatedAtColumn out",
);

/// The audit table is written to for every change of the bound one.
pub const AUDIT_IS_NOT_TABLE: CelRule = (
    "self.auditTable != self.table",
    "auditTable is the bound table itself: name another table, or leave auditTable out for audit_logs",
);

/// The operator itself fills or reads this column.
pub const PAGE_ID_NOT_MAPPED: CelRule = (
    "self.properties.all(p, p.column != self.postgres.pageIdColumn)",
    "pageIdColumn holds the page id and cannot be mapped: remove its entry from properties",
);

/// Likewise.
pub const UPDATED_AT_NOT_MAPPED: CelRule = (
    "!has(self.postgres.updatedAtColumn) || self.properties.all(p, p.column != self.postgres.updatedAtColumn)",
    "updatedAtColumn is set by every write and cannot be mapped: remove its entry from properties, or leave updatedAtColumn out",
);

/// `id:` announces an id.
pub const PROPERTY: CelRule = (
    "self != 'id:' && !self.contains('\\u0000')",
    "must name a property: write its name as Notion shows it, or id: followed by the property's id",
);

/// A field may do less than its binding, never more.
pub const DIRECTION_NARROWER: CelRule = (
    "self.direction == 'TwoWay' || self.properties.all(p, !has(p.direction) || p.direction == self.direction)",
    "a property's direction can only be narrower than the binding's: leave it out, or set spec.direction to TwoWay and a direction on each property that goes one way",
);

/// Two columns that write one property would overwrite each other for ever. Reading it into several
/// is fine.
pub const ONE_COLUMN_WRITES: CelRule = (
    "self.direction == 'ToPostgres' || self.properties.all(p, (has(p.direction) && p.direction == 'ToPostgres') || self.properties.exists_one(q, q.property == p.property && !(has(q.direction) && q.direction == 'ToPostgres')))",
    "a property that is written to Notion takes its value from one column: remove the other entries of that property, or set their direction to ToPostgres",
);
