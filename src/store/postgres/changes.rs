//! Captured changes of the bound table, and the rows that they name.

use std::collections::HashSet;

use jiff::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Row};

use super::PostgresBinding;
use super::pages::read_page_id;
use super::time::Moment;
use crate::store::capture::{self, CaptureState};
use crate::store::ident::Statement;
use crate::store::patience::answered;
use crate::store::{CapturedChange, ChangeKind, ChangeStore, KeyedRow, StoreError};
use crate::sync::identity::{PageId, RowKey};
use crate::sync::mapping::DriftPolicy;

/// The oldest changes by row. Ids of one row come in the order of its changes, since the row is
/// locked when they are given.
const DUE: &str = "
    SELECT array_agg(id ORDER BY id) AS ids, row_key,
           array_agg(DISTINCT page_before) FILTER (WHERE page_before IS NOT NULL) AS before,
           array_agg(DISTINCT page_after) FILTER (WHERE page_after IS NOT NULL) AS after,
           (array_agg(operation ORDER BY id DESC))[1] AS operation,
           (array_agg(changed_at ORDER BY id DESC))[1] AS changed_at,
           coalesce((array_agg(origin ORDER BY id DESC))[1] = $2, false) AS ours
    FROM (SELECT * FROM notion_sync.changes WHERE binding_id = $1 ORDER BY id LIMIT $3) AS oldest
    GROUP BY row_key
    ORDER BY min(id)";

/// That the table was emptied stays known until everything was compared.
const SETTLE: &str = "
    WITH settled AS (
        DELETE FROM notion_sync.changes WHERE binding_id = $1 AND id = ANY ($2)
        RETURNING operation)
    UPDATE notion_sync.captures SET emptied = true, gap = true, since = clock_timestamp()
    WHERE binding_id = $1 AND EXISTS (SELECT FROM settled WHERE operation = 'truncate')";

impl ChangeStore for PostgresBinding {
    async fn due_changes(&self, limit: i64) -> Result<Vec<CapturedChange>, StoreError> {
        answered(async move {
            let rows = sqlx::query(DUE)
                .bind(self.claim.binding_id)
                .bind(&self.owner)
                .bind(limit)
                .fetch_all(&self.pool)
                .await?;
            rows.iter().map(decode).collect()
        })
        .await
    }

    async fn settle_changes(&self, ids: &[i64]) -> Result<(), StoreError> {
        answered(async move {
            if ids.is_empty() {
                return Ok(());
            }
            let mut transaction = self.begin().await?;
            sqlx::query(SETTLE)
                .bind(self.claim.binding_id)
                .bind(ids)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }

    async fn oldest_change(&self) -> Result<Option<Timestamp>, StoreError> {
        answered(async move {
            let oldest: Option<Moment> = sqlx::query_scalar(
            "SELECT changed_at FROM notion_sync.changes WHERE binding_id = $1 ORDER BY id LIMIT 1",
        )
        .bind(self.claim.binding_id)
        .fetch_optional(&self.pool)
        .await?;
            Ok(oldest.map(|moment| moment.0))
        })
        .await
    }

    async fn changes_waiting(&self) -> Result<i64, StoreError> {
        answered(async move {
            let count = "SELECT count(*) FROM notion_sync.changes WHERE binding_id = $1";
            let count = sqlx::query_scalar(count).bind(self.claim.binding_id);
            Ok(count.fetch_one(&self.pool).await?)
        })
        .await
    }

    async fn read_rows(&self, keys: &[RowKey]) -> Result<Vec<KeyedRow>, StoreError> {
        answered(async move {
            let width = self.table.key.len();
            let mut wanted = HashSet::new();
            let keys: Vec<&RowKey> = keys
            .iter()
            // A key of another width belongs to a key of other columns: no row has it.
            .filter(|key| key.0.len() == width && wanted.insert(*key))
            .collect();
            match self.rows_by_key(&keys).await {
                Err(sqlx::Error::Database(error)) if is_no_value(error.code().as_deref()) => {
                    self.rows_one_by_one(&keys).await
                }
                read => Ok(read?),
            }
        })
        .await
    }
}

impl PostgresBinding {
    /// Keeps change capture in place where changes of rows have to be acted on; see
    /// [`capture::ensure`].
    ///
    /// # Errors
    /// As [`capture::ensure`].
    pub async fn ensure_capture(&self) -> Result<CaptureState, StoreError> {
        let repairs = self.plan.binding.drift_policy == DriftPolicy::Repair;
        if !self.plan.writes_notion() && !repairs {
            return Ok(CaptureState::default());
        }
        capture::ensure(&self.pool, &self.table, &self.plan, &self.claim).await
    }

    /// Notes that everything was compared; see [`capture::compared`].
    ///
    /// # Errors
    /// As [`capture::compared`].
    pub async fn compared(&self, state: &CaptureState) -> Result<(), StoreError> {
        capture::compared(&self.pool, &self.claim, state).await
    }

    /// The rows of these keys, with one statement. Each part is cast to its column's own type, so
    /// that equality is the column's and an index serves.
    async fn rows_by_key(&self, keys: &[&RowKey]) -> Result<Vec<KeyedRow>, sqlx::Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = sqlx::query(self.by_keys());
        for part in 0..self.table.key.len() {
            let texts: Vec<&str> = keys.iter().map(|key| key.0[part].as_str()).collect();
            query = query.bind(texts);
        }
        let rows = query.fetch_all(&self.pool).await?;
        let rows = rows.iter().map(|row| {
            let found = self.shape.decode(row)?;
            let place: i64 = row.try_get(self.shape.len())?;
            let asked = usize::try_from(place - 1).ok().and_then(|at| keys.get(at));
            Ok(KeyedRow {
                asked: asked.map_or_else(|| found.row.key.clone(), |key| (*key).clone()),
                page_id: found.page(),
                row: found.row,
            })
        });
        rows.collect()
    }

    /// The same where some key is no value of its column any more: such a row cannot exist.
    async fn rows_one_by_one(&self, keys: &[&RowKey]) -> Result<Vec<KeyedRow>, StoreError> {
        let mut found = Vec::new();
        for key in keys {
            match self.rows_by_key(&[key]).await {
                Err(sqlx::Error::Database(error)) if is_no_value(error.code().as_deref()) => {}
                read => found.extend(read?),
            }
        }
        Ok(found)
    }

    fn by_keys(&self) -> AssertSqlSafe<String> {
        let key = &self.table.key;
        let statement = self.shape.columns(Statement::new("SELECT "), "t.");
        let statement = statement
            .text(", w.place FROM ")
            .table(&self.table.table)
            .text(" AS t JOIN ROWS FROM (")
            .join(", ", 1..=key.len(), |statement, number| {
                statement
                    .text("unnest(")
                    .parameter(number)
                    .text("::text[])")
            })
            .text(") WITH ORDINALITY AS w (")
            .join(", ", 1..=key.len(), |statement, number| {
                statement.alias("k", number)
            })
            .text(", place) ON ");
        let numbered = key.iter().zip(1..);
        let statement = statement.join(" AND ", numbered, |statement, (column, number)| {
            statement
                .text("t.")
                .column(column)
                .text(" = ")
                .alias("w.k", number)
                .text("::")
                .type_of(column)
        });
        statement.sql()
    }
}

/// Whether a text is no value of the type that it was cast to.
fn is_no_value(code: Option<&str>) -> bool {
    code.is_some_and(|code| code.starts_with("22"))
}

fn decode(row: &PgRow) -> Result<CapturedChange, StoreError> {
    let operation: String = row.try_get("operation")?;
    let row_key: Option<Json<RowKey>> = row.try_get("row_key")?;
    let before: Option<Vec<String>> = row.try_get("before")?;
    let after: Option<Vec<String>> = row.try_get("after")?;
    let Moment(changed_at) = row.try_get("changed_at")?;
    let spelled = before.into_iter().chain(after).flatten();
    let mut page_ids: Vec<PageId> = spelled.filter_map(|text| read_page_id(&text)).collect();
    page_ids.sort_unstable();
    page_ids.dedup();
    Ok(CapturedChange {
        ids: row.try_get("ids")?,
        row_key: row_key.map(|key| key.0),
        page_ids,
        kind: match operation.as_str() {
            "truncate" => ChangeKind::Truncate,
            "delete" => ChangeKind::Delete,
            _ => ChangeKind::Upsert,
        },
        changed_at,
        origin_is_ours: row.try_get("ours")?,
    })
}
