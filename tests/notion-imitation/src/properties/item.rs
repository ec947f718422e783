//! The property endpoint: one value, or a list of items that is complete where pages are cut.

use serde_json::{Value as Json, json};

use crate::properties::kind::Kind;
use crate::properties::read::View;
use crate::properties::schema::Property;
use crate::properties::text;
use crate::properties::value::{Value, get};
use crate::state::page::{Page, Snapshot};

/// Functions that the property endpoint does not compute.
const UNSUPPORTED: &[&str] = &[
    "show_unique",
    "unique",
    "median",
    "count_per_group",
    "percent_per_group",
];

/// What the endpoint has to say about a property, before paging.
pub(crate) enum Item {
    Single(Json),
    /// The elements of a list, and for a rollup its value once the list is complete.
    List {
        elements: Vec<Json>,
        element_kind: String,
        rollup: Option<Json>,
    },
}

/// Looks up one property of a page.
pub(crate) fn item(
    view: &View<'_>,
    page: &Page,
    state: &Snapshot,
    index: u16,
    property: &Property,
) -> Item {
    let value = get(&state.values, index);
    let kind = property.kind.name();
    if !property.kind.is_paged() {
        let mut object =
            json!({"object": "property_item", "type": kind, "id": property.encoded_id()});
        object[kind] = view.value(page, state, property, value, false);
        return Item::Single(object);
    }
    let (elements, rollup): (Vec<Json>, Option<Json>) = match (&property.kind, value) {
        (Kind::Rollup, _) => {
            let rollup = view.value(page, state, property, value, false);
            let (elements, rest) = split_rollup(rollup);
            (elements, Some(rest))
        }
        (Kind::Relation, value) => {
            let ids = view.related(property, value);
            (ids.iter().map(|id| json!({"id": id})).collect(), None)
        }
        (_, Some(Value::Text(value))) => (text::read(value), None),
        (_, Some(Value::People(ids))) => (
            ids.iter().map(|id| view.world.user_object(*id)).collect(),
            None,
        ),
        _ => (Vec::new(), None),
    };
    Item::List {
        elements,
        element_kind: kind.to_owned(),
        rollup,
    }
}

/// `show_original` gives its values as items and leaves the array empty.
fn split_rollup(mut rollup: Json) -> (Vec<Json>, Json) {
    let function = rollup["function"].as_str().unwrap_or_default().to_owned();
    if UNSUPPORTED.contains(&function.as_str()) {
        return (
            Vec::new(),
            json!({"type": "unsupported", "unsupported": {}, "function": function}),
        );
    }
    let elements = match rollup.get_mut("array").map(Json::take) {
        Some(Json::Array(elements)) => {
            rollup["array"] = json!([]);
            elements
        }
        _ => Vec::new(),
    };
    (elements, rollup)
}

/// One page of a list. `next` is the cursor of the page after it, `base` the URL of this property.
pub(crate) fn list(
    property: &Property,
    item: (&[Json], &str, Option<&Json>),
    next: Option<&str>,
    base: &str,
) -> Json {
    let (elements, element_kind, rollup) = item;
    let id = property.encoded_id();
    let results: Vec<Json> = elements
        .iter()
        .map(|element| {
            if rollup.is_some() {
                let mut object = element.clone();
                object["object"] = json!("property_item");
                object["id"] = json!(id);
                return object;
            }
            let mut object = json!({"object": "property_item", "type": element_kind, "id": id});
            object[element_kind] = element.clone();
            object
        })
        .collect();
    let next_url = next.map(|cursor| format!("{base}?start_cursor={cursor}"));
    let mut about = json!({"id": id, "next_url": next_url, "type": element_kind});
    about[element_kind] = match (rollup, next) {
        (Some(rollup), Some(_)) => {
            json!({"type": "incomplete", "incomplete": {}, "function": rollup["function"]})
        }
        (Some(rollup), None) => rollup.clone(),
        (None, _) => json!({}),
    };
    json!({
        "object": "list",
        "results": results,
        "next_cursor": next,
        "has_more": next.is_some(),
        "type": "property_item",
        "property_item": about,
    })
}
