//! Finding rows by page id.
//!
//! The column holds UUIDs as people wrote them: with or without dashes, in either case. Comparing
//! normalised text would read the whole table for each batch (45 ms for 100,000 rows), so a page is
//! looked up by its four regular spellings, which an index serves. What is left, mixed case, is rare:
//! such spellings are looked for beforehand (20 ms for 100,000 rows), as often as one twentieth of
//! the time pays for, and join the look-up.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::PgPool;
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::ident::{Statement, Table};
use crate::sync::column::{Column, ColumnKind};
use crate::sync::identity::PageId;

/// Reads what a page id column holds; anything that is no UUID is nobody's page.
pub(in crate::store) fn read_page_id(text: &str) -> Option<PageId> {
    match text.len() {
        32 | 36 => Uuid::parse_str(text).ok().map(PageId),
        _ => None,
    }
}

/// Appends the condition that joins the table, as `t`, to the spellings in parameter 1.
pub(in crate::store) fn join_pages(statement: Statement, page_id: &Column) -> Statement {
    let spellings = if page_id.kind == ColumnKind::Uuid {
        " JOIN unnest($1::text[]::uuid[]) AS w (id) ON t."
    } else {
        " JOIN unnest($1::text[]) AS w (id) ON t."
    };
    statement.text(spellings).column(page_id).text(" = w.id")
}

/// The regular spellings of these pages in a column of this kind.
pub(in crate::store) fn spellings(page_id: &Column, pages: &[PageId]) -> Vec<String> {
    let mut all: Vec<_> = if page_id.kind == ColumnKind::Uuid {
        pages.iter().map(PageId::to_string).collect()
    } else {
        let each = pages.iter().flat_map(|page| {
            let (dashed, bare) = (page.0.hyphenated().to_string(), page.0.simple().to_string());
            [dashed.to_uppercase(), bare.to_uppercase(), dashed, bare]
        });
        each.collect()
    };
    // A row joined by two equal spellings would look like two rows: an id of digits alone is the
    // same in either case.
    all.sort_unstable();
    all.dedup();
    all
}

/// How many times as long as a look for mixed case took its result is believed, and the limit.
const BELIEVED_FOR: u32 = 20;
const BELIEVED_AT_MOST: Duration = Duration::from_secs(5);

/// The spellings in mixed case that the column holds.
#[derive(Debug, Default)]
pub(super) struct MixedCase(Mutex<Option<Found>>);

#[derive(Debug)]
struct Found {
    by_page: HashMap<PageId, Vec<String>>,
    fresh_until: Instant,
}

impl MixedCase {
    /// Appends the irregular spellings of these pages; looks for them first where the last look is
    /// too old.
    pub(super) async fn append(
        &self,
        pool: &PgPool,
        table: &Table,
        page_id: &Column,
        pages: &[PageId],
        to: &mut Vec<String>,
    ) -> Result<(), StoreError> {
        if page_id.kind == ColumnKind::Uuid {
            return Ok(());
        }
        if !self.is_fresh() {
            let begun = Instant::now();
            let by_page = look(pool, table, page_id).await?;
            let took = begun.elapsed().max(Duration::from_millis(1));
            *self.lock() = Some(Found {
                by_page,
                fresh_until: Instant::now() + (took * BELIEVED_FOR).min(BELIEVED_AT_MOST),
            });
        }
        self.append_known(pages, to);
        Ok(())
    }

    /// Appends the irregular spellings that the last look found.
    pub(super) fn append_known(&self, pages: &[PageId], to: &mut Vec<String>) {
        if let Some(found) = self
            .lock()
            .as_ref()
            .filter(|found| !found.by_page.is_empty())
        {
            let known = pages.iter().filter_map(|page| found.by_page.get(page));
            to.extend(known.flatten().cloned());
        }
    }

    fn is_fresh(&self) -> bool {
        let now = Instant::now();
        self.lock()
            .as_ref()
            .is_some_and(|found| now < found.fresh_until)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Found>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn look(
    pool: &PgPool,
    table: &Table,
    page_id: &Column,
) -> Result<HashMap<PageId, Vec<String>>, StoreError> {
    let statement = Statement::new("SELECT p FROM (SELECT ")
        .column(page_id)
        .text("::text COLLATE \"C\" AS p FROM ")
        .table(table)
        .text(
            ") AS s WHERE pg_catalog.octet_length(p) IN (32, 36) \
             AND p <> pg_catalog.lower(p) AND p <> pg_catalog.upper(p)",
        );
    let texts: Vec<String> = sqlx::query_scalar(statement.sql()).fetch_all(pool).await?;
    let mut by_page: HashMap<PageId, Vec<String>> = HashMap::new();
    for text in texts {
        if let Some(page) = read_page_id(&text) {
            by_page.entry(page).or_default().push(text);
        }
    }
    Ok(by_page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: ColumnKind) -> Column {
        Column {
            name: "page".to_owned(),
            kind,
            type_sql: String::new(),
            nullable: true,
            generated: false,
        }
    }

    #[test]
    fn every_regular_spelling_is_looked_for_once() {
        let page: PageId = "71c7c1b0-0b3e-4a55-8b0c-7d8f5a0c2e10".parse().unwrap();
        let text = column(ColumnKind::Text { max_chars: None });
        let found = spellings(&text, &[page]);
        assert_eq!(found.len(), 4);
        assert!(found.iter().all(|text| read_page_id(text) == Some(page)));
        let digits: PageId = "71171110-0030-4055-8000-708050002010".parse().unwrap();
        assert_eq!(spellings(&text, &[digits]).len(), 2);
        assert_eq!(
            spellings(&column(ColumnKind::Uuid), &[page]),
            [page.to_string()]
        );
    }

    #[test]
    fn what_is_no_page_id_is_ignored() {
        for text in [
            "",
            "n/a",
            "{71c7c1b0-0b3e-4a55-8b0c-7d8f5a0c2e10}",
            "71c7c1b0",
        ] {
            assert_eq!(read_page_id(text), None, "{text}");
        }
    }
}
