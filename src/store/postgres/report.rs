//! Counts, samples and progress.

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::PostgresBinding;
use super::discrepancies::{self, Arrays};
use super::text::{json, variant};
use crate::store::ident::Statement;
use crate::store::{Progress, StoreError, TableCounts};
use crate::sync::drift::{Counts, Discrepancy, DriftCounts, DriftKind, DriftReport};
use crate::sync::identity::{PageId, RowKey};

/// What is kept of a count of the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct StoredCounts {
    rows: i64,
    unlinked: i64,
    /// Whether row keys may be shown in clear: other replicas do not know the table.
    #[serde(default)]
    pub(in crate::store) plain_keys: bool,
}

/// Keys of unlinked rows that are recorded.
const UNLINKED_SAMPLES: i64 = 1000;

/// Counts the table's rows, and records those without a page id.
pub(super) async fn count_table(store: &PostgresBinding) -> Result<TableCounts, StoreError> {
    let table = &store.table;
    let statement = Statement::new("SELECT count(*), count(*) FILTER (WHERE ")
        .column(&table.page_id)
        .text(" IS NULL) FROM ")
        .table(&table.table);
    let (rows, unlinked): (i64, i64) = sqlx::query_as(statement.sql())
        .fetch_one(&store.pool)
        .await?;
    let unlinked_samples = if unlinked == 0 {
        Vec::new()
    } else {
        unlinked_rows(store).await?
    };
    let plain_keys = table.key_is_plain;
    let stored = StoredCounts {
        rows,
        unlinked,
        plain_keys,
    };
    store_counts(store, stored, &unlinked_samples).await?;
    Ok(TableCounts {
        rows,
        unlinked,
        unlinked_samples,
    })
}

async fn unlinked_rows(store: &PostgresBinding) -> Result<Vec<RowKey>, StoreError> {
    let table = &store.table;
    let key = &table.key;
    let statement = Statement::new("SELECT ")
        .join(", ", key, |statement, column| {
            statement.column(column).text("::text")
        })
        .text(" FROM ")
        .table(&table.table)
        .text(" AS t WHERE ")
        .column(&table.page_id)
        .text(" IS NULL ORDER BY ")
        // The column itself: its bare name would mean the text that is selected.
        .join(", ", key, |statement, column| {
            statement.text("t.").column(column)
        })
        .text(" LIMIT $1");
    let rows = sqlx::query(statement.sql())
        .bind(UNLINKED_SAMPLES)
        .fetch_all(&store.pool)
        .await?;
    let keys = rows.iter().map(|row| {
        let parts = (0..key.len()).map(|index| row.try_get(index));
        Ok(RowKey(parts.collect::<Result<_, sqlx::Error>>()?))
    });
    keys.collect()
}

/// Stores the counts, and the samples as discrepancies; nothing where nothing changed.
async fn store_counts(
    store: &PostgresBinding,
    counts: StoredCounts,
    samples: &[RowKey],
) -> Result<(), StoreError> {
    let binding_id = store.claim.binding_id;
    let unlinked: Vec<Discrepancy> = samples.iter().map(unlinked_row).collect();
    let arrays = Arrays::of(&unlinked)?;
    let (counted, listed): (bool, bool) = sqlx::query_as(
        "SELECT b.counts = $2::jsonb, NOT EXISTS (
             (SELECT d.row_key FROM notion_sync.discrepancies AS d
              WHERE d.binding_id = $1 AND d.kind = 'UnlinkedRow'
              EXCEPT SELECT k::jsonb FROM unnest($3::text[]) AS k)
             UNION ALL
             (SELECT k::jsonb FROM unnest($3::text[]) AS k
              EXCEPT SELECT d.row_key FROM notion_sync.discrepancies AS d
              WHERE d.binding_id = $1 AND d.kind = 'UnlinkedRow'))
         FROM notion_sync.bindings AS b WHERE b.id = $1",
    )
    .bind(binding_id)
    .bind(json(&counts)?)
    .bind(&arrays.row_key)
    .fetch_optional(&store.pool)
    .await?
    .ok_or(StoreError::Fenced)?;
    if counted && listed {
        return Ok(());
    }
    // The row is written under its own fence: to hold it shared first, as others do, and then to
    // write it would be a deadlock between two such transactions.
    let mut transaction = store.pool.begin().await?;
    let updated = sqlx::query(
        "UPDATE notion_sync.bindings SET counts = $2::jsonb WHERE id = $1 AND epoch = $3",
    )
    .bind(binding_id)
    .bind(json(&counts)?)
    .bind(store.claim.epoch)
    .execute(&mut *transaction)
    .await?;
    if updated.rows_affected() == 0 {
        return Err(StoreError::Fenced);
    }
    sqlx::query(
        "DELETE FROM notion_sync.discrepancies WHERE binding_id = $1 AND kind = 'UnlinkedRow'",
    )
    .bind(binding_id)
    .execute(&mut *transaction)
    .await?;
    discrepancies::insert(&mut transaction, binding_id, &arrays).await?;
    transaction.commit().await?;
    Ok(())
}

fn unlinked_row(key: &RowKey) -> Discrepancy {
    Discrepancy {
        kind: DriftKind::UnlinkedRow,
        page_id: None,
        row_key: Some(key.clone()),
        column: None,
        property: None,
        reason: None,
        notion: None,
        postgres: None,
    }
}

/// Counts and samples of a binding's state.
pub async fn report(pool: &PgPool, binding_id: i64) -> Result<DriftReport, StoreError> {
    let (counts, progress) = stored(pool, binding_id).await?;
    let kinds: Vec<(String, i64)> = sqlx::query_as(
        "SELECT kind, count(*) FROM notion_sync.discrepancies WHERE binding_id = $1 GROUP BY kind",
    )
    .bind(binding_id)
    .fetch_all(pool)
    .await?;
    let of = |kind: DriftKind| {
        let found = kinds.iter().find(|(name, _)| name == kind.as_str());
        found.map_or(0, |(_, count)| *count)
    };
    let drift = DriftCounts {
        mismatched: of(DriftKind::Mismatch),
        orphaned_pages: of(DriftKind::OrphanedPage),
        unlinked_rows: counts.unlinked,
        missing_pages: of(DriftKind::MissingPage),
        conflicts: of(DriftKind::Conflict),
        failed: of(DriftKind::Failed),
        held: of(DriftKind::Held),
    };
    let (linked, pages) = pages(pool, binding_id).await?;
    Ok(DriftReport {
        drift,
        counts: Counts {
            pages,
            rows: counts.rows,
            linked,
        },
        samples: samples(pool, binding_id, 10).await?,
        checked_at: progress.last_full_scan,
    })
}

async fn stored(pool: &PgPool, binding_id: i64) -> Result<(StoredCounts, Progress), StoreError> {
    type Stored = (Json<serde_json::Value>, Json<Progress>);
    let stored: Option<Stored> =
        sqlx::query_as("SELECT counts, progress FROM notion_sync.bindings WHERE id = $1")
            .bind(binding_id)
            .fetch_optional(pool)
            .await?;
    let (Json(counts), Json(progress)) = stored.ok_or(StoreError::Fenced)?;
    Ok((serde_json::from_value(counts).unwrap_or_default(), progress))
}

/// Linked pairs, and live pages: all pages that are recorded, less the missing ones.
async fn pages(pool: &PgPool, binding_id: i64) -> Result<(i64, i64), StoreError> {
    let (linked, others, missing): (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM notion_sync.pairs WHERE binding_id = $1),
                count(*) FILTER (WHERE p.page_id IS NULL AND NOT d.missing),
                count(*) FILTER (WHERE p.page_id IS NOT NULL AND d.missing)
         FROM (SELECT page_id, bool_or(kind = 'MissingPage') AS missing
               FROM notion_sync.discrepancies
               WHERE binding_id = $1 AND page_id IS NOT NULL GROUP BY page_id) AS d
         LEFT JOIN notion_sync.pairs AS p ON p.binding_id = $1 AND p.page_id = d.page_id",
    )
    .bind(binding_id)
    .fetch_one(pool)
    .await?;
    Ok((linked, linked + others - missing))
}

/// Up to `limit` discrepancies, spread over the kinds.
pub async fn samples(
    pool: &PgPool,
    binding_id: i64,
    limit: i64,
) -> Result<Vec<Discrepancy>, StoreError> {
    let kinds = [
        DriftKind::Mismatch,
        DriftKind::Conflict,
        DriftKind::Failed,
        DriftKind::MissingPage,
        DriftKind::Held,
        DriftKind::OrphanedPage,
        DriftKind::UnlinkedRow,
    ];
    let rows = sqlx::query(
        "SELECT d.kind, d.page_id, d.row_key, d.column_name, d.property_id, d.reason, d.notion,
                d.postgres
         FROM unnest($2::text[]) WITH ORDINALITY AS k (kind, place), LATERAL (
             SELECT *, row_number() OVER (ORDER BY id) AS turn FROM (
                 SELECT * FROM notion_sync.discrepancies
                 WHERE binding_id = $1 AND kind = k.kind ORDER BY id LIMIT $3) AS first) AS d
         ORDER BY d.turn, k.place LIMIT $3",
    )
    .bind(binding_id)
    .bind(kinds.map(DriftKind::as_str).as_slice())
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter().map(discrepancy).collect()
}

pub(in crate::store) fn discrepancy(row: &PgRow) -> Result<Discrepancy, StoreError> {
    let row_key: Option<Json<RowKey>> = row.try_get(2)?;
    let property: Option<String> = row.try_get(4)?;
    let notion: Option<Json<serde_json::Value>> = row.try_get(6)?;
    let postgres: Option<Json<serde_json::Value>> = row.try_get(7)?;
    Ok(Discrepancy {
        kind: variant(row.try_get(0)?)?,
        page_id: row.try_get::<Option<Uuid>, _>(1)?.map(PageId),
        row_key: row_key.map(|key| key.0),
        column: row.try_get(3)?,
        // It is stored decoded: decoding it again would spoil an id that holds a percent sign.
        property: property.map(variant).transpose()?,
        reason: row.try_get(5)?,
        notion: notion.map(|value| value.0),
        postgres: postgres.map(|value| value.0),
    })
}

/// Reads the progress.
pub(super) async fn progress(store: &PostgresBinding) -> Result<Progress, StoreError> {
    Ok(stored(&store.pool, store.claim.binding_id).await?.1)
}

/// Stores the progress, unless it is stored already.
pub(super) async fn save_progress(
    store: &PostgresBinding,
    progress: &Progress,
) -> Result<(), StoreError> {
    let progress = json(progress)?;
    let (id, epoch) = (store.claim.binding_id, store.claim.epoch);
    let updated = sqlx::query(
        "UPDATE notion_sync.bindings SET progress = $3::jsonb
         WHERE id = $1 AND epoch = $2 AND progress <> $3::jsonb",
    )
    .bind(id)
    .bind(epoch)
    .bind(progress)
    .execute(&store.pool)
    .await?;
    if updated.rows_affected() == 0 {
        // Nothing new, or no longer ours.
        store.begin().await?.rollback().await?;
    }
    Ok(())
}
