//! Rows on their way into the audit table, or into `notion_sync.unaudited` for the time being.

use serde_json::json;
use sqlx::PgConnection;

use super::{AuditRow, AuditTable, Id, Shape};
use crate::store::StoreError;
use crate::store::ident::Statement;

/// Kept rows that are moved at once.
const FLUSH_BATCH: i64 = 500;

/// Marks the point to which [`roll_back`] returns. Marks that are no longer needed end with the
/// transaction.
pub(super) async fn savepoint(transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("SAVEPOINT audit")
        .execute(transaction)
        .await?;
    Ok(())
}

/// Undoes what failed since the mark.
pub(super) async fn roll_back(transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("ROLLBACK TO SAVEPOINT audit")
        .execute(transaction)
        .await?;
    Ok(())
}

/// Takes the mark away, where many would pile up.
async fn release(transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("RELEASE SAVEPOINT audit")
        .execute(transaction)
        .await?;
    Ok(())
}

/// What Postgres said, without its text: that may hold values.
pub(super) fn sqlstate(error: &sqlx::Error) -> Option<String> {
    let code = error.as_database_error()?.code()?;
    Some(code.into_owned())
}

/// Whether Postgres refused the values themselves: out of range, or nested too deeply.
pub(super) fn is_about_values(error: &sqlx::Error) -> bool {
    sqlstate(error).is_some_and(|code| code.starts_with("22") || code.starts_with("54"))
}

/// The beginning of an insert, up to the id of the rows that are selected.
fn insert_into(shape: &Shape) -> Statement {
    let statement = Statement::new("INSERT INTO ").table(&shape.table);
    match shape.id {
        Id::Default => {
            statement.text(" (action, resource_type, resource_id, details, created_at) SELECT ")
        }
        Id::Uuid => statement.text(
            " (id, action, resource_type, resource_id, details, created_at) \
             SELECT pg_catalog.gen_random_uuid(), ",
        ),
        Id::Text => statement.text(
            " (id, action, resource_type, resource_id, details, created_at) \
             SELECT pg_catalog.gen_random_uuid()::text, ",
        ),
    }
}

/// The casts of resource id and details to what their columns hold.
fn casts(shape: &Shape) -> (&'static str, &'static str) {
    let resource = if shape.uuid_resource {
        "::uuid, "
    } else {
        ", "
    };
    let details = if shape.json_details {
        "::json, "
    } else {
        "::jsonb, "
    };
    (resource, details)
}

/// Writes rows; their time is the transaction's.
pub(super) async fn insert(
    transaction: &mut PgConnection,
    shape: &Shape,
    rows: &[AuditRow<'_>],
    quoted: bool,
) -> Result<(), sqlx::Error> {
    let (resource, details) = casts(shape);
    let statement = insert_into(shape)
        .text("u.action, u.resource_type, u.resource_id")
        .text(resource)
        .text("u.details")
        .text(details)
        .text(
            "pg_catalog.now() FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) \
             AS u (action, resource_type, resource_id, details)",
        );
    sqlx::query(statement.sql())
        .bind(rows.iter().map(|row| row.action).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.resource.kind).collect::<Vec<_>>())
        .bind(
            rows.iter()
                .map(|row| row.resource.id.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(
            rows.iter()
                .map(|row| row.details(quoted))
                .collect::<Vec<_>>(),
        )
        .execute(transaction)
        .await?;
    Ok(())
}

/// Keeps rows until the table is put right.
pub(super) async fn keep(
    transaction: &mut PgConnection,
    binding_id: i64,
    audit: &AuditTable,
    rows: &[AuditRow<'_>],
    quoted: bool,
) -> Result<(), sqlx::Error> {
    let contents = rows.iter().map(|row| {
        let head = json!({
            "action": row.action,
            "resource_type": row.resource.kind,
            "resource_id": row.resource.id,
        });
        let details = row.details(quoted);
        format!("{{\"head\":{head},\"details\":{details}}}")
    });
    sqlx::query(
        "INSERT INTO notion_sync.unaudited
             (binding_id, audit_schema, audit_table, content, created_at)
         SELECT $1, $2, $3, u.content::jsonb, pg_catalog.now()
         FROM unnest($4::text[]) AS u (content)",
    )
    .bind(binding_id)
    .bind(&audit.schema)
    .bind(&audit.name)
    .bind(contents.collect::<Vec<_>>())
    .execute(transaction)
    .await?;
    Ok(())
}

/// Moves the oldest kept rows into the table. Where they cannot be moved together each is tried by
/// itself, and what does not go in stays.
pub(super) async fn flush(
    transaction: &mut PgConnection,
    shape: &Shape,
    binding_id: i64,
) -> Result<bool, StoreError> {
    let kept: Vec<i64> = sqlx::query_scalar(
        "SELECT id FROM notion_sync.unaudited WHERE binding_id = $1
         ORDER BY id LIMIT $2 FOR UPDATE",
    )
    .bind(binding_id)
    .bind(FLUSH_BATCH)
    .fetch_all(&mut *transaction)
    .await?;
    if kept.is_empty() {
        return Ok(false);
    }
    if move_rows(transaction, shape, &kept).await? {
        return Ok(true);
    }
    let mut moved = false;
    for id in kept {
        moved |= move_rows(transaction, shape, &[id]).await?;
    }
    Ok(moved)
}

/// Whether these rows could be moved.
async fn move_rows(
    transaction: &mut PgConnection,
    shape: &Shape,
    ids: &[i64],
) -> Result<bool, StoreError> {
    let (resource, details) = casts(shape);
    let statement = insert_into(shape)
        .text(
            "k.content #>> '{head,action}', k.content #>> '{head,resource_type}', \
             (k.content #>> '{head,resource_id}')",
        )
        .text(resource)
        .text("(k.content -> 'details')")
        .text(details)
        .text("k.created_at FROM notion_sync.unaudited AS k WHERE k.id = ANY ($1) ORDER BY k.id");
    savepoint(transaction).await?;
    let inserted = sqlx::query(statement.sql())
        .bind(ids)
        .execute(&mut *transaction)
        .await;
    match inserted {
        Ok(_) => {}
        Err(error) if error.as_database_error().is_some() => {
            roll_back(transaction).await?;
            release(transaction).await?;
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    }
    sqlx::query("DELETE FROM notion_sync.unaudited WHERE id = ANY ($1)")
        .bind(ids)
        .execute(&mut *transaction)
        .await?;
    release(transaction).await?;
    Ok(true)
}
