//! Changes of pages. Each stamps the page, moves it in the indexes and notes its event.

use std::sync::Arc;

use uuid::Uuid;

use crate::error::ApiError;
use crate::properties::kind::Kind;
use crate::properties::schema::{Choice, find, living};
use crate::properties::schema_write::any_color;
use crate::properties::value::{Value, set};
use crate::properties::write::{NewOption, Parsed};
use crate::state::change::Detail;
use crate::state::page::{Page, Parent, Snapshot};
use crate::state::world::World;

/// A page to create.
#[derive(Debug)]
pub(crate) struct NewPage {
    pub(crate) id: Option<Uuid>,
    pub(crate) parent: Parent,
    pub(crate) parsed: Parsed,
    /// `None` is now.
    pub(crate) created_ms: Option<i64>,
    /// `None` is the time of creation.
    pub(crate) edited_ms: Option<i64>,
    pub(crate) author: Uuid,
    /// Without an event: for filling a workspace.
    pub(crate) quiet: bool,
}

impl World {
    /// Adds the options that a write creates.
    fn add_options(&mut self, parent: Parent, new: &[NewOption]) {
        let Parent::DataSource(id) = parent else {
            return;
        };
        for option in new {
            let choice = Choice {
                id: self.random.uuid().to_string(),
                name: option.name.clone(),
                color: option
                    .color
                    .clone()
                    .unwrap_or_else(|| any_color(&mut self.random)),
                description: None,
                group: 0,
                deleted: false,
            };
            let source = self.data_sources.get_mut(&id);
            if let Some(property) =
                source.and_then(|source| source.properties.get_mut(usize::from(option.property)))
            {
                property.options.push(choice);
            }
        }
    }

    /// Creates a page. A status that is left out starts with its default.
    pub(crate) fn create_page(&mut self, new: NewPage) -> Result<u32, ApiError> {
        let id = new.id.unwrap_or_else(|| self.random.uuid());
        if self.slots.contains_key(&id) {
            return Err(ApiError::validation(format!(
                "A page with the id {id} exists already."
            )));
        }
        self.add_options(new.parent, &new.parsed.new_options);
        let mut values = self.default_values(new.parent);
        for (index, value) in new.parsed.values {
            set(&mut values, index, value);
        }
        values.shrink_to_fit();
        let created_ms = new
            .created_ms
            .map_or_else(|| self.stamp(), |ms| self.floored(ms));
        let edited_ms = new.edited_ms.map_or(created_ms, |ms| self.floored(ms));
        let page = Page {
            id,
            created_ms,
            created_by: new.author,
            born_ms: self.moment.elapsed_ms,
            unique_number: self.next_number(new.parent),
            purged: false,
            current: Arc::new(Snapshot {
                parent: new.parent,
                in_trash: false,
                is_archived: false,
                is_locked: false,
                edited_ms,
                edited_by: new.author,
                applied_ms: self.moment.elapsed_ms,
                values,
            }),
            past: Vec::new(),
        };
        let slot = self
            .insert_page(page)
            .ok_or_else(|| ApiError::new(500, "internal_server_error", "Too many pages."))?;
        self.follow_relations(slot, &[], new.author);
        if !new.quiet {
            self.note_page("page.created", slot, new.author, Detail::None);
        }
        Ok(slot)
    }

    fn default_values(&self, parent: Parent) -> Vec<(u16, Value)> {
        living(self.schema_of(parent))
            .filter(|(_, property)| property.kind == Kind::Status)
            .filter_map(|(index, property)| {
                let default = property
                    .default_option
                    .filter(|it| property.option(*it).is_some());
                default.map(|option| (index, Value::Choice(option)))
            })
            .collect()
    }

    fn next_number(&mut self, parent: Parent) -> u32 {
        let Parent::DataSource(id) = parent else {
            return 0;
        };
        self.data_sources.get_mut(&id).map_or(0, |source| {
            source.last_number += 1;
            source.last_number
        })
    }

    fn floored(&self, ms: i64) -> i64 {
        if self.switches.minute_times {
            crate::clock::floor_minute(ms)
        } else {
            ms
        }
    }

    /// Sets properties. A change of computed values only (formula, rollup) edits no page.
    pub(crate) fn edit_page(&mut self, slot: u32, parsed: Parsed, author: Uuid) {
        let parent = self.page(slot).current.parent;
        self.add_options(parent, &parsed.new_options);
        let before = self.page(slot).current.values.clone();
        let mut next = self.next_state(slot);
        let mut changed = Vec::new();
        let mut edits = parsed.values.is_empty();
        for (index, value) in parsed.values {
            let kind = &self.schema_of(parent)[usize::from(index)].kind;
            edits |= !kind.is_computed();
            if set(&mut next.values, index, value) {
                changed.push(index);
            }
        }
        if edits {
            self.stamp_edit(&mut next, author);
        }
        self.commit(slot, next);
        self.follow_relations(slot, &before, author);
        self.note_properties(slot, &changed, author);
    }

    /// Notes `page.properties_updated` for properties that are not computed.
    pub(crate) fn note_properties(&mut self, slot: u32, changed: &[u16], author: Uuid) {
        let schema = self.schema_of(self.page(slot).current.parent);
        let ids: Vec<String> = changed
            .iter()
            .map(|index| &schema[usize::from(*index)])
            .filter(|property| !property.kind.is_computed())
            .map(crate::properties::schema::Property::encoded_id)
            .collect();
        if !ids.is_empty() {
            self.note_page(
                "page.properties_updated",
                slot,
                author,
                Detail::Properties(ids),
            );
        }
    }

    /// A copy of a page's state, applied now.
    pub(crate) fn next_state(&self, slot: u32) -> Snapshot {
        let mut next = (*self.page(slot).current).clone();
        next.applied_ms = self.moment.elapsed_ms;
        next
    }

    /// Marks a state as edited now.
    pub(crate) fn stamp_edit(&self, state: &mut Snapshot, author: Uuid) {
        state.edited_ms = self.stamp();
        state.edited_by = author;
    }

    /// Changes flags of a page, and notes `kind` if that changed something.
    fn change_flags(
        &mut self,
        slot: u32,
        author: Uuid,
        kind: Option<&'static str>,
        change: impl FnOnce(&mut Snapshot),
    ) {
        let mut next = self.next_state(slot);
        change(&mut next);
        self.stamp_edit(&mut next, author);
        self.commit(slot, next);
        if let Some(kind) = kind {
            self.note_page(kind, slot, author, Detail::None);
        }
    }

    /// Moves a page to the trash or restores it.
    pub(crate) fn set_trash(&mut self, slot: u32, in_trash: bool, author: Uuid) {
        if self.page(slot).current.in_trash != in_trash {
            let kind = if in_trash {
                "page.deleted"
            } else {
                "page.undeleted"
            };
            self.change_flags(slot, author, Some(kind), |state| state.in_trash = in_trash);
        }
    }

    /// Archives a page (Notion's newer "Archive", not the trash) or takes it back.
    pub(crate) fn set_archived(&mut self, slot: u32, is_archived: bool, author: Uuid) {
        if self.page(slot).current.is_archived != is_archived {
            self.change_flags(slot, author, None, |state| state.is_archived = is_archived);
        }
    }

    pub(crate) fn set_locked(&mut self, slot: u32, is_locked: bool, author: Uuid) {
        if self.page(slot).current.is_locked != is_locked {
            let kind = if is_locked {
                "page.locked"
            } else {
                "page.unlocked"
            };
            self.change_flags(slot, author, Some(kind), |state| {
                state.is_locked = is_locked;
            });
        }
    }

    /// A change of the page's body, which no property shows but `last_edited_time`.
    pub(crate) fn edit_content(&mut self, slot: u32, author: Uuid) {
        let block = self.random.uuid();
        self.change_flags(slot, author, None, |_| {});
        self.note_page(
            "page.content_updated",
            slot,
            author,
            Detail::Blocks(vec![block]),
        );
    }

    /// Moves a page. Values follow where the new place has a property of that name and type.
    pub(crate) fn move_page(&mut self, slot: u32, parent: Parent, author: Uuid) {
        let mut next = self.next_state(slot);
        next.values = self.values_elsewhere(&next, parent);
        next.parent = parent;
        self.stamp_edit(&mut next, author);
        self.commit(slot, next);
        self.note_page("page.moved", slot, author, Detail::None);
    }

    fn values_elsewhere(&mut self, state: &Snapshot, parent: Parent) -> Vec<(u16, Value)> {
        let mut moved = self.default_values(parent);
        let from = self.schema_of(state.parent).to_vec();
        for (index, value) in &state.values {
            let property = &from[usize::from(*index)];
            let to = self.schema_of(parent);
            let target = if property.kind == Kind::Title {
                Some(crate::properties::read::title_index(to))
            } else {
                find(to, &property.name)
            };
            let Some(target) = target else { continue };
            if property.deleted || to[usize::from(target)].kind != property.kind {
                continue;
            }
            let value = match value {
                Value::Choice(option) => {
                    let name = property.option(*option).map(|option| option.name.clone());
                    let known = name.and_then(|name| to[usize::from(target)].option_named(&name));
                    known.map(Value::Choice)
                }
                Value::Choices(_) => None,
                other => Some(other.clone()),
            };
            set(&mut moved, target, value);
        }
        moved
    }

    /// Deletes a page for good.
    pub(crate) fn purge(&mut self, slot: u32) {
        self.unindex(slot);
        self.pages[slot as usize].purged = true;
    }
}
