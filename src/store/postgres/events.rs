//! Events of the inbox: what is due, and how each ended.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::PostgresBinding;
use super::text::{variant, without_nul, word};
use super::time::Moment;
use crate::store::StoreError;
use crate::store::audit::{self, AuditRow, ColumnChange, Resource};
use crate::sync::event::{EventResult, EventSubject, InboxEvent, NewEvent, Outcome};
use crate::sync::identity::{DataSourceId, PageId};

/// The action of rows about events, and of rows about changes that passes found.
const WEBHOOK: &str = "notion_webhook";
const SYNC: &str = "notion_sync";

/// The events that are due.
pub(super) async fn due(
    store: &PostgresBinding,
    limit: i64,
) -> Result<Vec<InboxEvent>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, received_at, skipped, reread_only, attempts, dialect, event_type, subject,
                data_source_id, occurred_at, dedupe_key, authenticated, authors, body
         FROM notion_sync.inbox
         WHERE owner = $1 AND state = 'pending' AND not_before <= pg_catalog.clock_timestamp()
         ORDER BY id LIMIT $2",
    )
    .bind(&store.owner)
    .bind(limit)
    .fetch_all(&store.pool)
    .await?;
    let known = rows.iter().filter_map(|row| {
        // What cannot be read was written by a newer version: its own replica handles it.
        decode(row)
            .inspect_err(|error| tracing::warn!(error = %error, "an event cannot be read"))
            .ok()
    });
    Ok(known.collect())
}

fn decode(row: &PgRow) -> Result<InboxEvent, StoreError> {
    let received_at: Moment = row.try_get(1)?;
    let skipped: Option<String> = row.try_get(2)?;
    let Json(subject): Json<Value> = row.try_get(7)?;
    let occurred_at: Option<Moment> = row.try_get(9)?;
    let Json(authors): Json<Value> = row.try_get(12)?;
    let event = NewEvent {
        dialect: variant(row.try_get(5)?)?,
        event_type: row.try_get(6)?,
        subject: serde_json::from_value(subject)?,
        data_source: row.try_get::<Option<Uuid>, _>(8)?.map(DataSourceId),
        occurred_at: occurred_at.map(|moment| moment.0),
        dedupe_key: row.try_get(10)?,
        authenticated: row.try_get(11)?,
        authors: serde_json::from_value(authors)?,
        body: row.try_get(13)?,
    };
    Ok(InboxEvent {
        id: row.try_get(0)?,
        received_at: received_at.0,
        skipped: skipped.map(variant).transpose()?,
        reread_only: row.try_get(3)?,
        attempts: row.try_get(4)?,
        event,
    })
}

/// When the oldest event that is not yet handled was accepted.
pub(super) async fn oldest(store: &PostgresBinding) -> Result<Option<Timestamp>, StoreError> {
    let oldest: Option<Moment> = sqlx::query_scalar(
        "SELECT min(received_at) FROM notion_sync.inbox
         WHERE owner = $1 AND state = 'pending' AND NOT reread_only",
    )
    .bind(&store.owner)
    .fetch_one(&store.pool)
    .await?;
    Ok(oldest.map(|moment| moment.0))
}

/// Puts events off.
pub(super) async fn defer(
    store: &PostgresBinding,
    events: &[i64],
    until: Timestamp,
    failed: bool,
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let mut transaction = store.begin().await?;
    sqlx::query(
        "UPDATE notion_sync.inbox
         SET not_before = $3, attempts = attempts + CASE WHEN $4 THEN 1 ELSE 0 END
         WHERE id = ANY ($2) AND owner = $1 AND state = 'pending'",
    )
    .bind(&store.owner)
    .bind(events)
    .bind(Moment(until))
    .bind(failed)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Ends events that changed nothing.
pub(super) async fn finish(
    store: &PostgresBinding,
    events: &[InboxEvent],
    results: &[EventResult],
) -> Result<(), StoreError> {
    if results.is_empty() {
        return Ok(());
    }
    let mut transaction = store.begin().await?;
    end(store, &mut transaction, events, results, &[]).await?;
    transaction.commit().await?;
    Ok(())
}

/// Ends events that were settled by one change of one page: the first carries its outcome and what
/// was written, the later ones found nothing left to do. Returns whether an audit row tells of the
/// change.
pub(super) async fn settle(
    store: &PostgresBinding,
    transaction: &mut PgConnection,
    events: &[InboxEvent],
    outcome: Outcome,
    reason: Option<&str>,
    changes: &[ColumnChange],
) -> Result<bool, StoreError> {
    let open = still_open(store, transaction, events).await?;
    let mut told = false;
    let mut results = Vec::with_capacity(open.len());
    for event in events.iter().filter(|event| open.contains(&event.id)) {
        let (outcome, reason) = match event.skipped {
            Some(skip) => (Outcome::Skipped, Some(word(&skip)?)),
            None if told || event.reread_only => (Outcome::Unchanged, None),
            None => {
                told = true;
                (outcome, reason.map(str::to_owned))
            }
        };
        results.push(EventResult {
            id: event.id,
            outcome,
            reason,
        });
    }
    end(store, transaction, events, &results, changes).await?;
    Ok(told)
}

/// Locks the events that nobody ended before.
async fn still_open(
    store: &PostgresBinding,
    transaction: &mut PgConnection,
    events: &[InboxEvent],
) -> Result<HashSet<i64>, StoreError> {
    if events.is_empty() {
        return Ok(HashSet::new());
    }
    let open: Vec<i64> = sqlx::query_scalar(
        "SELECT id FROM notion_sync.inbox
         WHERE id = ANY ($2) AND owner = $1 AND state = 'pending' ORDER BY id FOR UPDATE",
    )
    .bind(&store.owner)
    .bind(events.iter().map(|event| event.id).collect::<Vec<_>>())
    .fetch_all(transaction)
    .await?;
    Ok(open.into_iter().collect())
}

/// Stores outcomes and writes audit rows, for events that nobody ended before: an event has one
/// audit row, whatever is repeated. The changes go to the first row that is not of a skipped event.
/// Returns whether there was one.
async fn end(
    store: &PostgresBinding,
    transaction: &mut PgConnection,
    events: &[InboxEvent],
    results: &[EventResult],
    changes: &[ColumnChange],
) -> Result<(), StoreError> {
    if results.is_empty() {
        return Ok(());
    }
    let ended = mark_done(store, transaction, results).await?;
    let by_id: HashMap<i64, &EventResult> =
        results.iter().map(|result| (result.id, result)).collect();
    let mut changes = Some(changes);
    let mut rows = Vec::new();
    for event in events {
        let Some(result) = by_id.get(&event.id).filter(|_| ended.contains(&event.id)) else {
            continue;
        };
        if event.reread_only {
            continue;
        }
        let own = if event.skipped.is_some() {
            None
        } else {
            changes.take()
        };
        let reason = result.reason.as_deref();
        let binding = &store.plan.binding.binding;
        rows.push(AuditRow {
            action: WEBHOOK,
            resource: resource(store, event),
            event: Some(&event.event.body),
            result: audit::result(binding, result.outcome, reason, own.unwrap_or_default()),
        });
    }
    let audit = store.audit.read().await;
    audit
        .write(transaction, store.claim.binding_id, &rows)
        .await
}

async fn mark_done(
    store: &PostgresBinding,
    transaction: &mut PgConnection,
    results: &[EventResult],
) -> Result<HashSet<i64>, StoreError> {
    let outcomes: Vec<_> = results
        .iter()
        .map(|result| result.outcome.as_str())
        .collect();
    let reasons: Vec<_> = results
        .iter()
        .map(|result| result.reason.as_deref().map(without_nul))
        .collect();
    let ended: Vec<i64> = sqlx::query_scalar(
        "UPDATE notion_sync.inbox AS i
         SET state = 'done', finished_at = pg_catalog.now(), outcome = u.outcome, reason = u.reason
         FROM unnest($2::bigint[], $3::text[], $4::text[]) AS u (id, outcome, reason)
         WHERE i.id = u.id AND i.owner = $1 AND i.state = 'pending'
         RETURNING i.id",
    )
    .bind(&store.owner)
    .bind(results.iter().map(|result| result.id).collect::<Vec<_>>())
    .bind(outcomes)
    .bind(reasons)
    .fetch_all(transaction)
    .await?;
    Ok(ended.into_iter().collect())
}

/// Writes the audit row of a change that no event announced.
pub(super) async fn audit_pass(
    store: &PostgresBinding,
    transaction: &mut PgConnection,
    page: PageId,
    outcome: Outcome,
    reason: Option<&str>,
    changes: &[ColumnChange],
) -> Result<(), StoreError> {
    let row = AuditRow {
        action: SYNC,
        resource: page_resource(page),
        event: None,
        result: audit::result(&store.plan.binding.binding, outcome, reason, changes),
    };
    let audit = store.audit.read().await;
    audit
        .write(transaction, store.claim.binding_id, &[row])
        .await
}

fn page_resource(page: PageId) -> Resource {
    Resource {
        kind: "notion_page",
        id: page.to_string(),
    }
}

/// Events that are about no page are about the data source, the binding's own where they name none.
fn resource(store: &PostgresBinding, event: &InboxEvent) -> Resource {
    let named = match &event.event.subject {
        EventSubject::Page(page) => return page_resource(*page),
        EventSubject::Schema { data_source, .. } => *data_source,
        EventSubject::Other => None,
    };
    let data_source = named
        .or(event.event.data_source)
        .unwrap_or(store.plan.data_source);
    Resource {
        kind: "notion_database",
        id: data_source.to_string(),
    }
}
