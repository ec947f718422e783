//! Fields that wait for a person: one open row for each, closed by itself when the sides agree. One
//! that a person resolved is closed only by who carried the choice out: a write to Notion is due
//! long before it is known.

use std::collections::BTreeSet;

use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::PostgresBinding;
use super::discrepancies::Arrays;
use super::text::variant;
use crate::store::StoreError;
use crate::store::conflicts::{Choice, ConflictStore, ResolvedConflict};
use crate::store::patience::answered;
use crate::sync::drift::{Discrepancy, DriftKind};
use crate::sync::identity::PageId;
use crate::sync::side::{Resolutions, Side};

/// Opens, renews and closes the conflicts of these pages, so that the open ones are those among the
/// discrepancies. Returns how many were opened. The bases of the pairs must be stored already.
pub(super) async fn follow(
    connection: &mut PgConnection,
    binding_id: i64,
    pages: &BTreeSet<Uuid>,
    discrepancies: &[Discrepancy],
) -> Result<usize, StoreError> {
    if pages.is_empty() {
        return Ok(0);
    }
    let of_page = |one: &&Discrepancy| one.page_id.is_some_and(|page| pages.contains(&page.0));
    let conflicts = discrepancies.iter().filter(of_page).filter(|one| {
        one.kind == DriftKind::Conflict && one.column.is_some() && one.row_key.is_some()
    });
    let open = Arrays::of(conflicts)?;
    close_others(connection, binding_id, pages, &open).await?;
    if open.page_id.is_empty() {
        return Ok(0);
    }
    let opened: Vec<bool> = sqlx::query_scalar(
        "INSERT INTO notion_sync.conflicts AS c
             (binding_id, page_id, row_key, \"column\", kind, base, notion, postgres)
         SELECT $1, u.page_id, u.row_key::jsonb, u.name, 'BothChanged', p.base -> u.name,
                u.notion::jsonb, u.postgres::jsonb
         FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[])
              AS u (page_id, row_key, name, notion, postgres)
         LEFT JOIN notion_sync.pairs AS p ON p.binding_id = $1 AND p.page_id = u.page_id
         ON CONFLICT (binding_id, page_id, \"column\") WHERE closed_at IS NULL DO UPDATE
             SET row_key = EXCLUDED.row_key, base = EXCLUDED.base, notion = EXCLUDED.notion,
                 postgres = EXCLUDED.postgres
             WHERE c.kind = EXCLUDED.kind
         RETURNING xmax = 0",
    )
    .bind(binding_id)
    .bind(&open.page_id)
    .bind(&open.row_key)
    .bind(&open.column)
    .bind(&open.notion)
    .bind(&open.postgres)
    .fetch_all(connection)
    .await?;
    Ok(opened.into_iter().filter(|opened| *opened).count())
}

async fn close_others(
    connection: &mut PgConnection,
    binding_id: i64,
    pages: &BTreeSet<Uuid>,
    open: &Arrays,
) -> Result<(), StoreError> {
    let pages: Vec<Uuid> = pages.iter().copied().collect();
    sqlx::query(
        "UPDATE notion_sync.conflicts AS c SET closed_at = pg_catalog.now()
         WHERE c.binding_id = $1 AND c.page_id = ANY ($2::uuid[]) AND c.closed_at IS NULL
           AND c.kind = 'BothChanged' AND c.resolution IS NULL AND NOT EXISTS (
               SELECT FROM unnest($3::uuid[], $4::text[]) AS u (page_id, name)
               WHERE u.page_id = c.page_id AND u.name = c.\"column\")",
    )
    .bind(binding_id)
    .bind(&pages)
    .bind(&open.page_id)
    .bind(&open.column)
    .execute(connection)
    .await?;
    Ok(())
}

/// The choices for the open conflicts of pair `p`, for the list of a SELECT; see [`chosen`].
pub(super) const CHOSEN: &str = "(SELECT jsonb_object_agg(c.\"column\", c.resolution)
     FROM notion_sync.conflicts AS c
     WHERE c.binding_id = p.binding_id AND c.page_id = p.page_id AND c.closed_at IS NULL
       AND c.kind = 'BothChanged' AND c.resolution IS NOT NULL)";

/// Reads what [`CHOSEN`] selected.
pub(super) fn chosen(value: Option<Json<Resolutions>>) -> Resolutions {
    value.map(|value| value.0).unwrap_or_default()
}

/// Closes conflicts whose resolution was carried out.
pub(super) async fn close_resolved(
    connection: &mut PgConnection,
    binding_id: i64,
    resolved: Vec<(PageId, String)>,
) -> Result<(), StoreError> {
    let (pages, columns): (Vec<Uuid>, Vec<String>) = resolved
        .into_iter()
        .map(|(page, column)| (page.0, column))
        .unzip();
    if pages.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE notion_sync.conflicts AS c SET closed_at = pg_catalog.now()
         FROM unnest($2::uuid[], $3::text[]) AS u (page_id, name)
         WHERE c.binding_id = $1 AND c.page_id = u.page_id AND c.\"column\" = u.name
           AND c.closed_at IS NULL AND c.kind = 'BothChanged' AND c.resolution IS NOT NULL",
    )
    .bind(binding_id)
    .bind(&pages)
    .bind(&columns)
    .execute(connection)
    .await?;
    Ok(())
}

/// Closes every conflict about a field of pages that are linked no more.
pub(super) async fn close_all(
    connection: &mut PgConnection,
    binding_id: i64,
    pages: &[Uuid],
) -> Result<(), StoreError> {
    if pages.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE notion_sync.conflicts SET closed_at = pg_catalog.now()
         WHERE binding_id = $1 AND page_id = ANY ($2::uuid[]) AND closed_at IS NULL
           AND kind = 'BothChanged'",
    )
    .bind(binding_id)
    .bind(pages)
    .execute(connection)
    .await?;
    Ok(())
}

impl ConflictStore for PostgresBinding {
    async fn resolutions(&self) -> Result<Vec<ResolvedConflict>, StoreError> {
        answered(resolutions(self)).await
    }

    async fn resolve(&self, choices: &[Choice]) -> Result<u64, StoreError> {
        answered(resolve(self, choices)).await
    }
}
async fn resolutions(store: &PostgresBinding) -> Result<Vec<ResolvedConflict>, StoreError> {
    let rows = sqlx::query(
        "SELECT c.id, c.page_id, c.row_key, c.\"column\", c.kind, c.resolution
             FROM notion_sync.conflicts AS c
             WHERE c.binding_id = $1 AND c.closed_at IS NULL AND c.resolution IS NOT NULL
               AND NOT EXISTS (SELECT FROM notion_sync.discrepancies AS d
                               WHERE d.binding_id = c.binding_id AND d.page_id = c.page_id
                                 AND d.kind = 'MissingPage')
             ORDER BY c.id",
    )
    .bind(store.claim.binding_id)
    .fetch_all(&store.pool)
    .await?;
    let conflicts = rows.iter().map(|row| {
        let Json(row_key) = row.try_get(2)?;
        Ok(ResolvedConflict {
            id: row.try_get(0)?,
            page_id: PageId(row.try_get(1)?),
            row_key,
            column: row.try_get(3)?,
            kind: row.try_get(4)?,
            winner: variant(row.try_get(5)?)?,
        })
    });
    conflicts.collect()
}

async fn resolve(store: &PostgresBinding, choices: &[Choice]) -> Result<u64, StoreError> {
    let mut transaction = store.begin().await?;
    let mut taken = 0;
    for choice in choices {
        let (id, side): (Option<i64>, Side) = match choice {
            Choice::One(id, side) => (Some(*id), *side),
            Choice::All(side) => (None, *side),
        };
        let done = sqlx::query(
            "UPDATE notion_sync.conflicts SET resolution = $3
                 WHERE binding_id = $1 AND closed_at IS NULL
                   AND (id = $2 OR ($2 IS NULL AND resolution IS NULL))",
        )
        .bind(store.claim.binding_id)
        .bind(id)
        .bind(side.as_str())
        .execute(&mut *transaction)
        .await?;
        taken += done.rows_affected();
    }
    transaction.commit().await?;
    Ok(taken)
}
