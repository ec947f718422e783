//! Property values: one line per type.
//!
//! [`decode`] is the one door for types: a new type is a line in its match and a function that
//! returns `None` for a form it does not know. Such a form, like a type outside the match, is
//! `Unsupported`, so that a value nobody understands is never taken for an empty one.

use std::str::FromStr;

use bigdecimal::BigDecimal;
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::object::{Object, is_null, read};
use super::text::Text;
use super::{date, text};
use crate::sync::page::{PageProperty, PropertyRead, PropertyType, PropertyValue};

/// The longest number, and the largest exponent, that is read. A JSON double has neither more than
/// 400 characters nor an exponent beyond 308; a payload may claim `1e999999999`, whose digits would
/// fill the memory.
const NUMBER_LIMIT: usize = 400;

/// Decodes a value by its type.
fn decode(kind: &PropertyType, raw: &RawValue) -> Option<PropertyRead> {
    let value = match kind {
        PropertyType::Title | PropertyType::RichText => return text::decode(raw),
        PropertyType::Number => number(raw),
        PropertyType::Select | PropertyType::Status => choice(raw),
        PropertyType::Checkbox => checkbox(raw),
        PropertyType::Date => date::decode(raw),
        PropertyType::Url | PropertyType::Email | PropertyType::PhoneNumber => line(raw),
        PropertyType::CreatedTime | PropertyType::LastEditedTime => moment(raw),
        PropertyType::Other(_) => None,
    };
    value.map(PropertyRead::Value)
}

/// A property as a page, a query row or a property item shows it: `{"type":"t","t":value}`.
pub(super) fn read_property(property: &Object<'_>, kind: PropertyType) -> PageProperty {
    let decoded = property.get(kind.name()).and_then(|raw| decode(&kind, raw));
    let read = match decoded {
        Some(_) if property.flag("has_more") == Some(true) => PropertyRead::Truncated,
        Some(read) => read,
        None => PropertyRead::Unsupported,
    };
    PageProperty { kind, read }
}

/// Joins the items of a property that was paged, one [`Text`] across all pages. `None` where an
/// item has no text.
pub(super) fn push_items(text: &mut Text, kind: &PropertyType, items: &[&RawValue]) -> Option<()> {
    items
        .iter()
        .try_for_each(|item| text.push(Object::read(item).get(kind.name())?))
}

fn number(raw: &RawValue) -> Option<PropertyValue> {
    if is_null(raw) {
        return Some(PropertyValue::Number(None));
    }
    let digits = raw.get();
    // The text itself: a double between would round what the JSON says.
    let number = BigDecimal::from_str(digits).ok()?;
    let exponent = number.fractional_digit_count().unsigned_abs();
    let fits = digits.len() <= NUMBER_LIMIT && usize::try_from(exponent).ok()? <= NUMBER_LIMIT;
    fits.then_some(PropertyValue::Number(Some(number)))
}

fn choice(raw: &RawValue) -> Option<PropertyValue> {
    if is_null(raw) {
        return Some(PropertyValue::Choice(None));
    }
    let name = Object::read(raw).text("name")?;
    Some(PropertyValue::Choice(Some(name)))
}

fn checkbox(raw: &RawValue) -> Option<PropertyValue> {
    read(raw).map(PropertyValue::Checkbox)
}

fn line(raw: &RawValue) -> Option<PropertyValue> {
    read(raw).map(PropertyValue::Line)
}

fn moment(raw: &RawValue) -> Option<PropertyValue> {
    timestamp(&read::<String>(raw)?).map(PropertyValue::Moment)
}

/// An RFC 3339 time; databases write `+00:00` where pages write `Z`.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn property(text: &str) -> PropertyRead {
        let raw = RawValue::from_string(text.to_owned()).unwrap();
        let object = Object::read(&raw);
        let kind = PropertyType::from_name(&object.text("type").unwrap());
        read_property(&object, kind).read
    }

    fn number_of(text: &str) -> PropertyRead {
        property(&format!(r#"{{"type":"number","number":{text}}}"#))
    }

    #[test]
    fn numbers_are_what_the_text_says() {
        for text in ["9007199254740993", "0.1", "19.555", "-1e-7", "1E+21", "0"] {
            let PropertyRead::Value(PropertyValue::Number(Some(number))) = number_of(text) else {
                panic!("{text} was not read");
            };
            assert_eq!(number, BigDecimal::from_str(text).unwrap(), "{text}");
        }
        assert_eq!(
            number_of("null"),
            PropertyRead::Value(PropertyValue::Number(None))
        );
    }

    #[test]
    fn numbers_that_no_double_holds_are_refused() {
        let long = "1".repeat(500);
        for text in ["1e999999999", "1e-999999999", &long, "\"7\"", "true"] {
            assert_eq!(number_of(text), PropertyRead::Unsupported, "{text}");
        }
    }

    #[test]
    fn forms_that_nobody_knows_are_unsupported_not_empty() {
        for text in [
            r#"{"type":"checkbox","checkbox":null}"#,
            r#"{"type":"select","select":{"id":"x"}}"#,
            r#"{"type":"select"}"#,
            r#"{"type":"url","url":7}"#,
            r#"{"type":"created_time","created_time":null}"#,
            r#"{"type":"hologram","hologram":{}}"#,
            r#"{"type":"relation","relation":[],"has_more":true}"#,
        ] {
            assert_eq!(property(text), PropertyRead::Unsupported, "{text}");
        }
    }

    #[test]
    fn a_value_that_says_it_has_more_is_truncated() {
        assert_eq!(
            property(r#"{"type":"rich_text","rich_text":[],"has_more":true}"#),
            PropertyRead::Truncated
        );
    }
}
