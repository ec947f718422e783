//! Writing columns of one locked row.
//!
//! All changed columns go in one UPDATE. Where the row refuses it (a constraint, a trigger, a value
//! its type does not take) each column is tried by itself under a savepoint, so that one bad field
//! never keeps the others from their values.

use sqlx::PgConnection;
use sqlx::postgres::PgDatabaseError;

use super::PostgresBinding;
use super::row::FoundRow;
use crate::store::StoreError;
use crate::store::ident::Statement;
use crate::sync::column::ColumnValue;

/// A column to be written.
#[derive(Debug)]
pub(super) struct ColumnWrite {
    /// Its place in the plan's fields.
    pub(super) index: usize,
    /// The value.
    pub(super) value: ColumnValue,
}

/// What became of the writes.
#[derive(Debug)]
pub(super) struct Written {
    /// The row as it is now.
    pub(super) found: FoundRow,
    /// Places of the columns that the row refused.
    pub(super) refused: Vec<usize>,
    /// Whether any UPDATE went through.
    pub(super) touched: bool,
}

/// What one UPDATE gave.
enum Attempt {
    /// The row as `RETURNING` has it.
    Done(FoundRow),
    /// The row was not updated: it refused the values, or a trigger swallowed the update.
    Refused,
}

/// Writes the columns of the row.
pub(super) async fn write(
    store: &PostgresBinding,
    transaction: &mut PgConnection,
    found: FoundRow,
    writes: &[ColumnWrite],
) -> Result<Written, StoreError> {
    mark(store, transaction).await?;
    let all: Vec<_> = writes.iter().collect();
    if let Attempt::Done(found) = attempt(store, transaction, &found, &all).await? {
        return Ok(Written {
            found,
            refused: Vec::new(),
            touched: true,
        });
    }
    let mut written = Written {
        found,
        refused: all.iter().map(|write| write.index).collect(),
        touched: false,
    };
    if all.len() > 1 {
        one_by_one(store, transaction, all, &mut written).await?;
    }
    Ok(written)
}

/// The mark by which a captured change tells who made it, for diagnosis only.
async fn mark(store: &PostgresBinding, transaction: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_catalog.set_config('notion_sync.origin', $1, true)")
        .bind(&store.owner)
        .execute(transaction)
        .await?;
    Ok(())
}

/// Tries each column by itself, again and again until none of the rest goes in: a constraint may
/// accept a column only after another one has its new value.
async fn one_by_one(
    store: &PostgresBinding,
    transaction: &mut PgConnection,
    mut pending: Vec<&ColumnWrite>,
    written: &mut Written,
) -> Result<(), StoreError> {
    loop {
        let before = pending.len();
        let mut refused = Vec::new();
        for write in pending {
            match attempt(store, transaction, &written.found, &[write]).await? {
                Attempt::Done(found) => {
                    written.found = found;
                    written.touched = true;
                }
                Attempt::Refused => refused.push(write),
            }
        }
        pending = refused;
        if pending.is_empty() || pending.len() == before {
            break;
        }
    }
    written.refused = pending.iter().map(|write| write.index).collect();
    Ok(())
}

/// One UPDATE under a savepoint of its own.
async fn attempt(
    store: &PostgresBinding,
    transaction: &mut PgConnection,
    found: &FoundRow,
    writes: &[&ColumnWrite],
) -> Result<Attempt, StoreError> {
    sqlx::raw_sql("SAVEPOINT attempt")
        .execute(&mut *transaction)
        .await?;
    let end = match update(store, transaction, found, writes).await {
        Ok(Some(row)) => {
            sqlx::raw_sql("RELEASE SAVEPOINT attempt")
                .execute(transaction)
                .await?;
            return Ok(Attempt::Done(row));
        }
        Ok(None) => "RELEASE SAVEPOINT attempt",
        Err(error) if is_about_the_row(&error) => {
            "ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt"
        }
        Err(error) => return Err(error.into()),
    };
    sqlx::raw_sql(end).execute(transaction).await?;
    Ok(Attempt::Refused)
}

/// Sets the columns, and `updatedAtColumn` to the time of the transaction. Values are cast to the
/// type without its length or scale; the assignment judges these, where an explicit cast would cut.
async fn update(
    store: &PostgresBinding,
    transaction: &mut PgConnection,
    found: &FoundRow,
    writes: &[&ColumnWrite],
) -> Result<Option<FoundRow>, sqlx::Error> {
    let table = &store.table;
    let fields = &store.plan.fields;
    let mut statement = Statement::new("UPDATE ")
        .table(&table.table)
        .text(" SET ")
        .join(
            ", ",
            writes.iter().enumerate(),
            |statement, (place, write)| {
                let column = &fields[write.index].column;
                statement
                    .column(column)
                    .text(" = ")
                    .parameter(place + 1)
                    .text("::text::")
                    .type_of(column)
            },
        );
    if let Some(column) = table.updated_at.as_ref().filter(|column| !column.generated) {
        statement = statement
            .text(", ")
            .column(column)
            .text(" = pg_catalog.now()");
    }
    let next = writes.len() + 1;
    statement = statement
        .text(" WHERE ")
        .column(&table.page_id)
        .text(" = ")
        .parameter(next)
        .text("::text::")
        .type_of(&table.page_id)
        .text(" AND ");
    statement = store.shape.by_key(statement, next + 1).text(" RETURNING ");
    statement = store.shape.columns(statement, "");
    let mut query = sqlx::query(statement.sql());
    for write in writes {
        query = query.bind(write.value.to_text());
    }
    query = query.bind(&found.spelled);
    for part in &found.row.key.0 {
        query = query.bind(part);
    }
    let row = query.fetch_optional(transaction).await?;
    row.map(|row| store.shape.decode(&row)).transpose()
}

/// Whether an error says something about this row's values rather than about the connection, the
/// server, privileges or the schema. Triggers may raise any code of their own, so what is excluded
/// is listed, not what is included.
fn is_about_the_row(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else {
        return false;
    };
    // Only what a function or a trigger raises has a context.
    let raised_inside = error
        .try_downcast_ref::<PgDatabaseError>()
        .is_some_and(|error| error.r#where().is_some());
    error
        .code()
        .is_some_and(|code| refuses_values(&code, raised_inside))
}

fn refuses_values(code: &str, raised_inside: bool) -> bool {
    const OTHERS: [&str; 18] = [
        "08", "0A", "25", "26", "28", "2D", "3B", "3D", "3F", "40", "53", "55", "57", "58", "72",
        "F0", "HV", "XX",
    ];
    let class = code.get(..2).unwrap_or_default();
    match class {
        // Syntax and access: what a value and its column's type can cause, and the mistakes of
        // users' triggers, which are no mistake of ours and must not stop the other rows.
        "42" => raised_inside || matches!(code, "42804" | "42846" | "428C9"),
        _ => !OTHERS.contains(&class),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_values_are_told_from_all_others() {
        for code in [
            "22001", "22P02", "23502", "23514", "P0001", "42804", "44000", "54000", "45000",
        ] {
            assert!(refuses_values(code, false), "{code}");
        }
        for code in [
            "08006", "40P01", "42501", "42703", "42P01", "53300", "55P03", "57014", "XX000",
        ] {
            assert!(!refuses_values(code, false), "{code}");
        }
    }

    #[test]
    fn a_mistake_inside_a_trigger_concerns_its_row() {
        for code in ["42501", "42703", "42P01", "42883"] {
            assert!(refuses_values(code, true), "{code}");
        }
        for code in ["40P01", "53300", "55P03", "57014"] {
            assert!(!refuses_values(code, true), "{code}");
        }
    }
}
