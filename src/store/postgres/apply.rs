//! One change of one pair, in one transaction (`design/sync.md` §4): lock, read again, plan again,
//! write, remember, audit, end the events. Hence exactly once.

use jiff::Timestamp;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::conclusion::{Conclusion, Remembered};
use super::pages::{join_pages, spellings};
use super::row::FoundRow;
use super::text::json;
use super::time::Moment;
use super::write::{ColumnWrite, Written, write};
use super::{PostgresBinding, conflicts, discrepancies, events, read};
use crate::metrics::{DirectionLabel, SideLabel, WinnerLabel};
use crate::store::ident::Statement;
use crate::store::{Applied, PairChange, StoreError};
use crate::sync::event::InboxEvent;
use crate::sync::identity::PageId;
use crate::sync::page::{PageSnapshot, Provenance};
use crate::sync::pair::outdates;
use crate::sync::plan::{Decision, PairPlan, plan_pair};

/// Applies a change.
pub(super) async fn apply(
    store: &PostgresBinding,
    change: PairChange<'_>,
) -> Result<Applied, StoreError> {
    // Deferred constraints would fail at the commit, when no column can be tried by itself any more.
    let begin = "BEGIN; SET CONSTRAINTS ALL IMMEDIATE";
    let mut transaction = store.pool.begin_with(begin).await?;
    store.claim.check(&mut transaction).await?;
    let page = change.page;
    let Some(found) = lock_row(store, &mut transaction, page.id).await? else {
        transaction.rollback().await?;
        return Ok(Applied::Relinked);
    };
    let remembered = lock_pair(store, &mut transaction, page.id).await?;
    if outdates(remembered.seen, remembered.own_edit, page, Timestamp::now()) {
        transaction.rollback().await?;
        return Ok(Applied::Stale);
    }
    let plan = plan_pair(
        &store.plan,
        page,
        &found.row,
        &remembered.base,
        &remembered.traces(&change),
    );
    let writes = due(&plan);
    let written = if writes.is_empty() {
        Written {
            found: found.clone(),
            refused: Vec::new(),
            touched: false,
        }
    } else {
        write(store, &mut transaction, found.clone(), &writes).await?
    };
    let conclusion = Conclusion::of(
        &store.plan,
        &change,
        &plan,
        &remembered,
        &found.row,
        &written,
    );
    let findings = remember(store, &mut transaction, page, &remembered, &conclusion).await?;
    audit(
        store,
        &mut transaction,
        &change,
        &conclusion,
        findings.conflicts_opened,
    )
    .await?;
    transaction.commit().await?;
    count(store, change.events, &conclusion, &findings);
    Ok(Applied::Done {
        outcome: conclusion.outcome,
        fields_written: conclusion.changes.len(),
        notion_due: conclusion.writes_notion(),
        discrepancies: conclusion.discrepancies,
    })
}

/// The writes that are due.
fn due(plan: &PairPlan) -> Vec<ColumnWrite> {
    let fields = plan.fields.iter().enumerate();
    let writes = fields.filter_map(|(index, field)| match &field.decision {
        Decision::WritePostgres(value) => Some(ColumnWrite {
            index,
            value: value.clone(),
        }),
        _ => None,
    });
    writes.collect()
}

/// Locks the row of a page and reads it; `None` where there is not exactly one.
async fn lock_row(
    store: &PostgresBinding,
    transaction: &mut PgConnection,
    page: PageId,
) -> Result<Option<FoundRow>, StoreError> {
    let table = &store.table;
    let mut wanted = spellings(&table.page_id, &[page]);
    store.mixed_case.append_known(&[page], &mut wanted);
    let statement = store.shape.columns(Statement::new("SELECT "), "t.");
    let statement = statement.text(" FROM ").table(&table.table).text(" AS t");
    let statement = join_pages(statement, &table.page_id).text(" FOR UPDATE OF t");
    let rows = sqlx::query(statement.sql())
        .bind(wanted)
        .fetch_all(transaction)
        .await?;
    match rows.as_slice() {
        [row] => Ok(Some(store.shape.decode(row)?)),
        _ => Ok(None),
    }
}

/// Locks what is remembered of a page and reads it.
async fn lock_pair(
    store: &PostgresBinding,
    transaction: &mut PgConnection,
    page: PageId,
) -> Result<Remembered, StoreError> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT page_id, row_key, hash, last_edited_seen, own_write, provisional, own_edit,
                false, base, {}
         FROM notion_sync.pairs AS p WHERE binding_id = $1 AND page_id = $2 FOR UPDATE OF p",
        conflicts::CHOSEN
    )))
    .bind(store.claim.binding_id)
    .bind(page.0)
    .fetch_optional(transaction)
    .await?;
    let Some(row) = row else {
        return Ok(Remembered::default());
    };
    let head = read::head(&row)?;
    let Json(base) = row.try_get(8)?;
    Ok(Remembered {
        base: read::base(base),
        seen: head.last_edited_seen,
        own_write: head.own_write,
        own_edit: head.own_edit,
        provisional: head.provisional,
        resolutions: conflicts::chosen(row.try_get(9)?),
    })
}

/// What came to light while the state was stored.
struct Findings {
    failures: Vec<String>,
    conflicts_opened: usize,
    is_news: bool,
}

/// Stores the pair, its discrepancies and its conflicts.
async fn remember(
    store: &PostgresBinding,
    transaction: &mut PgConnection,
    page: &PageSnapshot,
    remembered: &Remembered,
    conclusion: &Conclusion,
) -> Result<Findings, StoreError> {
    let binding_id = store.claim.binding_id;
    let hash = conclusion.hash(&store.fingerprint, &store.plan, page);
    sqlx::query(
        "INSERT INTO notion_sync.pairs AS p
             (binding_id, page_id, row_key, hash, last_edited_seen, own_write, provisional, base)
         VALUES ($1, $2, $3::jsonb, $4, $5, $6::jsonb, $7, $8::jsonb)
         ON CONFLICT (binding_id, page_id) DO UPDATE SET
             row_key = EXCLUDED.row_key, hash = EXCLUDED.hash,
             last_edited_seen = EXCLUDED.last_edited_seen, own_write = EXCLUDED.own_write,
             provisional = EXCLUDED.provisional, base = p.base || EXCLUDED.base",
    )
    .bind(binding_id)
    .bind(page.id.0)
    .bind(json(&conclusion.row.key)?)
    .bind(hash.map(|hash| hash.0.to_vec()))
    .bind(Moment::some(remembered.seen_with(page)))
    .bind(conclusion.own_write.map(|own| json(&own)).transpose()?)
    .bind(page.provenance == Provenance::Payload)
    .bind(json(&conclusion.base)?)
    .execute(&mut *transaction)
    .await?;
    let pages: [Uuid; 1] = [page.id.0];
    let found = &conclusion.discrepancies;
    let replaced = discrepancies::replace(transaction, binding_id, &pages, found).await?;
    let opened = conflicts::follow(transaction, binding_id, &replaced.pages, found).await?;
    let resolved = conclusion.resolved.iter().cloned();
    let resolved = resolved.map(|column| (page.id, column)).collect();
    conflicts::close_resolved(transaction, binding_id, resolved).await?;
    Ok(Findings {
        is_news: !replaced.pages.is_empty(),
        failures: replaced.failures,
        conflicts_opened: opened,
    })
}

/// Ends the events. A change that no event tells of has a row of its own.
async fn audit(
    store: &PostgresBinding,
    transaction: &mut PgConnection,
    change: &PairChange<'_>,
    conclusion: &Conclusion,
    conflicts_opened: usize,
) -> Result<(), StoreError> {
    let (outcome, reason) = (conclusion.outcome, conclusion.reason.as_deref());
    let changes = &conclusion.changes;
    let told = events::settle(store, transaction, change.events, outcome, reason, changes).await?;
    if !told && (!changes.is_empty() || conflicts_opened > 0) {
        let page = change.page.id;
        events::audit_pass(store, transaction, page, outcome, reason, changes).await?;
    }
    Ok(())
}

/// Counts what was committed.
fn count(
    store: &PostgresBinding,
    events: &[InboxEvent],
    conclusion: &Conclusion,
    findings: &Findings,
) {
    let metrics = &store.metrics;
    let written = conclusion.changes.len() as u64;
    if written > 0 {
        metrics
            .field_writes
            .get_or_create(&SideLabel::new("Postgres"))
            .inc_by(written);
    }
    store.count_findings(&findings.failures, findings.conflicts_opened);
    if conclusion.won_by_notion > 0 {
        let notion = metrics.conflicts.get_or_create(&WinnerLabel::new("Notion"));
        notion.inc_by(conclusion.won_by_notion);
    }
    // A conflict that Postgres won stays as it is: it counts when it comes to light.
    if findings.is_news && conclusion.won_by_postgres > 0 {
        let postgres = metrics
            .conflicts
            .get_or_create(&WinnerLabel::new("Postgres"));
        postgres.inc_by(conclusion.won_by_postgres);
    }
    let oldest = events
        .iter()
        .filter(|event| !event.reread_only)
        .map(|event| event.received_at);
    if let Some(received_at) = oldest.min().filter(|_| written > 0) {
        let seconds = Timestamp::now().duration_since(received_at).as_secs_f64();
        let label = DirectionLabel::new("ToPostgres");
        metrics
            .apply_seconds
            .get_or_create(&label)
            .observe(seconds.max(0.0));
    }
}
