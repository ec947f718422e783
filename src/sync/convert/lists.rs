//! Values with many elements: options, pages, people, files, the elements of a rollup.
//!
//! Each element is converted by itself; one without a form fails the whole, because a list that
//! lacks an element looks like one that somebody shortened.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use super::place::Place;
use super::{ColumnKind, ColumnValue, Converted, choice, filled};
use crate::sync::mapping::Field;
use crate::sync::reason::FieldReason;

impl<'a> Place<'a> {
    /// The elements as an array or as a document, in their order.
    pub(super) fn list<T>(
        self,
        elements: &[T],
        take: impl Fn(Place<'a>, &T) -> Converted<ColumnValue>,
        json: impl Fn(&T) -> Value,
    ) -> Converted<ColumnValue> {
        match self.kind {
            _ if elements.is_empty() => self.empty_list(),
            ColumnKind::Array { element } => {
                let place = self.element(element);
                let values = elements.iter().map(|element| take(place, element));
                values.collect::<Converted<_>>().map(ColumnValue::Array)
            }
            _ => self.json(elements.iter().map(json).collect()),
        }
    }

    /// An empty list in a document that may not be NULL is an empty one, as in an array.
    fn empty_list(self) -> Converted<ColumnValue> {
        match self.empty() {
            Err(_) if *self.kind == ColumnKind::Json => Ok(ColumnValue::Json(Value::Array(vec![]))),
            other => other,
        }
    }

    /// Options by their mapped names. Several that share a value are one element.
    pub(super) fn names(self, names: &[String]) -> Converted<ColumnValue> {
        let mut mapped: Vec<Option<String>> = Vec::new();
        for name in names {
            let name = self.choice(Some(name))?;
            if !mapped.contains(&name) {
                mapped.push(name);
            }
        }
        self.list(
            &mapped,
            |place, name| match name {
                Some(name) => place.option(name),
                None => Ok(ColumnValue::Null),
            },
            |name| name.as_deref().into(),
        )
    }

    /// Ids. A column for one of them holds no more (`design/sync.md` §5).
    pub(super) fn ids(self, ids: &[Uuid]) -> Converted<ColumnValue> {
        match (self.kind, ids) {
            (ColumnKind::Uuid | ColumnKind::Text { .. }, [id]) => self.id(id),
            (ColumnKind::Uuid | ColumnKind::Text { .. }, [_, ..]) => {
                Err(FieldReason::NotRepresentable)
            }
            _ => self.list(ids, Self::id, |id| id.to_string().into()),
        }
    }

    fn id(self, id: &Uuid) -> Converted<ColumnValue> {
        match self.kind {
            ColumnKind::Uuid => Ok(ColumnValue::Uuid(*id)),
            _ => self.text(&id.to_string()),
        }
    }
}

/// The options for a column's values. Those of `kept` that already map to one of them stay.
pub(super) fn names(value: &ColumnValue, field: &Field, kept: &[String]) -> Converted<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for element in elements(value)? {
        let mapped = |name: &&String| {
            choice::to_postgres(Some(name), &field.mapping).is_ok_and(|name| name == element)
        };
        let stay: Vec<_> = kept.iter().filter(mapped).cloned().collect();
        let new = if stay.is_empty() {
            let name = choice::to_notion(element.as_deref(), field)?;
            // A set has no empty element.
            vec![name.ok_or(FieldReason::NotRepresentable)?]
        } else {
            stay
        };
        names.extend(new);
    }
    Ok(once_each(names))
}

/// The ids in a column.
pub(super) fn ids(value: &ColumnValue) -> Converted<Vec<Uuid>> {
    let ids = elements(value)?.into_iter().map(|element| {
        let id = element.and_then(|text| text.trim().parse().ok());
        id.ok_or(FieldReason::NotRepresentable)
    });
    ids.collect::<Converted<_>>().map(once_each)
}

/// The URLs in a column.
pub(super) fn files(value: &ColumnValue) -> Converted<Vec<String>> {
    let urls = elements(value)?.into_iter();
    urls.map(|url| url.ok_or(FieldReason::NotRepresentable))
        .collect()
}

/// The elements as text; `None` is NULL, which is what `''` counts as. A value that is no list is
/// one element, or none if it is empty.
fn elements(value: &ColumnValue) -> Converted<Vec<Option<String>>> {
    match value {
        ColumnValue::Null | ColumnValue::Json(Value::Null) => Ok(Vec::new()),
        ColumnValue::Text(text) => Ok(filled(text).map(Some).into_iter().collect()),
        ColumnValue::Uuid(id) => Ok(vec![Some(id.to_string())]),
        ColumnValue::Array(elements) => elements
            .iter()
            .map(|element| match element {
                ColumnValue::Null => Ok(None),
                ColumnValue::Text(text) => Ok(filled(text)),
                ColumnValue::Uuid(id) => Ok(Some(id.to_string())),
                _ => Err(FieldReason::NotRepresentable),
            })
            .collect(),
        ColumnValue::Json(Value::Array(elements)) => elements
            .iter()
            .map(|element| match element {
                Value::Null => Ok(None),
                Value::String(text) => Ok(filled(text)),
                _ => Err(FieldReason::NotRepresentable),
            })
            .collect(),
        _ => Err(FieldReason::NotRepresentable),
    }
}

/// Whether two columns hold the same elements, in whatever order and number.
pub(super) fn same_set(one: &ColumnValue, other: &ColumnValue) -> bool {
    match (elements(one), elements(other)) {
        (Ok(one), Ok(other)) => is_same_set(&one, &other),
        _ => false,
    }
}

/// Whether two lists hold the same elements, in whatever order and number.
pub(super) fn is_same_set<T: Ord>(one: &[T], other: &[T]) -> bool {
    one.iter().collect::<BTreeSet<_>>() == other.iter().collect()
}

fn once_each<T: Ord + Clone>(elements: Vec<T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    let mut once = elements;
    once.retain(|element| seen.insert(element.clone()));
    once
}
