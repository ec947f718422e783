//! Changes of a data source's schema, all or nothing.

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::error::ApiError;
use crate::properties::convert::convert;
use crate::properties::kind::Kind;
use crate::properties::schema::{Property, find};
use crate::properties::schema_write::{build, configure, kind_of};
use crate::properties::value::{Value, set};
use crate::random::Random;
use crate::state::change::SchemaChange;
use crate::state::world::World;

/// A schema while it is being changed.
struct Draft {
    properties: Vec<Property>,
    changes: Vec<SchemaChange>,
    /// Indexes whose type changed, with the property as it was.
    retyped: Vec<(u16, Property)>,
    random: Random,
    control: bool,
}

impl World {
    /// Applies `{"<name or id>": configuration or null}`. `control` is a person, who may do more.
    pub(crate) fn update_schema(
        &mut self,
        source: Uuid,
        given: &Map<String, Json>,
        control: bool,
        author: Uuid,
    ) -> Result<(), ApiError> {
        let Some(known) = self.data_sources.get(&source) else {
            return Ok(());
        };
        let mut draft = Draft {
            properties: known.properties.clone(),
            changes: Vec::new(),
            retyped: Vec::new(),
            random: self.random.clone(),
            control,
        };
        for (key, configuration) in given {
            draft.apply(key, configuration)?;
        }
        let living = draft
            .properties
            .iter()
            .filter(|property| !property.deleted)
            .count();
        if !control && living > 500 {
            return Err(ApiError::validation(
                "A data source can have at most 500 properties.",
            ));
        }
        self.random = draft.random;
        let stamp = self.stamp();
        if let Some(known) = self.data_sources.get_mut(&source) {
            known.properties = draft.properties;
            known.edited_ms = stamp;
            known.edited_by = author;
        }
        for (index, before) in &draft.retyped {
            self.convert_values(source, *index, before);
        }
        for change in draft
            .changes
            .iter()
            .filter(|change| change.action == "created")
        {
            self.pair_relation(source, &crate::ids::decode(&change.id));
        }
        if !draft.changes.is_empty() {
            self.note_data_source("data_source.schema_updated", source, author, draft.changes);
        }
        Ok(())
    }

    fn convert_values(&mut self, source: Uuid, index: u16, before: &Property) {
        let Some(known) = self.data_sources.get(&source) else {
            return;
        };
        let after = known.properties[usize::from(index)].clone();
        let slots: Vec<u32> = known.by_created.iter().map(|(_, _, slot)| *slot).collect();
        for slot in slots {
            let mut next = self.next_state(slot);
            let old: Option<Value> = next
                .values
                .iter()
                .find(|(at, _)| *at == index)
                .map(|(_, value)| value.clone());
            if let Some(old) = old {
                set(&mut next.values, index, convert(&old, before, &after));
                self.commit(slot, next);
            }
        }
    }
}

impl Draft {
    fn note(&mut self, index: usize, action: &'static str) {
        let property = &self.properties[index];
        let name = (!property.deleted).then(|| property.name.clone());
        self.changes.push(SchemaChange {
            id: property.encoded_id(),
            name,
            action,
        });
    }

    fn apply(&mut self, key: &str, configuration: &Json) -> Result<(), ApiError> {
        let known = find(&self.properties, key);
        match (known, configuration) {
            (None, Json::Null) => Err(ApiError::validation(format!(
                "{key} is not a property that exists."
            ))),
            (Some(index), Json::Null) => self.delete(usize::from(index)),
            (None, configuration) => self.add(key, configuration),
            (Some(index), configuration) => self.change(index, configuration),
        }
    }

    fn delete(&mut self, index: usize) -> Result<(), ApiError> {
        if self.properties[index].kind == Kind::Title {
            return Err(ApiError::validation(
                "The title property cannot be deleted.",
            ));
        }
        self.properties[index].deleted = true;
        self.note(index, "deleted");
        Ok(())
    }

    fn add(&mut self, name: &str, configuration: &Json) -> Result<(), ApiError> {
        if kind_of(configuration) == Some(Kind::Title) {
            return Err(ApiError::validation("Cannot create new title property."));
        }
        let mut property = build(name, configuration, self.control, &mut self.random)?;
        self.resolve_rollup(&mut property);
        if self
            .properties
            .iter()
            .any(|known| !known.deleted && known.id == property.id)
        {
            return Err(ApiError::validation(format!("The id of {name} is taken.")));
        }
        self.properties.push(property);
        self.note(self.properties.len() - 1, "created");
        Ok(())
    }

    /// A rollup may name its relation; what is kept is the relation's raw id.
    fn resolve_rollup(&self, property: &mut Property) {
        if property.kind != Kind::Rollup {
            return;
        }
        let named = ["relation_property_id", "relation_property_name"]
            .iter()
            .find_map(|key| property.config.get(*key).and_then(Json::as_str));
        let relation = named.and_then(|name| find(&self.properties, name));
        if let Some(relation) = relation {
            let id = self.properties[usize::from(relation)].id.to_string();
            property
                .config
                .insert("relation_property_id".into(), Json::String(id));
        }
        if !property.config.contains_key("rollup_property_name") {
            property
                .config
                .entry("rollup_property_id")
                .or_insert_with(|| "title".into());
        }
        property
            .config
            .entry("function")
            .or_insert_with(|| "show_original".into());
    }

    fn change(&mut self, index: u16, configuration: &Json) -> Result<(), ApiError> {
        let at = usize::from(index);
        if let Some(name) = configuration["name"].as_str() {
            self.rename(at, name)?;
        }
        if let Some(description) = configuration.get("description") {
            self.properties[at].description = description.as_str().map(str::to_owned);
        }
        match kind_of(configuration) {
            None => {}
            Some(kind) if kind == self.properties[at].kind => {
                let (control, random) = (self.control, &mut self.random);
                configure(&mut self.properties[at], configuration, control, random)?;
            }
            Some(kind) => self.retype(index, kind, configuration)?,
        }
        self.note(at, "updated");
        Ok(())
    }

    fn rename(&mut self, at: usize, name: &str) -> Result<(), ApiError> {
        let taken = self
            .properties
            .iter()
            .enumerate()
            .any(|(other, property)| other != at && !property.deleted && property.name == name);
        if name.is_empty() || taken {
            return Err(ApiError::validation(format!(
                "Cannot rename {} to \"{name}\".",
                self.properties[at].name
            )));
        }
        name.clone_into(&mut self.properties[at].name);
        Ok(())
    }

    fn retype(&mut self, index: u16, kind: Kind, configuration: &Json) -> Result<(), ApiError> {
        let at = usize::from(index);
        let before = self.properties[at].clone();
        if before.kind == Kind::Title || kind == Kind::Title {
            return Err(ApiError::validation(
                "The type of a title property cannot change.",
            ));
        }
        if !self.control && matches!(kind, Kind::Unknown(_)) {
            return Err(ApiError::validation("Unknown property type."));
        }
        let mut after = Property::bare(&before.id, &before.name, kind);
        after.description.clone_from(&before.description);
        if before.kind.has_options() && after.kind.has_options() {
            after.options.clone_from(&before.options);
        }
        configure(&mut after, configuration, self.control, &mut self.random)?;
        self.properties[at] = after;
        self.retyped.push((index, before));
        Ok(())
    }
}
