//! Choices for conflicts in memory: there is one for a page and a column, or none.

use super::{MemoryStore, State, StoreCall};
use crate::store::StoreError;
use crate::store::conflicts::{BOTH_CHANGED, Choice, ConflictStore, ResolvedConflict};
use crate::sync::drift::DriftKind;
use crate::sync::identity::PageId;
use crate::sync::side::{Resolutions, Side};

impl ConflictStore for MemoryStore {
    async fn resolutions(&self) -> Result<Vec<ResolvedConflict>, StoreError> {
        let _held = self.begin(StoreCall::Resolutions).await?;
        let found = {
            let state = self.state();
            let open = state
                .resolutions
                .iter()
                .filter_map(|((page, column), winner)| {
                    Some(ResolvedConflict {
                        id: 1,
                        page_id: *page,
                        row_key: state.pairs.get(page)?.row_key.clone(),
                        column: column.clone(),
                        kind: BOTH_CHANGED.to_owned(),
                        winner: *winner,
                    })
                });
            open.collect()
        };
        self.end(&StoreCall::Resolutions).await?;
        Ok(found)
    }

    async fn resolve(&self, choices: &[Choice]) -> Result<u64, StoreError> {
        let _held = self.begin(StoreCall::Resolve).await?;
        let mut taken = 0;
        for choice in choices {
            let (Choice::All(side) | Choice::One(_, side)) = choice;
            taken += self.state().choose(*side);
        }
        self.end(&StoreCall::Resolve).await?;
        Ok(taken)
    }
}

impl State {
    /// A person chooses a side for everything that waits.
    pub(in super::super) fn choose(&mut self, side: Side) -> u64 {
        let waiting = self.discrepancies.iter();
        let waiting = waiting.filter(|one| one.kind == DriftKind::Conflict);
        let waiting = waiting.filter_map(|one| Some((one.page_id?, one.column.clone()?)));
        let waiting: Vec<_> = waiting.collect();
        let taken = waiting.len() as u64;
        self.resolutions
            .extend(waiting.into_iter().map(|key| (key, side)));
        taken
    }

    pub(super) fn chosen(&self, page: PageId) -> Resolutions {
        let chosen = self.resolutions.iter().filter(|((of, _), _)| *of == page);
        let chosen = chosen.map(|((_, column), side)| (column.clone(), *side));
        chosen.collect()
    }

    pub(super) fn close_resolved(&mut self, page: PageId, columns: &[String]) {
        for column in columns {
            self.resolutions.remove(&(page, column.clone()));
        }
    }
}
