//! What becomes of a value when a person gives its property another type.
//!
//! Text that looks like a number becomes one and everything else is lost; most types turn into
//! text. Reported for text to number; the rest is the same idea.

use crate::properties::date;
use crate::properties::kind::Kind;
use crate::properties::read::{choice_json, number_json};
use crate::properties::schema::Property;
use crate::properties::value::{DateValue, Text, Value};

/// The value under the new type; `None` where nothing of it can be kept.
pub(crate) fn convert(value: &Value, before: &Property, after: &Property) -> Option<Value> {
    if before.kind == after.kind {
        return Some(value.clone());
    }
    if let (Kind::Select | Kind::Status, Value::Choice(index), Kind::MultiSelect) =
        (&before.kind, value, &after.kind)
    {
        return Some(Value::Choices(Box::new([*index])));
    }
    let plain = as_text(value, before)?;
    match after.kind {
        Kind::Title | Kind::RichText => Some(Value::Text(Text::Plain(plain.into()))),
        Kind::Number => plain
            .trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .map(Value::Number),
        Kind::Url | Kind::Email | Kind::PhoneNumber => Some(Value::Line(plain.into())),
        Kind::Checkbox => plain.eq_ignore_ascii_case("yes").then_some(Value::Checked),
        Kind::Date => {
            let given = serde_json::json!({"start": plain});
            let DateValue { start, end } = date::parse(&given, true).ok()?;
            Some(Value::Date(Box::new(DateValue { start, end })))
        }
        Kind::Select | Kind::Status => after.option_named(&plain).map(Value::Choice),
        Kind::MultiSelect => after
            .option_named(&plain)
            .map(|it| Value::Choices(Box::new([it]))),
        _ => None,
    }
}

fn as_text(value: &Value, property: &Property) -> Option<String> {
    let text = match value {
        Value::Text(text) => text.plain(),
        Value::Number(number) => number_json(*number).to_string(),
        Value::Line(line) => line.to_string(),
        Value::Checked => "Yes".to_owned(),
        Value::Date(date) => date.start.to_string(),
        Value::Choice(index) => choice_json(property, *index)["name"].as_str()?.to_owned(),
        Value::Choices(indexes) => {
            let names: Vec<String> = indexes
                .iter()
                .filter_map(|index| property.option(*index).map(|option| option.name.clone()))
                .collect();
            names.join(", ")
        }
        Value::People(_) | Value::Relation(_) | Value::Files(_) | Value::Json(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}
