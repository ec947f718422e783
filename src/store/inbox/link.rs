//! Whether a page belongs to a binding, for events that do not name its data source.

use sqlx::Row;

use super::Inbox;
use crate::store::StoreError;
use crate::store::ident::{Statement, Table};
use crate::store::postgres::pages::{join_pages, spellings};
use crate::sync::column::{Column, ColumnKind};
use crate::sync::identity::PageId;

/// The bound table, as the spec names it.
#[derive(Debug, Clone, Copy)]
pub struct LinkTarget<'a> {
    /// The schema.
    pub schema: &'a str,
    /// The table.
    pub table: &'a str,
    /// The column that holds the page id.
    pub page_id_column: &'a str,
}

impl Inbox {
    /// Whether the binding remembers the page, if only as one that has no row, or a row of its table
    /// carries the page's id. A table or column that does not exist links nothing.
    pub async fn is_linked(
        &self,
        owner: &str,
        target: LinkTarget<'_>,
        page: PageId,
    ) -> Result<bool, StoreError> {
        let remembered: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM notion_sync.bindings AS b
                 WHERE b.cluster_id = pg_catalog.split_part($1, '/', 1)
                   AND b.namespace = pg_catalog.split_part($1, '/', 2)
                   AND b.name = pg_catalog.split_part($1, '/', 3)
                   AND (EXISTS (SELECT FROM notion_sync.pairs AS p
                                WHERE p.binding_id = b.id AND p.page_id = $2)
                     OR EXISTS (SELECT FROM notion_sync.discrepancies AS d
                                WHERE d.binding_id = b.id AND d.page_id = $2)))",
        )
        .bind(owner)
        .bind(page.0)
        .fetch_one(&self.pool)
        .await?;
        if remembered {
            return Ok(true);
        }
        let Some((table, column)) = self.resolve(target).await? else {
            return Ok(false);
        };
        let statement = Statement::new("SELECT EXISTS (SELECT FROM ")
            .table(&table)
            .text(" AS t");
        let statement = join_pages(statement, &column).text(")");
        let linked = sqlx::query_scalar(statement.sql())
            .bind(spellings(&column, &[page]))
            .fetch_one(&self.pool)
            .await?;
        Ok(linked)
    }

    /// The catalog's own names, where they exist and the column can hold page ids.
    async fn resolve(&self, target: LinkTarget<'_>) -> Result<Option<(Table, Column)>, StoreError> {
        let row = sqlx::query(
            "SELECT n.nspname::text, c.relname::text, a.attname::text,
                    a.atttypid = 'pg_catalog.uuid'::regtype
             FROM pg_catalog.pg_namespace AS n
             JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
             WHERE n.nspname = $1::name AND c.relname = $2::name AND a.attname = $3::name
               AND n.nspname::text = $1 AND c.relname::text = $2 AND a.attname::text = $3
               AND NOT a.attisdropped AND a.atttypid IN ('pg_catalog.uuid'::regtype,
                   'pg_catalog.text'::regtype, 'pg_catalog.varchar'::regtype)",
        )
        .bind(target.schema)
        .bind(target.table)
        .bind(target.page_id_column)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let table = Table {
            schema: row.try_get(0)?,
            name: row.try_get(1)?,
        };
        let kind = if row.try_get(3)? {
            ColumnKind::Uuid
        } else {
            ColumnKind::Text { max_chars: None }
        };
        let column = Column {
            name: row.try_get(2)?,
            kind,
            type_sql: String::new(),
            nullable: true,
            generated: false,
        };
        Ok(Some((table, column)))
    }
}
