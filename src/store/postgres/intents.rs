//! Announced writes to Notion and their settlement.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::events::audit_pass;
use super::read::ids;
use super::text::{json, variant, word};
use super::time::Moment;
use super::{PostgresBinding, conflicts};
use crate::metrics::{DirectionLabel, SideLabel, WinnerLabel};
use crate::store::StoreError;
use crate::store::audit::{ColumnChange, Side};
use crate::store::intents::{
    Intent, IntentState, IntentStore, NewIntent, REMEMBERED_MINUTES, Settlement,
};
use crate::store::patience::answered;
use crate::sync::event::{EventSubject, InboxEvent, Outcome};
use crate::sync::identity::{PageId, PropertyId};
use crate::sync::pair::PairBase;

/// How long a settled intent is kept: Notion delivers events up to a day late, and an overwritten
/// edit is told from them.
const KEPT_HOURS: i32 = 48;

const COLUMNS: &str = "id, binding_id, page_id, row_key, operation, fields, read_at, not_after, \
                       state, settled_at";

impl IntentStore for PostgresBinding {
    async fn intents(&self, pages: &[PageId]) -> Result<HashMap<PageId, Vec<Intent>>, StoreError> {
        answered(async move {
            let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
                "SELECT {COLUMNS} FROM notion_sync.intents
             WHERE page_id = ANY ($1::uuid[])
               AND (state = 'pending'
                    OR settled_at > clock_timestamp() - make_interval(mins => $2))
             ORDER BY id"
            )))
            .bind(ids(pages))
            .bind(REMEMBERED_MINUTES)
            .fetch_all(&self.pool)
            .await?;
            let mut found: HashMap<PageId, Vec<Intent>> = HashMap::new();
            for row in &rows {
                let intent = self.intent(row)?;
                if let Some(page) = intent.intent.page_id {
                    found.entry(page).or_default().push(intent);
                }
            }
            Ok(found)
        })
        .await
    }

    async fn unsettled(&self) -> Result<Vec<Intent>, StoreError> {
        answered(async move {
            let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
                "SELECT {COLUMNS} FROM notion_sync.intents
             WHERE binding_id = $1 AND state = 'pending' ORDER BY id"
            )))
            .bind(self.claim.binding_id)
            .fetch_all(&self.pool)
            .await?;
            rows.iter().map(|row| self.intent(row)).collect()
        })
        .await
    }

    async fn begin_intent(&self, intent: &NewIntent) -> Result<i64, StoreError> {
        answered(async move {
            let mut transaction = self.begin().await?;
            let id = sqlx::query_scalar(
                "INSERT INTO notion_sync.intents
                 (binding_id, page_id, row_key, operation, fields, epoch, read_at, not_after)
             VALUES ($1, $2, $3::jsonb, $4, $5::jsonb, $6, $7, $8) RETURNING id",
            )
            .bind(self.claim.binding_id)
            .bind(intent.page_id.map(|page| page.0))
            .bind(json(&intent.row_key)?)
            .bind(word(&intent.operation)?)
            .bind(json(&intent.fields)?)
            .bind(self.claim.epoch)
            .bind(Moment(intent.read_at))
            .bind(Moment(intent.not_after))
            .fetch_one(&mut *transaction)
            .await?;
            // The old ones go where new ones come, so that an idle binding writes nothing.
            sqlx::query(
                "DELETE FROM notion_sync.intents WHERE id IN
                 (SELECT id FROM notion_sync.intents
                  WHERE settled_at < clock_timestamp() - make_interval(hours => $1)
                  ORDER BY settled_at LIMIT 10)",
            )
            .bind(KEPT_HOURS)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(id)
        })
        .await
    }

    async fn sent_intent(&self, intent: i64, not_after: Timestamp) -> Result<(), StoreError> {
        answered(async move {
            let mut transaction = self.begin().await?;
            sqlx::query(
                "UPDATE notion_sync.intents SET not_after = $2 WHERE id = $1 AND state = 'pending'",
            )
            .bind(intent)
            .bind(Moment(not_after))
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }

    async fn settle_intent(&self, settlement: &Settlement) -> Result<(), StoreError> {
        answered(async move {
            let mut transaction = self.begin().await?;
            let settled = close(&mut transaction, settlement).await?;
            if settled {
                self.remember(&mut transaction, settlement).await?;
                if settlement.outcome != Outcome::Unchanged {
                    let changes = changes(settlement);
                    let (page, outcome) = (settlement.page_id, settlement.outcome);
                    let reason = settlement.reason.as_deref();
                    audit_pass(self, &mut transaction, page, outcome, reason, &changes).await?;
                }
            }
            transaction.commit().await?;
            if settled {
                self.count_sent(settlement);
            }
            Ok(())
        })
        .await
    }

    async fn note_overwrites(&self, events: &[InboxEvent]) -> Result<u64, StoreError> {
        answered(async move {
            let mut noted = 0;
            let mut transaction = self.begin().await?;
            for event in events {
                noted += self.note_overwrite(&mut transaction, event).await?;
            }
            transaction.commit().await?;
            Ok(noted)
        })
        .await
    }
}

impl PostgresBinding {
    fn intent(&self, row: &PgRow) -> Result<Intent, StoreError> {
        let binding: i64 = row.try_get(1)?;
        let page: Option<Uuid> = row.try_get(2)?;
        let Json(row_key) = row.try_get(3)?;
        let Json(fields) = row.try_get::<Json<Value>, _>(5)?;
        let (read_at, not_after): (Moment, Moment) = (row.try_get(6)?, row.try_get(7)?);
        let settled_at: Option<Moment> = row.try_get(9)?;
        Ok(Intent {
            id: row.try_get(0)?,
            is_foreign: binding != self.claim.binding_id,
            intent: NewIntent {
                page_id: page.map(PageId),
                row_key,
                operation: variant(row.try_get(4)?)?,
                fields: serde_json::from_value(fields)?,
                read_at: read_at.0,
                not_after: not_after.0,
            },
            state: variant(row.try_get(8)?)?,
            settled_at: settled_at.map(|moment| moment.0),
        })
    }

    /// Stores what the pair is to remember. The row key must still be the pair's: a link that moved
    /// meanwhile has another base.
    async fn remember(
        &self,
        transaction: &mut PgConnection,
        settlement: &Settlement,
    ) -> Result<(), StoreError> {
        let base: PairBase = settlement.settle.iter().cloned().collect();
        sqlx::query(
            "UPDATE notion_sync.pairs SET
                 base = base || $4::jsonb,
                 hash = CASE WHEN $4::jsonb = '{}' THEN hash END,
                 own_edit = coalesce($5::jsonb, own_edit),
                 last_edited_seen = greatest(last_edited_seen, $6)
             WHERE binding_id = $1 AND page_id = $2 AND row_key = $3::jsonb",
        )
        .bind(self.claim.binding_id)
        .bind(settlement.page_id.0)
        .bind(json(&settlement.row_key)?)
        .bind(json(&base)?)
        .bind(settlement.own_edit.map(|own| json(&own)).transpose()?)
        .bind(Moment::some(settlement.last_edited))
        .execute(&mut *transaction)
        .await?;
        let page = settlement.page_id;
        let resolved = settlement.settle.iter();
        let resolved = resolved.map(|(column, _)| (page, column.clone())).collect();
        conflicts::close_resolved(transaction, self.claim.binding_id, resolved).await
    }

    fn count_sent(&self, settlement: &Settlement) {
        let written = settlement.changes.len() as u64;
        if written == 0 {
            return;
        }
        let notion = SideLabel::new("Notion");
        self.metrics
            .field_writes
            .get_or_create(&notion)
            .inc_by(written);
        let lost = settlement.changes.iter();
        let lost = lost.filter(|change| !change.overwrote.is_null()).count() as u64;
        if lost > 0 {
            let postgres = WinnerLabel::new("Postgres");
            self.metrics.conflicts.get_or_create(&postgres).inc_by(lost);
        }
        if let Some(committed) = settlement.committed_at {
            let seconds = Timestamp::now().duration_since(committed).as_secs_f64();
            let label = DirectionLabel::new("ToNotion");
            let histogram = self.metrics.apply_seconds.get_or_create(&label);
            histogram.observe(seconds.max(0.0));
        }
    }

    /// Looks for writes of ours that a person's edit fell into the gap of.
    async fn note_overwrite(
        &self,
        transaction: &mut PgConnection,
        event: &InboxEvent,
    ) -> Result<u64, StoreError> {
        let EventSubject::Page(page) = event.event.subject else {
            return Ok(0);
        };
        let Some(at) = event.event.occurred_at else {
            return Ok(0);
        };
        let properties = updated_properties(&event.event.body);
        let done = sqlx::query(
            "INSERT INTO notion_sync.conflicts
                 (binding_id, page_id, row_key, \"column\", kind, notion, postgres, closed_at)
             SELECT i.binding_id, i.page_id, i.row_key, f ->> 'column', 'PossibleOverwrite',
                    f -> 'before', f -> 'sent', clock_timestamp()
             FROM notion_sync.intents AS i, jsonb_array_elements(i.fields) AS f
             WHERE i.binding_id = $1 AND i.page_id = $2 AND i.state = 'written'
               AND $3 BETWEEN i.read_at AND i.settled_at
               AND f ->> 'property' = ANY ($4::text[])",
        )
        .bind(self.claim.binding_id)
        .bind(page.0)
        .bind(Moment(at))
        .bind(&properties)
        .execute(transaction)
        .await?;
        Ok(done.rows_affected())
    }
}

/// Closes an intent; false where somebody else did.
async fn close(
    transaction: &mut PgConnection,
    settlement: &Settlement,
) -> Result<bool, StoreError> {
    let state = match settlement.state {
        IntentState::Pending => return Ok(false),
        state => word(&state)?,
    };
    let done = sqlx::query(
        "UPDATE notion_sync.intents SET state = $2, settled_at = clock_timestamp(),
             page_id = coalesce(page_id, $4),
             not_after = CASE WHEN $3 THEN least(not_after, clock_timestamp()) ELSE not_after END
         WHERE id = $1 AND state = 'pending'",
    )
    .bind(settlement.intent)
    .bind(state)
    .bind(settlement.is_certain)
    .bind(settlement.page_id.0)
    .execute(transaction)
    .await?;
    Ok(done.rows_affected() > 0)
}

fn changes(settlement: &Settlement) -> Vec<ColumnChange> {
    let changes = settlement.changes.iter().map(|change| ColumnChange {
        column: change.column.clone(),
        side: Side::Notion,
        from: change.from.clone(),
        to: change.to.clone(),
        overwrote: change.overwrote.clone(),
    });
    changes.collect()
}

/// The properties that an envelope names, decoded.
fn updated_properties(body: &str) -> Vec<String> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let named = body["data"]["updated_properties"].as_array();
    let named = named.into_iter().flatten().filter_map(Value::as_str);
    named
        .map(|id| PropertyId::new(id).as_str().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_properties_of_an_envelope_are_decoded() {
        let body = r#"{"data":{"updated_properties":["U%60%3BC","title",7]}}"#;
        assert_eq!(updated_properties(body), ["U`;C", "title"]);
        assert!(updated_properties("").is_empty());
        assert!(updated_properties("[]").is_empty());
    }
}
