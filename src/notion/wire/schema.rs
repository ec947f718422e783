//! Data sources with their schema, and the databases that contain them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::object::{Object, read};
use super::text::Text;
use super::{lacking, parse};
use crate::notion::error::NotionError;
use crate::sync::identity::{DataSourceId, PropertyId};
use crate::sync::page::{DataSource, PropertySchema, PropertyType};

#[derive(Deserialize)]
struct DataSourceObject<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    title: Option<&'a RawValue>,
    in_trash: Option<&'a RawValue>,
    properties: Option<Object<'a, Object<'a>>>,
}

/// The answer to a read of a data source.
pub(in crate::notion) fn data_source(body: &[u8]) -> Result<DataSource, NotionError> {
    let object: DataSourceObject<'_> = parse(body, "data source")?;
    let id = object.id.and_then(read::<String>);
    let id = id.and_then(|id| id.parse().ok());
    let properties = object
        .properties
        .as_ref()
        .ok_or(NotionError::ContentNotReadable)?;
    Ok(DataSource {
        id: id.ok_or_else(|| lacking("data source"))?,
        // The title is shown to people only, so what cannot be read of it is left out.
        title: object.title.and_then(Text::read).unwrap_or_default().plain,
        in_trash: object.in_trash.and_then(read).unwrap_or(false),
        properties: properties
            .iter()
            .filter_map(|(name, property)| property_schema(name, property))
            .collect(),
    })
}

fn property_schema(name: &str, property: &Object<'_>) -> Option<PropertySchema> {
    let kind = PropertyType::from_name(&property.text("type")?);
    let config = property.object(kind.name());
    let target = config.as_ref().and_then(|it| it.text("data_source_id"));
    Some(PropertySchema {
        id: PropertyId::new(&property.text("id")?),
        name: name.to_owned(),
        // A rollup names the data source of its relation, too; it is no relation.
        relation_target: target
            .filter(|_| kind == PropertyType::Relation)
            .and_then(|id| id.parse().ok()),
        options: config.as_ref().map(options).unwrap_or_default(),
        kind,
    })
}

/// The names of the options in a property's configuration.
fn options(config: &Object<'_>) -> Vec<String> {
    let list = config.get("options").and_then(read::<Vec<&RawValue>>);
    list.unwrap_or_default()
        .into_iter()
        .filter_map(|option| Object::read(option).text("name"))
        .collect()
}

#[derive(Deserialize)]
struct DatabaseObject<'a> {
    #[serde(borrow)]
    data_sources: Option<&'a RawValue>,
}

/// The data sources that a database names, with their names.
pub(in crate::notion) fn data_sources_of(
    body: &[u8],
) -> Result<Vec<(DataSourceId, String)>, NotionError> {
    let object: DatabaseObject<'_> = parse(body, "database")?;
    let list = object.data_sources.and_then(read::<Vec<&RawValue>>);
    list.ok_or_else(|| lacking("database"))?
        .into_iter()
        .map(|raw| {
            let source = Object::read(raw);
            let id = source.text("id").and_then(|id| id.parse().ok());
            let name = source.text("name").unwrap_or_default();
            Ok((id.ok_or_else(|| lacking("database"))?, name))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_source_is_read_with_unknown_types() {
        let body = br#"{"object":"data_source","id":"71c7c1b0-0b3e-4a55-8b0c-7d8f5a0c2e10",
            "title":[{"plain_text":"Pro"},{"plain_text":"jects"}],"in_trash":true,
            "properties":{"Stage":{"id":"U%60%3BC","name":"Stage","type":"status",
                "status":{"options":[{"id":"1","name":"Doing"},{"name":"Done"}],"groups":[]}},
            "Parent":{"id":"p","type":"relation",
                "relation":{"data_source_id":"5b1f3d0e-6f0a-4f35-8a8e-1d8e7f6c5b4a"}},
            "New":{"id":"n","type":"hologram","hologram":{}},"Odd":7}}"#;
        let source = data_source(body).unwrap();
        assert_eq!(source.title, "Projects");
        assert!(source.in_trash);
        let read: Vec<_> = source
            .properties
            .iter()
            .map(|p| (p.id.as_str(), p.name.as_str(), p.kind.name()))
            .collect();
        assert_eq!(
            read,
            [
                ("U`;C", "Stage", "status"),
                ("p", "Parent", "relation"),
                ("n", "New", "hologram")
            ]
        );
        assert_eq!(source.properties[0].options, ["Doing", "Done"]);
        let related = source.properties[1].relation_target.unwrap();
        assert_eq!(related.to_string(), "5b1f3d0e-6f0a-4f35-8a8e-1d8e7f6c5b4a");
    }

    #[test]
    fn a_database_names_its_data_sources() {
        let body = br#"{"data_sources":[{"id":"71c7c1b00b3e4a558b0c7d8f5a0c2e10","name":"A"},
            {"id":"5b1f3d0e-6f0a-4f35-8a8e-1d8e7f6c5b4a"}]}"#;
        let names: Vec<_> = data_sources_of(body)
            .unwrap()
            .into_iter()
            .map(|(_, name)| name)
            .collect();
        assert_eq!(names, ["A", ""]);
        assert!(data_sources_of(b"{}").is_err());
        assert!(data_sources_of(br#"{"data_sources":[{"id":7}]}"#).is_err());
    }
}
