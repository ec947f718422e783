//! Pages: a list of states, of which all but the last are kept only while reads lag behind.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::properties::value::Value;

/// Where a page lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parent {
    DataSource(Uuid),
    Page(Uuid),
}

/// What a change of a page replaces.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) parent: Parent,
    pub(crate) in_trash: bool,
    pub(crate) is_archived: bool,
    pub(crate) is_locked: bool,
    /// As stored: down to the minute unless that is switched off.
    pub(crate) edited_ms: i64,
    pub(crate) edited_by: Uuid,
    /// Real milliseconds since the start at which this state began.
    pub(crate) applied_ms: u64,
    pub(crate) values: Vec<(u16, Value)>,
}

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) id: Uuid,
    pub(crate) created_ms: i64,
    pub(crate) created_by: Uuid,
    /// Real milliseconds since the start at which it was created.
    pub(crate) born_ms: u64,
    pub(crate) unique_number: u32,
    /// Deleted for good: exists for nobody.
    pub(crate) purged: bool,
    pub(crate) current: Arc<Snapshot>,
    /// Earlier states, oldest first.
    pub(crate) past: Vec<Arc<Snapshot>>,
}

impl Page {
    /// The state that held at a real time; `None` before the page's creation.
    pub(crate) fn as_of(&self, elapsed_ms: u64) -> Option<&Snapshot> {
        if self.purged || self.born_ms > elapsed_ms {
            return None;
        }
        if self.current.applied_ms <= elapsed_ms {
            return Some(&self.current);
        }
        let known = self
            .past
            .iter()
            .rev()
            .find(|past| past.applied_ms <= elapsed_ms);
        Some(known.or(self.past.first()).unwrap_or(&self.current))
    }

    /// Replaces the state. Keeps what a reader that lags by `keep_ms` may still have to see.
    pub(crate) fn replace(&mut self, next: Snapshot, keep_ms: u64) {
        let now = next.applied_ms;
        let previous = std::mem::replace(&mut self.current, Arc::new(next));
        if keep_ms == 0 {
            self.past = Vec::new();
            return;
        }
        self.past.push(previous);
        let horizon = now.saturating_sub(keep_ms);
        let needed = self
            .past
            .iter()
            .rposition(|past| past.applied_ms <= horizon)
            .unwrap_or(0);
        self.past.drain(..needed);
    }
}

impl Parent {
    /// As a webhook names it; `database_of` knows the database of a data source.
    pub(crate) fn in_event(self, database: Option<Uuid>) -> Json {
        match self {
            Self::DataSource(id) => {
                json!({"id": database.unwrap_or(id), "type": "database", "data_source_id": id})
            }
            Self::Page(id) => json!({"id": id, "type": "page"}),
        }
    }
}
