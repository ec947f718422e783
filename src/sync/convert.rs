//! From one side to the other: `column()` and `notion()` of `design/sync.md` §2 and §5.
//!
//! `column()` includes what the declared type does to a value (scale, length, enum, NOT NULL) and
//! `values`; `notion()` includes Notion's losses (minutes, plain text, doubles). A value without a
//! form on the other side is an error with the reason that its field is marked with, never a
//! near miss.

use bigdecimal::{BigDecimal, RoundingMode};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, TimestampRound, Unit};

use super::column::{Column, ColumnKind, ColumnValue, survives_double};
use super::mapping::{Field, FieldMapping, OnUnknownValue};
use super::page::{DateOrTime, NotionDate, PropertyType, PropertyValue};
use super::reason::FieldReason;
// All that Notion keeps of a moment.
use super::window::floor_to_minute as minute;

mod choice;
mod dates;

pub use dates::json as date_json;

/// A converted value, or why there is none.
pub type Converted<T> = Result<T, FieldReason>;

/// Numbers with more digits than this, before or after the point, are no doubles; writing them out
/// in full would let one short JSON number fill the memory.
const MAX_DIGITS: i64 = 400;

/// Whether the column's type can hold the property's type at all (`ColumnTypeMismatch` otherwise).
pub fn fits(property: &PropertyType, column: &Column) -> bool {
    use ColumnKind as C;
    use PropertyType as P;
    match property {
        P::Title | P::RichText | P::Url | P::Email | P::PhoneNumber => {
            matches!(column.kind, C::Text { .. })
        }
        P::Number => matches!(
            column.kind,
            C::Integer { .. } | C::Numeric { .. } | C::Float { .. }
        ),
        P::Checkbox => column.kind == C::Boolean,
        P::Select | P::Status => matches!(column.kind, C::Text { .. } | C::Enum { .. }),
        P::Date => matches!(
            column.kind,
            C::Date
                | C::Timestamp { .. }
                | C::TimestampTz { .. }
                | C::DateRange
                | C::TstzRange
                | C::Json
        ),
        P::CreatedTime | P::LastEditedTime => matches!(column.kind, C::TimestampTz { .. }),
        P::Other(_) => false,
    }
}

/// What the column holds where Notion holds `value`.
pub fn column(value: &PropertyValue, field: &Field) -> Converted<ColumnValue> {
    let column = &field.column;
    match value {
        PropertyValue::Text { plain, .. } => text(plain, column),
        PropertyValue::Line(line) => text(line.as_deref().unwrap_or_default(), column),
        PropertyValue::Number(None) | PropertyValue::Date(None) => empty(column),
        PropertyValue::Number(Some(number)) => number_to_column(number, &column.kind),
        PropertyValue::Checkbox(checked) => Ok(ColumnValue::Boolean(*checked)),
        PropertyValue::Choice(choice) => {
            match choice::to_postgres(choice.as_deref(), &field.mapping)? {
                Some(name) => text(&name, column),
                None => empty(column),
            }
        }
        PropertyValue::Date(Some(date)) => dates::to_column(date, &column.kind),
        PropertyValue::Moment(moment) => dates::moment_to_column(*moment, &column.kind),
    }
}

/// What Notion holds where the column holds `value`.
pub fn notion(value: &ColumnValue, field: &Field) -> Converted<PropertyValue> {
    use PropertyType as P;
    let text = || match value {
        ColumnValue::Null => Ok(String::new()),
        ColumnValue::Text(text) => Ok(text.clone()),
        _ => Err(FieldReason::NotRepresentable),
    };
    Ok(match &field.property.kind {
        P::Title | P::RichText => PropertyValue::Text {
            plain: text()?,
            lossy: false,
        },
        P::Url | P::Email | P::PhoneNumber => {
            PropertyValue::Line(Some(text()?).filter(|line| !line.is_empty()))
        }
        P::Number => PropertyValue::Number(number_to_notion(value)?),
        P::Checkbox => match value {
            // Notion has no empty checkbox.
            ColumnValue::Null => PropertyValue::Checkbox(false),
            ColumnValue::Boolean(checked) => PropertyValue::Checkbox(*checked),
            _ => return Err(FieldReason::NotRepresentable),
        },
        P::Select | P::Status => {
            let text = text()?;
            let value = Some(text.as_str()).filter(|text| !text.is_empty());
            PropertyValue::Choice(choice::to_notion(value, &field.mapping)?)
        }
        P::Date => PropertyValue::Date(dates::to_notion(value)?),
        P::CreatedTime | P::LastEditedTime => match value {
            ColumnValue::TimestampTz(moment) => PropertyValue::Moment(minute(*moment)),
            _ => return Err(FieldReason::NotRepresentable),
        },
        P::Other(_) => return Err(FieldReason::Unsupported),
    })
}

/// Whether the two sides agree: each conversion loses different things, so either will do.
pub fn agree(on_notion: &PropertyValue, in_postgres: &ColumnValue, field: &Field) -> bool {
    column(on_notion, field).is_ok_and(|value| value.same(in_postgres))
        || notion(in_postgres, field).is_ok_and(|value| same(&value, on_notion))
}

/// Whether two Notion values are the same, canonically: text by its plain form, numbers by value,
/// dates as days or as minutes.
pub fn same(one: &PropertyValue, other: &PropertyValue) -> bool {
    match (one, other) {
        (PropertyValue::Text { plain: a, .. }, PropertyValue::Text { plain: b, .. }) => a == b,
        (PropertyValue::Line(a), PropertyValue::Line(b)) => {
            a.as_deref().unwrap_or_default() == b.as_deref().unwrap_or_default()
        }
        (PropertyValue::Date(Some(a)), PropertyValue::Date(Some(b))) => {
            dates::canonical(a) == dates::canonical(b)
        }
        (PropertyValue::Moment(a), PropertyValue::Moment(b)) => minute(*a) == minute(*b),
        _ => one == other,
    }
}

/// Whether the property is empty.
pub fn is_empty(value: &PropertyValue) -> bool {
    match value {
        PropertyValue::Text { plain, .. } => plain.is_empty(),
        PropertyValue::Line(line) | PropertyValue::Choice(line) => {
            line.as_deref().is_none_or(str::is_empty)
        }
        PropertyValue::Number(number) => number.is_none(),
        PropertyValue::Date(date) => date.is_none(),
        PropertyValue::Checkbox(checked) => !checked,
        PropertyValue::Moment(_) => false,
    }
}

/// Empty is NULL where the column allows it, else `''` or false (`design/sync.md` §5).
fn empty(column: &Column) -> Converted<ColumnValue> {
    match column.kind {
        _ if column.nullable => Ok(ColumnValue::Null),
        ColumnKind::Text { .. } => Ok(ColumnValue::Text(String::new())),
        ColumnKind::Boolean => Ok(ColumnValue::Boolean(false)),
        _ => Err(FieldReason::NotRepresentable),
    }
}

fn text(text: &str, column: &Column) -> Converted<ColumnValue> {
    if text.is_empty() {
        return empty(column);
    }
    let fits = match &column.kind {
        ColumnKind::Text {
            max_chars: Some(max),
        } => text.chars().count() <= *max as usize,
        ColumnKind::Enum { labels } => labels.iter().any(|label| label == text),
        _ => true,
    };
    // Postgres text cannot hold NUL.
    if fits && !text.contains('\0') {
        Ok(ColumnValue::Text(text.to_owned()))
    } else {
        Err(FieldReason::NotRepresentable)
    }
}

fn number_to_column(number: &BigDecimal, kind: &ColumnKind) -> Converted<ColumnValue> {
    let (_, scale) = number.as_bigint_and_exponent();
    if scale.abs() > MAX_DIGITS {
        return Err(FieldReason::NotRepresentable);
    }
    let stored = match *kind {
        ColumnKind::Integer { bits } => number.is_integer().then(|| number.clone()).filter(|n| {
            let limit = BigDecimal::from(1_i128 << (bits - 1));
            *n < limit && *n >= -limit
        }),
        ColumnKind::Numeric { declared: None } => Some(number.clone()),
        ColumnKind::Numeric {
            declared: Some((precision, scale)),
        } => {
            // Postgres rounds halves away from zero.
            let rounded = number.with_scale_round(i64::from(scale), RoundingMode::HalfUp);
            let whole_digits = i64::from(precision) - i64::from(scale);
            let limit = BigDecimal::from_bigint(1.into(), -whole_digits);
            Some(rounded).filter(|rounded| rounded.abs() < limit)
        }
        ColumnKind::Float { bits: 32 } => survives_single(number).then(|| number.clone()),
        ColumnKind::Float { .. } => survives_double(number).then(|| number.clone()),
        _ => None,
    };
    stored
        .map(ColumnValue::Number)
        .ok_or(FieldReason::NotRepresentable)
}

fn survives_single(number: &BigDecimal) -> bool {
    let single: Option<f32> = number.to_string().parse().ok();
    single
        .filter(|single| single.is_finite())
        .and_then(|single| single.to_string().parse::<BigDecimal>().ok())
        .is_some_and(|back| back == *number)
}

fn number_to_notion(value: &ColumnValue) -> Converted<Option<BigDecimal>> {
    match value {
        ColumnValue::Null => Ok(None),
        ColumnValue::Number(number) if survives_double(number) => Ok(Some(number.clone())),
        _ => Err(FieldReason::NotRepresentable),
    }
}

#[cfg(test)]
mod tests;
