//! Property items: one property of a page, read by itself and in full.

use serde::Deserialize;
use serde_json::value::RawValue;

use uuid::Uuid;

use super::object::Object;
use super::property::read_property;
use super::query::next_cursor;
use super::text::Text;
use super::{computed, lacking, lists, parse};
use crate::notion::error::NotionError;
use crate::sync::page::{PropertyRead, PropertyType, PropertyValue};

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
    ids: Vec<Uuid>,
    elements: Vec<PropertyRead>,
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
        if self.take(&kind, &results).is_none() {
            return Ok(ItemPage::Whole(PropertyRead::Unsupported));
        }
        self.cursor = next_cursor(list.has_more, list.next_cursor, self.cursor.as_deref())?;
        if let Some(cursor) = &self.cursor {
            return Ok(ItemPage::More(cursor.clone()));
        }
        let read = std::mem::take(self).finish(&kind, list.property_item);
        Ok(ItemPage::Whole(read.unwrap_or(PropertyRead::Unsupported)))
    }

    /// Adds the items of one answer; `None` where one of them cannot be read.
    fn take(&mut self, kind: &PropertyType, items: &[&RawValue]) -> Option<()> {
        let mut values = items.iter().map(|item| Object::read(item).get(kind.name()));
        match kind {
            PropertyType::Title | PropertyType::RichText => {
                values.try_for_each(|value| self.text.push(value?))
            }
            PropertyType::Relation | PropertyType::People => values.try_for_each(|value| {
                self.ids.push(lists::id(value?)?);
                Some(())
            }),
            // Each item is of the type that was rolled up. They count only where the rollup is an
            // array: of a sum, they are the pages that it was made from.
            PropertyType::Rollup => {
                let elements = items.iter().map(|item| computed::element(item));
                self.elements.extend(elements);
                Some(())
            }
            _ => None,
        }
    }

    /// The value, now that the list has ended.
    fn finish(self, kind: &PropertyType, property: Option<&RawValue>) -> Option<PropertyRead> {
        let value = match kind {
            PropertyType::Title | PropertyType::RichText => self.text.into_value(),
            PropertyType::Relation | PropertyType::People => PropertyValue::Ids(self.ids),
            _ => {
                let rollup = Object::read(property?).get(kind.name())?;
                return computed::whole_rollup(rollup, self.elements);
            }
        };
        Some(PropertyRead::Value(value))
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

    fn answer(results: &str, next: Option<&str>, property: &str) -> String {
        let (more, next) = (next.is_some(), serde_json::json!(next));
        format!(
            r#"{{"object":"list","results":[{results}],"has_more":{more},"next_cursor":{next},
                "property_item":{property}}}"#
        )
    }

    fn read_of(answers: &[String]) -> PropertyRead {
        let mut items = PropertyItems::default();
        for answer in answers {
            match items.push(answer.as_bytes()).unwrap() {
                ItemPage::More(_) => {}
                ItemPage::Whole(read) => return read,
            }
        }
        panic!("the list has no end");
    }

    #[test]
    fn relations_and_people_are_read_to_their_end() {
        for kind in ["relation", "people"] {
            let property = format!(r#"{{"id":"x","type":"{kind}","{kind}":{{}}}}"#);
            let items = |numbers: std::ops::Range<u128>| {
                let items = numbers.map(|number| {
                    let id = Uuid::from_u128(number);
                    format!(r#"{{"type":"{kind}","{kind}":{{"object":"user","id":"{id}"}}}}"#)
                });
                items.collect::<Vec<_>>().join(",")
            };
            let answers = [
                answer(&items(0..100), Some("n"), &property),
                answer(&items(100..130), None, &property),
            ];
            let ids = PropertyValue::Ids((0..130).map(Uuid::from_u128).collect());
            assert_eq!(read_of(&answers), PropertyRead::Value(ids));
            let odd = format!(r#"{{"type":"{kind}","{kind}":{{"id":7}}}}"#);
            let odd = answer(&odd, None, &property);
            assert_eq!(read_of(&[odd]), PropertyRead::Unsupported);
        }
    }

    #[test]
    fn a_rollup_takes_its_elements_from_the_list_and_its_value_from_the_end() {
        let rollup = |value: &str| format!(r#"{{"id":"x","type":"rollup","rollup":{value}}}"#);
        let incomplete = rollup(r#"{"type":"incomplete","incomplete":{},"function":"x"}"#);
        let number = r#"{"type":"number","number":1}"#;
        let twenty = vec![number; 20].join(",");
        let array = rollup(r#"{"type":"array","array":[],"function":"show_original"}"#);
        let read = read_of(&[
            answer(&twenty, Some("n"), &incomplete),
            answer(&twenty, None, &array),
        ]);
        let one = PropertyValue::Number(Some(1.into()));
        assert_eq!(
            read,
            PropertyRead::Value(PropertyValue::List(vec![one; 40]))
        );
        let relation = r#"{"type":"relation","relation":{"id":"x"}}"#;
        let sum = rollup(r#"{"type":"number","number":40,"function":"sum"}"#);
        let read = read_of(&[
            answer(relation, Some("n"), &incomplete),
            answer(relation, None, &sum),
        ]);
        let forty = PropertyValue::Number(Some(40.into()));
        assert_eq!(read, PropertyRead::Value(forty));
        let unsupported = rollup(r#"{"type":"unsupported","unsupported":{},"function":"median"}"#);
        for left in [incomplete, unsupported] {
            assert_eq!(read_of(&[answer("", None, &left)]), PropertyRead::Truncated);
        }
    }

    #[test]
    fn lists_of_other_types_are_unsupported() {
        let body = br#"{"object":"list","results":[],"has_more":false,
            "property_item":{"id":"x","type":"hologram","hologram":{}}}"#;
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
