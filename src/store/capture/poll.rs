//! The leader's question to a database: for which bindings do events or captured changes wait?

use sqlx::PgPool;

use crate::store::StoreError;
use crate::sync::identity::BindingRef;

/// A binding that something waits for, or whose capture should be armed or disarmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The binding.
    pub binding: BindingRef,
    /// Its claim, where changes are captured for it.
    pub binding_id: Option<i64>,
    /// Whether events are due.
    pub events: bool,
    /// Whether captured changes wait.
    pub changes: bool,
    /// Whether its captured changes are announced by NOTIFY.
    pub armed: bool,
}

/// All of it with one statement. The part about events leaps from owner to owner in a partial index;
/// an idle binding whose capture is armed is no part of the answer.
const DUE: &str = "
    WITH RECURSIVE leap (owner, due) AS (
        (SELECT owner, not_before FROM notion_sync.inbox
         WHERE state = 'pending' ORDER BY owner, not_before LIMIT 1)
        UNION ALL
        SELECT next.owner, next.not_before FROM leap, LATERAL (
            SELECT i.owner, i.not_before FROM notion_sync.inbox AS i
            WHERE i.state = 'pending' AND i.owner > leap.owner
            ORDER BY i.owner, i.not_before LIMIT 1) AS next)
    SELECT substr(owner, length($1) + 2), NULL::bigint, true, false, false FROM leap
    WHERE due <= clock_timestamp() AND starts_with(owner, $1 || '/')
    UNION ALL
    SELECT b.namespace || '/' || b.name, c.binding_id, false, w.waits, c.armed
    FROM notion_sync.captures c
    JOIN notion_sync.bindings b ON b.id = c.binding_id AND b.cluster_id = $1,
    LATERAL (SELECT EXISTS (SELECT FROM notion_sync.changes
                            WHERE binding_id = c.binding_id)) AS w (waits)
    WHERE w.waits OR NOT c.armed";

/// What is due among the bindings of this cluster.
///
/// # Errors
/// Postgres does not answer, or the state schema cannot be read.
pub async fn due(pool: &PgPool, cluster_id: &str) -> Result<Vec<Due>, StoreError> {
    let rows: Vec<(String, Option<i64>, bool, bool, bool)> =
        sqlx::query_as(DUE).bind(cluster_id).fetch_all(pool).await?;
    let due = rows
        .into_iter()
        .filter_map(|(name, binding_id, events, changes, armed)| {
            let (namespace, name) = name.split_once('/')?;
            let binding = BindingRef {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            };
            Some(Due {
                binding,
                binding_id,
                events,
                changes,
                armed,
            })
        });
    Ok(due.collect())
}

/// Lets the captured changes of these bindings be announced: done before the drainer sleeps. A
/// change that was committed meanwhile is found by the next [`due`].
///
/// # Errors
/// Postgres does not answer.
pub async fn arm(pool: &PgPool, bindings: &[i64]) -> Result<(), StoreError> {
    set(pool, bindings, true).await
}

/// Ends the announcements, since they make the commits of users wait for each other: done when the
/// drainer wakes.
///
/// # Errors
/// Postgres does not answer.
pub async fn disarm(pool: &PgPool, bindings: &[i64]) -> Result<(), StoreError> {
    set(pool, bindings, false).await
}

async fn set(pool: &PgPool, bindings: &[i64], armed: bool) -> Result<(), StoreError> {
    if bindings.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE notion_sync.captures SET armed = $2
         WHERE binding_id = ANY ($1) AND armed <> $2",
    )
    .bind(bindings)
    .bind(armed)
    .execute(pool)
    .await?;
    Ok(())
}

/// How many captured changes of this cluster's bindings wait.
///
/// # Errors
/// As [`due`].
pub async fn waiting(pool: &PgPool, cluster_id: &str) -> Result<i64, StoreError> {
    let waiting = sqlx::query_scalar(
        "SELECT count(*) FROM notion_sync.changes c
         JOIN notion_sync.bindings b ON b.id = c.binding_id AND b.cluster_id = $1",
    )
    .bind(cluster_id)
    .fetch_one(pool)
    .await?;
    Ok(waiting)
}

/// Removes what was captured for bindings that are gone: their time is over, and another one will
/// compare everything. That a table was emptied stays known. Returns how many.
///
/// # Errors
/// Postgres does not answer.
pub async fn prune(pool: &PgPool) -> Result<u64, StoreError> {
    let pruned = sqlx::query(
        "DELETE FROM notion_sync.changes AS c USING notion_sync.captures AS p
         WHERE p.until < now() AND c.binding_id = p.binding_id AND c.operation <> 'truncate'",
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
