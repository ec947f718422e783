//! Tells the failure of one page from the failure of a side.
//!
//! One bad object never stops the rest (`DESIGN.md` §2, principle 6): a page that cannot be read is
//! passed by. Several in a row raise the question whether Notion answers at all, and the data
//! source itself decides it.

use jiff::{SignedDuration, Timestamp};

use super::{Engine, EngineError, Notion, PassReport, Store};
use crate::notion::NotionError;
use crate::sync::event::InboxEvent;
use crate::sync::identity::PageId;
use crate::sync::reason::Reason;

/// After this many failed reads in a row the data source is asked for.
const SUSPICIOUS: u32 = 3;
/// How long a page whose read or write failed waits, by the number of failures before.
const RETRIES: [i64; 5] = [5, 15, 60, 120, 300];

impl<N: Notion, S: Store> Engine<'_, N, S> {
    /// Passes by a page that cannot be read, unless it is Notion that cannot be read.
    pub(super) async fn pass_by(
        &self,
        id: PageId,
        error: &NotionError,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        tracing::warn!(binding.name = %self.plan.binding.binding, page.id = %id, error = %error,
            "a page cannot be read now; it is passed by");
        report.failed_reads += 1;
        if concerns_the_token(error) || report.failed_reads >= SUSPICIOUS {
            self.notion.data_source(self.plan.data_source).await?;
            report.failed_reads = 0;
        }
        Ok(())
    }

    /// Leaves a page open: its events are put off, or the watermark stays before it.
    pub(super) async fn leave_open(
        &self,
        events: &[InboxEvent],
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        if events.is_empty() {
            report.retries_due += 1;
            report.left_open += 1;
            return Ok(());
        }
        self.put_off(events, retry_delay(events), report).await
    }

    /// Puts events off; each counts one more attempt.
    pub(super) async fn put_off(
        &self,
        events: &[InboxEvent],
        seconds: i64,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
        let until = self
            .now()
            .saturating_add(SignedDuration::from_secs(seconds));
        let until = until.unwrap_or(Timestamp::MAX);
        report.retries_due += 1;
        Ok(self.store.defer_events(&ids, until, true).await?)
    }
}

/// Whether handling these events has failed so often that they end as failed.
pub(super) fn is_exhausted(events: &[InboxEvent]) -> bool {
    attempts(events) >= RETRIES.len()
}

/// How long events wait whose page could not be read or written.
fn retry_delay(events: &[InboxEvent]) -> i64 {
    RETRIES[attempts(events).min(RETRIES.len() - 1)]
}

fn attempts(events: &[InboxEvent]) -> usize {
    let most = events.iter().map(|event| event.attempts).max();
    usize::try_from(most.unwrap_or_default()).unwrap_or_default()
}

/// Whether Notion refused the token rather than the page.
pub(super) fn concerns_the_token(error: &NotionError) -> bool {
    matches!(
        error.reason(),
        Reason::NotionUnauthorized | Reason::NotionForbidden
    )
}
