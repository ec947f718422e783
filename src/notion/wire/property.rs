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
use super::{computed, date, lists, text};
use crate::sync::page::{PageProperty, PropertyRead, PropertyType, PropertyValue, UniqueId, User};

/// The longest number, and the largest exponent, that is read. A JSON double has neither more than
/// 400 characters nor an exponent beyond 308; a payload may claim `1e999999999`, whose digits would
/// fill the memory.
const NUMBER_LIMIT: usize = 400;

/// Decodes a value by its type.
pub(super) fn decode(kind: &PropertyType, raw: &RawValue) -> Option<PropertyRead> {
    use PropertyType as P;
    let value = match kind {
        P::Title | P::RichText => return text::decode(raw),
        P::Relation | P::People => return lists::ids(raw),
        P::Formula => return computed::formula(raw),
        P::Rollup => return computed::rollup(raw),
        P::Number => number(raw),
        P::Select | P::Status => choice(raw),
        P::MultiSelect => lists::names(raw),
        P::Checkbox => checkbox(raw),
        P::Date => date::decode(raw),
        P::Url | P::Email | P::PhoneNumber => line(raw),
        P::Files => lists::files(raw),
        P::CreatedTime | P::LastEditedTime => moment(raw),
        P::CreatedBy | P::LastEditedBy => user(raw),
        P::UniqueId => unique_id(raw),
        P::Verification => verification(raw),
        P::Button | P::Place | P::Other(_) => read(raw).map(PropertyValue::Raw),
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

pub(super) fn number(raw: &RawValue) -> Option<PropertyValue> {
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

pub(super) fn checkbox(raw: &RawValue) -> Option<PropertyValue> {
    read(raw).map(PropertyValue::Checkbox)
}

fn line(raw: &RawValue) -> Option<PropertyValue> {
    read(raw).map(PropertyValue::Line)
}

fn moment(raw: &RawValue) -> Option<PropertyValue> {
    timestamp(&read::<String>(raw)?).map(PropertyValue::Moment)
}

/// A user, in full or with no more than the id: the name is not shown to every connection.
fn user(raw: &RawValue) -> Option<PropertyValue> {
    if is_null(raw) {
        return Some(PropertyValue::User(None));
    }
    let user = Object::read(raw);
    let id = user.text("id")?.parse().ok()?;
    let name = user.text("name").filter(|name| !name.is_empty());
    Some(PropertyValue::User(Some(User { id, name })))
}

fn unique_id(raw: &RawValue) -> Option<PropertyValue> {
    let id = Object::read(raw);
    if is_null(raw) || is_null(id.get("number")?) {
        return Some(PropertyValue::UniqueId(None));
    }
    let number = read(id.get("number")?)?;
    let prefix = id.text("prefix").filter(|prefix| !prefix.is_empty());
    Some(PropertyValue::UniqueId(Some(UniqueId { prefix, number })))
}

fn verification(raw: &RawValue) -> Option<PropertyValue> {
    if is_null(raw) {
        return Some(PropertyValue::Line(None));
    }
    let state = Object::read(raw).text("state")?;
    Some(PropertyValue::Line(Some(state)))
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
            r#"{"type":"hologram"}"#,
            r#"{"type":"relation","relation":{}}"#,
            r#"{"type":"people","people":[{}]}"#,
            r#"{"type":"files","files":"a"}"#,
            r#"{"type":"created_by","created_by":{"name":"A"}}"#,
            r#"{"type":"unique_id","unique_id":{"number":"1"}}"#,
            r#"{"type":"verification","verification":{}}"#,
            r#"{"type":"formula","formula":{}}"#,
            r#"{"type":"rollup","rollup":{"type":"array"}}"#,
        ] {
            assert_eq!(property(text), PropertyRead::Unsupported, "{text}");
        }
    }

    #[test]
    fn a_value_that_says_it_has_more_is_truncated() {
        for text in [
            r#"{"type":"rich_text","rich_text":[],"has_more":true}"#,
            r#"{"type":"relation","relation":[],"has_more":true}"#,
        ] {
            assert_eq!(property(text), PropertyRead::Truncated, "{text}");
        }
    }

    #[test]
    fn what_notion_says_of_a_page_is_read() {
        let id = "0b6b8f52-4f2f-4c1e-9a53-2c1d8e0c7a11";
        let user = |name: Option<&str>| {
            PropertyValue::User(Some(User {
                id: id.parse().unwrap(),
                name: name.map(str::to_owned),
            }))
        };
        let unique = |prefix: Option<&str>| {
            PropertyValue::UniqueId(Some(UniqueId {
                prefix: prefix.map(str::to_owned),
                number: 7,
            }))
        };
        let state = PropertyValue::Line(Some("verified".to_owned()));
        let cases = [
            (
                "created_by",
                format!(r#"{{"id":"{id}","name":"Ada"}}"#),
                user(Some("Ada")),
            ),
            (
                "last_edited_by",
                format!(r#"{{"id":"{id}","name":null}}"#),
                user(None),
            ),
            (
                "last_edited_by",
                "null".to_owned(),
                PropertyValue::User(None),
            ),
            (
                "unique_id",
                r#"{"prefix":"T","number":7}"#.to_owned(),
                unique(Some("T")),
            ),
            (
                "unique_id",
                r#"{"prefix":null,"number":7}"#.to_owned(),
                unique(None),
            ),
            (
                "unique_id",
                r#"{"prefix":"T","number":null}"#.to_owned(),
                PropertyValue::UniqueId(None),
            ),
            (
                "verification",
                r#"{"state":"verified","date":null}"#.to_owned(),
                state,
            ),
            ("verification", "null".to_owned(), PropertyValue::Line(None)),
        ];
        for (kind, value, expected) in cases {
            let text = format!(r#"{{"type":"{kind}","{kind}":{value}}}"#);
            assert_eq!(property(&text), PropertyRead::Value(expected), "{text}");
        }
    }

    #[test]
    fn what_has_no_form_here_is_kept_as_received() {
        for (kind, value) in [
            ("button", "{}"),
            ("place", r#"{"lat":52.5,"lon":13.4,"name":"B"}"#),
            ("place", "null"),
            ("hologram", r#"[1,"a",{"b":null}]"#),
        ] {
            let text = format!(r#"{{"type":"{kind}","{kind}":{value}}}"#);
            let raw = PropertyValue::Raw(serde_json::from_str(value).unwrap());
            assert_eq!(property(&text), PropertyRead::Value(raw), "{text}");
        }
    }
}
