//! Schemas as a read shows them.

use serde_json::{Map, Value as Json, json};

use crate::ids::parse_uuid;
use crate::properties::kind::Kind;
use crate::properties::schema::{Property, find, living};
use crate::state::world::World;

/// `properties` of a data source.
pub(crate) fn properties(world: &World, schema: &[Property]) -> Json {
    let shown = living(schema).map(|(_, property)| {
        let kind = property.kind.name();
        let mut object = json!({
            "id": property.encoded_id(),
            "name": property.name,
            "description": property.description,
            "type": kind,
        });
        object[kind] = Json::Object(configuration(world, schema, property));
        (property.name.clone(), object)
    });
    Json::Object(shown.collect())
}

fn configuration(world: &World, schema: &[Property], property: &Property) -> Map<String, Json> {
    let mut config = property.config.clone();
    if property.kind.has_options() {
        config.insert("options".into(), options(property));
    }
    if property.kind == Kind::Status {
        config.insert("groups".into(), groups(property));
    }
    if property.kind == Kind::Relation {
        let target = config
            .get("data_source_id")
            .and_then(Json::as_str)
            .and_then(parse_uuid);
        let database = target
            .and_then(|id| world.data_sources.get(&id))
            .map(|it| it.database);
        config.insert("database_id".into(), json!(database));
    }
    if property.kind == Kind::Rollup {
        name_ends(world, schema, &mut config);
    }
    config
}

/// Names of a rollup's two ends, which follow renames. Their ids stay unencoded, as recorded.
fn name_ends(world: &World, schema: &[Property], config: &mut Map<String, Json>) {
    let id = config.get("relation_property_id").and_then(Json::as_str);
    let relation = living(schema).find(|(_, property)| Some(&*property.id) == id);
    let Some((_, relation)) = relation else {
        return;
    };
    config.insert("relation_property_name".into(), json!(relation.name));
    let target = relation
        .config
        .get("data_source_id")
        .and_then(Json::as_str)
        .and_then(parse_uuid);
    let Some(target) = target.and_then(|id| world.data_sources.get(&id)) else {
        return;
    };
    let key = ["rollup_property_id", "rollup_property_name"]
        .iter()
        .find_map(|key| config.get(*key).and_then(Json::as_str));
    let rolled = key.and_then(|key| find(&target.properties, key));
    if let Some(index) = rolled {
        let property = &target.properties[usize::from(index)];
        config.insert("rollup_property_name".into(), json!(property.name));
        config.insert("rollup_property_id".into(), json!(property.id));
    }
}

fn options(property: &Property) -> Json {
    let shown = property
        .options
        .iter()
        .filter(|option| !option.deleted)
        .map(|option| {
            json!({
                "id": option.id,
                "name": option.name,
                "color": option.color,
                "description": option.description,
            })
        });
    Json::Array(shown.collect())
}

fn groups(property: &Property) -> Json {
    let shown = property.groups.iter().enumerate().map(|(at, group)| {
        let members: Vec<&str> = property
            .options
            .iter()
            .filter(|option| !option.deleted && option.group == at)
            .map(|option| option.id.as_str())
            .collect();
        json!({"id": group.id, "name": group.name, "color": group.color, "option_ids": members})
    });
    Json::Array(shown.collect())
}
