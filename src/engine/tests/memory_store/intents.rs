//! Intents in memory, with the same promises.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{MemoryStore, NotionAudit, State, StoreCall};
use crate::store::StoreError;
use crate::store::intents::{Intent, IntentState, IntentStore, NewIntent, REMEMBERED, Settlement};
use crate::sync::event::{InboxEvent, Outcome};
use crate::sync::identity::PageId;

impl IntentStore for MemoryStore {
    async fn intents(&self, pages: &[PageId]) -> Result<HashMap<PageId, Vec<Intent>>, StoreError> {
        let call = StoreCall::Intents(pages.to_vec());
        let _held = self.begin(call.clone()).await?;
        let now = self.clock.now();
        let mut found: HashMap<PageId, Vec<Intent>> = HashMap::new();
        for intent in &self.state().intents {
            let is_recent = intent
                .settled_at
                .is_none_or(|settled| now.duration_since(settled) < REMEMBERED);
            if let Some(page) = intent.intent.page_id.filter(|page| pages.contains(page))
                && is_recent
            {
                found.entry(page).or_default().push(intent.clone());
            }
        }
        self.end(&call).await?;
        Ok(found)
    }

    async fn unsettled(&self) -> Result<Vec<Intent>, StoreError> {
        let _held = self.begin(StoreCall::Unsettled).await?;
        let pending = {
            let state = self.state();
            let intents = state.intents.iter();
            let pending = intents.filter(|intent| intent.state == IntentState::Pending);
            pending.cloned().collect()
        };
        self.end(&StoreCall::Unsettled).await?;
        Ok(pending)
    }

    async fn begin_intent(&self, intent: &NewIntent) -> Result<i64, StoreError> {
        let call = StoreCall::BeginIntent(intent.page_id);
        let _held = self.begin(call.clone()).await?;
        let id = {
            let mut state = self.state();
            let id = i64::try_from(state.intents.len()).unwrap() + 1;
            state.intents.push(Intent {
                id,
                intent: intent.clone(),
                is_foreign: false,
                state: IntentState::Pending,
                settled_at: None,
            });
            id
        };
        self.end(&call).await?;
        Ok(id)
    }

    async fn sent_intent(&self, intent: i64, not_after: Timestamp) -> Result<(), StoreError> {
        let call = StoreCall::SentIntent(intent);
        let _held = self.begin(call.clone()).await?;
        self.state().intent(intent).intent.not_after = not_after;
        self.end(&call).await
    }

    async fn settle_intent(&self, settlement: &Settlement) -> Result<(), StoreError> {
        let call = StoreCall::SettleIntent(settlement.intent);
        let _held = self.begin(call.clone()).await?;
        let now = self.clock.now();
        self.state().settle(settlement, now);
        self.end(&call).await
    }

    async fn note_overwrites(&self, events: &[InboxEvent]) -> Result<u64, StoreError> {
        let call = StoreCall::NoteOverwrites(events.iter().map(|event| event.id).collect());
        let _held = self.begin(call.clone()).await?;
        self.end(&call).await?;
        Ok(0)
    }
}

impl State {
    fn intent(&mut self, id: i64) -> &mut Intent {
        let mut intents = self.intents.iter_mut();
        intents.find(|intent| intent.id == id).unwrap()
    }

    fn settle(&mut self, settlement: &Settlement, now: Timestamp) {
        let intent = self.intent(settlement.intent);
        assert_eq!(intent.state, IntentState::Pending, "settled twice");
        intent.state = settlement.state;
        intent.settled_at = Some(now);
        if settlement.is_certain {
            intent.intent.not_after = intent.intent.not_after.min(now);
        }
        let columns = settlement.settle.iter().map(|(column, _)| column.clone());
        self.close_resolved(settlement.page_id, &columns.collect::<Vec<_>>());
        if let Some(pair) = self.pairs.get_mut(&settlement.page_id)
            && pair.row_key == settlement.row_key
        {
            if !settlement.settle.is_empty() {
                pair.base.extend(settlement.settle.iter().cloned());
                pair.hash = None;
            }
            pair.own_edit = settlement.own_edit.or(pair.own_edit);
            pair.last_edited_seen = pair.last_edited_seen.max(settlement.last_edited);
        }
        if settlement.outcome != Outcome::Unchanged {
            self.sent.push(NotionAudit {
                page_id: settlement.page_id,
                outcome: settlement.outcome,
                reason: settlement.reason.clone(),
                changes: settlement.changes.clone(),
            });
        }
    }
}
