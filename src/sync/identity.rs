//! Names of things: pages, data sources, properties, rows, bindings.
//!
//! Each is a type of its own so that a page id cannot be handed where a data source id is meant.
//! Notion's ids are UUIDs that people write with or without dashes, in either case.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text.trim()).map(Self)
            }
        }
    };
}

uuid_id!(
    /// The id of a Notion page.
    PageId
);
uuid_id!(
    /// The id of a Notion data source: the table of rows that a binding follows.
    DataSourceId
);
uuid_id!(
    /// The id of a Notion database: the container of one or more data sources.
    DatabaseId
);
uuid_id!(
    /// The id of a Notion user; connections act as bot users.
    UserId
);

/// The stable id of a property, percent-decoded.
///
/// Notion returns the same id encoded in one place and decoded in another
/// (`facts/notion-api.md` §4), so only the decoded form is ever compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PropertyId(String);

impl PropertyId {
    /// Takes an id as Notion wrote it, encoded or not.
    pub fn new(raw: &str) -> Self {
        Self(percent_decode_str(raw).decode_utf8_lossy().into_owned())
    }

    /// The decoded id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PropertyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of a row: the text form of each key column, in key order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowKey(pub Vec<String>);

/// Separates key columns where a key is hashed (`design/resource.md`).
const KEY_SEPARATOR: &str = "\u{1f}";

impl RowKey {
    /// The key as status, samples and the admin API show it: in clear where every key column is an
    /// integer or a uuid (`plain`), else the first 12 hex digits of its SHA-256, because a key may
    /// be a name or an e-mail address.
    pub fn shown(&self, plain: bool) -> String {
        let text = self.0.join(KEY_SEPARATOR);
        if plain {
            return self.0.join(",");
        }
        hex::encode(Sha256::digest(text.as_bytes()))[..12].to_owned()
    }
}

/// Namespace and name of a `NotionSyncBinding`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BindingRef {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for BindingRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_with_and_without_dashes_in_either_case() {
        let dashed: PageId = "71c7c1b0-0b3e-4a55-8b0c-7d8f5a0c2e10".parse().unwrap();
        let bare: PageId = "71C7C1B00B3E4A558B0C7D8F5A0C2E10".parse().unwrap();
        assert_eq!(dashed, bare);
        assert_eq!(bare.to_string(), "71c7c1b0-0b3e-4a55-8b0c-7d8f5a0c2e10");
    }

    #[test]
    fn property_ids_are_compared_decoded() {
        assert_eq!(PropertyId::new("U%60%3BC"), PropertyId::new("U`;C"));
    }

    #[test]
    fn only_harmless_keys_are_shown_in_clear() {
        let key = RowKey(vec!["a@b.example".into(), "2".into()]);
        assert_eq!(key.shown(true), "a@b.example,2");
        let hidden = key.shown(false);
        assert_eq!(hidden.len(), 12);
        assert_eq!(
            hidden,
            hex::encode(Sha256::digest("a@b.example\u{1f}2"))[..12]
        );
    }
}
