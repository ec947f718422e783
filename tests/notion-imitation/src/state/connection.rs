//! Connections (Notion's former "integrations"): a token, its bot, what it may do and see.

use std::collections::HashSet;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Something that a connection may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Read content.
    ReadContent,
    /// Update content.
    UpdateContent,
    /// Insert content.
    InsertContent,
}

/// A connection to create, see `Controls::add_connection`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionSpec {
    /// Its secret.
    pub token: String,
    /// Its name, which is the name of its bot, too.
    pub name: String,
    /// What it may do.
    pub capabilities: Vec<Capability>,
    /// Whether it sees everything that is not unshared from it, or only what is shared with it.
    pub sees_everything: bool,
}

impl Default for ConnectionSpec {
    fn default() -> Self {
        Self {
            token: String::new(),
            name: "Connection".to_owned(),
            capabilities: vec![
                Capability::ReadContent,
                Capability::UpdateContent,
                Capability::InsertContent,
            ],
            sees_everything: true,
        }
    }
}

/// A connection.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) token: String,
    pub(crate) name: String,
    /// Id of the bot user, as in `users/me` and in `last_edited_by`.
    pub(crate) bot: Uuid,
    /// Id that webhooks call `integration_id`; differs from the bot's.
    pub(crate) integration: Uuid,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) revoked: bool,
    pub(crate) sees_everything: bool,
    /// Pages, data sources and databases taken from it.
    pub(crate) hidden: HashSet<Uuid>,
    /// Pages, data sources and databases given to it.
    pub(crate) shared: HashSet<Uuid>,
}

impl Connection {
    pub(crate) fn may(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }

    /// Whether it sees an object to which nothing above gives access.
    pub(crate) fn sees(&self, id: Uuid) -> bool {
        self.says(id).unwrap_or(self.sees_everything)
    }

    /// What is said about one object itself: shared, hidden, or nothing.
    pub(crate) fn says(&self, id: Uuid) -> Option<bool> {
        if self.hidden.contains(&id) {
            Some(false)
        } else if self.shared.contains(&id) {
            Some(true)
        } else {
            None
        }
    }
}
