//! Putting capture in order.
//!
//! What the function must know is committed first and the triggers come after it, each table in a
//! transaction of its own. Then every transaction that wrote before any of it must have ended: only
//! from there on is capture continuous, and only what is compared later can close the gap.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::types::Oid;
use tokio::time::{Instant, sleep};

use super::look::{Look, TRIGGERS, uncovered};
use super::spec::CaptureSpec;
use crate::store::claim::Claim;
use crate::store::ident::{Statement, Table};
use crate::store::{StoreError, migrate};

/// How long transactions that write to the table are waited for; a later pass waits again.
const WRITERS_WITHIN: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What comes after the name of a trigger and before its table, and what comes after the table; in
/// the order of [`TRIGGERS`].
const EVENTS: [(&str, &str); 4] = [
    (" AFTER INSERT ON ", " REFERENCING NEW TABLE AS new_rows"),
    (
        " AFTER UPDATE ON ",
        " REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
    ),
    (" AFTER DELETE ON ", " REFERENCING OLD TABLE AS old_rows"),
    (" AFTER TRUNCATE ON ", ""),
];

/// Makes the function again, where it was dropped and the role may.
pub(super) async fn function(pool: &PgPool) -> Result<(), StoreError> {
    let made = sqlx::raw_sql(migrate::capture_function()).execute(pool);
    tolerate(made.await.map(drop), "the capture function cannot be made")
}

/// Moves the time of capture ahead.
pub(super) async fn extend(pool: &PgPool, claim: &Claim) -> Result<(), StoreError> {
    let mut transaction = pool.begin().await?;
    claim.check(&mut transaction).await?;
    sqlx::query(
        "UPDATE notion_sync.captures SET until = clock_timestamp() + interval '24 hours'
         WHERE binding_id = $1",
    )
    .bind(claim.binding_id)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Notes that capture ended, if there was any.
pub(super) async fn interrupt(pool: &PgPool, claim: &Claim) -> Result<(), StoreError> {
    let mut transaction = pool.begin().await?;
    claim.check(&mut transaction).await?;
    sqlx::query(
        "UPDATE notion_sync.captures
         SET carriers = NULL, gap = true, since = clock_timestamp()
         WHERE binding_id = $1 AND carriers IS NOT NULL",
    )
    .bind(claim.binding_id)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Puts everything in place; what cannot be done now is left to a later pass.
pub(super) async fn install(
    pool: &PgPool,
    oid: u32,
    claim: &Claim,
    spec: &CaptureSpec,
) -> Result<(), StoreError> {
    describe(pool, oid, claim, spec).await?;
    for table in uncovered(pool, oid).await? {
        if !triggers(pool, &table, claim).await? {
            break;
        }
    }
    if !writers_ended(pool, oid).await? {
        tracing::debug!("transactions write to the table; its capture begins at a later pass");
        return Ok(());
    }
    let seen = Look::take(pool, oid, claim.binding_id, spec).await?;
    if seen.installed {
        begin(pool, claim, &seen.fingerprint).await?;
    }
    Ok(())
}

/// Commits what the function must know. Until [`begin`], capture counts as interrupted.
async fn describe(
    pool: &PgPool,
    oid: u32,
    claim: &Claim,
    spec: &CaptureSpec,
) -> Result<(), StoreError> {
    let mut transaction = pool.begin().await?;
    claim.check(&mut transaction).await?;
    sqlx::query(
        "DELETE FROM notion_sync.changes WHERE binding_id = $1 AND EXISTS (
             SELECT FROM notion_sync.captures WHERE binding_id = $1 AND relid <> $2)",
    )
    .bind(claim.binding_id)
    .bind(Oid(oid))
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "INSERT INTO notion_sync.captures AS c
             (binding_id, relid, until, key_sql, page_id_sql, compared_sql)
         VALUES ($1, $2, clock_timestamp() + interval '24 hours', $3, $4, $5)
         ON CONFLICT (binding_id) DO UPDATE SET
             relid = EXCLUDED.relid, until = EXCLUDED.until, key_sql = EXCLUDED.key_sql,
             page_id_sql = EXCLUDED.page_id_sql, compared_sql = EXCLUDED.compared_sql,
             since = CASE WHEN c.carriers IS NULL THEN c.since ELSE EXCLUDED.since END,
             gap = c.gap OR c.carriers IS NOT NULL, carriers = NULL",
    )
    .bind(claim.binding_id)
    .bind(Oid(oid))
    .bind(&spec.key)
    .bind(&spec.page_id)
    .bind(&spec.compared)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Declares capture continuous from now on: everything before it must be compared.
async fn begin(pool: &PgPool, claim: &Claim, fingerprint: &str) -> Result<(), StoreError> {
    let mut transaction = pool.begin().await?;
    claim.check(&mut transaction).await?;
    sqlx::query(
        "UPDATE notion_sync.captures
         SET carriers = $2, gap = true, since = clock_timestamp() WHERE binding_id = $1",
    )
    .bind(claim.binding_id)
    .bind(fingerprint)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Puts the triggers on one table; says whether that was possible. While the lock is waited for,
/// users' writes wait behind it, so that is one second at most.
async fn triggers(pool: &PgPool, table: &Table, claim: &Claim) -> Result<bool, StoreError> {
    let made = async {
        let mut transaction = pool.begin().await?;
        claim.check(&mut transaction).await?;
        sqlx::query("SET LOCAL lock_timeout = '1s'")
            .execute(&mut *transaction)
            .await?;
        for (name, (event, tables)) in TRIGGERS.into_iter().zip(EVENTS) {
            let statement = Statement::new("CREATE OR REPLACE TRIGGER ")
                .text(name)
                .text(event)
                .table(table)
                .text(tables)
                .text(" FOR EACH STATEMENT EXECUTE FUNCTION notion_sync.capture()");
            sqlx::query(statement.sql())
                .persistent(false)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok::<_, StoreError>(())
    };
    match made.await {
        Ok(()) => Ok(true),
        Err(error) => put_off(error, "the triggers cannot be created now").map(|()| false),
    }
}

/// Waits for the transactions that have written to the table or a partition and are not over.
async fn writers_ended(pool: &PgPool, oid: u32) -> Result<bool, StoreError> {
    let deadline = Instant::now() + WRITERS_WITHIN;
    let mut writers = writers(pool, oid, None).await?;
    while !writers.is_empty() {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        sleep(LOOK_EVERY).await;
        writers = self::writers(pool, oid, Some(&writers)).await?;
    }
    Ok(true)
}

/// The transactions that hold a writer's lock, of these if any are named.
async fn writers(
    pool: &PgPool,
    oid: u32,
    among: Option<&[String]>,
) -> Result<Vec<String>, StoreError> {
    let writers = sqlx::query_scalar(
        "SELECT DISTINCT l.virtualtransaction FROM pg_locks l
         WHERE l.locktype = 'relation' AND l.granted AND l.mode = 'RowExclusiveLock'
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND l.relation IN (
               SELECT $1::oid UNION SELECT relid::oid FROM pg_partition_tree($1::oid::regclass))
           AND ($2::text[] IS NULL OR l.virtualtransaction = ANY ($2))",
    );
    Ok(writers.bind(Oid(oid)).bind(among).fetch_all(pool).await?)
}

/// Removes capture of one binding, and the function with the last of them.
pub(super) async fn remove(pool: &PgPool, claim: &Claim) -> Result<(), StoreError> {
    let mut transaction = pool.begin().await?;
    claim.check(&mut transaction).await?;
    for statement in [
        "DELETE FROM notion_sync.captures WHERE binding_id = $1",
        "DELETE FROM notion_sync.changes WHERE binding_id = $1",
    ] {
        sqlx::query(statement)
            .bind(claim.binding_id)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    let others = "SELECT EXISTS (SELECT FROM notion_sync.captures)";
    if sqlx::query_scalar(others).fetch_one(pool).await? {
        return Ok(());
    }
    let dropped = async {
        let mut transaction = pool.begin().await?;
        sqlx::query("SET LOCAL lock_timeout = '1s'")
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DROP FUNCTION IF EXISTS notion_sync.capture() CASCADE")
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    };
    // What stays behind records nothing.
    tolerate(dropped.await, "the capture function cannot be dropped")
}

/// Keeps to itself what only means that capture must wait or do without.
fn tolerate(result: Result<(), sqlx::Error>, what: &'static str) -> Result<(), StoreError> {
    result.or_else(|error| put_off(error.into(), what))
}

fn put_off(error: StoreError, what: &'static str) -> Result<(), StoreError> {
    match error {
        StoreError::Unavailable(_) | StoreError::Fenced => Err(error),
        other => {
            tracing::debug!(error = ?other, "{what}");
            Ok(())
        }
    }
}
