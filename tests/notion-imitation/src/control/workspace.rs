//! Controls of the workspace: databases, data sources, pages, people.

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use crate::control::spec::{
    BulkSpec, DataSourceRef, DataSourceSpec, DatabaseSpec, EditSpec, PageSpec,
};
use crate::control::{ControlError, ControlResult, Controls};
use crate::properties::kind::Kind;
use crate::properties::read::{Version, View};
use crate::properties::write::{Parsed, WriteContext, parse};
use crate::state::data_source::{DataSource, Database};
use crate::state::edit::NewPage;
use crate::state::page::Parent;
use crate::state::people::User;
use crate::state::world::World;

impl Controls {
    /// Creates a database without data sources.
    pub fn create_database(&self, spec: DatabaseSpec) -> ControlResult<Uuid> {
        self.shared.with(|world| Ok(world.create_database(spec)))
    }

    /// Creates a data source with its schema, and its database if need be.
    pub fn create_data_source(&self, spec: DataSourceSpec) -> ControlResult<DataSourceRef> {
        self.shared.with(|world| world.create_data_source(spec))
    }

    /// Creates a page in a data source, as a person.
    pub fn create_page(
        &self,
        data_source: impl Into<Uuid>,
        properties: Json,
    ) -> ControlResult<Uuid> {
        self.add_page(&PageSpec {
            data_source: Some(data_source.into()),
            properties,
            ..PageSpec::default()
        })
    }

    /// Creates a page, with its id, times and author as wanted.
    pub fn add_page(&self, spec: &PageSpec) -> ControlResult<Uuid> {
        self.shared.with(|world| {
            let parent = match spec.data_source {
                Some(id) => Parent::DataSource(world.known_data_source(id)?),
                None => Parent::Page(world.root_page),
            };
            let parsed = world.parse_as_person(parent, &spec.properties)?;
            let slot = world.create_page(NewPage {
                id: spec.id,
                parent,
                parsed,
                created_ms: spec.created_time.map(jiff::Timestamp::as_millisecond),
                edited_ms: spec.last_edited_time.map(jiff::Timestamp::as_millisecond),
                author: spec.author.unwrap_or(world.person),
                quiet: spec.quiet,
            })?;
            Ok(world.page(slot).id)
        })
    }

    /// Creates many pages quickly, without webhooks. Gives their ids in order.
    pub fn bulk(&self, spec: &BulkSpec) -> ControlResult<Vec<Uuid>> {
        self.shared.with(|world| world.bulk(spec))
    }

    /// Edits properties of a page, as a person.
    pub fn edit(&self, page: Uuid, properties: Json) -> ControlResult<()> {
        self.edit_with(
            page,
            &EditSpec {
                properties,
                author: None,
            },
        )
    }

    /// Edits properties of a page, as a person of choice.
    pub fn edit_with(&self, page: Uuid, spec: &EditSpec) -> ControlResult<()> {
        self.shared.with(|world| {
            let slot = world.known_page(page)?;
            let parsed =
                world.parse_as_person(world.page(slot).current.parent, &spec.properties)?;
            world.edit_page(slot, parsed, spec.author.unwrap_or(world.person));
            Ok(())
        })
    }

    fn as_person(&self, page: Uuid, work: impl FnOnce(&mut World, u32, Uuid)) -> ControlResult<()> {
        self.shared.with(|world| {
            let slot = world.known_page(page)?;
            let person = world.person;
            work(world, slot, person);
            Ok(())
        })
    }

    /// Edits the page's body: only `last_edited_time` and an event show it.
    pub fn edit_content(&self, page: Uuid) -> ControlResult<()> {
        self.as_person(page, World::edit_content)
    }

    /// Moves a page to the trash.
    pub fn trash(&self, page: Uuid) -> ControlResult<()> {
        self.as_person(page, |world, slot, person| {
            world.set_trash(slot, true, person);
        })
    }

    /// Takes a page out of the trash.
    pub fn restore(&self, page: Uuid) -> ControlResult<()> {
        self.as_person(page, |world, slot, person| {
            world.set_trash(slot, false, person);
        })
    }

    /// Deletes a page for good: 404 from now on.
    pub fn purge(&self, page: Uuid) -> ControlResult<()> {
        self.as_person(page, |world, slot, _| world.purge(slot))
    }

    /// Archives a page or takes that back (not the trash).
    pub fn archive(&self, page: Uuid, archived: bool) -> ControlResult<()> {
        self.as_person(page, |world, slot, person| {
            world.set_archived(slot, archived, person);
        })
    }

    /// Locks or unlocks a page.
    pub fn lock(&self, page: Uuid, locked: bool) -> ControlResult<()> {
        self.as_person(page, |world, slot, person| {
            world.set_locked(slot, locked, person);
        })
    }

    /// Moves a page to another data source; `None` moves it out of all, under the root page.
    pub fn move_page(&self, page: Uuid, data_source: Option<Uuid>) -> ControlResult<()> {
        self.shared.with(|world| {
            let slot = world.known_page(page)?;
            let parent = match data_source {
                Some(id) => Parent::DataSource(world.known_data_source(id)?),
                None => Parent::Page(world.root_page),
            };
            world.move_page(slot, parent, world.person);
            Ok(())
        })
    }

    /// The true state of a page: uncut, without lag, whoever may see it.
    pub fn page(&self, page: Uuid) -> ControlResult<Json> {
        self.shared.with(|world| {
            let slot = world.known_page(page)?;
            let page = world.page(slot);
            let view = View {
                world,
                connection: None,
                version: Version::March2026,
            };
            Ok(view.page(page, &page.current, None))
        })
    }

    /// The ids of all pages of a data source, in no order, trashed and archived ones included.
    pub fn pages_of(&self, data_source: impl Into<Uuid>) -> Vec<Uuid> {
        let id = data_source.into();
        self.shared.with(|world| {
            let index = world.data_sources.get(&id).map(|source| &source.by_created);
            index
                .into_iter()
                .flatten()
                .map(|(_, _, slot)| world.page(*slot).id)
                .collect()
        })
    }

    /// Adds a person.
    pub fn add_person(&self, name: &str, email: &str) -> Uuid {
        self.shared.with(|world| {
            let id = world.random.uuid();
            let user = User {
                id,
                name: name.to_owned(),
                email: Some(email.to_owned()),
            };
            world.users.insert(id, user);
            id
        })
    }

    /// The person who makes control edits where none is named.
    pub fn person(&self) -> Uuid {
        self.shared.with(|world| world.person)
    }

    /// Moves a data source to the trash or restores it.
    pub fn trash_data_source(
        &self,
        data_source: impl Into<Uuid>,
        trashed: bool,
    ) -> ControlResult<()> {
        let id = data_source.into();
        self.shared.with(|world| {
            let id = world.known_data_source(id)?;
            world.set_data_source_trash(id, trashed, world.person);
            Ok(())
        })
    }

    /// Moves a database with all its data sources to the trash or restores it.
    pub fn trash_database(&self, database: Uuid, trashed: bool) -> ControlResult<()> {
        self.shared.with(|world| {
            let person = world.person;
            let now_ms = world.moment.now_ms;
            let found = world
                .databases
                .get_mut(&database)
                .ok_or_else(|| ControlError::new(format!("no database {database}")))?;
            found.in_trash = trashed;
            found.edited_ms = now_ms;
            let kind = if trashed {
                "database.deleted"
            } else {
                "database.undeleted"
            };
            world.note_database(kind, database, person);
            Ok(())
        })
    }
}

impl World {
    pub(crate) fn known_page(&self, id: Uuid) -> ControlResult<u32> {
        self.slot(id)
            .ok_or_else(|| ControlError::new(format!("no page {id}")))
    }

    pub(crate) fn known_data_source(&self, id: Uuid) -> ControlResult<Uuid> {
        if self.data_sources.contains_key(&id) {
            Ok(id)
        } else {
            Err(ControlError::new(format!("no data source {id}")))
        }
    }

    fn parse_as_person(&self, parent: Parent, properties: &Json) -> ControlResult<Parsed> {
        let empty = Map::new();
        let given = properties.as_object().unwrap_or(&empty);
        let context = WriteContext {
            world: self,
            connection: None,
        };
        Ok(parse(&context, self.schema_of(parent), given)?)
    }

    fn create_database(&mut self, spec: DatabaseSpec) -> Uuid {
        let id = spec.id.unwrap_or_else(|| self.random.uuid());
        let database = Database {
            title: spec.title,
            parent_page: self.root_page,
            data_sources: Vec::new(),
            in_trash: false,
            created_ms: self.moment.now_ms,
            edited_ms: self.moment.now_ms,
        };
        self.databases.insert(id, database);
        self.note_database("database.created", id, self.person);
        id
    }

    fn create_data_source(&mut self, spec: DataSourceSpec) -> ControlResult<DataSourceRef> {
        let id = spec.id.unwrap_or_else(|| self.random.uuid());
        let mut given = spec.properties.as_object().cloned().unwrap_or_default();
        let titled = given.iter().find(|(_, config)| {
            crate::properties::schema_write::kind_of(config) == Some(Kind::Title)
        });
        let title = titled.map_or_else(|| "Name".to_owned(), |(name, _)| name.clone());
        given.remove(&title);
        let database = match spec.database {
            Some(database) if self.databases.contains_key(&database) => database,
            Some(database) => return Err(ControlError::new(format!("no database {database}"))),
            None => self.create_database(DatabaseSpec {
                id: None,
                title: spec.title.clone(),
            }),
        };
        let stamp = self.stamp();
        let source = DataSource {
            id,
            database,
            title: spec.title,
            description: String::new(),
            properties: vec![crate::properties::schema::Property::title(&title)],
            in_trash: false,
            created_ms: stamp,
            edited_ms: stamp,
            created_by: self.person,
            edited_by: self.person,
            last_number: 0,
            by_created: std::collections::BTreeSet::new(),
            by_edited: std::collections::BTreeSet::new(),
        };
        self.data_sources.insert(id, source);
        if let Some(known) = self.databases.get_mut(&database) {
            known.data_sources.push(id);
        }
        // Relations first: rollups name them.
        let (plain, rollups): (Map<_, _>, Map<_, _>) = given
            .into_iter()
            .partition(|(_, config)| config.get("rollup").is_none());
        let noted = self.changes.len();
        self.update_schema(id, &plain, true, self.person)?;
        self.update_schema(id, &rollups, true, self.person)?;
        self.changes.truncate(noted);
        self.note_data_source("data_source.created", id, self.person, Vec::new());
        Ok(DataSourceRef { id, database })
    }

    fn bulk(&mut self, spec: &BulkSpec) -> ControlResult<Vec<Uuid>> {
        let parent = Parent::DataSource(self.known_data_source(spec.data_source)?);
        let start = spec
            .created_time
            .map_or(self.moment.now_ms, jiff::Timestamp::as_millisecond);
        let mut ids = Vec::with_capacity(spec.count as usize);
        for step in 0..spec.count {
            let properties = numbered(&spec.properties, spec.first + step);
            let parsed = self.parse_as_person(parent, &properties)?;
            let slot = self.create_page(NewPage {
                id: None,
                parent,
                parsed,
                created_ms: Some(start + i64::from(step) * spec.step_ms),
                edited_ms: None,
                author: self.person,
                quiet: true,
            })?;
            ids.push(self.page(slot).id);
        }
        Ok(ids)
    }
}

/// A template with a page's number put in.
fn numbered(template: &Json, number: u32) -> Json {
    match template {
        Json::String(text) if text == "{n}" => json!(number.to_string()),
        Json::String(text) => json!(text.replace("{n}", &number.to_string())),
        Json::Array(items) => items.iter().map(|item| numbered(item, number)).collect(),
        Json::Object(fields) => Json::Object(
            fields
                .iter()
                .map(|(key, value)| {
                    let value = match value.as_str() {
                        Some("{n}") if key == "number" => json!(number),
                        _ => numbered(value, number),
                    };
                    (key.clone(), value)
                })
                .collect(),
        ),
        other => other.clone(),
    }
}
