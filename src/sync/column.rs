//! Columns of the bound table and their values.
//!
//! Values cross the border to Postgres as text, in the output form of a session with
//! `DateStyle = ISO` and `TimeZone = UTC`, so that the server's own casts are the only judge of
//! what a type accepts. This module reads that text into a form in which equal means equal.

use std::str::FromStr;

use bigdecimal::BigDecimal;
use jiff::{Timestamp, civil};
use uuid::Uuid;

mod array;

/// What a column can hold; domains and citext count as their base type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnKind {
    /// text, varchar, citext.
    Text {
        /// The declared length in characters.
        max_chars: Option<u32>,
    },
    /// boolean.
    Boolean,
    /// smallint, integer, bigint.
    Integer {
        /// 16, 32 or 64.
        bits: u8,
    },
    /// numeric, with declared precision and scale if there are any.
    Numeric {
        /// `(precision, scale)`; the scale may be negative.
        declared: Option<(u16, i16)>,
    },
    /// real, double precision.
    Float {
        /// 32 or 64.
        bits: u8,
    },
    /// date.
    Date,
    /// timestamp without time zone, read as UTC.
    Timestamp {
        /// Fraction digits kept, 0 to 6.
        precision: u8,
    },
    /// timestamp with time zone.
    TimestampTz {
        /// Fraction digits kept, 0 to 6.
        precision: u8,
    },
    /// An enum type with its labels.
    Enum {
        /// The labels in their order.
        labels: Vec<String>,
    },
    /// daterange.
    DateRange,
    /// tstzrange.
    TstzRange,
    /// jsonb.
    Json,
    /// uuid.
    Uuid,
    /// An array.
    Array {
        /// What each element holds.
        element: Box<ColumnKind>,
    },
    /// Any other type, by its name.
    Other(String),
}

/// A column of the bound table, as the catalog describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The catalog's own name.
    pub name: String,
    /// What it holds.
    pub kind: ColumnKind,
    /// The type as SQL spells it without length or precision, qualified and quoted: the target of
    /// the cast of a written value. The declared length is left to the assignment, which raises
    /// an error where an explicit cast would cut the value.
    pub type_sql: String,
    /// Whether it accepts NULL (a domain's NOT NULL counts).
    pub nullable: bool,
    /// Whether Postgres computes it (`GENERATED ALWAYS`), so that it cannot be written.
    pub generated: bool,
}

/// The value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnValue {
    /// NULL.
    Null,
    /// Text and enum labels.
    Text(String),
    /// A boolean.
    Boolean(bool),
    /// Any finite number; compared by value.
    Number(BigDecimal),
    /// A day.
    Date(civil::Date),
    /// A timestamp without time zone.
    Timestamp(civil::DateTime),
    /// A timestamp with time zone.
    TimestampTz(Timestamp),
    /// A daterange; the last day is part of it.
    DateRange {
        /// First day.
        start: civil::Date,
        /// Last day.
        last: civil::Date,
    },
    /// A tstzrange; the end is part of it.
    TstzRange {
        /// Start.
        start: Timestamp,
        /// End.
        end: Timestamp,
    },
    /// A JSON document.
    Json(serde_json::Value),
    /// A uuid.
    Uuid(Uuid),
    /// An array of one dimension.
    Array(Vec<ColumnValue>),
    /// Something this kind has no finer form for: NaN, infinity, years out of range, other types.
    Opaque(String),
}

impl ColumnValue {
    /// Reads the text form that Postgres gave for a column of this kind.
    pub fn parse(kind: &ColumnKind, text: Option<&str>) -> Self {
        let Some(text) = text else { return Self::Null };
        let parsed = match kind {
            ColumnKind::Text { .. } | ColumnKind::Enum { .. } => Some(Self::Text(text.to_owned())),
            ColumnKind::Boolean => match text {
                "t" | "true" => Some(Self::Boolean(true)),
                "f" | "false" => Some(Self::Boolean(false)),
                _ => None,
            },
            ColumnKind::Integer { .. } | ColumnKind::Numeric { .. } | ColumnKind::Float { .. } => {
                BigDecimal::from_str(text).ok().map(Self::Number)
            }
            ColumnKind::Date => text.parse().ok().map(Self::Date),
            ColumnKind::Timestamp { .. } => text.parse().ok().map(Self::Timestamp),
            ColumnKind::TimestampTz { .. } => text.parse().ok().map(Self::TimestampTz),
            ColumnKind::DateRange => parse_date_range(text),
            ColumnKind::TstzRange => parse_tstz_range(text),
            ColumnKind::Json => serde_json::from_str(text).ok().map(Self::Json),
            ColumnKind::Uuid => text.parse().ok().map(Self::Uuid),
            ColumnKind::Array { element } => array::parse(element, text).map(Self::Array),
            ColumnKind::Other(_) => None,
        };
        parsed.unwrap_or_else(|| Self::Opaque(text.to_owned()))
    }

    /// The text that Postgres reads back as this value; `None` is NULL.
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Text(text) | Self::Opaque(text) => Some(text.clone()),
            Self::Boolean(value) => Some(value.to_string()),
            Self::Number(value) => Some(value.to_plain_string()),
            Self::Date(value) => Some(value.to_string()),
            Self::Timestamp(value) => Some(value.to_string()),
            Self::TimestampTz(value) => Some(value.to_string()),
            Self::DateRange { start, last } => Some(format!("[{start},{last}]")),
            Self::TstzRange { start, end } => Some(format!("[{start},{end}]")),
            Self::Json(value) => Some(value.to_string()),
            Self::Uuid(value) => Some(value.to_string()),
            Self::Array(elements) => Some(array::literal(elements)),
        }
    }

    /// The value as the audit row and the admin API show it.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Boolean(value) => (*value).into(),
            Self::Number(value) => number_json(value),
            Self::Json(value) => value.clone(),
            Self::Array(elements) => elements.iter().map(Self::to_json).collect(),
            _ => self.to_text().into(),
        }
    }

    /// Whether the two are the same value. Text NULL ≡ `''` (`design/sync.md` §2), and so is an
    /// array without elements. Where the order of elements means nothing,
    /// [`super::convert::same_column`] knows it.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, other) | (other, Self::Null) => !other.is_filled(),
            _ => self == other,
        }
    }

    /// Whether there is something here that an overwrite would lose.
    pub fn is_filled(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Text(text) => !text.is_empty(),
            Self::Array(elements) => !elements.is_empty(),
            _ => true,
        }
    }
}

/// A number as JSON: a JSON number where a double holds it, else its digits as text, because
/// readers of JSON take every number for a double.
pub fn number_json(value: &BigDecimal) -> serde_json::Value {
    let digits = value.normalized().to_plain_string();
    match digits.parse::<serde_json::Number>() {
        Ok(number) if survives_double(value) => serde_json::Value::Number(number),
        _ => serde_json::Value::String(digits),
    }
}

/// Whether a double's shortest decimal form is this number again.
pub fn survives_double(value: &BigDecimal) -> bool {
    let double: Option<f64> = value.to_string().parse().ok();
    double
        .filter(|double| double.is_finite())
        .is_some_and(|double| {
            BigDecimal::from_str(&double.to_string()).is_ok_and(|back| back == *value)
        })
}

/// Reads a daterange: the canonical output `[first,day after the last)`, or the form with both days
/// that [`ColumnValue::to_text`] writes.
fn parse_date_range(text: &str) -> Option<ColumnValue> {
    let (start, end) = text.strip_prefix('[')?.split_once(',')?;
    let last = match end.strip_suffix(')') {
        Some(after) => after.parse::<civil::Date>().ok()?.yesterday().ok()?,
        None => end.strip_suffix(']')?.parse().ok()?,
    };
    let start = start.parse().ok()?;
    Some(ColumnValue::DateRange { start, last })
}

/// Reads the output of a tstzrange from one moment to another. Notion says of an end neither that it
/// belongs to the range nor that it does not, so both forms of it are the same; a start that does not
/// belong has no form there.
fn parse_tstz_range(text: &str) -> Option<ColumnValue> {
    let (start, end) = text
        .strip_prefix('[')?
        .strip_suffix([')', ']'])?
        .split_once(',')?;
    let bound = |text: &str| text.trim_matches('"').parse::<Timestamp>().ok();
    Some(ColumnValue::TstzRange {
        start: bound(start)?,
        end: bound(end)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: impl std::borrow::Borrow<ColumnKind>, text: &str) -> ColumnValue {
        ColumnValue::parse(kind.borrow(), Some(text))
    }

    #[test]
    fn numbers_are_compared_by_value() {
        let numeric = ColumnKind::Numeric { declared: None };
        assert_eq!(parse(numeric.clone(), "19.50"), parse(numeric, "19.5"));
        let float = ColumnKind::Float { bits: 64 };
        assert_eq!(
            parse(float.clone(), "1e+21"),
            parse(float, "1000000000000000000000")
        );
    }

    #[test]
    fn the_output_forms_of_postgres_are_read() {
        let tz = ColumnKind::TimestampTz { precision: 6 };
        assert_eq!(
            parse(tz, "2026-06-27 17:04:00.5+00"),
            ColumnValue::TimestampTz("2026-06-27T17:04:00.5Z".parse().unwrap())
        );
        let local = ColumnKind::Timestamp { precision: 6 };
        assert_eq!(
            parse(local, "2026-06-27 17:04:00"),
            ColumnValue::Timestamp(civil::date(2026, 6, 27).at(17, 4, 0, 0))
        );
        let day = ColumnKind::Date;
        assert_eq!(
            parse(day, "2026-06-27"),
            ColumnValue::Date(civil::date(2026, 6, 27))
        );
        assert_eq!(parse(ColumnKind::Boolean, "t"), ColumnValue::Boolean(true));
    }

    #[test]
    fn ranges_are_read_with_their_last_day_and_end() {
        assert_eq!(
            parse(ColumnKind::DateRange, "[2026-06-27,2026-06-30)"),
            ColumnValue::DateRange {
                start: civil::date(2026, 6, 27),
                last: civil::date(2026, 6, 29)
            }
        );
        assert_eq!(
            parse(
                ColumnKind::TstzRange,
                "[\"2026-06-27 10:00:00+00\",\"2026-06-27 11:00:00+00\"]"
            ),
            ColumnValue::TstzRange {
                start: "2026-06-27T10:00:00Z".parse().unwrap(),
                end: "2026-06-27T11:00:00Z".parse().unwrap()
            }
        );
        for text in ["[\"2026-06-27 10:00:00+00\",)", "(,)", "empty"] {
            let opaque = ColumnValue::Opaque(text.to_owned());
            assert_eq!(parse(ColumnKind::TstzRange, text), opaque);
        }
    }

    #[test]
    fn what_is_written_down_is_read_back() {
        let days = ColumnValue::DateRange {
            start: civil::date(2026, 6, 27),
            last: civil::date(2026, 6, 29),
        };
        let array = ColumnValue::Array(vec![days.clone(), ColumnValue::Null]);
        let of_days = ColumnKind::Array {
            element: Box::new(ColumnKind::DateRange),
        };
        for (kind, value) in [(ColumnKind::DateRange, days), (of_days, array)] {
            assert_eq!(parse(kind, &value.to_text().unwrap()), value);
        }
        let half_open = "[\"2026-06-27 10:00:00+00\",\"2026-06-27 11:00:00+00\")";
        let range = parse(ColumnKind::TstzRange, half_open);
        assert_eq!(
            parse(ColumnKind::TstzRange, &range.to_text().unwrap()),
            range
        );
    }

    #[test]
    fn numbers_are_shown_as_numbers_only_where_a_double_holds_them() {
        let number = |text: &str| number_json(&BigDecimal::from_str(text).unwrap());
        assert_eq!(number("19.50"), serde_json::json!(19.5));
        assert_eq!(number("42"), serde_json::json!(42));
        assert_eq!(
            number("9007199254740993"),
            serde_json::json!("9007199254740993")
        );
    }

    #[test]
    fn what_has_no_finer_form_is_kept_as_it_is() {
        for (kind, text) in [
            (ColumnKind::Numeric { declared: None }, "NaN"),
            (ColumnKind::TimestampTz { precision: 6 }, "infinity"),
            (ColumnKind::Date, "0044-03-15 BC"),
        ] {
            assert_eq!(parse(kind, text), ColumnValue::Opaque(text.to_owned()));
        }
    }

    #[test]
    fn empty_text_is_null() {
        assert!(ColumnValue::Null.same(&ColumnValue::Text(String::new())));
        assert!(!ColumnValue::Null.same(&ColumnValue::Text(" ".to_owned())));
    }
}
