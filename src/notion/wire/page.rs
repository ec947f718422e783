//! Pages: their identity, their times and the properties that somebody asked for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::object::{Object, read};
use super::property::{read_property, timestamp};
use super::{lacking, parse};
use crate::notion::error::NotionError;
use crate::sync::identity::{DataSourceId, PageId, PropertyId, UserId};
use crate::sync::page::{PageProperty, PageSnapshot, PropertyRead, PropertyType, Provenance};

/// A page object. Its properties are split into members in the same pass over the text, since most
/// of the work of a scan is done here.
#[derive(Debug, Deserialize)]
pub(super) struct PageObject<'a> {
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    parent: Option<&'a RawValue>,
    in_trash: Option<&'a RawValue>,
    /// The name of `in_trash` before `2026-03-11`; payloads may be of any version.
    archived: Option<&'a RawValue>,
    is_archived: Option<&'a RawValue>,
    created_time: Option<&'a RawValue>,
    last_edited_time: Option<&'a RawValue>,
    last_edited_by: Option<&'a RawValue>,
    properties: Option<Object<'a, Object<'a>>>,
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    read(raw?)
}

fn flag(raw: Option<&RawValue>) -> Option<bool> {
    read(raw?)
}

fn time(raw: Option<&RawValue>) -> Option<Timestamp> {
    timestamp(&text(raw)?)
}

impl<'a> PageObject<'a> {
    /// Notion's name of the kind of object.
    pub(super) fn object(&self) -> Option<String> {
        text(self.object)
    }

    /// The properties by name, unless Notion left them out.
    pub(super) fn properties(&self) -> Option<&Object<'a, Object<'a>>> {
        self.properties.as_ref()
    }

    /// Everything but the properties; `None` without a page id.
    pub(super) fn head(&self, provenance: Provenance) -> Option<PageSnapshot> {
        let parent = self.parent.map(Object::read);
        Some(PageSnapshot {
            id: text(self.id)?.parse::<PageId>().ok()?,
            provenance,
            data_source: parent
                .and_then(|parent| parent.text("data_source_id"))
                .and_then(|id| id.parse::<DataSourceId>().ok()),
            in_trash: flag(self.in_trash).or(flag(self.archived)).unwrap_or(false),
            is_archived: flag(self.is_archived).unwrap_or(false),
            created_time: time(self.created_time),
            last_edited_time: time(self.last_edited_time),
            last_edited_by: self
                .last_edited_by
                .and_then(|user| Object::read(user).text("id"))
                .and_then(|id| id.parse::<UserId>().ok()),
            properties: BTreeMap::new(),
        })
    }

    /// The page with its `wanted` properties.
    ///
    /// Without properties at all the connection lacks the capability to read content, which must
    /// not look like a page whose properties were deleted.
    pub(super) fn snapshot(
        &self,
        provenance: Provenance,
        wanted: &[PropertyId],
    ) -> Result<PageSnapshot, NotionError> {
        let head = self.head(provenance).ok_or_else(|| lacking("page"))?;
        let shown = self.properties().ok_or(NotionError::ContentNotReadable)?;
        let mut properties: BTreeMap<_, _> = shown
            .iter()
            .filter_map(|(_, property)| wanted_property(property, wanted))
            .collect();
        doubt_computed(&mut properties, shown);
        Ok(PageSnapshot { properties, ..head })
    }
}

/// A formula or rollup over a relation that was cut may have been computed from what was left of it
/// (`facts/notion-api.md` §4). Which relation it goes over stands in the schema only, so one that was
/// cut casts doubt on all.
fn doubt_computed(
    properties: &mut BTreeMap<PropertyId, PageProperty>,
    shown: &Object<'_, Object<'_>>,
) {
    let is_cut = |(_, property): (&str, &Object<'_>)| property.flag("has_more") == Some(true);
    let mut computed = properties
        .values_mut()
        .filter(|property| property.kind.is_computed())
        .peekable();
    if computed.peek().is_some() && shown.iter().any(is_cut) {
        computed
            .filter(|property| matches!(property.read, PropertyRead::Value(_)))
            .for_each(|property| property.read = PropertyRead::Truncated);
    }
}

fn wanted_property(
    property: &Object<'_>,
    wanted: &[PropertyId],
) -> Option<(PropertyId, PageProperty)> {
    let id = PropertyId::new(&property.text("id")?);
    if !wanted.contains(&id) {
        return None;
    }
    let kind = PropertyType::from_name(&property.text("type")?);
    Some((id, read_property(property, kind)))
}

/// The answer to a direct read of a page.
pub(in crate::notion) fn page(
    body: &[u8],
    wanted: &[PropertyId],
) -> Result<PageSnapshot, NotionError> {
    parse::<PageObject<'_>>(body, "page")?.snapshot(Provenance::Get, wanted)
}

/// The id in an answer that is a page, whatever else it holds.
pub(in crate::notion) fn page_id(body: &[u8]) -> Option<PageId> {
    text(parse::<PageObject<'_>>(body, "page").ok()?.id)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::page::PropertyValue;

    const PAGE: &str = r#"{"object":"page","id":"38b9ce7b-60a4-810a-a3e0-d0c7fde33f0c",
        "created_time":"2026-06-27T17:00:00.000Z","last_edited_time":"2026-06-27T17:01:00.000+00:00",
        "last_edited_by":{"object":"user","id":"0b6b8f52-4f2f-4c1e-9a53-2c1d8e0c7a11"},
        "parent":{"type":"data_source_id","data_source_id":"71c7c1b0-0b3e-4a55-8b0c-7d8f5a0c2e10",
            "database_id":"5b1f3d0e-6f0a-4f35-8a8e-1d8e7f6c5b4a"},
        "in_trash":true,"is_archived":true,"future":[1,{"x":2}],
        "properties":{"Stage":{"id":"U%60%3BC","type":"status","status":{"name":"Doing"}},
            "Name":{"id":"title","type":"title","title":[]},"Odd":null}}"#;

    #[test]
    fn a_page_is_read_with_the_wanted_properties_only() {
        let wanted = [PropertyId::new("U`;C")];
        let snapshot = page(PAGE.as_bytes(), &wanted).unwrap();
        assert_eq!(snapshot.provenance, Provenance::Get);
        assert!(snapshot.in_trash && snapshot.is_archived);
        assert_eq!(
            snapshot.data_source.unwrap().to_string(),
            "71c7c1b0-0b3e-4a55-8b0c-7d8f5a0c2e10"
        );
        assert_eq!(
            snapshot.last_edited_time.unwrap().to_string(),
            "2026-06-27T17:01:00Z"
        );
        assert!(snapshot.last_edited_by.is_some());
        let read: Vec<_> = snapshot.properties.into_iter().collect();
        let stage = PageProperty {
            kind: PropertyType::Status,
            read: PropertyRead::Value(PropertyValue::Choice(Some("Doing".to_owned()))),
        };
        assert_eq!(read, [(wanted[0].clone(), stage)]);
    }

    #[test]
    fn a_relation_that_was_cut_casts_doubt_on_what_is_computed() {
        let rollup = PropertyId::new("r");
        for (more, expected) in [
            ("true", PropertyRead::Truncated),
            (
                "false",
                PropertyRead::Value(PropertyValue::Number(Some(3.into()))),
            ),
        ] {
            let text = format!(
                r#"{{"id":"38b9ce7b-60a4-810a-a3e0-d0c7fde33f0c","properties":{{
                "Sum":{{"id":"r","type":"rollup","rollup":{{"type":"number","number":3}}}},
                "Parts":{{"id":"p","type":"relation","relation":[],"has_more":{more}}}}}}}"#
            );
            let snapshot = page(text.as_bytes(), std::slice::from_ref(&rollup)).unwrap();
            assert_eq!(snapshot.properties[&rollup].read, expected);
        }
    }

    #[test]
    fn fields_of_an_unexpected_type_read_as_absent() {
        let text = r#"{"id":"38b9ce7b-60a4-810a-a3e0-d0c7fde33f0c","in_trash":"no",
            "created_time":5,"parent":[],"last_edited_by":"me","properties":{}}"#;
        let snapshot = page(text.as_bytes(), &[]).unwrap();
        assert!(!snapshot.in_trash);
        assert_eq!(snapshot.created_time, None);
        assert_eq!(snapshot.data_source, None);
    }

    #[test]
    fn a_page_without_properties_means_a_missing_capability() {
        let text = br#"{"object":"page","id":"38b9ce7b-60a4-810a-a3e0-d0c7fde33f0c"}"#;
        let error = page(text, &[]).unwrap_err();
        assert!(matches!(error, NotionError::ContentNotReadable));
        assert!(page_id(text).is_some());
    }

    #[test]
    fn an_error_quotes_nothing_of_the_answer() {
        let error = page(br#""a secret value""#, &[]).unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}
