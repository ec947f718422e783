//! The single discrepancies of a binding, for the admin API of any replica.

use sqlx::types::Json;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::StoreError;
use super::postgres::report::{StoredCounts, discrepancy};
use crate::sync::drift::Discrepancy;
use crate::sync::identity::PageId;

/// What is not in step, one by one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Details {
    /// Every kind but orphaned pages.
    pub discrepancies: Vec<Discrepancy>,
    /// Live pages without a row.
    pub orphaned_pages: Vec<PageId>,
    /// Whether row keys may be shown in clear.
    pub plain_keys: bool,
    /// There are more than `limit` of one of them.
    pub truncated: bool,
}

/// Reads up to `limit` discrepancies and as many orphaned pages of the binding that `owner` names
/// (see [`super::claim::owner`]); both sides' values only where `values` is set. A binding without a
/// claim has none.
///
/// # Errors
/// The database cannot be reached.
pub async fn details(
    pool: &PgPool,
    owner: &str,
    limit: i64,
    values: bool,
) -> Result<Details, StoreError> {
    let binding: Option<(i64, Option<Json<serde_json::Value>>)> = sqlx::query_as(
        "SELECT id, counts FROM notion_sync.bindings
         WHERE cluster_id = pg_catalog.split_part($1, '/', 1)
           AND namespace = pg_catalog.split_part($1, '/', 2)
           AND name = pg_catalog.split_part($1, '/', 3)
         ORDER BY id DESC LIMIT 1",
    )
    .bind(owner)
    .fetch_optional(pool)
    .await?;
    let Some((binding, counts)) = binding else {
        return Ok(Details::default());
    };
    let counts = counts.and_then(|counts| serde_json::from_value::<StoredCounts>(counts.0).ok());
    let rows = sqlx::query(
        "SELECT kind, page_id, row_key, column_name, property_id, reason,
                CASE WHEN $3 THEN notion END, CASE WHEN $3 THEN postgres END
         FROM notion_sync.discrepancies
         WHERE binding_id = $1 AND kind <> 'OrphanedPage' ORDER BY id LIMIT $2 + 1",
    )
    .bind(binding)
    .bind(limit)
    .bind(values)
    .fetch_all(pool)
    .await?;
    let orphans = sqlx::query(
        "SELECT page_id FROM notion_sync.discrepancies
         WHERE binding_id = $1 AND kind = 'OrphanedPage' AND page_id IS NOT NULL
         ORDER BY id LIMIT $2 + 1",
    )
    .bind(binding)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let truncated = rows.len() > wanted || orphans.len() > wanted;
    let discrepancies: Vec<Discrepancy> = rows
        .iter()
        .take(wanted)
        .map(discrepancy)
        .collect::<Result<_, _>>()?;
    let pages = orphans
        .iter()
        .take(wanted)
        .map(|row| row.try_get::<Uuid, _>(0).map(PageId));
    Ok(Details {
        discrepancies,
        orphaned_pages: pages.collect::<Result<_, _>>()?,
        plain_keys: counts.is_some_and(|counts| counts.plain_keys),
        truncated,
    })
}
