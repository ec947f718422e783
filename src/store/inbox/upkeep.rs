//! What is due, how much waits, and what is old enough to go.

use super::Inbox;
use crate::store::StoreError;

/// How many events of all bindings of a cluster wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InboxCounts {
    /// Not yet handled, and due.
    pub pending: i64,
    /// Not yet handled, and put off.
    pub deferred: i64,
}

/// Rows that one statement removes: short transactions, and no long wait for others.
const PRUNE_BATCH: i64 = 1000;

impl Inbox {
    /// Counts what waits; it reads every waiting row, so ask for it every few seconds at most.
    pub async fn counts(&self, cluster_id: &str) -> Result<InboxCounts, StoreError> {
        let (pending, deferred) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE not_before <= n.at), count(*) FILTER (WHERE not_before > n.at)
             FROM notion_sync.inbox, (SELECT pg_catalog.clock_timestamp()) AS n (at)
             WHERE state = 'pending' AND pg_catalog.starts_with(owner, $1 || '/')",
        )
        .bind(cluster_id)
        .fetch_one(&self.pool)
        .await?;
        Ok(InboxCounts { pending, deferred })
    }

    /// Removes handled events a week after they arrived, and events that nobody handled (their
    /// binding is gone) after a month. Returns how many.
    pub async fn prune(&self) -> Result<u64, StoreError> {
        let finished = "DELETE FROM notion_sync.inbox WHERE id IN (
                SELECT id FROM notion_sync.inbox
                WHERE state = 'done' AND finished_at < pg_catalog.now() - interval '7 days'
                LIMIT $1 FOR UPDATE SKIP LOCKED)";
        let abandoned = "DELETE FROM notion_sync.inbox WHERE id IN (
                SELECT id FROM notion_sync.inbox
                WHERE state = 'pending' AND not_before < pg_catalog.now() - interval '30 days'
                LIMIT $1 FOR UPDATE SKIP LOCKED)";
        Ok(self.prune_by(finished).await? + self.prune_by(abandoned).await?)
    }

    async fn prune_by(&self, statement: &'static str) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let result = sqlx::query(statement)
                .bind(PRUNE_BATCH)
                .execute(&self.pool)
                .await?;
            removed += result.rows_affected();
            if result.rows_affected() < PRUNE_BATCH.unsigned_abs() {
                return Ok(removed);
            }
        }
    }
}
