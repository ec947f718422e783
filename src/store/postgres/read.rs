//! Rows, heads and bases of pages.

use std::collections::{BTreeSet, HashMap};

use futures::TryStreamExt;
use jiff::Timestamp;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::pages::{join_pages, read_page_id, spellings};
use super::text::json;
use super::time::Moment;
use super::{PostgresBinding, conflicts};
use crate::store::StoreError;
use crate::store::ident::Statement;
use crate::sync::identity::{PageId, RowKey};
use crate::sync::pair::{
    FieldBase, OwnEdit, OwnWrite, PairBase, PairHash, PairHead, PairRead, RowRead,
};
use crate::sync::side::Resolutions;

/// Rows and heads, with one statement for each.
pub(super) async fn pairs(
    store: &PostgresBinding,
    pages: &[PageId],
) -> Result<Vec<PairRead>, StoreError> {
    if pages.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = rows(store, pages).await?;
    let mut heads = heads(store, pages).await?;
    let pages: BTreeSet<_> = pages.iter().copied().collect();
    let mut changed = changed_rows(store, &rows).await?;
    let pairs = pages.into_iter().map(|page_id| {
        let rows = rows.remove(&page_id).unwrap_or_default();
        let key = rows.first().map(|row| &row.key);
        let (head, resolutions) = heads.remove(&page_id).unzip();
        PairRead {
            page_id,
            row_changed_at: key.and_then(|key| changed.remove(key)),
            head,
            rows,
            resolutions: resolutions.unwrap_or_default(),
        }
    });
    Ok(pairs.collect())
}

/// When users changed these rows last, of the captured changes that wait: the row's time where no
/// column says it (`design/sync.md` §3).
async fn changed_rows(
    store: &PostgresBinding,
    rows: &HashMap<PageId, Vec<RowRead>>,
) -> Result<HashMap<RowKey, Timestamp>, StoreError> {
    if store.table.updated_at.is_some() || !store.plan.writes_notion() {
        return Ok(HashMap::new());
    }
    let keys = rows.values().flatten().map(|row| json(&row.key));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    let changed = sqlx::query(
        "SELECT row_key, max(changed_at) FROM notion_sync.changes
         WHERE binding_id = $1 AND origin IS DISTINCT FROM $2 AND row_key = ANY ($3::text[]::jsonb[])
         GROUP BY row_key",
    )
    .bind(store.claim.binding_id)
    .bind(&store.owner)
    .bind(&keys)
    .fetch_all(&store.pool)
    .await?;
    let changed = changed.iter().map(|row| {
        let (Json(key), at): (Json<RowKey>, Moment) = (row.try_get(0)?, row.try_get(1)?);
        Ok((key, at.0))
    });
    changed.collect()
}

/// The rows that carry these page ids.
pub(super) async fn rows(
    store: &PostgresBinding,
    pages: &[PageId],
) -> Result<HashMap<PageId, Vec<RowRead>>, StoreError> {
    let table = &store.table;
    let mut wanted = spellings(&table.page_id, pages);
    let mixed_case = &store.mixed_case;
    mixed_case
        .append(
            &store.pool,
            &table.table,
            &table.page_id,
            pages,
            &mut wanted,
        )
        .await?;
    let statement = store.shape.columns(Statement::new("SELECT "), "t.");
    let statement = statement.text(" FROM ").table(&table.table).text(" AS t");
    let statement = join_pages(statement, &table.page_id);
    let found = sqlx::query(statement.sql())
        .bind(wanted)
        .fetch_all(&store.pool)
        .await?;
    let mut rows: HashMap<PageId, Vec<RowRead>> = HashMap::new();
    for row in &found {
        let found = store.shape.decode(row)?;
        if let Some(page) = found.page() {
            rows.entry(page).or_default().push(found.row);
        }
    }
    Ok(rows)
}

async fn heads(
    store: &PostgresBinding,
    pages: &[PageId],
) -> Result<HashMap<PageId, (PairHead, Resolutions)>, StoreError> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT page_id, row_key, hash, last_edited_seen, own_write, provisional, own_edit,
                EXISTS (SELECT FROM notion_sync.discrepancies AS d
                        WHERE d.binding_id = p.binding_id AND d.page_id = p.page_id), {}
         FROM notion_sync.pairs AS p WHERE binding_id = $1 AND page_id = ANY ($2::uuid[])",
        conflicts::CHOSEN
    )))
    .bind(store.claim.binding_id)
    .bind(ids(pages))
    .fetch_all(&store.pool)
    .await?;
    let heads = rows.iter().map(|row| {
        let resolutions = conflicts::chosen(row.try_get(8)?);
        Ok((PageId(row.try_get(0)?), (head(row)?, resolutions)))
    });
    heads.collect()
}

/// Reads row key, hash, newest time, own write, provisional mark, own edit and whether
/// something is recorded from columns 1 to 7.
pub(super) fn head(row: &PgRow) -> Result<PairHead, StoreError> {
    let Json(row_key): Json<RowKey> = row.try_get(1)?;
    let hash: Option<Vec<u8>> = row.try_get(2)?;
    let seen: Option<Moment> = row.try_get(3)?;
    let own_write: Option<Json<Value>> = row.try_get(4)?;
    let own_edit: Option<Json<Value>> = row.try_get(6)?;
    Ok(PairHead {
        row_key,
        // A hash of another length was written by another version: the pair is looked at again.
        hash: hash.and_then(|hash| hash.try_into().ok()).map(PairHash),
        last_edited_seen: seen.map(|moment| moment.0),
        own_write: own_write.and_then(|own| serde_json::from_value::<OwnWrite>(own.0).ok()),
        provisional: row.try_get(5)?,
        is_marked: row.try_get(7)?,
        own_edit: own_edit.and_then(|own| serde_json::from_value::<OwnEdit>(own.0).ok()),
    })
}

/// The bases that are recorded.
pub(super) async fn bases(
    store: &PostgresBinding,
    pages: &[PageId],
) -> Result<HashMap<PageId, PairBase>, StoreError> {
    if pages.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(Uuid, Json<Value>)> = sqlx::query_as(
        "SELECT page_id, base FROM notion_sync.pairs
         WHERE binding_id = $1 AND page_id = ANY ($2::uuid[]) AND base <> '{}'",
    )
    .bind(store.claim.binding_id)
    .bind(ids(pages))
    .fetch_all(&store.pool)
    .await?;
    let bases = rows
        .into_iter()
        .map(|(page, value)| (PageId(page), base(value.0)));
    Ok(bases.collect())
}

/// Reads a pair's base. A field whose base was written in a form that this version does not know
/// has none: it is decided as a first contact, and the others go on.
pub(super) fn base(value: Value) -> PairBase {
    let Value::Object(fields) = value else {
        return PairBase::new();
    };
    let known = fields.into_iter().filter_map(|(column, value)| {
        let base: FieldBase = serde_json::from_value(value).ok()?;
        Some((column, base))
    });
    known.collect()
}

/// All page ids in the table.
pub(super) async fn linked_pages(store: &PostgresBinding) -> Result<Vec<PageId>, StoreError> {
    let column = &store.table.page_id;
    let statement = Statement::new("SELECT ")
        .column(column)
        .text("::text FROM ")
        .table(&store.table.table)
        .text(" WHERE ")
        .column(column)
        .text(" IS NOT NULL");
    let mut texts = sqlx::query_scalar::<_, String>(statement.sql()).fetch(&store.pool);
    let mut pages = Vec::new();
    while let Some(text) = texts.try_next().await? {
        pages.extend(read_page_id(&text));
    }
    pages.sort_unstable();
    pages.dedup();
    Ok(pages)
}

/// All page ids in the state.
pub(super) async fn recorded_pages(store: &PostgresBinding) -> Result<Vec<PageId>, StoreError> {
    let pages: Vec<Uuid> = sqlx::query_scalar(
        "SELECT page_id FROM notion_sync.pairs WHERE binding_id = $1
         UNION
         SELECT page_id FROM notion_sync.discrepancies
         WHERE binding_id = $1 AND page_id IS NOT NULL",
    )
    .bind(store.claim.binding_id)
    .fetch_all(&store.pool)
    .await?;
    Ok(pages.into_iter().map(PageId).collect())
}

/// The bare ids, as the driver takes them.
pub(super) fn ids(pages: &[PageId]) -> Vec<Uuid> {
    pages.iter().map(|page| page.0).collect()
}
