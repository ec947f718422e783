//! Into a column, or into an element of its array: what it holds of a property's value.

use serde_json::Value;

use super::{ColumnKind, ColumnValue, Converted, choice, dates, numbers};
use crate::sync::mapping::{Field, FieldMapping};
use crate::sync::page::{PropertyValue, UniqueId, User};
use crate::sync::reason::FieldReason;

/// A place for a value.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) kind: &'a ColumnKind,
    nullable: bool,
    mapping: &'a FieldMapping,
}

impl<'a> Place<'a> {
    /// The column of a field.
    pub(super) fn of(field: &'a Field) -> Self {
        Self {
            kind: &field.column.kind,
            nullable: field.column.nullable,
            mapping: &field.mapping,
        }
    }

    /// An element of this array; elements may be NULL.
    pub(super) fn element(self, kind: &'a ColumnKind) -> Self {
        Self {
            kind,
            nullable: true,
            ..self
        }
    }

    /// What the place holds of a value.
    pub(super) fn take(self, value: &PropertyValue) -> Converted<ColumnValue> {
        use PropertyValue as V;
        match value {
            V::Text { plain, .. } => self.text(plain),
            V::Line(line) => self.text(line.as_deref().unwrap_or_default()),
            V::Number(Some(number)) => numbers::to_column(number, self.kind),
            V::Checkbox(checked) => match self.kind {
                ColumnKind::Boolean => Ok(ColumnValue::Boolean(*checked)),
                _ => Err(FieldReason::NotRepresentable),
            },
            V::Choice(choice) => match self.choice(choice.as_deref())? {
                Some(name) => self.option(&name),
                None => self.empty(),
            },
            V::Date(Some(date)) => dates::to_column(date, self.kind),
            V::Moment(moment) => dates::moment_to_column(*moment, self.kind),
            V::Names(names) => self.names(names),
            V::Ids(ids) => self.ids(ids),
            V::Files(urls) => self.list(
                urls,
                |place, url| place.text(url),
                |url| url.as_str().into(),
            ),
            V::List(elements) => self.list(elements, Self::take, PropertyValue::to_json),
            V::User(Some(user)) => self.user(user),
            V::UniqueId(Some(id)) => self.unique_id(id),
            V::Number(None) | V::Date(None) | V::User(None) | V::UniqueId(None) => self.empty(),
            V::Raw(value) if value.is_null() => self.empty(),
            V::Raw(value) => self.json(value.clone()),
        }
    }

    /// Empty is NULL where the place allows it, else `''`, `'{}'` or false (`design/sync.md` §5).
    pub(super) fn empty(self) -> Converted<ColumnValue> {
        match self.kind {
            _ if self.nullable => Ok(ColumnValue::Null),
            ColumnKind::Text { .. } => Ok(ColumnValue::Text(String::new())),
            ColumnKind::Array { .. } => Ok(ColumnValue::Array(Vec::new())),
            ColumnKind::Boolean => Ok(ColumnValue::Boolean(false)),
            _ => Err(FieldReason::NotRepresentable),
        }
    }

    /// A text as a value of its own; an enum holds option names only.
    pub(super) fn text(self, text: &str) -> Converted<ColumnValue> {
        if text.is_empty() {
            return self.empty();
        }
        let fits = match self.kind {
            ColumnKind::Text { max_chars } => {
                max_chars.is_none_or(|max| text.chars().count() <= max as usize)
            }
            _ => false,
        };
        // Postgres text cannot hold NUL.
        if fits && !text.contains('\0') {
            Ok(ColumnValue::Text(text.to_owned()))
        } else {
            Err(FieldReason::NotRepresentable)
        }
    }

    /// The mapped name of an option, as text or as a label.
    pub(super) fn option(self, name: &str) -> Converted<ColumnValue> {
        match self.kind {
            ColumnKind::Enum { .. } if name.is_empty() => self.empty(),
            ColumnKind::Enum { labels } if labels.iter().any(|label| label == name) => {
                Ok(ColumnValue::Text(name.to_owned()))
            }
            _ => self.text(name),
        }
    }

    /// The name that `values` has for an option; `None` is NULL.
    pub(super) fn choice(self, option: Option<&str>) -> Converted<Option<String>> {
        choice::to_postgres(option, self.mapping)
    }

    /// A document. `jsonb` cannot hold NUL.
    pub(super) fn json(self, value: Value) -> Converted<ColumnValue> {
        if *self.kind == ColumnKind::Json && !holds_nul(&value) {
            Ok(ColumnValue::Json(value))
        } else {
            Err(FieldReason::NotRepresentable)
        }
    }

    fn user(self, user: &User) -> Converted<ColumnValue> {
        match self.kind {
            ColumnKind::Uuid => Ok(ColumnValue::Uuid(user.id.0)),
            _ => self.text(&user.shown()),
        }
    }

    fn unique_id(self, id: &UniqueId) -> Converted<ColumnValue> {
        match self.kind {
            ColumnKind::Integer { .. } => numbers::to_column(&id.number.into(), self.kind),
            _ => self.text(&id.to_string()),
        }
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
