//! Captured changes in memory: what users do to rows is recorded as the triggers would, unless
//! capture is told to lose it.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{MemoryStore, Row, State, StoreCall};
use crate::store::{CapturedChange, ChangeKind, ChangeStore, KeyedRow, StoreError};
use crate::sync::identity::{PageId, RowKey};

/// One row of `notion_sync.changes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine::tests) struct Captured {
    pub(in crate::engine::tests) id: i64,
    pub(in crate::engine::tests) row_key: Option<RowKey>,
    pub(in crate::engine::tests) page_ids: Vec<PageId>,
    pub(in crate::engine::tests) kind: ChangeKind,
    pub(in crate::engine::tests) changed_at: Timestamp,
    pub(in crate::engine::tests) is_ours: bool,
}

impl MemoryStore {
    /// A user inserts a row.
    pub(in crate::engine::tests) fn user_inserts(
        &self,
        key: &str,
        page_id: Option<PageId>,
        values: &[Option<&str>],
    ) {
        self.insert(key, page_id, values);
        let now = self.clock.now();
        let key = RowKey(vec![key.to_owned()]);
        self.state()
            .capture(Some(key), page_id, ChangeKind::Upsert, now, false);
    }

    /// A user changes a row in any way; what matters to the binding is captured.
    pub(in crate::engine::tests) fn user_updates(&self, key: &str, edit: impl FnOnce(&mut Row)) {
        let now = self.clock.now();
        let mut state = self.state();
        let index = state.row_of(key);
        let before = state.rows[index].clone();
        edit(&mut state.rows[index]);
        let after = state.rows[index].clone();
        state.capture_update(&before, &after, now, false);
    }

    /// A user deletes a row.
    pub(in crate::engine::tests) fn user_deletes(&self, key: &str) {
        let now = self.clock.now();
        let mut state = self.state();
        let index = state.row_of(key);
        let row = state.rows.remove(index);
        state.capture(Some(row.key), row.page_id, ChangeKind::Delete, now, false);
    }

    /// A user empties the table.
    pub(in crate::engine::tests) fn user_truncates(&self) {
        let now = self.clock.now();
        let mut state = self.state();
        state.rows.clear();
        state.capture(None, None, ChangeKind::Truncate, now, false);
    }
}

impl State {
    /// When somebody else changed the row of a page last, of the changes that wait.
    pub(super) fn row_changed_at(&self, page: PageId) -> Option<Timestamp> {
        let theirs = self.changes.iter().filter(|change| !change.is_ours);
        let of_page = theirs.filter(|change| change.page_ids.contains(&page));
        of_page.map(|change| change.changed_at).max()
    }

    fn row_of(&self, key: &str) -> usize {
        let mut rows = self.rows.iter();
        let found = rows.position(|row| row.key.0 == [key]);
        found.unwrap_or_else(|| panic!("no row has the key {key}"))
    }

    /// Captures an update, as two changes where the key is another one.
    pub(super) fn capture_update(
        &mut self,
        before: &Row,
        after: &Row,
        now: Timestamp,
        is_ours: bool,
    ) {
        if before.key != after.key {
            let (old, new) = (before.key.clone(), after.key.clone());
            self.capture(Some(old), before.page_id, ChangeKind::Delete, now, is_ours);
            self.capture(Some(new), after.page_id, ChangeKind::Upsert, now, is_ours);
        } else if (&before.values, before.page_id) != (&after.values, after.page_id) {
            let key = after.key.clone();
            let pages = before.page_id.into_iter().chain(after.page_id);
            self.capture(Some(key), pages, ChangeKind::Upsert, now, is_ours);
        }
    }

    fn capture(
        &mut self,
        row_key: Option<RowKey>,
        page_ids: impl IntoIterator<Item = PageId>,
        kind: ChangeKind,
        changed_at: Timestamp,
        is_ours: bool,
    ) {
        if self.capture_is_lost {
            return;
        }
        self.last_change += 1;
        let mut page_ids: Vec<PageId> = page_ids.into_iter().collect();
        page_ids.dedup();
        self.changes.push(Captured {
            id: self.last_change,
            row_key,
            page_ids,
            kind,
            changed_at,
            is_ours,
        });
    }

    fn due_changes(&self, limit: usize) -> Vec<CapturedChange> {
        let mut due: Vec<CapturedChange> = Vec::new();
        for change in self.changes.iter().take(limit) {
            let known = due.iter().position(|one| one.row_key == change.row_key);
            let index = known.unwrap_or(due.len());
            if known.is_none() {
                due.push(CapturedChange {
                    ids: Vec::new(),
                    row_key: change.row_key.clone(),
                    page_ids: Vec::new(),
                    kind: change.kind,
                    changed_at: change.changed_at,
                    origin_is_ours: change.is_ours,
                });
            }
            let one = &mut due[index];
            one.ids.push(change.id);
            one.page_ids.extend(&change.page_ids);
            one.page_ids.sort_unstable();
            one.page_ids.dedup();
            one.kind = change.kind;
            one.changed_at = change.changed_at;
            one.origin_is_ours = change.is_ours;
        }
        due
    }
}

impl ChangeStore for MemoryStore {
    async fn due_changes(&self, limit: i64) -> Result<Vec<CapturedChange>, StoreError> {
        let _held = self.begin(StoreCall::DueChanges).await?;
        let due = self.state().due_changes(usize::try_from(limit).unwrap());
        self.end(&StoreCall::DueChanges).await?;
        Ok(due)
    }

    async fn settle_changes(&self, ids: &[i64]) -> Result<(), StoreError> {
        let call = StoreCall::SettleChanges(ids.to_vec());
        let _held = self.begin(call.clone()).await?;
        self.state()
            .changes
            .retain(|change| !ids.contains(&change.id));
        self.end(&call).await
    }

    async fn oldest_change(&self) -> Result<Option<Timestamp>, StoreError> {
        let _held = self.begin(StoreCall::OldestChange).await?;
        let oldest = self.state().changes.first().map(|change| change.changed_at);
        self.end(&StoreCall::OldestChange).await?;
        Ok(oldest)
    }

    async fn changes_waiting(&self) -> Result<i64, StoreError> {
        let _held = self.begin(StoreCall::ChangesWaiting).await?;
        let waiting = i64::try_from(self.state().changes.len()).unwrap();
        self.end(&StoreCall::ChangesWaiting).await?;
        Ok(waiting)
    }

    async fn read_rows(&self, keys: &[RowKey]) -> Result<Vec<KeyedRow>, StoreError> {
        let call = StoreCall::ReadRows(keys.to_vec());
        let _held = self.begin(call.clone()).await?;
        let wanted: HashSet<&RowKey> = keys.iter().collect();
        let found = {
            let state = self.state();
            let rows = state.rows.iter().filter(|row| wanted.contains(&row.key));
            let found = rows.map(|row| KeyedRow {
                asked: row.key.clone(),
                row: row.read(),
                page_id: row.page_id,
            });
            found.collect()
        };
        self.end(&call).await?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::World;
    use super::*;

    #[tokio::test]
    async fn users_edits_are_captured_unless_capture_is_lost() {
        let world = World::new();
        let store = &world.store;
        store.user_inserts("1", None, &[Some("a")]);
        store.user_updates("1", |row| row.values[0] = Some("b".into()));
        store.user_updates("1", |row| row.updated_at = None);
        store.user_inserts("2", None, &[None]);
        store.user_updates("2", |row| row.key = RowKey(vec!["3".into()]));
        let due = store.due_changes(100).await.unwrap();
        let seen: Vec<_> = due
            .iter()
            .map(|change| {
                (
                    change.row_key.clone().unwrap().0,
                    change.ids.len(),
                    change.kind,
                )
            })
            .collect();
        let key = |text: &str| vec![text.to_owned()];
        assert_eq!(
            seen,
            [
                (key("1"), 2, ChangeKind::Upsert),
                (key("2"), 2, ChangeKind::Delete),
                (key("3"), 1, ChangeKind::Upsert),
            ]
        );
        store.user_deletes("1");
        store.settle_changes(&due[0].ids).await.unwrap();
        assert_eq!(store.changes_waiting().await.unwrap(), 4);
        store.state().capture_is_lost = true;
        store.user_truncates();
        assert_eq!(store.changes_waiting().await.unwrap(), 4);
        assert!(store.oldest_change().await.unwrap().is_some());
        let keys = [RowKey(key("3"))];
        assert!(store.read_rows(&keys).await.unwrap().is_empty());
    }
}
