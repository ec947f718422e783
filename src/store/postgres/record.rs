//! Looks at pairs that need no write to the bound table.

use std::collections::BTreeMap;

use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::read::{ids, rows};
use super::text::json;
use super::time::Moment;
use super::{PostgresBinding, conflicts, discrepancies};
use crate::metrics::{ReasonLabel, WinnerLabel};
use crate::store::ident::Statement;
use crate::store::{PairRecord, StoreError};
use crate::sync::identity::PageId;
use crate::sync::pair::PairBase;

/// Stores a batch of looks with a handful of statements, whatever its size.
pub(super) async fn record(
    store: &PostgresBinding,
    records: Vec<PairRecord>,
) -> Result<(), StoreError> {
    // In the order of their ids, so that two batches never wait for each other crosswise; of two
    // looks at one page the later counts.
    let records: BTreeMap<_, _> = records
        .into_iter()
        .map(|record| (record.page_id, record))
        .collect();
    if records.is_empty() {
        return Ok(());
    }
    let pages: Vec<PageId> = records.keys().copied().collect();
    let (kept, removed): (Vec<_>, Vec<_>) = records
        .values()
        .partition(|record| record.row_key.is_some());
    let found: Vec<_> = records
        .values()
        .flat_map(|record| record.discrepancies.clone())
        .collect();

    let binding_id = store.claim.binding_id;
    let mut transaction = store.begin().await?;
    upsert(&mut transaction, binding_id, &kept).await?;
    let removed: Vec<_> = removed.iter().map(|record| record.page_id).collect();
    remove_pairs(&mut transaction, binding_id, &removed).await?;
    conflicts::close_all(&mut transaction, binding_id, &ids(&removed)).await?;
    let replaced =
        discrepancies::replace(&mut transaction, binding_id, &ids(&pages), &found).await?;
    let opened = conflicts::follow(&mut transaction, binding_id, &replaced.pages, &found).await?;
    let mut resolved = Vec::new();
    for record in records.values() {
        let columns = record.resolved.iter().cloned();
        resolved.extend(columns.map(|column| (record.page_id, column)));
    }
    conflicts::close_resolved(&mut transaction, binding_id, resolved).await?;
    transaction.commit().await?;
    store.count_findings(&replaced.failures, opened);
    Ok(())
}

impl PostgresBinding {
    /// Counts fields that failed and conflicts that were opened, once they are committed.
    pub(super) fn count_findings(&self, failures: &[String], conflicts_opened: usize) {
        for reason in failures {
            let label = ReasonLabel::new(reason);
            self.metrics.field_failures.get_or_create(&label).inc();
        }
        if conflicts_opened > 0 {
            let nobody = WinnerLabel::new("None");
            let conflicts = self.metrics.conflicts.get_or_create(&nobody);
            conflicts.inc_by(conflicts_opened as u64);
        }
    }
}

/// Inserts or renews pairs: new bases join the old ones, the newest time stays. A time that only a
/// payload claimed gives way to the first one that was read.
async fn upsert(
    connection: &mut PgConnection,
    binding_id: i64,
    records: &[&PairRecord],
) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&PairRecord) -> Result<Option<String>, serde_json::Error>| {
        records
            .iter()
            .map(|record| of(record))
            .collect::<Result<Vec<_>, _>>()
    };
    let keys = column(|record| record.row_key.as_ref().map(json).transpose())?;
    let bases = column(|record| {
        let settled: PairBase = record.settle.iter().cloned().collect();
        json(&settled).map(Some)
    })?;
    let pages: Vec<Uuid> = records.iter().map(|record| record.page_id.0).collect();
    let hashes: Vec<_> = records
        .iter()
        .map(|record| record.hash.map(|hash| hash.0.to_vec()))
        .collect();
    let seen: Vec<_> = records
        .iter()
        .map(|record| Moment::some(record.last_edited))
        .collect();
    sqlx::query(
        "INSERT INTO notion_sync.pairs AS p
             (binding_id, page_id, row_key, hash, last_edited_seen, base)
         SELECT $1, u.page_id, u.row_key::jsonb, u.hash, u.seen, u.base::jsonb
         FROM unnest($2::uuid[], $3::text[], $4::bytea[], $5::timestamptz[], $6::text[])
              AS u (page_id, row_key, hash, seen, base)
         ON CONFLICT (binding_id, page_id) DO UPDATE SET
             row_key = EXCLUDED.row_key,
             hash = EXCLUDED.hash,
             last_edited_seen = CASE WHEN p.provisional THEN EXCLUDED.last_edited_seen
                 ELSE greatest(p.last_edited_seen, EXCLUDED.last_edited_seen) END,
             provisional = false,
             base = p.base || EXCLUDED.base
         WHERE p.provisional
            OR p.row_key <> EXCLUDED.row_key
            OR p.hash IS DISTINCT FROM EXCLUDED.hash
            OR greatest(p.last_edited_seen, EXCLUDED.last_edited_seen)
               IS DISTINCT FROM p.last_edited_seen
            OR p.base || EXCLUDED.base <> p.base",
    )
    .bind(binding_id)
    .bind(&pages)
    .bind(&keys)
    .bind(&hashes)
    .bind(&seen)
    .bind(&bases)
    .execute(connection)
    .await?;
    Ok(())
}

async fn remove_pairs(
    connection: &mut PgConnection,
    binding_id: i64,
    pages: &[PageId],
) -> Result<(), StoreError> {
    if pages.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM notion_sync.pairs WHERE binding_id = $1 AND page_id = ANY ($2::uuid[])",
    )
    .bind(binding_id)
    .bind(ids(pages))
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets pages: their discrepancies, and the pairs whose link was cleared by hand. A pair whose
/// row is gone altogether keeps its base: whether that was a deletion is decided elsewhere.
pub(super) async fn forget(store: &PostgresBinding, pages: &[PageId]) -> Result<(), StoreError> {
    if pages.is_empty() {
        return Ok(());
    }
    let carried = rows(store, pages).await?;
    let uncarried = pages.iter().filter(|page| !carried.contains_key(page));
    let uncarried: Vec<PageId> = uncarried.copied().collect();
    let cleared = with_their_row(store, &uncarried).await?;
    let binding_id = store.claim.binding_id;
    let mut transaction = store.begin().await?;
    discrepancies::remove(&mut transaction, binding_id, &ids(pages)).await?;
    conflicts::close_all(&mut transaction, binding_id, &ids(pages)).await?;
    remove_pairs(&mut transaction, binding_id, &cleared).await?;
    transaction.commit().await?;
    Ok(())
}

/// Those of the pages whose pair's row exists. Keys are compared as text: a key column may have
/// changed its type since, and a cast of the old key would fail.
async fn with_their_row(
    store: &PostgresBinding,
    pages: &[PageId],
) -> Result<Vec<PageId>, StoreError> {
    if pages.is_empty() {
        return Ok(Vec::new());
    }
    let key = &store.table.key;
    let statement = Statement::new("SELECT p.page_id FROM notion_sync.pairs AS p JOIN ")
        .table(&store.table.table)
        .text(" AS t ON ")
        .join(
            " AND ",
            key.iter().enumerate(),
            |statement, (index, column)| {
                statement
                    .text("t.")
                    .column(column)
                    .text("::text = (p.row_key ->> ")
                    .parameter(index + 3)
                    .text("::integer)")
            },
        )
        .text(" WHERE p.binding_id = $1 AND p.page_id = ANY ($2::uuid[])");
    let mut query = sqlx::query(statement.sql())
        .bind(store.claim.binding_id)
        .bind(ids(pages));
    for (index, _) in (0_i32..).zip(key) {
        query = query.bind(index);
    }
    let rows = query.fetch_all(&store.pool).await?;
    rows.iter().map(|row| Ok(PageId(row.try_get(0)?))).collect()
}
