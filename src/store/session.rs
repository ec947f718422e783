//! Sessions: their settings, and proof that they are sessions at all.
//!
//! Whatever a role, a database or a user's trigger has set, every use of a connection begins with
//! the settings of `design/state.md` §4. Behind a transaction pooler they would hold for one
//! transaction at best, and locks and prepared statements likewise, so such a server is refused.

use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection, Row};
use uuid::Uuid;

use super::connection::{ConnectionString, TlsMode};
use super::error::{READ_ONLY_REMEDY, StoreError};
use crate::sync::reason::Reason;

/// The name under which sessions appear in `pg_stat_activity`.
const APPLICATION_NAME: &str = "notion-sync-operator";

/// Sets everything that a statement's meaning, bounds or output may depend on. It is one statement
/// because it runs before every use of a connection, in place of a ping.
const SETTINGS: &str = "
    SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false),
           pg_catalog.set_config('row_security', 'off', false),
           pg_catalog.set_config('statement_timeout', '30s', false),
           pg_catalog.set_config('lock_timeout', '5s', false),
           pg_catalog.set_config('idle_in_transaction_session_timeout', '60s', false),
           pg_catalog.set_config('application_name', $2, false),
           pg_catalog.set_config('client_encoding', 'UTF8', false),
           pg_catalog.set_config('client_min_messages', 'error', false),
           pg_catalog.set_config('DateStyle', 'ISO, YMD', false),
           pg_catalog.set_config('IntervalStyle', 'postgres', false),
           pg_catalog.set_config('TimeZone', 'UTC', false),
           pg_catalog.set_config('extra_float_digits', '1', false),
           pg_catalog.set_config('bytea_output', 'hex', false),
           pg_catalog.set_config('standard_conforming_strings', 'on', false),
           pg_catalog.set_config('default_transaction_isolation', 'read committed', false),
           pg_catalog.set_config('default_transaction_deferrable', 'off', false),
           pg_catalog.set_config('notion_sync.session', $1, false)";

/// A committed event is a promise, so a role that gave up durability gets it back; stronger levels
/// than `on` stay.
const DURABLE: &str = "
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'";

/// What a session must still know, whatever other sessions did meanwhile.
const IDENTITY: &str = "
    SELECT coalesce(current_setting('notion_sync.session', true), '') AS token,
           pg_backend_pid() AS pid,
           current_setting('search_path') AS search_path,
           current_setting('row_security') AS row_security";

/// Whether the server can be worked with.
const SERVER: &str = "
    SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only,
           current_setting('server_version_num')::integer AS version";

/// The oldest server that is supported, as `server_version_num`.
const OLDEST_SERVER: i32 = 140_000;

/// Options for one connection; `host` is the name or the address to dial.
pub(super) fn options(
    connection: &ConnectionString,
    host: &str,
    tls: PgSslMode,
) -> PgConnectOptions {
    // Every field that the environment could have filled is overwritten here, but for those that
    // `connection::postgres_variables` is about.
    PgConnectOptions::new_without_pgpass()
        .host(host)
        .port(connection.port)
        .username(&connection.user)
        .password(connection.password.expose_secret())
        .database(&connection.database)
        .ssl_mode(tls)
        .application_name(APPLICATION_NAME)
        // Poolers in session mode refuse it as a startup parameter; it is set like the others.
        .extra_float_digits(None)
        .ssl_root_cert_from_pem(connection.ca.clone().unwrap_or_default())
        .disable_statement_logging()
}

/// The modes to try, in order: sqlx knows neither `allow` nor the second try of `prefer`.
pub(super) fn attempts(tls: TlsMode) -> &'static [PgSslMode] {
    match tls {
        TlsMode::Disable => &[PgSslMode::Disable],
        TlsMode::Allow => &[PgSslMode::Disable, PgSslMode::Require],
        TlsMode::Prefer => &[PgSslMode::Prefer, PgSslMode::Disable],
        TlsMode::Require => &[PgSslMode::Require],
        TlsMode::VerifyCa => &[PgSslMode::VerifyCa],
        TlsMode::VerifyFull => &[PgSslMode::VerifyFull],
    }
}

/// Gives a connection its settings under a token of its own, which is returned.
pub(super) async fn prepare(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let token = Uuid::new_v4().to_string();
    sqlx::query(SETTINGS)
        .bind(&token)
        .bind(APPLICATION_NAME)
        .execute(&mut *connection)
        .await?;
    sqlx::query(DURABLE).execute(connection).await?;
    Ok(token)
}

/// Repeats the settings on a connection that was prepared once, and so tests whether it is alive.
pub(super) async fn renew(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(SETTINGS)
        .bind("")
        .bind(APPLICATION_NAME)
        .execute(connection)
        .await?;
    Ok(())
}

/// What tells one session from another.
struct Identity {
    token: String,
    pid: i32,
}

async fn identity(connection: &mut PgConnection) -> Result<Identity, sqlx::Error> {
    let row = sqlx::query(IDENTITY).fetch_one(connection).await?;
    let search_path: String = row.try_get("search_path")?;
    let row_security: String = row.try_get("row_security")?;
    let settled = search_path == "pg_catalog, pg_temp" && row_security == "off";
    let token: String = row.try_get("token")?;
    Ok(Identity {
        token: if settled { token } else { String::new() },
        pid: row.try_get("pid")?,
    })
}

/// Proves that a connection is a session of its own: its settings and its backend must be the same
/// after another connection has been prepared and used in between. One connection alone proves
/// nothing, since a pooler with a single client keeps giving it the same backend.
pub(super) async fn prove(
    first: &mut PgConnection,
    second: &mut PgConnection,
) -> Result<(), StoreError> {
    let proved = async {
        let token = prepare(first).await?;
        let before = identity(first).await?;
        let other_token = prepare(second).await?;
        let other = identity(second).await?;
        if other.token != other_token || other.pid == before.pid {
            return Ok(false);
        }
        // Inside a transaction a pooler must hand out one backend for each.
        let transaction = second.begin().await?;
        let inside = identity(first).await?;
        transaction.rollback().await?;
        let after = identity(first).await?;
        let same = |seen: &Identity| seen.token == token && seen.pid == before.pid;
        Ok::<_, sqlx::Error>([&before, &inside, &after].into_iter().all(same))
    };
    match proved.await {
        Ok(true) => Ok(()),
        Ok(false) => Err(pooler()),
        Err(error) if is_foreign_statement(&error) => Err(pooler()),
        Err(error) => Err(error.into()),
    }
}

/// Whether the server does not know a statement that this very session prepared, or knows it
/// already: another backend answers.
fn is_foreign_statement(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    matches!(code.as_deref(), Some("26000" | "42P05"))
}

fn pooler() -> StoreError {
    StoreError::refused(
        Reason::PoolerNotSupported,
        "the connection string leads to a pooler in transaction mode; \
         use the server's direct port, or the pooler's session mode",
    )
}

/// Checks that the server accepts writes and is new enough.
pub(super) async fn check_server(connection: &mut PgConnection) -> Result<(), StoreError> {
    let row = sqlx::query(SERVER).fetch_one(connection).await?;
    if row.try_get("read_only")? {
        return Err(StoreError::refused(
            Reason::DatabaseUnavailable,
            READ_ONLY_REMEDY,
        ));
    }
    let version: i32 = row.try_get("version")?;
    if version < OLDEST_SERVER {
        return Err(StoreError::refused(
            Reason::DatabaseUnavailable,
            "the server is older than Postgres 14; upgrade it",
        ));
    }
    Ok(())
}

/// Closes a connection without waiting for a server that does not answer.
pub(super) async fn close(connection: PgConnection) {
    // What comes of it does not matter: dropping the connection ends it too, only less politely.
    let _ = tokio::time::timeout(Duration::from_secs(1), connection.close()).await;
}
