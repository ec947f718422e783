//! What is not in step, page by page.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use uuid::Uuid;

use super::text::{json, without_nul};
use crate::store::StoreError;
use crate::sync::drift::{Discrepancy, DriftKind};

/// What a replacement changed.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    /// The pages whose discrepancies are others now.
    pub(super) pages: BTreeSet<Uuid>,
    /// The reasons of fields that failed and had not failed like this before.
    pub(super) failures: Vec<String>,
}

/// Discrepancies as parallel arrays, for `unnest`.
#[derive(Debug, Default)]
pub(super) struct Arrays {
    pub(super) page_id: Vec<Option<Uuid>>,
    kind: Vec<&'static str>,
    pub(super) row_key: Vec<Option<String>>,
    pub(super) column: Vec<Option<String>>,
    property: Vec<Option<String>>,
    reason: Vec<Option<String>>,
    pub(super) notion: Vec<Option<String>>,
    pub(super) postgres: Vec<Option<String>>,
}

impl Arrays {
    pub(super) fn of<'a>(
        all: impl IntoIterator<Item = &'a Discrepancy>,
    ) -> Result<Self, serde_json::Error> {
        let text = |text: &str| without_nul(text).into_owned();
        let mut arrays = Self::default();
        for one in all {
            arrays.page_id.push(one.page_id.map(|page| page.0));
            arrays.kind.push(one.kind.as_str());
            arrays
                .row_key
                .push(one.row_key.as_ref().map(json).transpose()?);
            arrays.column.push(one.column.as_deref().map(text));
            let property = one.property.as_ref();
            arrays.property.push(property.map(|id| text(id.as_str())));
            arrays.reason.push(one.reason.as_deref().map(text));
            arrays
                .notion
                .push(one.notion.as_ref().map(json).transpose()?);
            arrays
                .postgres
                .push(one.postgres.as_ref().map(json).transpose()?);
        }
        Ok(arrays)
    }
}

/// Makes `new` the discrepancies of these pages. Equal ones are not written again.
pub(super) async fn replace(
    connection: &mut PgConnection,
    binding_id: i64,
    pages: &[Uuid],
    new: &[Discrepancy],
) -> Result<Replaced, StoreError> {
    let arrays = Arrays::of(new)?;
    let differences: Vec<(Uuid, bool, String, Option<String>)> = sqlx::query_as(
        "WITH old AS (
             SELECT page_id, kind, row_key, column_name, property_id, reason, notion, postgres
             FROM notion_sync.discrepancies WHERE binding_id = $1 AND page_id = ANY ($2::uuid[])
         ), new AS (
             SELECT page_id, kind, row_key::jsonb, column_name, property_id, reason,
                    notion::jsonb, postgres::jsonb
             FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                         $9::text[], $10::text[])
                  AS u (page_id, kind, row_key, column_name, property_id, reason, notion, postgres)
         )
         SELECT page_id, true, kind, reason FROM (TABLE new EXCEPT ALL TABLE old) AS added
         UNION ALL
         SELECT page_id, false, kind, reason FROM (TABLE old EXCEPT ALL TABLE new) AS removed",
    )
    .bind(binding_id)
    .bind(pages)
    .bind(&arrays.page_id)
    .bind(&arrays.kind)
    .bind(&arrays.row_key)
    .bind(&arrays.column)
    .bind(&arrays.property)
    .bind(&arrays.reason)
    .bind(&arrays.notion)
    .bind(&arrays.postgres)
    .fetch_all(&mut *connection)
    .await?;
    let mut replaced = Replaced::default();
    for (page, added, kind, reason) in differences {
        replaced.pages.insert(page);
        if added && kind == DriftKind::Failed.as_str() {
            replaced.failures.extend(reason);
        }
    }
    if !replaced.pages.is_empty() {
        let changed: Vec<Uuid> = replaced.pages.iter().copied().collect();
        remove(connection, binding_id, &changed).await?;
        let is_changed = |one: &&Discrepancy| {
            one.page_id
                .is_some_and(|page| replaced.pages.contains(&page.0))
        };
        let arrays = Arrays::of(new.iter().filter(is_changed))?;
        insert(connection, binding_id, &arrays).await?;
    }
    Ok(replaced)
}

/// Removes the discrepancies of these pages.
pub(super) async fn remove(
    connection: &mut PgConnection,
    binding_id: i64,
    pages: &[Uuid],
) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM notion_sync.discrepancies
         WHERE binding_id = $1 AND page_id = ANY ($2::uuid[])",
    )
    .bind(binding_id)
    .bind(pages)
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds discrepancies.
pub(super) async fn insert(
    connection: &mut PgConnection,
    binding_id: i64,
    arrays: &Arrays,
) -> Result<(), StoreError> {
    if arrays.kind.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO notion_sync.discrepancies
             (binding_id, page_id, kind, row_key, column_name, property_id, reason, notion, postgres)
         SELECT $1, page_id, kind, row_key::jsonb, column_name, property_id, reason,
                notion::jsonb, postgres::jsonb
         FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::text[], $9::text[])
              AS u (page_id, kind, row_key, column_name, property_id, reason, notion, postgres)",
    )
    .bind(binding_id)
    .bind(&arrays.page_id)
    .bind(&arrays.kind)
    .bind(&arrays.row_key)
    .bind(&arrays.column)
    .bind(&arrays.property)
    .bind(&arrays.reason)
    .bind(&arrays.notion)
    .bind(&arrays.postgres)
    .execute(connection)
    .await?;
    Ok(())
}
