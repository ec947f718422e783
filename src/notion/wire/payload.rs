//! Page values that a webhook carried: the legacy and the automation dialect (seed row S6).
//!
//! Such bodies are of any API version or written by hand. Their entries may lack the id or the type
//! that Notion's own answers always have, so they are matched with the pinned properties.

use serde::Deserialize;

use super::object::Object;
use super::page::PageObject;
use super::property::read_property;
use crate::sync::event::Dialect;
use crate::sync::identity::PropertyId;
use crate::sync::json::sanitize_surrogates;
use crate::sync::mapping::PinnedProperty;
use crate::sync::page::{PageSnapshot, PropertyType, Provenance};

#[derive(Deserialize)]
struct LegacyBody<'a> {
    #[serde(borrow)]
    object: PageObject<'a>,
}

#[derive(Deserialize)]
struct AutomationBody<'a> {
    #[serde(borrow)]
    data: PageObject<'a>,
}

/// The page in the body of an event, with the values of the `pinned` properties that it carries.
///
/// An entry belongs to a pinned property by its id; one without an id, by name and type. `None`
/// where the dialect carries no values or the body holds no page.
pub fn payload_page(
    dialect: Dialect,
    body: &str,
    pinned: &[PinnedProperty],
) -> Option<PageSnapshot> {
    let body = sanitize_surrogates(body.as_bytes());
    let page = match dialect {
        Dialect::Envelope => return None,
        Dialect::Legacy => serde_json::from_slice::<LegacyBody<'_>>(&body).ok()?.object,
        Dialect::Automation => {
            serde_json::from_slice::<AutomationBody<'_>>(&body)
                .ok()?
                .data
        }
    };
    let mut snapshot = page.head(Provenance::Payload)?;
    for (name, entry) in page.properties().into_iter().flat_map(Object::iter) {
        for pin in pinned {
            if let Some(kind) = type_of(name, entry, pin) {
                let property = read_property(entry, kind);
                snapshot.properties.insert(pin.id.clone(), property);
            }
        }
    }
    Some(snapshot)
}

/// The type to read `entry` as if it is the value of `pin`.
fn type_of(name: &str, entry: &Object<'_>, pin: &PinnedProperty) -> Option<PropertyType> {
    let stated = entry
        .text("type")
        .map(|kind| PropertyType::from_name(&kind));
    if let Some(id) = entry.text("id") {
        let same = PropertyId::new(&id) == pin.id;
        return same.then(|| stated.unwrap_or_else(|| pin.kind.clone()));
    }
    let fits = match &stated {
        Some(kind) => *kind == pin.kind,
        None => entry.get(pin.kind.name()).is_some(),
    };
    (name == pin.name && fits).then(|| pin.kind.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::mapping::PropertySelector;
    use crate::sync::page::{PropertyRead, PropertyValue};

    fn pin(id: &str, name: &str, kind: &PropertyType) -> PinnedProperty {
        serde_json::from_value(serde_json::json!({
            "column": name.to_lowercase(),
            "selector": PropertySelector::Name(name.to_owned()),
            "id": id,
            "name": name,
            "kind": kind,
            "repinned": false,
        }))
        .unwrap()
    }

    fn pins() -> Vec<PinnedProperty> {
        vec![
            pin("title", "Name", &PropertyType::Title),
            pin("U`;C", "Status", &PropertyType::Status),
        ]
    }

    fn read_of(body: &str, id: &str) -> Option<PropertyRead> {
        let page = payload_page(Dialect::Legacy, body, &pins()).unwrap();
        assert_eq!(page.provenance, Provenance::Payload);
        Some(page.properties.get(&PropertyId::new(id))?.read.clone())
    }

    fn legacy(properties: &str) -> String {
        format!(
            r#"{{"type":"page.updated","object":{{"id":"38b9ce7b60a4810aa3e0d0c7fde33f0c",
            "last_edited_time":"2026-06-27T17:00:00.000Z","properties":{properties}}}}}"#
        )
    }

    fn text(plain: &str) -> PropertyRead {
        PropertyRead::Value(PropertyValue::Text {
            plain: plain.to_owned(),
            lossy: false,
        })
    }

    fn choice(name: &str) -> PropertyRead {
        PropertyRead::Value(PropertyValue::Choice(Some(name.to_owned())))
    }

    #[test]
    fn entries_are_found_by_id_whatever_their_name() {
        let body =
            legacy(r#"{"Old name":{"id":"U%60%3BC","type":"status","status":{"name":"Doing"}}}"#);
        assert_eq!(read_of(&body, "U`;C"), Some(choice("Doing")));
    }

    #[test]
    fn entries_without_an_id_are_found_by_name_and_type() {
        let body = legacy(
            r#"{"Name":{"title":[{"plain_text":"A \ud83d"}]},
                "Status":{"type":"status","status":{"name":"Done"}}}"#,
        );
        assert_eq!(read_of(&body, "title"), Some(text("A \u{fffd}")));
        assert_eq!(read_of(&body, "U`;C"), Some(choice("Done")));
    }

    #[test]
    fn another_id_or_another_type_is_another_property() {
        for properties in [
            r#"{"Status":{"id":"other","type":"status","status":{"name":"Done"}}}"#,
            r#"{"Status":{"type":"select","select":{"name":"Done"}}}"#,
            r#"{"Status":{"select":{"name":"Done"}}}"#,
            r#"{"status":{"status":{"name":"Done"}}}"#,
            r#"{"Status":null}"#,
            "null",
        ] {
            assert_eq!(read_of(&legacy(properties), "U`;C"), None, "{properties}");
        }
    }

    #[test]
    fn a_retyped_property_shows_its_new_type() {
        let body = legacy(r#"{"Status":{"id":"U`;C","type":"select","select":{"name":"Done"}}}"#);
        let page = payload_page(Dialect::Legacy, &body, &pins()).unwrap();
        let kind = &page.properties[&PropertyId::new("U`;C")].kind;
        assert_eq!(*kind, PropertyType::Select);
    }

    #[test]
    fn automations_carry_a_page_and_envelopes_nothing() {
        let body = r#"{"source":{"type":"automation"},"data":{"object":"page",
            "id":"38b9ce7b-60a4-810a-a3e0-d0c7fde33f0c","archived":true,
            "properties":{"Name":{"id":"title","type":"title","title":[]}}}}"#;
        let page = payload_page(Dialect::Automation, body, &pins()).unwrap();
        assert!(page.in_trash);
        assert_eq!(page.properties.len(), 1);
        assert_eq!(payload_page(Dialect::Envelope, body, &pins()), None);
        assert_eq!(payload_page(Dialect::Legacy, body, &pins()), None);
        assert_eq!(
            payload_page(Dialect::Legacy, r#"{"object":7}"#, &pins()),
            None
        );
    }
}
