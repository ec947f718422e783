//! The envelope of a real event.

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use crate::clock::iso;
use crate::state::change::{Change, Detail};
use crate::webhook::subscription::Subscription;

/// An event on its way: one change, or several that were aggregated.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) entity: Uuid,
    pub(crate) entity_type: &'static str,
    pub(crate) at_ms: i64,
    pub(crate) authors: Vec<(Uuid, &'static str)>,
    pub(crate) parent: Json,
    pub(crate) detail: Detail,
}

/// Who sends.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub(crate) workspace: Uuid,
    pub(crate) workspace_name: String,
    pub(crate) subscription: Uuid,
    pub(crate) integration: Uuid,
    pub(crate) bot: Uuid,
}

impl Event {
    pub(crate) fn of(change: &Change, id: Uuid) -> Self {
        Self {
            id,
            kind: change.kind.to_owned(),
            entity: change.entity,
            entity_type: change.entity_type,
            at_ms: change.at_ms,
            authors: vec![(change.author, change.author_type)],
            parent: change.parent.clone(),
            detail: change.detail.clone(),
        }
    }

    /// Takes in a later change of the same kind and object.
    pub(crate) fn merge(&mut self, change: &Change) {
        self.at_ms = change.at_ms;
        let author = (change.author, change.author_type);
        if !self.authors.contains(&author) {
            self.authors.push(author);
        }
        self.parent = change.parent.clone();
        self.detail.merge(change.detail.clone());
    }

    /// The body of a delivery.
    pub(crate) fn envelope(
        &self,
        sender: &Sender,
        subscription: &Subscription,
        attempt: u32,
    ) -> Json {
        let mut data = Map::from_iter([("parent".to_owned(), self.parent.clone())]);
        self.detail.write_to(&mut data);
        let authors: Vec<Json> = self
            .authors
            .iter()
            .map(|(id, kind)| json!({"id": id, "type": kind}))
            .collect();
        let mut envelope = json!({
            "id": self.id,
            "timestamp": iso(self.at_ms),
            "workspace_id": sender.workspace,
            "workspace_name": sender.workspace_name,
            "subscription_id": sender.subscription,
            "integration_id": sender.integration,
            "type": self.kind,
            "authors": authors,
            "attempt_number": attempt,
            "api_version": subscription.api_version,
            "entity": {"id": self.entity, "type": self.entity_type},
            "data": data,
        });
        if subscription.accessible_by {
            envelope["accessible_by"] = json!([{"id": sender.bot, "type": "bot"}]);
        }
        if subscription.extra_fields {
            envelope["trace"] = json!({"shard": 7, "tags": ["x", null]});
            envelope["entity"]["revision"] = json!(3);
            envelope["data"]["undocumented"] = json!({"nested": [1, 2, 3]});
        }
        envelope
    }
}
