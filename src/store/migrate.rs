//! The state schema and its versions.
//!
//! Our own migrator and not sqlx's: that one creates its table unqualified and fails under our
//! `search_path`. The files record their version themselves, so that applying one by hand counts,
//! and versions newer than the binary knows are accepted (a newer replica came first).

use sqlx::postgres::PgPool;
use sqlx::{PgConnection, Row};

use super::error::StoreError;
use super::ident::quote;
use crate::sync::reason::Reason;

/// One file of `migrations/`.
struct Migration {
    version: i32,
    file: &'static str,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        file: "migrations/0001_state.sql",
        sql: include_str!("../../migrations/0001_state.sql"),
    },
    Migration {
        version: 2,
        file: "migrations/0002_capture.sql",
        sql: CAPTURE,
    },
    Migration {
        version: 3,
        file: "migrations/0003_outbound.sql",
        sql: include_str!("../../migrations/0003_outbound.sql"),
    },
];

const CAPTURE: &str = include_str!("../../migrations/0002_capture.sql");

/// The statements that make the function of change capture again: dropping it is how every trigger
/// is removed at once. The tables of the same file may belong to somebody else.
pub(super) fn capture_function() -> &'static str {
    let function = CAPTURE.find("CREATE OR REPLACE FUNCTION").unwrap_or(0);
    &CAPTURE[function..]
}

/// The lock under which processes take turns: the first eight bytes of the schema's name.
const LOCK: i64 = 0x6e6f_7469_6f6e_5f73;

/// Whether the table of versions exists and may be read, without an error where it may not.
const VERSIONS_READABLE: &str = "
    SELECT has_schema_privilege(n.oid, 'USAGE') AS usable,
           coalesce(bool_or(c.oid IS NOT NULL), false) AS present,
           coalesce(bool_and(has_table_privilege(c.oid, 'SELECT')), false) AS readable
    FROM pg_namespace n
    LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'migrations'
    WHERE n.nspname = 'notion_sync'
    GROUP BY n.oid";

/// Tables of the schema on which the role lacks a right that the operator uses.
const UNUSABLE_TABLES: &str = "
    SELECT count(*)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'notion_sync' AND c.relkind = 'r' AND c.relname <> 'migrations'
      AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
               AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))";

/// Brings the state schema to the version of this binary.
///
/// Where it is there already, nothing is executed. [`Reason::StateSchemaMissing`] names the files to
/// apply and the GRANTs.
pub async fn migrate(pool: &PgPool) -> Result<(), StoreError> {
    let mut connection = pool.acquire().await?;
    if missing(&mut connection).await?.is_empty() {
        return check_rights(&mut connection).await;
    }
    drop(connection);
    let mut transaction = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *transaction)
        .await?;
    let missing = missing(&mut transaction).await?;
    for migration in &missing {
        let applied = sqlx::raw_sql(migration.sql)
            .execute(&mut *transaction)
            .await;
        if let Err(error) = applied {
            drop(transaction);
            return Err(not_applied(pool, &missing, error).await);
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// The files whose versions are not recorded.
async fn missing(connection: &mut PgConnection) -> Result<Vec<&'static Migration>, StoreError> {
    let all = || Ok(MIGRATIONS.iter().collect());
    let Some(row) = sqlx::query(VERSIONS_READABLE)
        .fetch_optional(&mut *connection)
        .await?
    else {
        return all();
    };
    if !row.try_get::<bool, _>("usable")? {
        return Err(rights(connection, None).await);
    }
    if !row.try_get::<bool, _>("present")? {
        return all();
    }
    if !row.try_get::<bool, _>("readable")? {
        return Err(rights(connection, None).await);
    }
    let applied: Vec<i32> = sqlx::query_scalar("SELECT version FROM notion_sync.migrations")
        .fetch_all(connection)
        .await?;
    Ok(MIGRATIONS
        .iter()
        .filter(|migration| !applied.contains(&migration.version))
        .collect())
}

async fn check_rights(connection: &mut PgConnection) -> Result<(), StoreError> {
    let unusable: i64 = sqlx::query_scalar(UNUSABLE_TABLES)
        .fetch_one(&mut *connection)
        .await?;
    if unusable > 0 {
        return Err(rights(connection, None).await);
    }
    Ok(())
}

/// What to do where the role may not create what is missing.
async fn not_applied(pool: &PgPool, missing: &[&Migration], error: sqlx::Error) -> StoreError {
    let error = match StoreError::from(error) {
        StoreError::Refused {
            reason: Reason::PrivilegeMissing,
            source,
            ..
        } => source,
        other => return other,
    };
    let files: Vec<&str> = missing.iter().map(|migration| migration.file).collect();
    match pool.acquire().await {
        Ok(mut connection) => match rights(&mut connection, Some(&files.join(", "))).await {
            StoreError::Refused { reason, remedy, .. } => StoreError::Refused {
                reason,
                remedy,
                source: error,
            },
            other => other,
        },
        Err(error) => error.into(),
    }
}

/// Names the GRANTs for this very role, after the files that must be applied first.
async fn rights(connection: &mut PgConnection, files: Option<&str>) -> StoreError {
    let role: Result<String, _> = sqlx::query_scalar("SELECT current_user::text")
        .fetch_one(connection)
        .await;
    let role = match role {
        Ok(role) => quote(&role),
        Err(error) => return error.into(),
    };
    let grants = format!(
        "GRANT USAGE ON SCHEMA notion_sync TO {role}; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA notion_sync TO {role};"
    );
    let remedy = match files {
        Some(files) => format!(
            "the role may not create schema notion_sync: apply {files} with a role that may, \
             then {grants}"
        ),
        None => format!("the role may not use schema notion_sync: {grants}"),
    };
    StoreError::refused(Reason::StateSchemaMissing, remedy)
}
