//! The schema of a data source: its properties with their options.

use serde_json::{Map, Value as Json};

use crate::ids::{decode, encode_property_id};
use crate::properties::kind::Kind;

/// A property of a data source. Deleted ones keep their place, so that indexes stay valid.
#[derive(Debug, Clone)]
pub(crate) struct Property {
    /// Raw, not percent-encoded.
    pub(crate) id: Box<str>,
    /// As the API returns it; kept, since every value of every page shows it.
    encoded: Box<str>,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) kind: Kind,
    /// What the schema shows under the type's name, without options and groups.
    pub(crate) config: Map<String, Json>,
    pub(crate) options: Vec<Choice>,
    pub(crate) groups: Vec<Group>,
    /// What an emptied status returns to.
    pub(crate) default_option: Option<u16>,
    pub(crate) deleted: bool,
}

/// An option of select, multi-select or status.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) color: String,
    pub(crate) description: Option<String>,
    /// Index of the status group.
    pub(crate) group: usize,
    pub(crate) deleted: bool,
}

/// A group of status options.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) color: String,
}

impl Property {
    /// The title property that every data source has.
    pub(crate) fn title(name: &str) -> Self {
        Self::bare("title", name, Kind::Title)
    }

    /// A property without configuration.
    pub(crate) fn bare(id: &str, name: &str, kind: Kind) -> Self {
        Self {
            id: id.into(),
            encoded: encode_property_id(id).into(),
            name: name.to_owned(),
            description: None,
            kind,
            config: Map::new(),
            options: Vec::new(),
            groups: Vec::new(),
            default_option: None,
            deleted: false,
        }
    }

    /// The id as the API returns it.
    pub(crate) fn encoded_id(&self) -> String {
        self.encoded.to_string()
    }

    /// The option of an index, unless it was removed.
    pub(crate) fn option(&self, index: u16) -> Option<&Choice> {
        self.options
            .get(usize::from(index))
            .filter(|option| !option.deleted)
    }

    /// The living option with that name. Names are unique without regard to case.
    pub(crate) fn option_named(&self, name: &str) -> Option<u16> {
        self.find_option(|option| option.name.to_lowercase() == name.to_lowercase())
    }

    pub(crate) fn option_with_id(&self, id: &str) -> Option<u16> {
        self.find_option(|option| option.id == id)
    }

    fn find_option(&self, wanted: impl Fn(&Choice) -> bool) -> Option<u16> {
        let index = self
            .options
            .iter()
            .position(|option| !option.deleted && wanted(option))?;
        u16::try_from(index).ok()
    }
}

/// The living property that a client calls by name or by id, encoded or raw.
pub(crate) fn find(properties: &[Property], key: &str) -> Option<u16> {
    let position = |wanted: &dyn Fn(&Property) -> bool| {
        properties
            .iter()
            .position(|property| !property.deleted && wanted(property))
    };
    let raw = decode(key);
    let index = position(&|property| property.name == key)
        .or_else(|| position(&|property| *property.id == *key))
        .or_else(|| position(&|property| *property.id == *raw))?;
    u16::try_from(index).ok()
}

/// The living property with that id, as it stands in a path.
pub(crate) fn find_by_id(properties: &[Property], segment: &str) -> Option<u16> {
    let raw = decode(segment);
    let index = properties
        .iter()
        .position(|property| !property.deleted && *property.id == *raw)?;
    u16::try_from(index).ok()
}

/// The living properties with their indexes.
pub(crate) fn living(properties: &[Property]) -> impl Iterator<Item = (u16, &Property)> {
    (0_u16..)
        .zip(properties)
        .filter(|(_, property)| !property.deleted)
}
