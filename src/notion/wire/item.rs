//! Property items: one property of a page, read by itself and in full.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::object::Object;
use super::property::{push_items, read_property};
use super::query::next_cursor;
use super::text::Text;
use super::{lacking, parse};
use crate::notion::error::NotionError;
use crate::sync::page::{PropertyRead, PropertyType};

/// What one answer added.
#[derive(Debug, PartialEq)]
pub(in crate::notion) enum ItemPage {
    /// The list goes on at this cursor.
    More(String),
    /// The property was read to its end.
    Whole(PropertyRead),
}

/// A property that is being read, answer by answer.
#[derive(Debug, Default)]
pub(in crate::notion) struct PropertyItems {
    text: Text,
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    results: Option<Vec<&'a RawValue>>,
    has_more: Option<&'a RawValue>,
    next_cursor: Option<&'a RawValue>,
    property_item: Option<&'a RawValue>,
}

impl PropertyItems {
    /// Takes the next answer.
    pub(in crate::notion) fn push(&mut self, body: &[u8]) -> Result<ItemPage, NotionError> {
        let object: Object<'_> = parse(body, "property item")?;
        if object.text("object").as_deref() != Some("list") {
            return single(&object);
        }
        let list: List<'_> = parse(body, "property item")?;
        let results = list.results.ok_or_else(|| lacking("property item"))?;
        let Some(kind) = list_type(list.property_item, &results) else {
            return Err(lacking("property item"));
        };
        let is_text = matches!(kind, PropertyType::Title | PropertyType::RichText);
        if !is_text || push_items(&mut self.text, &kind, &results).is_none() {
            return Ok(ItemPage::Whole(PropertyRead::Unsupported));
        }
        self.cursor = next_cursor(list.has_more, list.next_cursor, self.cursor.as_deref())?;
        if let Some(cursor) = &self.cursor {
            return Ok(ItemPage::More(cursor.clone()));
        }
        let text = std::mem::take(&mut self.text);
        Ok(ItemPage::Whole(PropertyRead::Value(text.into_value())))
    }
}

/// A property that is no list has the form that a page shows.
fn single(object: &Object<'_>) -> Result<ItemPage, NotionError> {
    let kind = object
        .text("type")
        .ok_or_else(|| lacking("property item"))?;
    let property = read_property(object, PropertyType::from_name(&kind));
    Ok(ItemPage::Whole(property.read))
}

/// The type of a list; of its items where older versions leave it out.
fn list_type(property: Option<&RawValue>, results: &[&RawValue]) -> Option<PropertyType> {
    let candidates = property.into_iter().chain(results.first().copied());
    let mut names = candidates.filter_map(|raw| Object::read(raw).text("type"));
    Some(PropertyType::from_name(&names.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::page::PropertyValue;

    fn segment(text: &str, kind: &str) -> String {
        format!(
            r#"{{"object":"property_item","id":"x","type":"rich_text",
                "rich_text":{{"type":"{kind}","plain_text":"{text}"}}}}"#
        )
    }

    fn list(segments: &[String], next: Option<&str>) -> String {
        let next = next.map_or("null".to_owned(), |next| format!("\"{next}\""));
        format!(
            r#"{{"object":"list","results":[{}],"has_more":{},"next_cursor":{next},
                "property_item":{{"id":"x","type":"rich_text","rich_text":{{}}}}}}"#,
            segments.join(","),
            next != "null"
        )
    }

    #[test]
    fn pages_of_text_are_joined_whatever_their_number() {
        let mut items = PropertyItems::default();
        let first: Vec<String> = (0..25).map(|_| segment("a", "mention")).collect();
        let more = items.push(list(&first, Some("n")).as_bytes()).unwrap();
        assert_eq!(more, ItemPage::More("n".to_owned()));
        let rest = [segment("b", "text")];
        let whole = items.push(list(&rest, None).as_bytes()).unwrap();
        let value = PropertyValue::Text {
            plain: format!("{}b", "a".repeat(25)),
            lossy: true,
        };
        assert_eq!(whole, ItemPage::Whole(PropertyRead::Value(value)));
    }

    #[test]
    fn an_empty_list_is_an_empty_text() {
        let whole = PropertyItems::default().push(list(&[], None).as_bytes());
        let value = PropertyValue::Text {
            plain: String::new(),
            lossy: false,
        };
        assert_eq!(whole.unwrap(), ItemPage::Whole(PropertyRead::Value(value)));
    }

    #[test]
    fn a_list_that_starts_again_is_an_error() {
        let mut items = PropertyItems::default();
        let body = list(&[segment("a", "text")], Some("n"));
        assert!(items.push(body.as_bytes()).is_ok());
        assert!(items.push(body.as_bytes()).is_err());
    }

    #[test]
    fn lists_of_other_types_are_unsupported() {
        let body = br#"{"object":"list","results":[],"has_more":false,
            "property_item":{"id":"x","type":"relation","relation":{}}}"#;
        let whole = PropertyItems::default().push(body).unwrap();
        assert_eq!(whole, ItemPage::Whole(PropertyRead::Unsupported));
    }

    #[test]
    fn other_properties_come_as_a_single_item() {
        let body = br#"{"object":"property_item","id":"x","type":"checkbox","checkbox":true}"#;
        let whole = PropertyItems::default().push(body).unwrap();
        let value = PropertyValue::Checkbox(true);
        assert_eq!(whole, ItemPage::Whole(PropertyRead::Value(value)));
    }
}
