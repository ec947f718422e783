//! Fields that wait for a person: one open row for each, closed by itself when the sides agree.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use uuid::Uuid;

use super::discrepancies::Arrays;
use crate::store::StoreError;
use crate::sync::drift::{Discrepancy, DriftKind};

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
           AND c.kind = 'BothChanged' AND NOT EXISTS (
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
