//! Property values as a write carries them.
//!
//! [`property_json`] is the counterpart of `property.rs`. What Notion would refuse for its size is
//! marked before, by [`crate::sync::convert::writable`].

use serde_json::{Map, Value, json};

use crate::sync::convert::text_segments;
use crate::sync::page::{DateOrTime, NotionDate, PropertyType, PropertyValue};

/// The value as `properties` of a page's PATCH or POST has it, `{"<type>": …}`; `None` where the
/// type cannot be written, or the value is of another type.
///
/// Every value is whole: arrays replace what the page has, and an empty value clears it.
pub fn property_json(value: &PropertyValue, kind: &PropertyType) -> Option<Value> {
    use PropertyType as P;
    use PropertyValue as V;
    let inner = match (kind, value) {
        (P::Title | P::RichText, V::Text { plain, .. }) => text_segments(plain)
            .into_iter()
            .map(|segment| json!({ "type": "text", "text": { "content": segment } }))
            .collect(),
        (P::Number, V::Number(number)) => match number {
            Some(number) => Value::Number(number.normalized().to_plain_string().parse().ok()?),
            None => Value::Null,
        },
        (P::Checkbox, V::Checkbox(checked)) => (*checked).into(),
        (P::Select | P::Status, V::Choice(name)) => name.as_deref().map(option).into(),
        (P::MultiSelect, V::Names(names)) => names.iter().map(|name| option(name)).collect(),
        (P::Date, V::Date(date)) => date.as_ref().map(date_json).into(),
        (P::Url | P::Email | P::PhoneNumber, V::Line(line)) => {
            line.as_deref().filter(|line| !line.is_empty()).into()
        }
        // People may be groups, too, so nothing is said of what they are.
        (P::Relation | P::People, V::Ids(ids)) => {
            ids.iter().map(|id| json!({ "id": id })).collect()
        }
        _ => return None,
    };
    Some(Value::Object(Map::from_iter([(
        kind.name().to_owned(),
        inner,
    )])))
}

fn option(name: &str) -> Value {
    json!({ "name": name })
}

/// A date with its end, also where there is none: a write replaces both. The offset says all, so no
/// zone is sent.
fn date_json(date: &NotionDate) -> Value {
    let text = |end: DateOrTime| match end {
        DateOrTime::Day(day) => day.to_string(),
        DateOrTime::Moment(moment) => moment.to_string(),
    };
    json!({ "start": text(date.start), "end": date.end.map(text) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::fixtures::text;

    #[test]
    fn values_have_the_form_that_notion_takes() {
        use PropertyType as P;
        use PropertyValue as V;
        let id = uuid::Uuid::from_u128(1);
        let date = |start: DateOrTime, end| V::Date(Some(NotionDate { start, end }));
        let day = |text: &str| DateOrTime::Day(text.parse().unwrap());
        let moment = |text: &str| DateOrTime::Moment(text.parse().unwrap());
        let number = |text: &str| V::Number(Some(text.parse().unwrap()));
        let cases = [
            (P::Title, text(""), json!([])),
            (
                P::RichText,
                text("a"),
                json!([{"type": "text", "text": {"content": "a"}}]),
            ),
            (P::Number, number("19.50"), json!(19.5)),
            (P::Number, number("-3"), json!(-3)),
            (P::Number, V::Number(None), json!(null)),
            (P::Checkbox, V::Checkbox(true), json!(true)),
            (P::Status, V::Choice(Some("A".into())), json!({"name": "A"})),
            (P::Select, V::Choice(None), json!(null)),
            (
                P::MultiSelect,
                V::Names(vec!["A".into(), "B".into()]),
                json!([{"name": "A"}, {"name": "B"}]),
            ),
            (P::MultiSelect, V::Names(vec![]), json!([])),
            (P::Url, V::Line(Some(String::new())), json!(null)),
            (
                P::Email,
                V::Line(Some("a@b.example".into())),
                json!("a@b.example"),
            ),
            (P::Relation, V::Ids(vec![id]), json!([{"id": id}])),
            (P::People, V::Ids(vec![id]), json!([{"id": id}])),
            (P::Date, V::Date(None), json!(null)),
            (
                P::Date,
                date(day("2026-06-27"), None),
                json!({"start": "2026-06-27", "end": null}),
            ),
            (
                P::Date,
                date(
                    moment("2026-06-27T10:00:00+02:00"),
                    Some(moment("2026-06-27T09:00:00Z")),
                ),
                json!({"start": "2026-06-27T08:00:00Z", "end": "2026-06-27T09:00:00Z"}),
            ),
        ];
        for (kind, value, inner) in cases {
            let written = property_json(&value, &kind).unwrap();
            assert_eq!(written, json!({ kind.name(): inner }), "{value:?}");
        }
    }

    #[test]
    fn long_text_goes_in_segments() {
        let long = "\u{1f600}".repeat(1_500);
        let written = property_json(&text(&long), &PropertyType::RichText).unwrap();
        let segments = written["rich_text"].as_array().unwrap();
        let lengths: Vec<_> = segments
            .iter()
            .map(|segment| segment["text"]["content"].as_str().unwrap().chars().count())
            .collect();
        assert_eq!(lengths, [1_000, 500]);
    }

    #[test]
    fn what_cannot_be_written_has_no_form() {
        for kind in PropertyType::all() {
            let other = PropertyValue::Raw(json!({}));
            assert_eq!(property_json(&other, &kind), None);
            if kind.is_read_only() {
                let line = PropertyValue::Line(Some("verified".into()));
                assert_eq!(property_json(&line, &kind), None);
            }
        }
    }
}
