//! Formulas and rollups: a value of some type, which the value itself names.

use serde_json::Value;
use serde_json::value::RawValue;

use super::lists::{self, REFERENCE_LIMIT};
use super::object::{Object, is_null, is_object, read};
use super::property::{decode, number};
use super::text::Text;
use super::{date, property};
use crate::sync::page::{PropertyRead, PropertyType, PropertyValue};

/// A formula's result. `unsupported` is Notion's own word for one that it will never compute.
pub(super) fn formula(raw: &RawValue) -> Option<PropertyRead> {
    let result = Object::read(raw);
    let kind = result.text("type")?;
    let inner = result.get(&kind);
    let value = match kind.as_str() {
        "string" => read::<Option<String>>(inner?).map(|text| PropertyValue::Text {
            plain: text.unwrap_or_default(),
            lossy: false,
        }),
        // A checkbox is never empty, but the result of a formula may be.
        "boolean" if is_null(inner?) => Some(PropertyValue::Raw(Value::Null)),
        "boolean" => property::checkbox(inner?),
        "number" => number(inner?),
        "date" => date::decode(inner?),
        _ => return Some(PropertyRead::Unsupported),
    };
    value.map(PropertyRead::Value)
}

/// A rollup as a page or query answer shows it. An array as long as what Notion shows at most may
/// be cut, and what is `incomplete` says so.
pub(super) fn rollup(raw: &RawValue) -> Option<PropertyRead> {
    let rollup = Object::read(raw);
    if rollup.text("type").as_deref() != Some("array") {
        return single(&rollup);
    }
    let elements: Vec<&RawValue> = read(rollup.get("array")?)?;
    if elements.len() >= REFERENCE_LIMIT {
        return Some(PropertyRead::Truncated);
    }
    Some(list(elements.into_iter().map(element).collect()))
}

/// A rollup that was read by itself to its end: its elements were listed apart from it.
pub(super) fn whole_rollup(raw: &RawValue, listed: Vec<PropertyRead>) -> Option<PropertyRead> {
    let rollup = Object::read(raw);
    match rollup.text("type")?.as_str() {
        "array" => {
            let own: Vec<&RawValue> = read(rollup.get("array")?)?;
            let elements = if own.is_empty() {
                listed
            } else {
                own.into_iter().map(element).collect()
            };
            Some(list(elements))
        }
        // Some functions are computed for pages only, where the value may be wrong.
        "unsupported" => Some(PropertyRead::Truncated),
        _ => single(&rollup),
    }
}

fn single(rollup: &Object<'_>) -> Option<PropertyRead> {
    let kind = rollup.text("type")?;
    let value = match kind.as_str() {
        "number" => number(rollup.get(&kind)?),
        "date" => date::decode(rollup.get(&kind)?),
        "incomplete" => return Some(PropertyRead::Truncated),
        _ => return Some(PropertyRead::Unsupported),
    };
    value.map(PropertyRead::Value)
}

/// The elements as one value, which is no better than the worst of them.
fn list(elements: Vec<PropertyRead>) -> PropertyRead {
    let mut values = Vec::with_capacity(elements.len());
    let mut is_cut = false;
    for element in elements {
        match element {
            PropertyRead::Value(value) => values.push(value),
            PropertyRead::Truncated => is_cut = true,
            PropertyRead::Unsupported => return PropertyRead::Unsupported,
        }
    }
    if is_cut {
        PropertyRead::Truncated
    } else {
        PropertyRead::Value(PropertyValue::List(values))
    }
}

/// One element by its own type. Read by itself, it shows one item of a list without the array
/// around it.
pub(super) fn element(raw: &RawValue) -> PropertyRead {
    let object = Object::read(raw);
    let read = object.text("type").and_then(|name| {
        let kind = PropertyType::from_name(&name);
        let value = object.get(&name)?;
        if is_object(value)
            && let Some(item) = item(&kind, value)
        {
            return item.map(PropertyRead::Value);
        }
        decode(&kind, value)
    });
    read.unwrap_or(PropertyRead::Unsupported)
}

/// The one item of a list type; `None` outside for a type that is no list.
#[expect(
    clippy::option_option,
    reason = "whether it is a list, and whether it is readable"
)]
fn item(kind: &PropertyType, raw: &RawValue) -> Option<Option<PropertyValue>> {
    match kind {
        PropertyType::Title | PropertyType::RichText => {
            let mut text = Text::default();
            Some(text.push(raw).map(|()| text.into_value()))
        }
        PropertyType::Relation | PropertyType::People => {
            Some(lists::id(raw).map(|id| PropertyValue::Ids(vec![id])))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn whole(value: PropertyValue) -> PropertyRead {
        PropertyRead::Value(value)
    }

    fn text(plain: &str) -> PropertyValue {
        crate::sync::fixtures::text(plain)
    }

    #[test]
    fn a_formula_has_the_type_of_its_result() {
        let decoded = |text: &str| formula(&raw(text));
        assert_eq!(
            decoded(r#"{"type":"string","string":"a"}"#),
            Some(whole(text("a")))
        );
        assert_eq!(
            decoded(r#"{"type":"string","string":null}"#),
            Some(whole(text("")))
        );
        assert_eq!(
            decoded(r#"{"type":"number","number":1.5}"#),
            Some(whole(PropertyValue::Number(Some("1.5".parse().unwrap()))))
        );
        assert_eq!(
            decoded(r#"{"type":"boolean","boolean":true}"#),
            Some(whole(PropertyValue::Checkbox(true)))
        );
        assert_eq!(
            decoded(r#"{"type":"boolean","boolean":null}"#),
            Some(whole(PropertyValue::Raw(Value::Null)))
        );
        assert_eq!(
            decoded(r#"{"type":"date","date":null}"#),
            Some(whole(PropertyValue::Date(None)))
        );
        let unsupported = Some(PropertyRead::Unsupported);
        assert_eq!(
            decoded(r#"{"type":"unsupported","unsupported":{}}"#),
            unsupported
        );
        assert_eq!(decoded(r#"{"type":"hologram","hologram":1}"#), unsupported);
        assert_eq!(decoded(r#"{"type":"number"}"#), None);
    }

    #[test]
    fn a_rollup_is_read_element_by_element() {
        let decoded = |text: &str| rollup(&raw(text));
        let elements = r#"{"type":"array","function":"show_original","array":[
            {"type":"title","title":[{"plain_text":"A"}]},{"type":"select","select":null},
            {"type":"relation","relation":[{"id":"00000000-0000-0000-0000-000000000001"}]},
            {"type":"hologram","hologram":{"x":1}}]}"#;
        let list = vec![
            text("A"),
            PropertyValue::Choice(None),
            PropertyValue::Ids(vec![uuid::Uuid::from_u128(1)]),
            PropertyValue::Raw(serde_json::json!({"x": 1})),
        ];
        assert_eq!(decoded(elements), Some(whole(PropertyValue::List(list))));
        let incomplete = r#"{"type":"incomplete","incomplete":{},"function":"sum"}"#;
        assert_eq!(decoded(incomplete), Some(PropertyRead::Truncated));
        let unsupported = r#"{"type":"unsupported","unsupported":{},"function":"median"}"#;
        assert_eq!(decoded(unsupported), Some(PropertyRead::Unsupported));
    }

    #[test]
    fn a_list_is_no_better_than_its_worst_element() {
        let number = r#"{"type":"number","number":1}"#;
        let of = |elements: &[&str]| {
            rollup(&raw(&format!(
                r#"{{"type":"array","array":[{}]}}"#,
                elements.join(",")
            )))
        };
        let formula = r#"{"type":"formula","formula":{"type":"unsupported"}}"#;
        assert_eq!(of(&[number, formula]), Some(PropertyRead::Unsupported));
        assert_eq!(of(&[number, "7"]), Some(PropertyRead::Unsupported));
        let many = vec![r#"{"id":"00000000-0000-0000-0000-000000000001"}"#; 25].join(",");
        let people = format!(r#"{{"type":"people","people":[{many}]}}"#);
        assert_eq!(of(&[number, &people]), Some(PropertyRead::Truncated));
        assert_eq!(of(&vec![number; 25]), Some(PropertyRead::Truncated));
    }
}
