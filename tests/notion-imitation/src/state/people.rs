//! Users of the workspace: people and bots.

use serde_json::{Value as Json, json};
use uuid::Uuid;

/// A user.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    /// E-mail address of a person; `None` makes it a bot.
    pub(crate) email: Option<String>,
}

impl User {
    /// The full object, as people values and `created_by` properties show it.
    pub(crate) fn full(&self) -> Json {
        let mut user = json!({
            "object": "user",
            "id": self.id,
            "name": self.name,
            "avatar_url": null,
        });
        if let Some(email) = &self.email {
            user["type"] = json!("person");
            user["person"] = json!({"email": email});
        } else {
            user["type"] = json!("bot");
            user["bot"] = json!({});
        }
        user
    }

    /// `person` or `bot`, as webhooks name authors.
    pub(crate) fn kind(&self) -> &'static str {
        if self.email.is_some() {
            "person"
        } else {
            "bot"
        }
    }
}

/// The partial object.
pub(crate) fn partial(id: Uuid) -> Json {
    json!({"object": "user", "id": id})
}
