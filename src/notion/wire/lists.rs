//! Values with many elements: options, pages, people, files.
//!
//! An element that cannot be read makes the whole value unreadable: a list that lacks one would look
//! like one that somebody shortened.

use serde_json::value::RawValue;
use uuid::Uuid;

use super::object::{Object, is_null, read};
use crate::sync::page::{PropertyRead, PropertyValue};

/// How many references Notion shows in one property of a page or query answer
/// (`facts/notion-api.md` §4, truncation).
pub(super) const REFERENCE_LIMIT: usize = 25;

/// The options of a multi-select.
pub(super) fn names(raw: &RawValue) -> Option<PropertyValue> {
    let names = elements(raw)?.into_iter();
    let names = names.map(|option| Object::read(option).text("name"));
    names.collect::<Option<_>>().map(PropertyValue::Names)
}

/// The pages of a relation, or people. Notion says `has_more` of relations only, so as many as it
/// shows at most are read again.
pub(super) fn ids(raw: &RawValue) -> Option<PropertyRead> {
    let ids: Vec<Uuid> = elements(raw)?.into_iter().map(id).collect::<Option<_>>()?;
    if ids.len() >= REFERENCE_LIMIT {
        return Some(PropertyRead::Truncated);
    }
    Some(PropertyRead::Value(PropertyValue::Ids(ids)))
}

/// The id of one page, user or group.
pub(super) fn id(raw: &RawValue) -> Option<Uuid> {
    Object::read(raw).text("id")?.parse().ok()
}

/// The URLs of files.
pub(super) fn files(raw: &RawValue) -> Option<PropertyValue> {
    let urls: Option<_> = elements(raw)?.into_iter().map(url).collect();
    urls.map(PropertyValue::Files)
}

fn url(raw: &RawValue) -> Option<String> {
    let file = Object::read(raw);
    let held = file.object("external").or_else(|| file.object("file"))?;
    held.text("url").map(|url| without_query(&url))
}

/// The URL without its query: there stands the signature of a file that Notion stores, another one
/// with each read.
fn without_query(url: &str) -> String {
    let (location, fragment) = match url.split_once('#') {
        Some((location, fragment)) => (location, Some(fragment)),
        None => (url, None),
    };
    let path = location.split('?').next().unwrap_or(location);
    match fragment {
        Some(fragment) => format!("{path}#{fragment}"),
        None => path.to_owned(),
    }
}

/// The elements of an array; `null` has none.
fn elements(raw: &RawValue) -> Option<Vec<&RawValue>> {
    if is_null(raw) {
        return Some(Vec::new());
    }
    read(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn options_are_their_names_in_order() {
        let two = r#"[{"id":"1","name":"b","color":"red"},{"name":"a"}]"#;
        let names = PropertyValue::Names(vec!["b".into(), "a".into()]);
        assert_eq!(super::names(&raw(two)), Some(names));
        assert_eq!(
            super::names(&raw("null")),
            Some(PropertyValue::Names(vec![]))
        );
        assert_eq!(super::names(&raw(r#"[{"name":"a"},{"id":"2"}]"#)), None);
    }

    #[test]
    fn twenty_five_ids_may_be_more() {
        let list = |count: u128| {
            let ids: Vec<_> = (0..count)
                .map(|number| format!(r#"{{"object":"user","id":"{}"}}"#, Uuid::from_u128(number)))
                .collect();
            ids_of(&format!("[{}]", ids.join(",")))
        };
        let twenty_four = PropertyValue::Ids((0..24).map(Uuid::from_u128).collect());
        assert_eq!(list(24), Some(PropertyRead::Value(twenty_four)));
        assert_eq!(list(25), Some(PropertyRead::Truncated));
        assert_eq!(ids_of(r#"[{"id":"me"}]"#), None);
        assert_eq!(
            ids_of(r#"{"id":"71c7c1b0-0b3e-4a55-8b0c-7d8f5a0c2e10"}"#),
            None
        );
    }

    fn ids_of(text: &str) -> Option<PropertyRead> {
        ids(&raw(text))
    }

    #[test]
    fn files_are_their_urls_without_what_changes_with_each_read() {
        let text = r#"[{"name":"a","type":"external","external":{"url":"https://a.example/x?y=1#z?"}},
            {"type":"file","file":{"url":"https://s3.example/k/a.pdf?X-Amz-Signature=f","expiry_time":"t"}}]"#;
        let urls = ["https://a.example/x#z?", "https://s3.example/k/a.pdf"];
        let files = PropertyValue::Files(urls.map(str::to_owned).to_vec());
        assert_eq!(super::files(&raw(text)), Some(files));
        assert_eq!(super::files(&raw(r#"[{"type":"hologram"}]"#)), None);
    }
}
