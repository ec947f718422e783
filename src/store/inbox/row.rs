//! A row of the inbox as it is inserted.

use std::collections::HashSet;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::rule::reread_at;
use super::writer::Waiting;
use crate::store::postgres::text::{json, without_nul, word};
use crate::store::postgres::time::Moment;
use crate::sync::event::{EventSubject, Skip};
use crate::sync::identity::PageId;

/// Longer keys do not fit into an index entry and are replaced by their hash.
const MAX_KEY: usize = 512;

/// One row to insert.
#[derive(Debug)]
pub(super) struct NewRow {
    pub(super) owner: String,
    pub(super) key: String,
    pub(super) skipped: Option<Skip>,
    dialect: String,
    event_type: String,
    subject: String,
    page_id: Option<Uuid>,
    data_source: Option<Uuid>,
    occurred_at: Option<Moment>,
    authenticated: bool,
    authors: String,
    body: String,
    reread_only: bool,
    not_before: Option<Moment>,
}

impl NewRow {
    /// The row of an event.
    pub(super) fn of(waiting: &Waiting, skipped: Option<Skip>) -> Result<Self, sqlx::Error> {
        let event = &waiting.event;
        let page = match &event.subject {
            EventSubject::Page(page) => Some(page.0),
            _ => None,
        };
        Ok(Self {
            owner: waiting.owner.clone(),
            key: fitting(without_nul(&event.dedupe_key).into_owned()),
            skipped,
            dialect: word(&event.dialect).map_err(encode)?,
            event_type: without_nul(&event.event_type).into_owned(),
            subject: json(&event.subject).map_err(encode)?,
            page_id: page,
            data_source: event.data_source.map(|id| id.0),
            occurred_at: Moment::some(event.occurred_at),
            authenticated: event.authenticated,
            authors: json(&event.authors).map_err(encode)?,
            body: without_nul(&event.body).into_owned(),
            reread_only: false,
            not_before: None,
        })
    }

    /// The read of a skipped event's page when the minute is over; one for each page and minute.
    pub(super) fn reread(
        waiting: &Waiting,
        page: Uuid,
        now: Timestamp,
    ) -> Result<Self, sqlx::Error> {
        let at = reread_at(waiting.event.occurred_at, now);
        Ok(Self {
            owner: waiting.owner.clone(),
            key: format!("reread:{page}:{}", at.as_second() / 60 - 1),
            skipped: None,
            dialect: word(&waiting.event.dialect).map_err(encode)?,
            event_type: String::new(),
            subject: json(&EventSubject::Page(PageId(page))).map_err(encode)?,
            page_id: Some(page),
            data_source: None,
            occurred_at: None,
            authenticated: false,
            authors: "[]".to_owned(),
            body: String::new(),
            reread_only: true,
            not_before: Some(Moment(at)),
        })
    }
}

fn encode(error: serde_json::Error) -> sqlx::Error {
    sqlx::Error::Encode(error.into())
}

fn fitting(key: String) -> String {
    if key.len() <= MAX_KEY {
        return key;
    }
    format!("sha256:{}", hex::encode(Sha256::digest(key.as_bytes())))
}

/// Inserts rows whose keys are unknown; the answer holds owner and key of these.
pub(super) async fn insert(
    connection: &mut PgConnection,
    rows: &[NewRow],
) -> Result<HashSet<(String, String)>, sqlx::Error> {
    fn column<'a, T>(rows: &'a [NewRow], of: impl Fn(&'a NewRow) -> T) -> Vec<T> {
        rows.iter().map(of).collect()
    }
    let skipped = column(rows, |row| row.skipped.map(|skip| word(&skip)).transpose());
    let skipped: Vec<_> = skipped
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(encode)?;
    let inserted: Vec<(String, String)> = sqlx::query_as(
        "INSERT INTO notion_sync.inbox
             (owner, dedupe_key, dialect, event_type, subject, page_id, data_source_id, occurred_at,
              authenticated, authors, body, skipped, reread_only, not_before)
         SELECT u.owner, u.dedupe_key, u.dialect, u.event_type, u.subject::jsonb, u.page_id,
                u.data_source_id, u.occurred_at, u.authenticated, u.authors::jsonb, u.body,
                u.skipped, u.reread_only, coalesce(u.not_before, pg_catalog.clock_timestamp())
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[],
                     $7::uuid[], $8::timestamptz[], $9::boolean[], $10::text[], $11::text[],
                     $12::text[], $13::boolean[], $14::timestamptz[])
              AS u (owner, dedupe_key, dialect, event_type, subject, page_id, data_source_id,
                    occurred_at, authenticated, authors, body, skipped, reread_only, not_before)
         ON CONFLICT (owner, dedupe_key) DO NOTHING
         RETURNING owner, dedupe_key",
    )
    .bind(column(rows, |row| row.owner.as_str()))
    .bind(column(rows, |row| row.key.as_str()))
    .bind(column(rows, |row| row.dialect.as_str()))
    .bind(column(rows, |row| row.event_type.as_str()))
    .bind(column(rows, |row| row.subject.as_str()))
    .bind(column(rows, |row| row.page_id))
    .bind(column(rows, |row| row.data_source))
    .bind(column(rows, |row| row.occurred_at))
    .bind(column(rows, |row| row.authenticated))
    .bind(column(rows, |row| row.authors.as_str()))
    .bind(column(rows, |row| row.body.as_str()))
    .bind(skipped)
    .bind(column(rows, |row| row.reread_only))
    .bind(column(rows, |row| row.not_before))
    .fetch_all(connection)
    .await?;
    Ok(inserted.into_iter().collect())
}
