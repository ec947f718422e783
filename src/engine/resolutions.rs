//! Conflicts that a person resolved.
//!
//! The page is read at once and both sides are compared as they are now: the choice says whose value
//! counts, not which value (`design/sync.md` §3).

use super::outbound::Outbound;
use super::{Engine, EngineError, Notion, PassReport, Store};
use crate::notion::Lane;
use crate::store::conflicts::BOTH_CHANGED;
use crate::sync::identity::PageId;

impl<N: Notion, S: Store> Engine<'_, N, S> {
    /// Brings the fields into step for which a person chose a side.
    pub(super) async fn settle_resolutions(
        &self,
        report: &mut PassReport,
    ) -> Result<(), EngineError> {
        let resolved = self.store.resolutions().await?;
        let mapped = |column: &str| {
            let mut fields = self.plan.fields.iter();
            fields.any(|field| field.column.name == column)
        };
        // A column that is stopped keeps its choice until it works again.
        let fields = resolved
            .iter()
            .filter(|conflict| conflict.kind == BOTH_CHANGED && mapped(&conflict.column));
        let mut pages: Vec<PageId> = fields.map(|conflict| conflict.page_id).collect();
        pages.sort_unstable();
        pages.dedup();
        let due = pages.into_iter().map(|page| Outbound {
            page,
            lane: Lane::Edit,
            committed_at: None,
        });
        let due: Vec<Outbound> = due.collect();
        self.push_all(&due, report).await.map(drop)
    }
}
