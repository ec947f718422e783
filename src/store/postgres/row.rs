//! The columns that are read of a row, always in the same order: page id, key, `updatedAtColumn`,
//! mapped columns. Every value crosses as text.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::pages::read_page_id;
use crate::store::catalog::TableHandle;
use crate::store::ident::Statement;
use crate::sync::column::{Column, ColumnValue};
use crate::sync::identity::{PageId, RowKey};
use crate::sync::mapping::TablePlan;
use crate::sync::pair::RowRead;

/// The columns of a read.
#[derive(Debug)]
pub(super) struct RowShape {
    page_id: Column,
    key: Vec<Column>,
    updated_at: Option<Column>,
    fields: Vec<Column>,
}

/// A row with what its page id column held.
#[derive(Debug, Clone)]
pub(super) struct FoundRow {
    /// The page id as the column spells it.
    pub(super) spelled: String,
    pub(super) row: RowRead,
}

impl FoundRow {
    /// The page, unless the column holds something else.
    pub(super) fn page(&self) -> Option<PageId> {
        read_page_id(&self.spelled)
    }
}

impl RowShape {
    pub(super) fn new(plan: &TablePlan, table: &TableHandle) -> Self {
        Self {
            page_id: table.page_id.clone(),
            key: table.key.clone(),
            updated_at: table.updated_at.clone(),
            fields: plan
                .fields
                .iter()
                .map(|field| field.column.clone())
                .collect(),
        }
    }

    /// Appends the columns as text, those of the table that `prefix` names (`t.` or nothing).
    pub(super) fn columns(&self, statement: Statement, prefix: &'static str) -> Statement {
        let all = std::iter::once(&self.page_id)
            .chain(&self.key)
            .chain(&self.updated_at)
            .chain(&self.fields);
        statement.join(", ", all, |statement, column| {
            statement.text(prefix).column(column).text("::text")
        })
    }

    /// Appends the condition that finds the row of a key: its columns from parameter `first` on.
    pub(super) fn by_key(&self, statement: Statement, first: usize) -> Statement {
        let numbered = self.key.iter().enumerate();
        statement.join(" AND ", numbered, |statement, (index, column)| {
            statement
                .column(column)
                .text(" = ")
                .parameter(first + index)
                .text("::text::")
                .type_of(column)
        })
    }

    /// How many columns that are.
    pub(super) fn len(&self) -> usize {
        1 + self.key.len() + usize::from(self.updated_at.is_some()) + self.fields.len()
    }

    /// Reads a row that begins with these columns.
    pub(super) fn decode(&self, row: &PgRow) -> Result<FoundRow, sqlx::Error> {
        let texts: Vec<Option<String>> = (0..self.len())
            .map(|index| row.try_get(index))
            .collect::<Result<_, _>>()?;
        let mut texts = texts.into_iter();
        let spelled = texts.next().flatten().unwrap_or_default();
        let key = texts.by_ref().take(self.key.len());
        // No column of a row key is NULL; that is what makes it one.
        let key = RowKey(key.map(Option::unwrap_or_default).collect());
        let updated_at = self.updated_at.as_ref().and_then(|column| {
            let text = texts.next().flatten()?;
            moment(column, &text)
        });
        let row = RowRead {
            key,
            updated_at,
            values: texts.collect(),
        };
        Ok(FoundRow { spelled, row })
    }
}

/// The moment that a timestamp column holds; one without a zone is UTC.
fn moment(column: &Column, text: &str) -> Option<Timestamp> {
    match ColumnValue::parse(&column.kind, Some(text)) {
        ColumnValue::TimestampTz(moment) => Some(moment),
        ColumnValue::Timestamp(local) => local
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::column::ColumnKind;

    #[test]
    fn the_row_time_of_both_timestamp_types_is_read() {
        let column = |kind| Column {
            name: "updatedAt".into(),
            kind,
            type_sql: String::new(),
            nullable: true,
            generated: false,
        };
        let expected = Some("2026-11-20T10:00:00.5Z".parse().unwrap());
        let zoned = column(ColumnKind::TimestampTz { precision: 6 });
        assert_eq!(moment(&zoned, "2026-11-20 10:00:00.5+00"), expected);
        let local = column(ColumnKind::Timestamp { precision: 6 });
        assert_eq!(moment(&local, "2026-11-20 10:00:00.5"), expected);
        assert_eq!(moment(&zoned, "infinity"), None);
    }
}
