//! From one side to the other: `column()` and `notion()` of `design/sync.md` §2 and §5.
//!
//! `column()` includes what the declared type does to a value (scale, length, enum, NOT NULL) and
//! `values`; `notion()` includes Notion's losses (minutes, plain text, doubles, the order of sets).
//! A value without a form on the other side is an error with the reason that its field is marked
//! with, never a near miss.

use super::column::{ColumnKind, ColumnValue};
use super::mapping::Field;
use super::page::{PropertyType, PropertyValue};
use super::reason::FieldReason;
// All that Notion keeps of a moment.
use super::window::floor_to_minute as minute;

mod choice;
mod dates;
mod fits;
mod lists;
mod numbers;
mod place;
mod writable;

use place::Place;

pub use dates::json as date_json;
pub use fits::fits;
pub use writable::{text_segments, writable};

/// A converted value, or why there is none.
pub type Converted<T> = Result<T, FieldReason>;

/// What the column holds where Notion holds `value`.
pub fn column(value: &PropertyValue, field: &Field) -> Converted<ColumnValue> {
    Place::of(field).take(value)
}

/// What Notion holds where the column holds `value`.
pub fn notion(value: &ColumnValue, field: &Field) -> Converted<PropertyValue> {
    use PropertyType as P;
    Ok(match &field.property.kind {
        P::Title | P::RichText => PropertyValue::Text {
            plain: text_of(value)?.to_owned(),
            lossy: false,
        },
        P::Url | P::Email | P::PhoneNumber => PropertyValue::Line(filled(text_of(value)?)),
        P::Number => PropertyValue::Number(numbers::to_notion(value)?),
        P::Checkbox => match value {
            // Notion has no empty checkbox.
            ColumnValue::Null => PropertyValue::Checkbox(false),
            ColumnValue::Boolean(checked) => PropertyValue::Checkbox(*checked),
            _ => return Err(FieldReason::NotRepresentable),
        },
        P::Select | P::Status => {
            let name = filled(text_of(value)?);
            PropertyValue::Choice(choice::to_notion(name.as_deref(), field)?)
        }
        P::MultiSelect => PropertyValue::Names(lists::names(value, field, &[])?),
        P::Relation | P::People => PropertyValue::Ids(lists::ids(value)?),
        P::Files => PropertyValue::Files(lists::files(value)?),
        P::Date => PropertyValue::Date(dates::to_notion(value)?),
        P::CreatedTime | P::LastEditedTime => match value {
            ColumnValue::TimestampTz(moment) => PropertyValue::Moment(minute(*moment)),
            _ => return Err(FieldReason::NotRepresentable),
        },
        // Read-only, and their columns do not hold the whole of them.
        P::CreatedBy | P::LastEditedBy | P::UniqueId | P::Formula | P::Rollup | P::Verification => {
            return Err(FieldReason::NotRepresentable);
        }
        P::Button | P::Place | P::Other(_) => return Err(FieldReason::Unsupported),
    })
}

/// What to write to Notion for `value`, given what the page has, if there is one: as [`notion`], but
/// an option of a multi-select that already maps to one of the values stays, also where another
/// comes first in the list; and only what Notion takes ([`writable()`]).
pub fn to_write(
    value: &ColumnValue,
    field: &Field,
    on_page: Option<&PropertyValue>,
) -> Converted<PropertyValue> {
    let kind = &field.property.kind;
    let value = match (kind, on_page) {
        (PropertyType::MultiSelect, Some(PropertyValue::Names(names))) => {
            PropertyValue::Names(lists::names(value, field, names)?)
        }
        _ => notion(value, field)?,
    };
    writable(&value, kind)?;
    Ok(value)
}

/// What a write of the column's value to Notion would destroy, because the column cannot hold it
/// (`design/sync.md` §4): mentions, equations and links of a text, the end of a date over a scalar
/// column, all but one of the pages or people over a column for one.
pub fn destroyed(on_notion: &PropertyValue, field: &Field) -> Option<FieldReason> {
    let kind = &field.column.kind;
    match on_notion {
        PropertyValue::Text { lossy: true, .. } => Some(FieldReason::FormattedText),
        PropertyValue::Date(Some(date)) if date.end.is_some() => {
            let is_scalar = matches!(
                kind,
                ColumnKind::Date | ColumnKind::Timestamp { .. } | ColumnKind::TimestampTz { .. }
            );
            is_scalar.then_some(FieldReason::DateRange)
        }
        PropertyValue::Ids(ids) if ids.len() > 1 => {
            let is_scalar = matches!(kind, ColumnKind::Uuid | ColumnKind::Text { .. });
            is_scalar.then_some(FieldReason::NotRepresentable)
        }
        _ => None,
    }
}

/// Whether the two sides agree: each conversion loses different things, so either will do.
pub fn agree(on_notion: &PropertyValue, in_postgres: &ColumnValue, field: &Field) -> bool {
    column(on_notion, field).is_ok_and(|value| same_column(&value, in_postgres, field))
        || notion(in_postgres, field).is_ok_and(|value| same(&value, on_notion))
}

/// Whether two values of the field's column are the same: [`ColumnValue::same`], and without regard
/// to the order of elements where the property is a set.
pub fn same_column(one: &ColumnValue, other: &ColumnValue, field: &Field) -> bool {
    one.same(other) || (field.property.kind.is_set() && lists::same_set(one, other))
}

/// Whether two Notion values are the same, canonically: text by its plain form, numbers by value,
/// dates as days or as minutes, multi-selects, relations and people as sets.
pub fn same(one: &PropertyValue, other: &PropertyValue) -> bool {
    use PropertyValue as V;
    match (one, other) {
        (V::Text { plain: a, .. }, V::Text { plain: b, .. }) => a == b,
        (V::Line(a), V::Line(b)) => {
            a.as_deref().unwrap_or_default() == b.as_deref().unwrap_or_default()
        }
        (V::Date(Some(a)), V::Date(Some(b))) => dates::canonical(a) == dates::canonical(b),
        (V::Moment(a), V::Moment(b)) => minute(*a) == minute(*b),
        (V::Names(a), V::Names(b)) => lists::is_same_set(a, b),
        (V::Ids(a), V::Ids(b)) => lists::is_same_set(a, b),
        (V::List(a), V::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(one, other)| same(one, other))
        }
        _ => one == other,
    }
}

/// Whether the property is empty.
pub fn is_empty(value: &PropertyValue) -> bool {
    use PropertyValue as V;
    match value {
        V::Text { plain, .. } => plain.is_empty(),
        V::Line(line) | V::Choice(line) => line.as_deref().is_none_or(str::is_empty),
        V::Number(number) => number.is_none(),
        V::Date(date) => date.is_none(),
        V::Checkbox(checked) => !checked,
        V::Moment(_) => false,
        V::Names(texts) | V::Files(texts) => texts.is_empty(),
        V::Ids(ids) => ids.is_empty(),
        V::User(user) => user.is_none(),
        V::UniqueId(id) => id.is_none(),
        V::List(elements) => elements.is_empty(),
        V::Raw(value) => value.is_null(),
    }
}

/// The text of a text or enum column; NULL is `''`.
fn text_of(value: &ColumnValue) -> Converted<&str> {
    match value {
        ColumnValue::Null => Ok(""),
        ColumnValue::Text(text) => Ok(text),
        _ => Err(FieldReason::NotRepresentable),
    }
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod cells;
#[cfg(test)]
mod round_trips;
#[cfg(test)]
mod tests;
