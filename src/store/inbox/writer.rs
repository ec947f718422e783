//! The writer: one batch, one statement, one commit.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, PgPool, Postgres, Row};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::row::{NewRow, insert};
use super::rule::Known;
use super::{Accepted, DEADLINE};
use crate::store::StoreError;
use crate::store::postgres::time::Moment;
use crate::sync::event::{Dialect, EventSubject, NewEvent};
use crate::sync::reason::Reason;

/// An event whose sender waits for the answer.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) owner: String,
    pub(super) event: NewEvent,
    pub(super) answer: oneshot::Sender<Result<Accepted, StoreError>>,
}

/// Events in one commit at most, and bytes of their bodies: a statement is built in memory.
const MAX_EVENTS: usize = 256;
const MAX_BYTES: usize = 4 << 20;

/// How long the writer keeps its connection without an event: while events come, none of them waits
/// for a connection to be prepared.
const KEEP: Duration = Duration::from_secs(2);

/// Stores what waits until the last [`super::Inbox`] is gone.
pub(super) async fn run(pool: PgPool, mut queue: mpsc::Receiver<Waiting>) {
    let mut writer = Writer {
        pool,
        connection: None,
    };
    let mut received = Vec::new();
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() {
            let next = queue.recv_many(&mut received, MAX_EVENTS);
            match tokio::time::timeout(KEEP, next).await {
                Ok(0) => return,
                Ok(_) => waiting.extend(received.drain(..)),
                Err(_) => {
                    writer.connection = None;
                    let next = queue.recv_many(&mut received, MAX_EVENTS).await;
                    if next == 0 {
                        return;
                    }
                    waiting.extend(received.drain(..));
                }
            }
        }
        let batch = take_batch(&mut waiting);
        if !batch.is_empty() {
            writer.store_and_answer(batch).await;
        }
    }
}

fn take_batch(waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
    let mut bytes = 0;
    let mut batch = Vec::new();
    while let Some(next) = waiting.pop_front() {
        // A sender that gave up sends again.
        if next.answer.is_closed() {
            continue;
        }
        bytes += next.event.body.len();
        batch.push(next);
        if bytes >= MAX_BYTES {
            break;
        }
    }
    batch
}

/// The writer and the connection that it holds while events come.
struct Writer {
    pool: PgPool,
    connection: Option<PoolConnection<Postgres>>,
}

impl Writer {
    async fn store_and_answer(&mut self, batch: Vec<Waiting>) {
        match self.store(&batch).await {
            Ok(accepted) => answer(batch, accepted.into_iter().map(Ok)),
            Err(error) if batch.len() > 1 && is_about_one_event(&error) => {
                for waiting in batch {
                    let one = [waiting];
                    let result = self.store(&one).await.map_err(refine);
                    let result = result.map(|accepted| accepted[0]);
                    answer(one, std::iter::once(result));
                }
            }
            Err(error) => {
                let sqlstate = sqlstate(&error);
                tracing::warn!(sqlstate, events = batch.len(), "events could not be stored");
                let error = refine(error);
                answer(batch, std::iter::repeat_with(|| Err(copy(&error))));
            }
        }
    }

    /// Stores a batch within the deadline, once more where another replica stood in the way.
    async fn store(&mut self, batch: &[Waiting]) -> Result<Vec<Accepted>, sqlx::Error> {
        match self.attempt(batch).await {
            Err(error) if is_collision(&error) => self.attempt(batch).await,
            // The connection that was kept died in the meantime. Had its last words been a commit,
            // the keys are known already: what is stored is stored once.
            Err(error) if is_broken(&error) && self.connection.take().is_some() => {
                self.attempt(batch).await
            }
            other => other,
        }
    }

    /// A connection that did not answer in time is closed: what became of its transaction is
    /// unknown, and it would make the next batch wait as well.
    async fn attempt(&mut self, batch: &[Waiting]) -> Result<Vec<Accepted>, sqlx::Error> {
        let work = async {
            let connection = match &mut self.connection {
                Some(connection) => connection,
                none => none.insert(self.pool.acquire().await?),
            };
            store_on(connection, batch).await
        };
        let done = tokio::time::timeout(DEADLINE, work).await;
        let Ok(result) = done else {
            if let Some(mut connection) = self.connection.take() {
                connection.close_on_drop();
            }
            return Err(sqlx::Error::PoolTimedOut);
        };
        result
    }
}

fn answer(
    batch: impl IntoIterator<Item = Waiting>,
    results: impl Iterator<Item = Result<Accepted, StoreError>>,
) {
    for (waiting, result) in batch.into_iter().zip(results) {
        // Nobody listens where the caller gave up in the meantime.
        let _ = waiting.answer.send(result);
    }
}

async fn store_on(
    connection: &mut PgConnection,
    batch: &[Waiting],
) -> Result<Vec<Accepted>, sqlx::Error> {
    let legacy = legacy_pages(batch);
    if legacy.is_empty() {
        // A statement of its own is a transaction of its own: no round trip more than needed.
        let rows = batch.iter().map(|waiting| NewRow::of(waiting, None));
        let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
        let inserted = insert(connection, &rows).await?;
        return Ok(outcomes(&rows, inserted));
    }
    let mut transaction = connection.begin().await?;
    let (now, mut known) = known(&mut transaction, &legacy).await?;
    let mut rows = Vec::with_capacity(batch.len());
    let mut rereads = Vec::new();
    for waiting in batch {
        let mut skip = None;
        if let Some(page) = legacy_page(&waiting.event) {
            let known = known.entry((waiting.owner.clone(), page)).or_default();
            skip = known.judge(waiting.event.occurred_at, now);
            if skip.is_some() {
                rereads.push(NewRow::reread(waiting, page, now)?);
            }
        }
        rows.push(NewRow::of(waiting, skip)?);
    }
    let events = rows.len();
    rows.append(&mut rereads);
    let inserted = insert(&mut transaction, &rows).await?;
    transaction.commit().await?;
    rows.truncate(events);
    Ok(outcomes(&rows, inserted))
}

fn outcomes(rows: &[NewRow], mut inserted: HashSet<(String, String)>) -> Vec<Accepted> {
    let outcome = |row: &NewRow| match row.skipped {
        Some(skip) => Accepted::Skipped(skip),
        // Taken out, so that the same key once more in this batch is the duplicate.
        None if inserted.remove(&(row.owner.clone(), row.key.clone())) => Accepted::Queued,
        None => Accepted::Duplicate,
    };
    rows.iter().map(outcome).collect()
}

fn legacy_page(event: &NewEvent) -> Option<Uuid> {
    match (event.dialect, &event.subject) {
        (Dialect::Legacy, EventSubject::Page(page)) => Some(page.0),
        _ => None,
    }
}

fn legacy_pages(batch: &[Waiting]) -> Vec<(String, Uuid)> {
    let pages = batch.iter().filter_map(|waiting| {
        let page = legacy_page(&waiting.event)?;
        Some((waiting.owner.clone(), page))
    });
    let pages: HashSet<_> = pages.collect();
    pages.into_iter().collect()
}

type KnownPages = HashMap<(String, Uuid), Known>;

/// What is known about these pages, and the database's time. The pages stay locked to the end of
/// the transaction, or two replicas could accept two events of one page at the same moment.
async fn known(
    connection: &mut PgConnection,
    pages: &[(String, Uuid)],
) -> Result<(Timestamp, KnownPages), sqlx::Error> {
    let owners: Vec<_> = pages.iter().map(|(owner, _)| owner.as_str()).collect();
    let ids: Vec<_> = pages.iter().map(|(_, page)| *page).collect();
    sqlx::query(
        "SELECT pg_catalog.pg_advisory_xact_lock(k) FROM (
             SELECT DISTINCT pg_catalog.hashtextextended(w.owner || '/' || w.page_id::text, 0) AS k
             FROM unnest($1::text[], $2::uuid[]) AS w (owner, page_id) ORDER BY 1) AS keys",
    )
    .bind(&owners)
    .bind(&ids)
    .execute(&mut *connection)
    .await?;
    let now: Moment = sqlx::query_scalar("SELECT pg_catalog.clock_timestamp()")
        .fetch_one(&mut *connection)
        .await?;
    let rows = sqlx::query(
        "SELECT w.owner, w.page_id, max(i.occurred_at), max(i.received_at)
         FROM unnest($1::text[], $2::uuid[]) AS w (owner, page_id)
         JOIN notion_sync.inbox AS i
           ON i.owner = w.owner AND i.page_id = w.page_id AND i.dialect = 'Legacy'
         WHERE i.skipped IS NULL AND NOT i.reread_only
         GROUP BY w.owner, w.page_id",
    )
    .bind(&owners)
    .bind(&ids)
    .fetch_all(connection)
    .await?;
    let mut known = KnownPages::new();
    for row in rows {
        let newest: Option<Moment> = row.try_get(2)?;
        let accepted_at: Option<Moment> = row.try_get(3)?;
        let about = Known {
            newest: newest.map(|moment| moment.0),
            accepted_at: accepted_at.map(|moment| moment.0),
        };
        known.insert((row.try_get(0)?, row.try_get(1)?), about);
    }
    Ok((now.0, known))
}

fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error
        .as_database_error()?
        .code()
        .map(std::borrow::Cow::into_owned)
}

/// Whether one event of a batch may be to blame: its values, not the server's state.
fn is_about_one_event(error: &sqlx::Error) -> bool {
    match sqlstate(error) {
        Some(code) => ["21", "22", "23", "54"]
            .iter()
            .any(|class| code.starts_with(class)),
        None => matches!(error, sqlx::Error::Encode(_)),
    }
}

/// Two replicas storing the same events in different order: one of them is to begin again.
fn is_collision(error: &sqlx::Error) -> bool {
    matches!(sqlstate(error).as_deref(), Some("40P01" | "40001"))
}

/// Whether the connection is of no more use.
fn is_broken(error: &sqlx::Error) -> bool {
    match sqlstate(error) {
        Some(code) => code.starts_with("57P") || code.starts_with("08"),
        None => matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_)),
    }
}

/// The receiver may run before the state schema exists.
fn refine(error: sqlx::Error) -> StoreError {
    match sqlstate(&error).as_deref() {
        Some("42P01" | "3F000") => StoreError::Refused {
            reason: Reason::StateSchemaMissing,
            remedy: "schema notion_sync does not exist yet; the binding's first pass creates it, \
                     or apply migrations/ by hand"
                .to_owned(),
            source: Some(error),
        },
        _ => error.into(),
    }
}

/// The same error for another caller of the batch. The log has its cause.
fn copy(error: &StoreError) -> StoreError {
    let source = || sqlx::Error::Protocol("the batch of this event failed".to_owned());
    match error {
        StoreError::Refused { reason, remedy, .. } => StoreError::Refused {
            reason: *reason,
            remedy: remedy.clone(),
            source: None,
        },
        StoreError::Unavailable(_) => StoreError::Unavailable(source()),
        _ => StoreError::Database(source()),
    }
}
