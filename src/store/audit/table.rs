//! Finding, judging and making the audit table.

use sqlx::{PgConnection, PgPool, Row};

use super::{Id, Shape};
use crate::store::StoreError;
use crate::store::ident::{Statement, Table, quote};

/// A column of a table that may become the audit table.
#[derive(Debug, Clone)]
struct Found {
    name: String,
    /// The base type's name, for a domain that of the type below.
    type_name: String,
    /// Whether it is some kind of text.
    is_text: bool,
    not_null: bool,
    has_default: bool,
}

/// The shape of the table, or what must be done first.
pub(super) async fn find_or_create(
    pool: &PgPool,
    schema: &str,
    name: &str,
) -> Result<Result<Shape, String>, StoreError> {
    let mut connection = pool.acquire().await?;
    if let Some(found) = find(&mut connection, schema, name).await? {
        return Ok(found);
    }
    let role: String = sqlx::query_scalar("SELECT current_user::text")
        .fetch_one(&mut *connection)
        .await?;
    drop(connection);
    let table = Table {
        schema: schema.to_owned(),
        name: name.to_owned(),
    };
    match create(pool, &table).await {
        Ok(()) => {}
        Err(error) if is_refusal(&error) => return Ok(Err(how_to_create(&table, &role))),
        Err(error) => return Err(error.into()),
    }
    let mut connection = pool.acquire().await?;
    let found = find(&mut connection, schema, name).await?;
    Ok(found.unwrap_or_else(|| Err(how_to_create(&table, &role))))
}

/// Whether the role may not create the table, or there is nowhere to create it.
fn is_refusal(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("42501" | "3F000"))
}

/// Judges the table, if there is one.
async fn find(
    connection: &mut PgConnection,
    schema: &str,
    name: &str,
) -> Result<Option<Result<Shape, String>>, StoreError> {
    let row = sqlx::query(
        "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind IN ('r', 'p'),
                pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                    AND pg_catalog.has_table_privilege(c.oid, 'INSERT'),
                current_user::text
         FROM pg_catalog.pg_namespace AS n
         JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid
         WHERE n.nspname = $1::name AND c.relname = $2::name
           AND n.nspname::text = $1 AND c.relname::text = $2",
    )
    .bind(schema)
    .bind(name)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let table = Table {
        schema: row.try_get(1)?,
        name: row.try_get(2)?,
    };
    if !row.try_get::<bool, _>(3)? {
        return Ok(Some(Err(format!(
            "audit table {} is not an ordinary table; name another one in spec.postgres.auditTable",
            table.quoted()
        ))));
    }
    if !row.try_get::<bool, _>(4)? {
        let role: String = row.try_get(5)?;
        return Ok(Some(Err(format!(
            "the role may not write the audit table; run: GRANT USAGE ON SCHEMA {} TO {role}; \
             GRANT INSERT ON {} TO {role};",
            quote(&table.schema),
            table.quoted(),
            role = quote(&role)
        ))));
    }
    let oid: sqlx::postgres::types::Oid = row.try_get(0)?;
    let columns = columns(connection, oid).await?;
    Ok(Some(judge(table, &columns)))
}

async fn columns(
    connection: &mut PgConnection,
    table: sqlx::postgres::types::Oid,
) -> Result<Vec<Found>, StoreError> {
    let rows: Vec<(String, String, bool, bool, bool)> = sqlx::query_as(
        "SELECT a.attname::text, coalesce(b.typname, t.typname)::text, t.typcategory = 'S',
                a.attnotnull, a.atthasdef OR a.attidentity <> ''
         FROM pg_catalog.pg_attribute AS a
         JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
         LEFT JOIN pg_catalog.pg_type AS b ON b.oid = nullif(t.typbasetype, 0)
         WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped",
    )
    .bind(table)
    .fetch_all(connection)
    .await?;
    let columns = rows
        .into_iter()
        .map(|(name, type_name, is_text, not_null, has_default)| Found {
            name,
            type_name,
            is_text,
            not_null,
            has_default,
        });
    Ok(columns.collect())
}

/// Columns that get a value with each row.
const OURS: [&str; 6] = [
    "id",
    "action",
    "resource_type",
    "resource_id",
    "details",
    "created_at",
];

/// Whether rows can be written into a table of these columns, and how.
fn judge(table: Table, columns: &[Found]) -> Result<Shape, String> {
    let quoted = table.quoted();
    let column = |name: &str| {
        let found = columns.iter().find(|column| column.name == name);
        found.ok_or_else(|| {
            format!(
                "audit table {quoted} has no column {name}; add it, or name another table in \
                 spec.postgres.auditTable"
            )
        })
    };
    let holding = |name: &str, holds: fn(&Found) -> bool, wanted: &str| {
        column(name).and_then(|found| {
            if holds(found) {
                return Ok(found);
            }
            let has = &found.type_name;
            Err(format!(
                "column {name} of audit table {quoted} is {has}; it must be {wanted}"
            ))
        })
    };
    let text_or_uuid = |column: &Found| column.is_text || column.type_name == "uuid";
    let id = column("id")?;
    if !id.has_default && !text_or_uuid(id) {
        return Err(format!(
            "column id of audit table {quoted} has no default; give it one"
        ));
    }
    holding("action", |column| column.is_text, "text")?;
    holding("resource_type", |column| column.is_text, "text")?;
    let resource = holding(
        "resource_id",
        |column| column.is_text || column.type_name == "uuid",
        "text",
    )?;
    let details = holding(
        "details",
        |column| matches!(column.type_name.as_str(), "jsonb" | "json"),
        "jsonb",
    )?;
    holding(
        "created_at",
        |column| matches!(column.type_name.as_str(), "timestamptz" | "timestamp"),
        "timestamptz",
    )?;
    let mut others = columns
        .iter()
        .filter(|column| !OURS.contains(&column.name.as_str()));
    if let Some(other) = others.find(|column| column.not_null && !column.has_default) {
        return Err(format!(
            "column {} of audit table {quoted} is NOT NULL without a default; give it one, or drop \
             NOT NULL",
            quote(&other.name)
        ));
    }
    let id = match (id.has_default, id.is_text) {
        (true, _) => Id::Default,
        (false, true) => Id::Text,
        (false, false) => Id::Uuid,
    };
    Ok(Shape {
        id,
        uuid_resource: resource.type_name == "uuid",
        json_details: details.type_name == "json",
        table,
    })
}

/// Serialises the making of audit tables: two bindings may need the same one at once.
const CREATE_LOCK: &str =
    "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('notion_sync.audit', 0))";

const CREATE_COLUMNS: &str = " (id uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid(), \
     action text, resource_type text, resource_id text, details jsonb, \
     created_at timestamptz DEFAULT pg_catalog.now())";

/// Makes the table, unless another process did so first.
async fn create(pool: &PgPool, table: &Table) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query(CREATE_LOCK).execute(&mut *transaction).await?;
    let exists: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace AS n
             JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid
             WHERE n.nspname::text = $1 AND c.relname::text = $2)",
    )
    .bind(&table.schema)
    .bind(&table.name)
    .fetch_one(&mut *transaction)
    .await?;
    if !exists {
        let create = Statement::new("CREATE TABLE ")
            .table(table)
            .text(CREATE_COLUMNS);
        sqlx::query(create.sql()).execute(&mut *transaction).await?;
        let index = Statement::new("CREATE INDEX ON ")
            .table(table)
            .text(" (action, created_at)");
        sqlx::query(index.sql()).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

/// What a person with the right to do so must run where the role may not.
fn how_to_create(table: &Table, role: &str) -> String {
    let (name, role) = (table.quoted(), quote(role));
    format!(
        "audit table {name} does not exist and the role may not create it; run: CREATE TABLE {name}\
         {CREATE_COLUMNS}; CREATE INDEX ON {name} (action, created_at); GRANT INSERT ON {name} TO {role};"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, type_name: &str) -> Found {
        Found {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            is_text: matches!(type_name, "text" | "varchar" | "citext"),
            not_null: false,
            has_default: false,
        }
    }

    fn columns() -> Vec<Found> {
        let types = ["uuid", "text", "varchar", "text", "jsonb", "timestamptz"];
        let mut columns: Vec<_> = OURS
            .iter()
            .zip(types)
            .map(|(name, kind)| column(name, kind))
            .collect();
        columns[0].has_default = true;
        columns
    }

    fn judged(columns: &[Found]) -> Result<Shape, String> {
        let table = Table {
            schema: "public".into(),
            name: "audit_logs".into(),
        };
        judge(table, columns)
    }

    #[test]
    fn the_table_that_we_make_fits() {
        assert_eq!(judged(&columns()).unwrap().id, Id::Default);
    }

    #[test]
    fn an_id_without_default_is_filled_where_it_is_text_or_uuid() {
        let mut columns = columns();
        columns[0].has_default = false;
        assert_eq!(judged(&columns).unwrap().id, Id::Uuid);
        columns[0] = column("id", "varchar");
        assert_eq!(judged(&columns).unwrap().id, Id::Text);
        columns[0] = column("id", "int8");
        assert!(judged(&columns).unwrap_err().contains("no default"));
        columns[0].has_default = true;
        assert_eq!(judged(&columns).unwrap().id, Id::Default);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let mut camel = columns();
        camel[5].name = "createdAt".into();
        assert!(judged(&camel).unwrap_err().contains("no column created_at"));
        let mut typed = columns();
        typed[4].type_name = "text".into();
        assert!(judged(&typed).unwrap_err().contains("details"));
        let mut more = columns();
        more.push(column("tenant", "text"));
        assert!(judged(&more).is_ok());
        more[6].not_null = true;
        assert!(judged(&more).unwrap_err().contains("\"tenant\""));
        more[6].has_default = true;
        assert!(judged(&more).is_ok());
    }
}
