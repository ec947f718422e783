//! The one place where names are put into SQL.
//!
//! A statement over the bound table is a [`Statement`]: it grows from literals of this crate and
//! from names that `pg_catalog` returned (a [`Column`], a [`Table`]), each quoted here. Values never
//! become part of it; they are bound as parameters. Nothing else in the crate may call
//! `AssertSqlSafe`.

use sqlx::AssertSqlSafe;

use crate::sync::column::Column;

/// A table by the catalog's own names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The schema.
    pub schema: String,
    /// The table.
    pub name: String,
}

/// Quotes an identifier: doubles the quotation marks and encloses it in them.
///
/// For SQL use [`Statement`]; this is for the text of remedies, so that a GRANT can be copied.
pub fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

impl Table {
    /// The name as SQL spells it, qualified and quoted.
    pub fn quoted(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }
}

/// A statement under construction.
#[derive(Debug, Clone)]
pub struct Statement(String);

impl Statement {
    /// Begins with a literal.
    pub fn new(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// Appends a literal.
    #[must_use]
    pub fn text(mut self, text: &'static str) -> Self {
        self.0.push_str(text);
        self
    }

    /// Appends a table's qualified name.
    #[must_use]
    pub fn table(mut self, table: &Table) -> Self {
        self.0.push_str(&table.quoted());
        self
    }

    /// Appends a column's name.
    #[must_use]
    pub fn column(mut self, column: &Column) -> Self {
        self.0.push_str(&quote(&column.name));
        self
    }

    /// Appends a column's type, for the cast of a value: `$1::<type>`.
    #[must_use]
    pub fn type_of(mut self, column: &Column) -> Self {
        self.0.push_str(&column.type_sql);
        self
    }

    /// Appends a name of our own making: a literal and a number.
    #[must_use]
    pub fn alias(mut self, prefix: &'static str, number: usize) -> Self {
        self.0.push_str(prefix);
        self.0.push_str(&number.to_string());
        self
    }

    /// Appends the place of parameter `number`, counted from 1.
    #[must_use]
    pub fn parameter(mut self, number: usize) -> Self {
        self.0.push('$');
        self.0.push_str(&number.to_string());
        self
    }

    /// Appends one piece for each item, with a literal between two of them.
    #[must_use]
    pub fn join<T>(
        self,
        separator: &'static str,
        items: impl IntoIterator<Item = T>,
        mut piece: impl FnMut(Self, T) -> Self,
    ) -> Self {
        let mut statement = self;
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                statement = statement.text(separator);
            }
            statement = piece(statement, item);
        }
        statement
    }

    /// The statement as sqlx takes it.
    pub fn sql(self) -> AssertSqlSafe<String> {
        AssertSqlSafe(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::column::ColumnKind;

    fn column(name: &str) -> Column {
        Column {
            name: name.to_owned(),
            kind: ColumnKind::Text { max_chars: None },
            type_sql: "pg_catalog.text".to_owned(),
            nullable: true,
            generated: false,
        }
    }

    #[test]
    fn quotation_marks_cannot_end_an_identifier() {
        assert_eq!(quote("plain"), "\"plain\"");
        assert_eq!(
            quote("x\"; DROP TABLE y; --"),
            "\"x\"\"; DROP TABLE y; --\""
        );
    }

    #[test]
    fn a_statement_is_made_of_literals_names_and_places() {
        let table = Table {
            schema: "Team A".into(),
            name: "or\"ders".into(),
        };
        let columns = [column("a"), column("B")];
        let statement = Statement::new("UPDATE ").table(&table).text(" SET ").join(
            ", ",
            columns.iter().enumerate(),
            |sql, (index, column)| {
                sql.column(column)
                    .text(" = ")
                    .parameter(index + 1)
                    .text("::")
                    .type_of(column)
            },
        );
        assert_eq!(
            statement.0,
            "UPDATE \"Team A\".\"or\"\"ders\" SET \"a\" = $1::pg_catalog.text, \"B\" = $2::pg_catalog.text"
        );
    }
}
