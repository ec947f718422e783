//! The audit table (`design/state.md` §5): made if absent, adopted if it fits, never deleted from.
//!
//! A row that cannot be written, for whatever reason, is kept in `notion_sync.unaudited` and written
//! when the table is put right. Nothing that is wrong with the audit table stops the sync.

use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use super::StoreError;
use super::ident::Table;
use crate::sync::event::Outcome;
use crate::sync::identity::BindingRef;

mod rows;
mod table;

/// The audit table of a binding, or what is wrong with it.
#[derive(Debug)]
pub struct AuditTable {
    schema: String,
    name: String,
    found: Result<Shape, String>,
}

/// How rows are inserted into a table that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    table: Table,
    id: Id,
    /// Whether `resource_id` is a uuid.
    uuid_resource: bool,
    /// Whether `details` is json rather than jsonb.
    json_details: bool,
}

/// Where a row's id comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Id {
    /// The column has a default.
    Default,
    /// A UUID from us.
    Uuid,
    /// A UUID from us, as text.
    Text,
}

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resource {
    /// `notion_page` or `notion_database`.
    pub(super) kind: &'static str,
    /// The id of the page or of the data source.
    pub(super) id: String,
}

/// A row to be written.
#[derive(Debug)]
pub(super) struct AuditRow<'a> {
    /// `notion_webhook` for events, `notion_sync` for what passes found.
    pub(super) action: &'static str,
    /// What it is about.
    pub(super) resource: Resource,
    /// The event's body as JSON text.
    pub(super) event: Option<&'a str>,
    /// `details.result`.
    pub(super) result: Value,
}

/// Where a value was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Notion,
    Postgres,
}

/// One field that was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ColumnChange {
    /// The column.
    pub(super) column: String,
    /// Where.
    pub(super) side: Side,
    /// Its value before.
    pub(super) from: Value,
    /// Its value now.
    pub(super) to: Value,
    /// The value of the side that lost, where both had changed; else null.
    pub(super) overwrote: Value,
}

/// `details.result`; every key is always there.
pub(super) fn result(
    binding: &BindingRef,
    outcome: Outcome,
    reason: Option<&str>,
    changes: &[ColumnChange],
) -> Value {
    let changes = changes.iter().map(|change| {
        json!({
            "column": change.column,
            "side": match change.side {
                Side::Notion => "Notion",
                Side::Postgres => "Postgres",
            },
            "from": change.from,
            "to": change.to,
            "overwrote": change.overwrote,
        })
    });
    json!({
        "binding": binding.to_string(),
        "outcome": outcome.as_str(),
        "reason": reason,
        "changes": changes.collect::<Vec<_>>(),
    })
}

impl AuditRow<'_> {
    /// The `details` as JSON text. The event is taken over as it came; where `quoted`, it becomes a
    /// JSON string: jsonb refuses some JSON (numbers out of its range), and a row must be written.
    fn details(&self, quoted: bool) -> String {
        let event = match self.event.filter(|body| !body.trim().is_empty()) {
            None => "null".to_owned(),
            Some(body) if quoted => Value::from(body).to_string(),
            Some(body) => body.to_owned(),
        };
        format!("{{\"event\":{event},\"result\":{}}}", self.result)
    }
}

impl AuditTable {
    /// Finds the table or makes it.
    pub(super) async fn open(pool: &PgPool, schema: &str, name: &str) -> Result<Self, StoreError> {
        Ok(Self {
            schema: schema.to_owned(),
            name: name.to_owned(),
            found: table::find_or_create(pool, schema, name).await?,
        })
    }

    /// What must be done, if anything.
    pub(super) fn problem(&self) -> Option<&str> {
        self.found.as_ref().err().map(String::as_str)
    }

    /// Writes rows within the caller's transaction, which goes on whatever becomes of them.
    pub(super) async fn write(
        &self,
        transaction: &mut PgConnection,
        binding_id: i64,
        audit_rows: &[AuditRow<'_>],
    ) -> Result<(), StoreError> {
        let target = self.found.as_ref().ok();
        if audit_rows.len() > 1 {
            let all = self.attempt(transaction, binding_id, target, audit_rows, false);
            if all.await?.is_none() {
                return Ok(());
            }
        }
        for row in audit_rows {
            self.write_one(transaction, binding_id, row).await?;
        }
        Ok(())
    }

    /// Writes a row as it is, else with its event as a string, else keeps it likewise.
    async fn write_one(
        &self,
        transaction: &mut PgConnection,
        binding_id: i64,
        row: &AuditRow<'_>,
    ) -> Result<(), StoreError> {
        let mut target = self.found.as_ref().ok();
        let mut quoted = false;
        loop {
            let row = std::slice::from_ref(row);
            let attempt = self.attempt(transaction, binding_id, target, row, quoted);
            let Some(error) = attempt.await? else {
                return Ok(());
            };
            if !quoted && rows::is_about_values(&error) {
                quoted = true;
            } else if target.take().is_some() {
                let sqlstate = rows::sqlstate(&error);
                tracing::warn!(
                    binding.id = binding_id,
                    sqlstate,
                    "an audit row is kept for later"
                );
                quoted = false;
            } else {
                return Err(error.into());
            }
        }
    }

    /// Inserts into the table, or keeps where there is no target. What Postgres refused is undone
    /// and returned.
    async fn attempt(
        &self,
        transaction: &mut PgConnection,
        binding_id: i64,
        target: Option<&Shape>,
        audit_rows: &[AuditRow<'_>],
        quoted: bool,
    ) -> Result<Option<sqlx::Error>, StoreError> {
        rows::savepoint(transaction).await?;
        let written = match target {
            Some(shape) => rows::insert(transaction, shape, audit_rows, quoted).await,
            None => rows::keep(transaction, binding_id, self, audit_rows, quoted).await,
        };
        match written {
            Ok(()) => Ok(None),
            Err(error) if error.as_database_error().is_none() => Err(error.into()),
            Err(error) => {
                rows::roll_back(transaction).await?;
                Ok(Some(error))
            }
        }
    }

    /// Moves some of the rows that were kept for the binding into the table. Whether any was moved:
    /// if so there may be more.
    pub(super) async fn flush(
        &self,
        transaction: &mut PgConnection,
        binding_id: i64,
    ) -> Result<bool, StoreError> {
        let Ok(shape) = &self.found else {
            return Ok(false);
        };
        rows::flush(transaction, shape, binding_id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_there() {
        let binding = BindingRef {
            namespace: "team-a".into(),
            name: "projects".into(),
        };
        let change = ColumnChange {
            column: "name".into(),
            side: Side::Postgres,
            from: Value::Null,
            to: "new".into(),
            overwrote: Value::Null,
        };
        let row = AuditRow {
            action: "notion_webhook",
            resource: Resource {
                kind: "notion_page",
                id: "7".into(),
            },
            event: Some("{\"id\": 1e999999}"),
            result: result(&binding, Outcome::Applied, None, &[change]),
        };
        let expected = "{\"event\":{\"id\": 1e999999},\"result\":{\"binding\":\"team-a/projects\",\
             \"changes\":[{\"column\":\"name\",\"from\":null,\"overwrote\":null,\"side\":\"Postgres\",\
             \"to\":\"new\"}],\"outcome\":\"Applied\",\"reason\":null}}";
        assert_eq!(row.details(false), expected);
        let quoted: Value = serde_json::from_str(&row.details(true)).unwrap();
        assert_eq!(quoted["event"], "{\"id\": 1e999999}");
    }

    #[test]
    fn without_an_event_there_is_null() {
        let row = AuditRow {
            action: "notion_sync",
            resource: Resource {
                kind: "notion_page",
                id: "7".into(),
            },
            event: None,
            result: Value::Null,
        };
        assert_eq!(row.details(false), "{\"event\":null,\"result\":null}");
    }
}
