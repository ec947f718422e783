//! Numbers: the declared form of a column's type, and what a double holds.

use bigdecimal::{BigDecimal, RoundingMode};

use super::{ColumnKind, ColumnValue, Converted};
use crate::sync::column::survives_double;
use crate::sync::reason::FieldReason;

/// Numbers with more digits than this, before or after the point, are no doubles; writing them out
/// in full would let one short JSON number fill the memory.
const MAX_DIGITS: i64 = 400;

/// The column's form of a number.
pub(super) fn to_column(number: &BigDecimal, kind: &ColumnKind) -> Converted<ColumnValue> {
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

/// Notion's form of a column's number.
pub(super) fn to_notion(value: &ColumnValue) -> Converted<Option<BigDecimal>> {
    match value {
        ColumnValue::Null => Ok(None),
        ColumnValue::Number(number) if survives_double(number) => Ok(Some(number.clone())),
        _ => Err(FieldReason::NotRepresentable),
    }
}
