//! The whole workspace, behind one lock.
//!
//! Its methods are called with the moment and the switches of the call already set, and leave the
//! events they caused in `changes`; `crate::shared` takes them from there to the webhooks.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use crate::clock::floor_minute;
use crate::options::Switches;
use crate::properties::schema::Property;
use crate::query::Session;
use crate::random::{Random, mix};
use crate::state::change::{Change, Detail, SchemaChange, Scope};
use crate::state::connection::Connection;
use crate::state::data_source::{DataSource, Database, IndexKey};
use crate::state::page::{Page, Parent, Snapshot};
use crate::state::people::User;

/// Virtual and real time of a call.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moment {
    /// Virtual milliseconds since 1970.
    pub(crate) now_ms: i64,
    /// Real milliseconds since the start.
    pub(crate) elapsed_ms: u64,
}

/// The workspace.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) random: Random,
    pub(crate) workspace: Uuid,
    pub(crate) workspace_name: String,
    /// Token of the connection that the server started with.
    pub(crate) first_token: String,
    /// By token.
    pub(crate) connections: BTreeMap<String, Arc<Connection>>,
    pub(crate) users: HashMap<Uuid, User>,
    pub(crate) databases: BTreeMap<Uuid, Database>,
    pub(crate) data_sources: BTreeMap<Uuid, DataSource>,
    pub(crate) pages: Vec<Page>,
    pub(crate) slots: HashMap<Uuid, u32>,
    /// The properties of pages outside of data sources.
    pub(crate) bare_schema: Vec<Property>,
    /// The root page under which databases are created.
    pub(crate) root_page: Uuid,
    /// The person who makes control edits where none is named.
    pub(crate) person: Uuid,
    /// Real time at which the query index was frozen.
    pub(crate) frozen_ms: Option<u64>,
    pub(crate) changes: Vec<Change>,
    /// Paginations of queries that go on.
    pub(crate) sessions: VecDeque<Session>,
    pub(crate) moment: Moment,
    pub(crate) switches: Arc<Switches>,
}

impl World {
    /// An empty workspace with one person.
    pub(crate) fn new(seed: u64, workspace_name: &str, switches: Arc<Switches>) -> Self {
        let mut random = Random::new(seed);
        let workspace = random.uuid();
        let root_page = random.uuid();
        let person = random.uuid();
        let user = User {
            id: person,
            name: "Ada Person".to_owned(),
            email: Some("ada@example.com".to_owned()),
        };
        Self {
            seed,
            random,
            workspace,
            workspace_name: workspace_name.to_owned(),
            first_token: String::new(),
            connections: BTreeMap::new(),
            users: HashMap::from([(person, user)]),
            databases: BTreeMap::new(),
            data_sources: BTreeMap::new(),
            pages: Vec::new(),
            slots: HashMap::new(),
            bare_schema: vec![Property::title("title")],
            root_page,
            person,
            frozen_ms: None,
            changes: Vec::new(),
            sessions: VecDeque::new(),
            moment: Moment::default(),
            switches,
        }
    }

    /// The time that is stored for something that happens now.
    pub(crate) fn stamp(&self) -> i64 {
        if self.switches.minute_times {
            floor_minute(self.moment.now_ms)
        } else {
            self.moment.now_ms
        }
    }

    /// The page's slot, unless it was purged.
    pub(crate) fn slot(&self, id: Uuid) -> Option<u32> {
        self.slots
            .get(&id)
            .copied()
            .filter(|slot| !self.page(*slot).purged)
    }

    /// A page by slot. Slots come from this world only, hence are always there.
    pub(crate) fn page(&self, slot: u32) -> &Page {
        &self.pages[slot as usize]
    }

    /// The schema that rules a page's values.
    pub(crate) fn schema_of(&self, parent: Parent) -> &[Property] {
        match parent {
            Parent::DataSource(id) => self
                .data_sources
                .get(&id)
                .map_or(&[], |source| source.properties.as_slice()),
            Parent::Page(_) => &self.bare_schema,
        }
    }

    fn key(&self, slot: u32, ms: i64) -> IndexKey {
        let tie = mix(self.seed, u64::from(slot)) & 0xffff_ffff;
        (ms, u32::try_from(tie).unwrap_or(0), slot)
    }

    /// Adds a page and indexes it.
    pub(crate) fn insert_page(&mut self, page: Page) -> Option<u32> {
        let slot = u32::try_from(self.pages.len()).ok()?;
        let (created, edited) = (
            self.key(slot, page.created_ms),
            self.key(slot, page.current.edited_ms),
        );
        if let Parent::DataSource(id) = page.current.parent
            && let Some(source) = self.data_sources.get_mut(&id)
        {
            source.by_created.insert(created);
            source.by_edited.insert(edited);
        }
        self.slots.insert(page.id, slot);
        self.pages.push(page);
        Some(slot)
    }

    /// Replaces a page's state and moves it in the indexes.
    pub(crate) fn commit(&mut self, slot: u32, next: Snapshot) {
        self.unindex(slot);
        let keep_ms = if self.frozen_ms.is_some() {
            u64::MAX
        } else {
            self.switches.query_lag_ms.max(self.switches.get_lag_ms)
        };
        let (created, edited) = (
            self.key(slot, self.page(slot).created_ms),
            self.key(slot, next.edited_ms),
        );
        let parent = next.parent;
        self.pages[slot as usize].replace(next, keep_ms);
        if let Parent::DataSource(id) = parent
            && let Some(source) = self.data_sources.get_mut(&id)
        {
            source.by_created.insert(created);
            source.by_edited.insert(edited);
        }
    }

    /// Takes a page out of the indexes of its data source.
    pub(crate) fn unindex(&mut self, slot: u32) {
        let page = self.page(slot);
        let (created, edited) = (
            self.key(slot, page.created_ms),
            self.key(slot, page.current.edited_ms),
        );
        if let Parent::DataSource(id) = page.current.parent
            && let Some(source) = self.data_sources.get_mut(&id)
        {
            source.by_created.remove(&created);
            source.by_edited.remove(&edited);
        }
    }

    fn author_type(&self, author: Uuid) -> &'static str {
        self.users.get(&author).map_or("person", User::kind)
    }

    /// Notes an event about a page.
    pub(crate) fn note_page(
        &mut self,
        kind: &'static str,
        slot: u32,
        author: Uuid,
        detail: Detail,
    ) {
        let (entity, parent) = (self.page(slot).id, self.page(slot).current.parent);
        let database = match parent {
            Parent::DataSource(id) => self.data_sources.get(&id).map(|source| source.database),
            Parent::Page(_) => None,
        };
        self.changes.push(Change {
            kind,
            entity,
            entity_type: "page",
            at_ms: self.moment.now_ms,
            author,
            author_type: self.author_type(author),
            parent: parent.in_event(database),
            scope: Scope::Page(entity, parent),
            detail,
        });
    }

    /// Notes an event about a data source.
    pub(crate) fn note_data_source(
        &mut self,
        kind: &'static str,
        id: Uuid,
        author: Uuid,
        schema: Vec<SchemaChange>,
    ) {
        let database = self
            .data_sources
            .get(&id)
            .map_or(id, |source| source.database);
        let detail = if schema.is_empty() {
            Detail::None
        } else {
            Detail::Schema(schema)
        };
        self.changes.push(Change {
            kind,
            entity: id,
            entity_type: "data_source",
            at_ms: self.moment.now_ms,
            author,
            author_type: self.author_type(author),
            parent: serde_json::json!({"id": database, "type": "database"}),
            scope: Scope::DataSource(id),
            detail,
        });
    }

    /// Notes an event about a database.
    pub(crate) fn note_database(&mut self, kind: &'static str, id: Uuid, author: Uuid) {
        let page = self
            .databases
            .get(&id)
            .map_or(self.root_page, |database| database.parent_page);
        self.changes.push(Change {
            kind,
            entity: id,
            entity_type: "database",
            at_ms: self.moment.now_ms,
            author,
            author_type: self.author_type(author),
            parent: serde_json::json!({"id": page, "type": "page"}),
            scope: Scope::Database(id),
            detail: Detail::None,
        });
    }
}
