//! What the receiver saw of each binding's webhook; only the leader turns it into status.

use std::time::Duration;

use jiff::Timestamp;

use super::Inbox;
use crate::store::StoreError;
use crate::store::postgres::text::without_nul;
use crate::store::postgres::time::Moment;

/// An arrival is noted at most this often: the time is shown to people.
pub(super) const NOTE_EVERY: Duration = Duration::from_secs(1);

/// What was seen of one binding's webhook.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipts {
    /// When the last event was stored.
    pub last_event_at: Option<Timestamp>,
    /// When the last event arrived whose signature verified.
    pub verified_at: Option<Timestamp>,
    /// When the last request was refused.
    pub last_rejection_at: Option<Timestamp>,
    /// Why.
    pub last_rejection_reason: Option<String>,
    /// How many were refused so far.
    pub rejections: i64,
}

impl Inbox {
    /// Notes that an event arrived, and whether its signature verified.
    pub async fn note_event(&self, owner: &str, verified: bool) -> Result<(), StoreError> {
        if self.is_noted(owner, verified) {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO notion_sync.receipts AS r (owner, last_event_at, verified_at)
             SELECT $1, n.at, CASE WHEN $2 THEN n.at END
             FROM (SELECT pg_catalog.clock_timestamp()) AS n (at)
             ON CONFLICT (owner) DO UPDATE SET
                 last_event_at = greatest(r.last_event_at, EXCLUDED.last_event_at),
                 verified_at = greatest(r.verified_at, EXCLUDED.verified_at)",
        )
        .bind(owner)
        .bind(verified)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Adds refused requests that were counted in memory; `at` is the time of the last.
    pub async fn note_rejections(
        &self,
        owner: &str,
        count: i64,
        reason: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO notion_sync.receipts AS r
                 (owner, rejections, last_rejection_reason, last_rejection_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (owner) DO UPDATE SET
                 rejections = r.rejections + EXCLUDED.rejections,
                 last_rejection_reason =
                     CASE WHEN r.last_rejection_at > EXCLUDED.last_rejection_at
                          THEN r.last_rejection_reason ELSE EXCLUDED.last_rejection_reason END,
                 last_rejection_at = greatest(r.last_rejection_at, EXCLUDED.last_rejection_at)",
        )
        .bind(owner)
        .bind(count)
        .bind(without_nul(reason))
        .bind(Moment(at))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What was seen so far; nothing is the default.
    pub async fn receipts(&self, owner: &str) -> Result<Receipts, StoreError> {
        type Row = (
            Option<Moment>,
            Option<Moment>,
            Option<Moment>,
            Option<String>,
            i64,
        );
        let row: Option<Row> = sqlx::query_as(
            "SELECT last_event_at, verified_at, last_rejection_at, last_rejection_reason, rejections
             FROM notion_sync.receipts WHERE owner = $1",
        )
        .bind(owner)
        .fetch_optional(&self.pool)
        .await?;
        let time = |moment: Option<Moment>| moment.map(|moment| moment.0);
        let receipts = row.map(|(event, verified, rejection, reason, count)| Receipts {
            last_event_at: time(event),
            verified_at: time(verified),
            last_rejection_at: time(rejection),
            last_rejection_reason: reason,
            rejections: count,
        });
        Ok(receipts.unwrap_or_default())
    }
}
