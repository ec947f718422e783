//! Controls of schemas: what a person does to the columns of a table.

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use crate::control::{ControlError, ControlResult, Controls};
use crate::properties::schema::{Property, find};
use crate::state::change::SchemaChange;
use crate::state::world::World;

impl Controls {
    /// Applies a schema change in the API's shape, with a person's rights (see `DataSourceSpec`).
    pub fn update_schema(
        &self,
        data_source: impl Into<Uuid>,
        properties: &Json,
    ) -> ControlResult<()> {
        let id = data_source.into();
        self.shared.with(|world| {
            let id = world.known_data_source(id)?;
            let empty = Map::new();
            let given = properties.as_object().unwrap_or(&empty);
            world.update_schema(id, given, true, world.person)?;
            Ok(())
        })
    }

    /// Adds a property.
    pub fn add_property(
        &self,
        data_source: impl Into<Uuid>,
        name: &str,
        configuration: Json,
    ) -> ControlResult<()> {
        self.update_schema(
            data_source,
            &Json::Object(Map::from_iter([(name.to_owned(), configuration)])),
        )
    }

    /// Renames a property, called by name or id. Its id stays.
    pub fn rename_property(
        &self,
        data_source: impl Into<Uuid>,
        property: &str,
        name: &str,
    ) -> ControlResult<()> {
        self.add_property(data_source, property, json!({"name": name}))
    }

    /// Gives a property another type; its id stays, values are converted where that is possible.
    pub fn retype_property(
        &self,
        data_source: impl Into<Uuid>,
        property: &str,
        configuration: Json,
    ) -> ControlResult<()> {
        self.add_property(data_source, property, configuration)
    }

    /// Deletes a property. Creating one of that name again gives it another id.
    pub fn delete_property(
        &self,
        data_source: impl Into<Uuid>,
        property: &str,
    ) -> ControlResult<()> {
        self.add_property(data_source, property, Json::Null)
    }

    /// The id of a property, as the API returns it.
    pub fn property_id(
        &self,
        data_source: impl Into<Uuid>,
        property: &str,
    ) -> ControlResult<String> {
        let id = data_source.into();
        self.shared
            .with(|world| Ok(world.known_property(id, property)?.encoded_id()))
    }

    /// Renames an option of a select, multi-select or status. Its id stays.
    pub fn rename_option(
        &self,
        data_source: impl Into<Uuid>,
        property: &str,
        option: &str,
        name: &str,
    ) -> ControlResult<()> {
        self.change_option(data_source.into(), property, option, |found, at| {
            name.clone_into(&mut found.options[at].name);
        })
    }

    /// Removes an option: pages that had it become empty, or lose it from their list.
    pub fn remove_option(
        &self,
        data_source: impl Into<Uuid>,
        property: &str,
        option: &str,
    ) -> ControlResult<()> {
        self.change_option(data_source.into(), property, option, |found, at| {
            found.options[at].deleted = true;
        })
    }

    fn change_option(
        &self,
        id: Uuid,
        property: &str,
        option: &str,
        change: impl FnOnce(&mut Property, usize),
    ) -> ControlResult<()> {
        self.shared.with(|world| {
            let found = world.known_property(id, property)?;
            let at = found
                .option_named(option)
                .ok_or_else(|| ControlError::new(format!("{property} has no option {option}")))?;
            change(found, usize::from(at));
            let changed = SchemaChange {
                id: found.encoded_id(),
                name: Some(found.name.clone()),
                action: "updated",
            };
            let (stamp, person) = (world.stamp(), world.person);
            if let Some(source) = world.data_sources.get_mut(&id) {
                source.edited_ms = stamp;
                source.edited_by = person;
            }
            world.note_data_source("data_source.schema_updated", id, person, vec![changed]);
            Ok(())
        })
    }

    /// A data source as the API shows it, whoever may see it.
    pub fn data_source(&self, data_source: impl Into<Uuid>) -> Json {
        let id = data_source.into();
        self.shared.with(|world| {
            crate::api::containers::show(world, id, crate::properties::read::Version::March2026)
        })
    }
}

impl World {
    fn known_property(&mut self, id: Uuid, property: &str) -> ControlResult<&mut Property> {
        let missing = || ControlError::new(format!("no property {property} in {id}"));
        let source = self.data_sources.get_mut(&id).ok_or_else(missing)?;
        let index = find(&source.properties, property).ok_or_else(missing)?;
        source
            .properties
            .get_mut(usize::from(index))
            .ok_or_else(missing)
    }
}
