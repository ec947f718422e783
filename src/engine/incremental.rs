//! The incremental pass: what was edited since the watermark.
//!
//! An idle one costs one request to Notion and no write to either side (`DESIGN.md` §2,
//! principle 7).

use super::pages::Sighting;
use super::scan::MAX_RESTARTS;
use super::{Engine, EngineError, Notion, PassReport, Store};
use crate::notion::{Lane, NotionError, QueryRequest};
use crate::store::Progress;
use crate::sync::window::watermark;

impl<N: Notion, S: Store> Engine<'_, N, S> {
    /// Reads the pages edited since the watermark. A capped read moves nothing forward
    /// and asks for a complete scan instead; a refused cursor starts it again.
    pub(super) async fn read_edits(
        &self,
        progress: Progress,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        let Some(from) = progress.watermark else {
            report.complete_scan_due = true;
            return Ok(());
        };
        let started = self.now();
        let mut first_answer = None;
        let mut restarts = 0;
        let request = QueryRequest::edited_since(from);
        let mut request = request.filtered(self.filter.as_ref());
        loop {
            let source = self.plan.data_source;
            let query = self
                .notion
                .query(source, &request, &self.wanted, Lane::Background);
            let answer = match query.await {
                Ok(answer) => answer,
                Err(NotionError::CursorRejected) if restarts < MAX_RESTARTS => {
                    restarts += 1;
                    request.cursor = None;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            first_answer.get_or_insert(answer.server_date.unwrap_or(started));
            report.complete_scan_due |= answer.incomplete;
            let pages = answer.pages.into_iter();
            let sightings: Vec<_> = pages
                .map(|page| Sighting {
                    page,
                    events: Vec::new(),
                })
                .collect();
            if !sightings.is_empty() {
                self.handle(sightings, report).await?;
            }
            self.settle_waiting(report).await?;
            request.cursor = answer.next_cursor;
            if request.cursor.is_none() {
                break;
            }
        }
        // An incomplete pass does not move the watermark.
        if report.complete_scan_due || report.left_open > 0 {
            return Ok(());
        }
        let moved = Progress {
            watermark: Some(watermark(first_answer, started)),
            ..progress
        };
        self.save(&moved).await
    }
}
