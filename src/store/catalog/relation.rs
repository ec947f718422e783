//! The table itself: where it is, what it is, and which rows have a key.

use sqlx::postgres::types::Oid;
use sqlx::{PgConnection, Row};

use crate::store::error::StoreError;
use crate::store::ident::Table;
use crate::sync::reason::Reason;

/// The table, its kind, and what the role may do with it as a whole. The catalog may be read
/// whatever the role may do, so a missing privilege is told from a missing table.
const FIND: &str = "
    SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
           n.nspname::text LIKE 'pg\\_%'
               OR n.nspname::text IN ('information_schema', 'notion_sync') AS reserved,
           has_schema_privilege(n.oid, 'USAGE') AS usable,
           has_table_privilege(c.oid, 'SELECT') AS selectable,
           has_table_privilege(c.oid, 'DELETE') AS deletable,
           row_security_active(c.oid) AS row_security,
           current_user::text AS role
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2";

/// Unique indexes over whole columns and all rows: the primary key first, then the one with the
/// fewest columns, the oldest of those.
const UNIQUE_INDEXES: &str = "
    SELECT (SELECT array_agg(k.number ORDER BY k.place)
            FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
            WHERE k.place <= i.indnkeyatts) AS numbers
    FROM pg_index i
    WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indislive
      AND i.indpred IS NULL AND i.indexprs IS NULL
    ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid";

/// Whether a unique index covers this column alone, for every row where it is not NULL.
const UNIQUE_COLUMN: &str = "
    SELECT EXISTS (
        SELECT FROM pg_index i
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = $2
        WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indislive
          AND i.indnkeyatts = 1 AND i.indkey[0] = $2 AND i.indexprs IS NULL
          AND (i.indpred IS NULL
               OR pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', a.attname)))";

/// A table that exists.
#[expect(clippy::struct_excessive_bools, reason = "privileges, each by itself")]
pub(super) struct Relation {
    pub(super) oid: u32,
    pub(super) table: Table,
    /// Whether the role may use the schema.
    pub(super) usable: bool,
    /// Whether the role may read every column.
    pub(super) selectable: bool,
    /// Whether the role may delete rows.
    pub(super) deletable: bool,
    /// Whether row-level security applies to the role.
    pub(super) row_security: bool,
    /// Who we are.
    pub(super) role: String,
}

impl Relation {
    /// Finds an ordinary or partitioned table that may be bound.
    pub(super) async fn find(
        connection: &mut PgConnection,
        schema: &str,
        table: &str,
    ) -> Result<Self, StoreError> {
        let wanted = Table {
            schema: schema.to_owned(),
            name: table.to_owned(),
        };
        // No name holds NUL, and Postgres refuses to compare with it.
        let without_nul = |name: &str| (!name.contains('\0')).then(|| name.to_owned());
        let row = sqlx::query(FIND)
            .bind(without_nul(schema))
            .bind(without_nul(table))
            .fetch_optional(connection)
            .await?
            .ok_or_else(|| {
                StoreError::refused(
                    Reason::TableNotFound,
                    format!(
                        "the database has no table {}; names are compared exactly",
                        wanted.quoted()
                    ),
                )
            })?;
        if row.try_get("reserved")? {
            return Err(not_supported(&wanted, "a table of a system schema"));
        }
        let kind: String = row.try_get("kind")?;
        if let Some(kind) = unsupported(&kind) {
            return Err(not_supported(&wanted, kind));
        }
        Ok(Self {
            oid: row.try_get::<Oid, _>("oid")?.0,
            table: Table {
                schema: row.try_get("schema")?,
                name: row.try_get("name")?,
            },
            usable: row.try_get("usable")?,
            selectable: row.try_get("selectable")?,
            deletable: row.try_get("deletable")?,
            row_security: row.try_get("row_security")?,
            role: row.try_get("role")?,
        })
    }
}

fn unsupported(kind: &str) -> Option<&'static str> {
    match kind {
        "r" | "p" => None,
        "v" => Some("a view"),
        "m" => Some("a materialized view"),
        "f" => Some("a foreign table"),
        _ => Some("no table"),
    }
}

fn not_supported(table: &Table, what: &str) -> StoreError {
    StoreError::refused(
        Reason::TableKindNotSupported,
        format!(
            "{} is {what}; bind an ordinary or partitioned table",
            table.quoted()
        ),
    )
}

/// The column numbers of each unique index that could be a row key, the best first.
pub(super) async fn unique_indexes(
    connection: &mut PgConnection,
    oid: u32,
) -> Result<Vec<Vec<i16>>, StoreError> {
    let indexes = sqlx::query_scalar(UNIQUE_INDEXES)
        .bind(Oid(oid))
        .fetch_all(connection)
        .await?;
    Ok(indexes)
}

/// Whether no two rows can hold the same value in this column.
pub(super) async fn unique_column(
    connection: &mut PgConnection,
    oid: u32,
    column: i16,
) -> Result<bool, StoreError> {
    let is_unique = sqlx::query_scalar(UNIQUE_COLUMN)
        .bind(Oid(oid))
        .bind(column)
        .fetch_one(connection)
        .await?;
    Ok(is_unique)
}
