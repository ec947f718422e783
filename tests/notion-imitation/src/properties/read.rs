//! Pages and their values as a read shows them, cut where Notion cuts them.

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use crate::clock::iso;
use crate::properties::kind::Kind;
use crate::properties::schema::{Property, living};
use crate::properties::value::{DateValue, File, Text, Value, get};
use crate::properties::{date, text};
use crate::state::connection::Connection;
use crate::state::page::{Page, Parent, Snapshot};
use crate::state::people::partial;
use crate::state::world::World;

/// The accepted values of the `Notion-Version` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// `2025-09-03`
    September2025,
    /// `2026-03-11`
    March2026,
}

/// Who looks, and with which version of the API.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) world: &'a World,
    /// `None` sees everything uncut: the control API.
    pub(crate) connection: Option<&'a Connection>,
    pub(crate) version: Version,
}

impl View<'_> {
    /// A page object; `only` trims the properties.
    pub(crate) fn page(&self, page: &Page, state: &Snapshot, only: Option<&[u16]>) -> Json {
        let schema = self.world.schema_of(state.parent);
        let mut properties = Map::new();
        for (index, property) in living(schema) {
            if only.is_none_or(|only| only.contains(&index)) {
                let value = self.property(page, state, index, property);
                properties.insert(property.name.clone(), value);
            }
        }
        let title = get(&state.values, title_index(schema));
        let mut object = json!({
            "object": "page",
            "id": page.id,
            "created_time": iso(page.created_ms),
            "last_edited_time": iso(state.edited_ms),
            "created_by": partial(page.created_by),
            "last_edited_by": partial(state.edited_by),
            "cover": null,
            "icon": null,
            "parent": self.parent(state.parent),
            "in_trash": self.shows_trashed(state),
            "is_archived": state.is_archived,
            "is_locked": state.is_locked,
            "properties": properties,
            "url": url(page.id, title),
            "public_url": null,
        });
        if self.version == Version::September2025 {
            object["archived"] = json!(self.shows_trashed(state));
        }
        object
    }

    fn shows_trashed(&self, state: &Snapshot) -> bool {
        state.in_trash
            || (self.world.switches.trash_covers_pages
                && matches!(state.parent, Parent::DataSource(id)
                    if self.world.is_data_source_trashed(id)))
    }

    /// A parent as objects show it.
    pub(crate) fn parent(&self, parent: Parent) -> Json {
        match parent {
            Parent::DataSource(id) => {
                let database = self
                    .world
                    .data_sources
                    .get(&id)
                    .map(|source| source.database);
                json!({"type": "data_source_id", "data_source_id": id, "database_id": database})
            }
            Parent::Page(id) => json!({"type": "page_id", "page_id": id}),
        }
    }

    /// A value with id and type around it.
    pub(crate) fn property(
        &self,
        page: &Page,
        state: &Snapshot,
        index: u16,
        property: &Property,
    ) -> Json {
        let kind = property.kind.name();
        let mut object = json!({"id": property.encoded_id(), "type": kind});
        let value = get(&state.values, index);
        if property.kind == Kind::Relation {
            let (ids, has_more) = self.relation(property, value);
            object["relation"] = ids;
            object["has_more"] = json!(has_more);
        } else {
            object[kind] = self.value(page, state, property, value, true);
        }
        object
    }

    fn relation(&self, property: &Property, value: Option<&Value>) -> (Json, bool) {
        let ids = self.related(property, value);
        let limit = self.limit(self.world.switches.relation_limit);
        let shown: Vec<Json> = ids.iter().take(limit).map(|id| json!({"id": id})).collect();
        (json!(shown), ids.len() > limit)
    }

    /// The related pages; none where the related data source is not shared.
    pub(crate) fn related(&self, property: &Property, value: Option<&Value>) -> Vec<Uuid> {
        match value {
            Some(Value::Relation(ids)) if self.sees_target(property) => ids.to_vec(),
            _ => Vec::new(),
        }
    }

    fn sees_target(&self, property: &Property) -> bool {
        let Some(connection) = self.connection else {
            return true;
        };
        let target = property.config.get("data_source_id").and_then(Json::as_str);
        target
            .and_then(crate::ids::parse_uuid)
            .is_none_or(|target| self.world.sees_data_source(connection, target))
    }

    fn limit(&self, limit: usize) -> usize {
        if self.connection.is_some() {
            limit
        } else {
            usize::MAX
        }
    }

    /// The value under the type's name; `cut` applies the limits of page and query answers.
    pub(crate) fn value(
        &self,
        page: &Page,
        state: &Snapshot,
        property: &Property,
        value: Option<&Value>,
        cut: bool,
    ) -> Json {
        match (&property.kind, value) {
            (Kind::CreatedTime, _) => json!(iso(page.created_ms)),
            (Kind::LastEditedTime, _) => json!(iso(state.edited_ms)),
            (Kind::CreatedBy, _) => self.world.user_object(page.created_by),
            (Kind::LastEditedBy, _) => self.world.user_object(state.edited_by),
            (Kind::UniqueId, _) => {
                let prefix = property.config.get("prefix").cloned().unwrap_or(Json::Null);
                json!({"prefix": prefix, "number": page.unique_number})
            }
            (Kind::Button, _) => json!({}),
            (Kind::Checkbox, value) => json!(value.is_some()),
            (Kind::Rollup, value) => self.rollup(state, property, value, cut),
            (_, Some(Value::Text(text))) => json!(self.text(text, cut)),
            (_, Some(Value::Number(number))) => number_json(*number),
            (_, Some(Value::Choice(index))) => choice_json(property, *index),
            (_, Some(Value::Choices(indexes))) => {
                let shown = indexes
                    .iter()
                    .filter(|index| property.option(**index).is_some());
                shown.map(|index| choice_json(property, *index)).collect()
            }
            (_, Some(Value::Date(value))) => date::read(value),
            (_, Some(Value::People(ids))) => {
                let limit = if cut {
                    self.limit(self.world.switches.people_limit)
                } else {
                    ids.len()
                };
                ids.iter()
                    .take(limit)
                    .map(|id| self.world.user_object(*id))
                    .collect()
            }
            (_, Some(Value::Relation(ids))) => ids.iter().map(|id| json!({"id": id})).collect(),
            (_, Some(Value::Files(files))) => files.iter().map(|file| self.file(file)).collect(),
            (_, Some(Value::Line(line))) => json!(line),
            (_, Some(Value::Json(value))) => (**value).clone(),
            (kind, Some(Value::Checked) | None) => empty(kind),
        }
    }

    fn text(&self, value: &Text, cut: bool) -> Vec<Json> {
        let mut runs = text::read(value);
        let switches = &self.world.switches;
        if !cut || self.connection.is_none() {
            return runs;
        }
        if switches.truncate_text_segments > 0 {
            runs.truncate(switches.truncate_text_segments);
        } else if text::mentions(&runs) > switches.mention_limit {
            runs.truncate(25);
        }
        runs
    }

    fn rollup(
        &self,
        state: &Snapshot,
        property: &Property,
        value: Option<&Value>,
        cut: bool,
    ) -> Json {
        let function = property
            .config
            .get("function")
            .cloned()
            .unwrap_or_else(|| json!("show_original"));
        let through = property
            .config
            .get("relation_property_id")
            .and_then(Json::as_str);
        let schema = self.world.schema_of(state.parent);
        let hidden = living(schema)
            .find(|(_, relation)| Some(&*relation.id) == through)
            .is_some_and(|(_, relation)| !self.sees_target(relation));
        let mut rollup = match value {
            Some(Value::Json(value)) => (**value).clone(),
            _ => json!({"type": "array", "array": []}),
        };
        let kind = rollup["type"].as_str().unwrap_or("array").to_owned();
        if hidden {
            rollup[&kind] = if kind == "array" {
                json!([])
            } else {
                Json::Null
            };
        }
        // Pages and queries compute it from the related pages that they show.
        if let (true, Some(Json::Array(elements))) = (cut, rollup.get_mut("array")) {
            elements.truncate(self.limit(self.world.switches.relation_limit));
        }
        if rollup.get("function").is_none() {
            rollup["function"] = function;
        }
        rollup
    }

    fn file(&self, file: &File) -> Json {
        match file {
            File::External { name, url } => {
                json!({"name": name, "type": "external", "external": {"url": url}})
            }
            File::Hosted { name, key } => {
                let now_ms = self.world.moment.now_ms;
                let seconds = self.world.switches.file_url_seconds;
                let url = format!(
                    "https://prod-files-secure.s3.us-west-2.amazonaws.com/{}/{key}/{name}\
                     ?X-Amz-Date={now_ms}&X-Amz-Expires={seconds}&X-Amz-Signature={:016x}",
                    self.world.workspace,
                    crate::random::mix(self.world.seed, now_ms.unsigned_abs()),
                );
                let expiry = iso(now_ms.saturating_add(seconds.saturating_mul(1_000)));
                json!({"name": name, "type": "file", "file": {"url": url, "expiry_time": expiry}})
            }
        }
    }
}

impl World {
    /// A user in full where known, else partial.
    pub(crate) fn user_object(&self, id: Uuid) -> Json {
        self.users
            .get(&id)
            .map_or_else(|| partial(id), crate::state::people::User::full)
    }

    /// Whether a data source or its database lies in the trash.
    pub(crate) fn is_data_source_trashed(&self, id: Uuid) -> bool {
        self.data_sources.get(&id).is_some_and(|source| {
            source.in_trash
                || self
                    .databases
                    .get(&source.database)
                    .is_some_and(|database| database.in_trash)
        })
    }

    /// A page's title.
    pub(crate) fn title_of(&self, id: Uuid) -> Option<String> {
        let state = &self.page(self.slot(id)?).current;
        match get(&state.values, title_index(self.schema_of(state.parent))) {
            Some(Value::Text(text)) => Some(text.plain()),
            _ => None,
        }
    }
}

/// The place of the title property.
pub(crate) fn title_index(schema: &[Property]) -> u16 {
    living(schema)
        .find(|(_, property)| property.kind == Kind::Title)
        .map_or(0, |(index, _)| index)
}

fn url(id: Uuid, title: Option<&Value>) -> String {
    let mut slug = match title {
        Some(Value::Text(text)) => text.plain(),
        _ => String::new(),
    };
    slug.retain(|letter| letter.is_ascii_alphanumeric() || letter == ' ');
    let words: Vec<&str> = slug.split_whitespace().take(8).collect();
    let id = id.simple();
    if words.is_empty() {
        format!("https://app.notion.com/p/{id}")
    } else {
        format!("https://app.notion.com/p/{}-{id}", words.join("-"))
    }
}

/// What an empty property shows.
fn empty(kind: &Kind) -> Json {
    match kind {
        Kind::Title
        | Kind::RichText
        | Kind::MultiSelect
        | Kind::People
        | Kind::Files
        | Kind::Relation => json!([]),
        Kind::Formula => json!({"type": "string", "string": null}),
        Kind::Verification => json!({"state": "unverified", "verified_by": null, "date": null}),
        _ => Json::Null,
    }
}

/// An option as a value; null once it was removed.
pub(crate) fn choice_json(property: &Property, index: u16) -> Json {
    property.option(index).map_or(
        Json::Null,
        |option| json!({"id": option.id, "name": option.name, "color": option.color}),
    )
}

/// As JavaScript writes a double: whole numbers without a fraction.
pub(crate) fn number_json(number: f64) -> Json {
    const EXACT: f64 = 9_007_199_254_740_992.0 * 1_024.0;
    if number == 0.0 {
        return json!(0);
    }
    if number.fract() == 0.0 && number.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within i64")]
        return json!(number as i64);
    }
    json!(number)
}

/// The start of a date value in milliseconds since 1970.
pub(crate) fn date_ms(value: &DateValue) -> Option<i64> {
    date::to_ms(&value.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_doubles_in_their_shortest_text() {
        let shown = |text: &str| {
            let number: Json = serde_json::from_str(text).unwrap();
            number_json(number.as_f64().unwrap()).to_string()
        };
        assert_eq!(shown("19.555"), "19.555");
        assert_eq!(shown("9007199254740993"), "9007199254740992");
        assert_eq!(shown("3.0"), "3");
        assert_eq!(shown("-0.0"), "0");
        assert_eq!(shown("0.1"), "0.1");
        assert_eq!(shown("1e21"), "1e+21");
    }
}
