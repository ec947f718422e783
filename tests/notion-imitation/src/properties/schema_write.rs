//! Reading property configurations of a write, and what they do to an existing property.

use serde_json::{Map, Value as Json, json};

use crate::error::ApiError;
use crate::ids::{new_property_id, parse_uuid};
use crate::properties::kind::Kind;
use crate::properties::schema::{Choice, Group, Property};
use crate::random::Random;

const COLORS: &[&str] = &[
    "default", "gray", "brown", "orange", "yellow", "green", "blue", "purple", "pink", "red",
];

/// Status groups that every status property has.
const GROUPS: &[(&str, &str)] = &[
    ("To-do", "gray"),
    ("In progress", "blue"),
    ("Complete", "green"),
];

/// The type that a configuration names, by `type` or by its key.
pub(crate) fn kind_of(given: &Json) -> Option<Kind> {
    if let Some(name) = given["type"].as_str() {
        return Some(Kind::of(name));
    }
    given.as_object()?.keys().find_map(|key| Kind::known(key))
}

/// A new property. `control` may choose its id, the default of a status, and unknown types.
pub(crate) fn build(
    name: &str,
    given: &Json,
    control: bool,
    random: &mut Random,
) -> Result<Property, ApiError> {
    let place = format!("properties.{name}");
    let kind = kind_of(given).ok_or_else(|| ApiError::body(&place, "a property configuration"))?;
    if !control && matches!(kind, Kind::Unknown(_)) {
        return Err(ApiError::body(&place, "of a known type"));
    }
    let id = match (&kind, given["id"].as_str()) {
        (Kind::Title, _) => "title".to_owned(),
        (_, Some(id)) if control => crate::ids::decode(id),
        _ => new_property_id(random),
    };
    let mut property = Property::bare(&id, name, kind);
    property.description = given["description"].as_str().map(str::to_owned);
    configure(&mut property, given, control, random)?;
    Ok(property)
}

/// Applies a configuration to a property of the same type.
pub(crate) fn configure(
    property: &mut Property,
    given: &Json,
    control: bool,
    random: &mut Random,
) -> Result<(), ApiError> {
    let config = given[property.kind.name()]
        .as_object()
        .cloned()
        .unwrap_or_default();
    match property.kind {
        Kind::Select | Kind::MultiSelect | Kind::Status => {
            set_options(property, &config, control, random)?;
            if let Some(default) = given["default"].as_str() {
                property.default_option = property.option_named(default);
            }
        }
        Kind::Number => {
            let format = config
                .get("format")
                .cloned()
                .unwrap_or_else(|| json!("number"));
            property.config.insert("format".into(), format);
        }
        Kind::Relation => set_relation(property, &config)?,
        Kind::UniqueId => {
            property.config.insert(
                "prefix".into(),
                config.get("prefix").cloned().unwrap_or(Json::Null),
            );
        }
        _ => property.config.extend(config),
    }
    Ok(())
}

fn set_relation(property: &mut Property, config: &Map<String, Json>) -> Result<(), ApiError> {
    let place = format!("properties.{}.relation.data_source_id", property.name);
    let target = config
        .get("data_source_id")
        .and_then(Json::as_str)
        .and_then(parse_uuid)
        .ok_or_else(|| ApiError::body(&place, "a valid uuid"))?;
    let dual = config.contains_key("dual_property");
    let kind = if dual {
        "dual_property"
    } else {
        "single_property"
    };
    property
        .config
        .insert("data_source_id".into(), json!(target));
    property.config.insert("type".into(), json!(kind));
    let detail = config.get(kind).cloned().unwrap_or_else(|| json!({}));
    property.config.insert(kind.into(), detail);
    Ok(())
}

/// The options array is a replacement: what it leaves out is deleted.
fn set_options(
    property: &mut Property,
    config: &Map<String, Json>,
    control: bool,
    random: &mut Random,
) -> Result<(), ApiError> {
    if property.kind == Kind::Status && property.groups.is_empty() {
        property.groups = new_groups(config, random);
    }
    let given = match config.get("options") {
        Some(Json::Array(given)) => given.clone(),
        Some(other) => {
            let place = format!("properties.{}.options", property.name);
            return Err(ApiError::body(
                &place,
                &format!("an array, instead was `{other}`"),
            ));
        }
        None if property.kind == Kind::Status && property.options.is_empty() => vec![
            json!({"name": "Not started", "group": "To-do"}),
            json!({"name": "In progress", "color": "blue", "group": "In progress"}),
            json!({"name": "Done", "color": "green", "group": "Complete"}),
        ],
        None => return Ok(()),
    };
    let fresh = property.options.is_empty();
    let mut kept = Vec::with_capacity(given.len());
    for option in &given {
        kept.push(take_option(property, option, control, random)?);
    }
    for (index, option) in (0_u16..).zip(property.options.iter_mut()) {
        if !kept.contains(&index) {
            option.deleted = true;
        }
    }
    if fresh && property.kind == Kind::Status && !config.contains_key("options") {
        property.default_option = Some(0);
    }
    Ok(())
}

fn new_groups(config: &Map<String, Json>, random: &mut Random) -> Vec<Group> {
    let named = config.get("groups").and_then(Json::as_array).map(|groups| {
        groups
            .iter()
            .map(|group| {
                let name = group["name"].as_str().unwrap_or("Group").to_owned();
                (
                    name,
                    group["color"].as_str().unwrap_or("default").to_owned(),
                )
            })
            .collect::<Vec<_>>()
    });
    named
        .unwrap_or_else(|| {
            GROUPS
                .iter()
                .map(|(name, color)| ((*name).to_owned(), (*color).to_owned()))
                .collect()
        })
        .into_iter()
        .map(|(name, color)| Group {
            id: random.uuid().to_string(),
            name,
            color,
        })
        .collect()
}

/// The index of an option that a configuration names, created if need be.
fn take_option(
    property: &mut Property,
    given: &Json,
    control: bool,
    random: &mut Random,
) -> Result<u16, ApiError> {
    let kind = property.kind.name().to_owned();
    let (id, name) = (given["id"].as_str(), given["name"].as_str());
    let color = given["color"].as_str();
    let known = id
        .and_then(|id| property.option_with_id(id))
        .or_else(|| name.and_then(|name| property.option_named(name)));
    if let Some(index) = known {
        // A new name for an existing option is silently ignored, a new colour is refused: observed.
        let option = &property.options[usize::from(index)];
        if color.is_some_and(|color| color != option.color) {
            return Err(ApiError::validation(format!(
                "Cannot update color of {kind} with name: {}.",
                option.name
            )));
        }
        return Ok(index);
    }
    let name = name.filter(|name| !name.is_empty() && !name.contains(','));
    let name = name.ok_or_else(|| {
        ApiError::validation(format!("A new {kind} option needs a name without commas."))
    })?;
    if color.is_some_and(|color| !COLORS.contains(&color)) {
        return Err(ApiError::validation(format!(
            "Unknown {kind} option color."
        )));
    }
    let group = given["group"]
        .as_str()
        .and_then(|group| property.groups.iter().position(|known| known.name == group));
    let id = id
        .filter(|_| control)
        .map_or_else(|| random.uuid().to_string(), str::to_owned);
    property.options.push(Choice {
        id,
        name: name.to_owned(),
        color: color.unwrap_or("default").to_owned(),
        description: given["description"].as_str().map(str::to_owned),
        group: group.unwrap_or(0),
        deleted: false,
    });
    u16::try_from(property.options.len() - 1).map_err(|_| ApiError::validation("Too many options."))
}

/// A colour for an option that a page write creates.
pub(crate) fn any_color(random: &mut Random) -> String {
    let count = u64::try_from(COLORS.len()).unwrap_or(1);
    let index = usize::try_from(random.below(count)).unwrap_or(0);
    COLORS[index].to_owned()
}
