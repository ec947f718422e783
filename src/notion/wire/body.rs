//! Bodies of writes and of look-ups by value.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::encoded;
use super::write::property_json;
use crate::notion::error::NotionError;
use crate::notion::writer::PropertyWrite;
use crate::sync::column::number_json;
use crate::sync::identity::{DataSourceId, PropertyId};
use crate::sync::page::{DateOrTime, PropertyType, PropertyValue};
use crate::sync::window::floor_to_minute;

/// The longest text that is put into a filter; what is longer is asked for by its beginning.
const FILTER_TEXT: usize = 2_000;
/// How many members of a set are put into a filter: they narrow the search, the comparison after
/// it decides.
const FILTER_MEMBERS: usize = 3;

/// The `properties` of a write, by id as Notion writes ids.
pub(in crate::notion) fn properties(writes: &[PropertyWrite]) -> Result<Value, NotionError> {
    let entry = |(id, kind, value): &PropertyWrite| {
        let value = property_json(value, kind).ok_or_else(|| NotionError::NotWritable(id.clone()));
        Ok((encoded(id.as_str()), value?))
    };
    let entries: Result<Map<_, _>, NotionError> = writes.iter().map(entry).collect();
    entries.map(Value::Object)
}

/// The body that makes a page in a data source.
pub(in crate::notion) fn new_page(
    source: DataSourceId,
    writes: &[PropertyWrite],
) -> Result<Value, NotionError> {
    Ok(json!({
        "parent": { "type": "data_source_id", "data_source_id": source },
        "properties": properties(writes)?,
    }))
}

/// The body of a query for pages with these values, newest first; `None` where there is nothing to
/// ask for.
pub(in crate::notion) fn search(key: &[PropertyWrite], cursor: Option<&str>) -> Option<Value> {
    let conditions: Vec<Value> = key
        .iter()
        .flat_map(|(id, kind, value)| conditions(id, kind, value))
        .collect();
    if conditions.is_empty() {
        return None;
    }
    let mut body = json!({
        "result_type": "page",
        "page_size": 100,
        "sorts": [{ "timestamp": "created_time", "direction": "descending" }],
        "filter": { "and": conditions },
    });
    if let Some(cursor) = cursor {
        body["start_cursor"] = json!(cursor);
    }
    Some(body)
}

/// What a page that has this value certainly satisfies; more pages may.
fn conditions(id: &PropertyId, kind: &PropertyType, value: &PropertyValue) -> Vec<Value> {
    let condition = |test: Value| json!({ "property": encoded(id.as_str()), kind.name(): test });
    tests(kind, value).into_iter().map(condition).collect()
}

/// The tests of a filter that a value passes. Computed types and sets of files have none that
/// compares them whole.
fn tests(kind: &PropertyType, value: &PropertyValue) -> Vec<Value> {
    use PropertyType as P;
    use PropertyValue as V;
    let equals = |operand: Value| vec![json!({ "equals": operand })];
    match (kind, value) {
        (P::Title | P::RichText, V::Text { plain: text, .. })
        | (P::Url | P::Email | P::PhoneNumber, V::Line(Some(text))) => text_tests(text),
        (P::Number, V::Number(Some(number))) => match number_json(number) {
            number @ Value::Number(_) => equals(number),
            _ => Vec::new(),
        },
        (P::UniqueId, V::UniqueId(Some(id))) => equals(id.number.into()),
        (P::Checkbox, V::Checkbox(checked)) => equals((*checked).into()),
        (P::Select | P::Status, V::Choice(Some(name))) => equals(name.as_str().into()),
        (P::MultiSelect, V::Names(names)) => contains(names),
        (P::Relation | P::People, V::Ids(ids)) => contains(ids),
        (P::Date, V::Date(Some(date))) => match date.start {
            DateOrTime::Day(day) => equals(day.to_string().into()),
            DateOrTime::Moment(moment) => equals(time(moment)),
        },
        (P::CreatedTime | P::LastEditedTime, V::Moment(moment)) => equals(time(*moment)),
        _ => Vec::new(),
    }
}

fn text_tests(text: &str) -> Vec<Value> {
    let condition = match text.char_indices().nth(FILTER_TEXT) {
        _ if text.is_empty() => return Vec::new(),
        Some((end, _)) => json!({ "starts_with": text[..end] }),
        None => json!({ "equals": text }),
    };
    vec![condition]
}

fn contains<T: Serialize>(members: &[T]) -> Vec<Value> {
    let members = members.iter().take(FILTER_MEMBERS);
    members.map(|it| json!({ "contains": it })).collect()
}

/// A moment as Notion keeps it, to the minute.
fn time(moment: Timestamp) -> Value {
    format!("{:.3}", floor_to_minute(moment)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::fixtures::text;
    use crate::sync::page::{NotionDate, UniqueId};

    fn key(id: &str, kind: PropertyType, value: PropertyValue) -> PropertyWrite {
        (PropertyId::new(id), kind, value)
    }

    #[test]
    fn properties_are_named_by_their_encoded_ids() {
        let done = key(
            "U%60%3BC",
            PropertyType::Checkbox,
            PropertyValue::Checkbox(true),
        );
        assert_eq!(
            properties(&[done]).unwrap(),
            json!({"U%60%3BC": {"checkbox": true}})
        );
        let odd = key("x", PropertyType::Checkbox, text("yes"));
        let error = properties(&[odd]).unwrap_err();
        assert!(matches!(error, NotionError::NotWritable(id) if id.as_str() == "x"));
    }

    #[test]
    fn a_key_is_searched_for_by_all_its_properties() {
        use PropertyType as P;
        use PropertyValue as V;
        let id = uuid::Uuid::from_u128(7);
        let moment = DateOrTime::Moment("2026-11-20T10:15:42Z".parse().unwrap());
        let date = V::Date(Some(NotionDate {
            start: moment,
            end: None,
        }));
        let unique = UniqueId {
            prefix: Some("T".to_owned()),
            number: 12,
        };
        let key = [
            key("title", P::Title, text("Row")),
            key(
                "a%3Ab",
                P::Number,
                V::Number(Some("19.50".parse().unwrap())),
            ),
            key("c", P::Relation, V::Ids(vec![id])),
            key("d", P::Date, date),
            key("e", P::UniqueId, V::UniqueId(Some(unique))),
            key(
                "f",
                P::Files,
                V::Files(vec!["https://a.example".to_owned()]),
            ),
            key("g", P::Email, V::Line(None)),
        ];
        let body = search(&key, Some("c1")).unwrap();
        assert_eq!(body["start_cursor"], "c1");
        assert_eq!(body["sorts"][0]["direction"], "descending");
        assert_eq!(
            body["filter"],
            json!({"and": [
                {"property": "title", "title": {"equals": "Row"}},
                {"property": "a%3Ab", "number": {"equals": 19.5}},
                {"property": "c", "relation": {"contains": id}},
                {"property": "d", "date": {"equals": "2026-11-20T10:15:00.000Z"}},
                {"property": "e", "unique_id": {"equals": 12}},
            ]})
        );
        assert_eq!(search(&key[5..], None), None);
    }

    #[test]
    fn long_text_is_searched_for_by_its_beginning() {
        let long = "ä".repeat(2_001);
        let key = [key("title", PropertyType::Title, text(&long))];
        let body = search(&key, None).unwrap();
        let test = &body["filter"]["and"][0]["title"]["starts_with"];
        assert_eq!(test.as_str(), Some("ä".repeat(2_000).as_str()));
    }
}
