//! What the trigger function must know of a table, as lists of quoted columns.

use crate::store::catalog::TableHandle;
use crate::store::ident::quote;
use crate::sync::column::Column;
use crate::sync::mapping::TablePlan;

/// The pieces of SQL in `notion_sync.captures`; its constraints admit no other form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CaptureSpec {
    /// The text of each key column, in key order.
    pub(super) key: String,
    /// The text of the page id column.
    pub(super) page_id: String,
    /// The columns whose change is recorded: page id and mapped columns.
    pub(super) compared: String,
    /// The names of all of them.
    pub(super) columns: Vec<String>,
}

impl CaptureSpec {
    pub(super) fn new(table: &TableHandle, plan: &TablePlan) -> Self {
        let mut compared = vec![&table.page_id];
        for field in &plan.fields {
            if !compared.iter().any(|known| known.name == field.column.name) {
                compared.push(&field.column);
            }
        }
        let names = table.key.iter().chain(compared.iter().copied());
        Self {
            key: listed(table.key.iter().map(text_of)),
            page_id: text_of(&table.page_id),
            columns: names.map(|column| column.name.clone()).collect(),
            compared: listed(compared.iter().map(|column| quote(&column.name))),
        }
    }
}

fn listed(pieces: impl Iterator<Item = String>) -> String {
    pieces.collect::<Vec<_>>().join(", ")
}

/// A column as the text that [`crate::sync::identity::RowKey`] holds. A cast of a type that is not
/// the server's own may run a function that somebody else wrote, its output function may not.
fn text_of(column: &Column) -> String {
    let name = quote(&column.name);
    if column.type_sql.starts_with("\"pg_catalog\".") {
        format!("{name}::text")
    } else {
        format!("format('%s', {name})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::column::ColumnKind;

    #[test]
    fn only_the_servers_own_types_are_cast() {
        let column = |type_sql: &str| Column {
            name: "o\"d".into(),
            kind: ColumnKind::Text { max_chars: None },
            type_sql: type_sql.into(),
            nullable: false,
            generated: false,
        };
        assert_eq!(
            text_of(&column("\"pg_catalog\".\"text\"")),
            "\"o\"\"d\"::text"
        );
        assert_eq!(
            text_of(&column("\"public\".\"citext\"")),
            "format('%s', \"o\"\"d\")"
        );
    }
}
