//! Dates, moments and ranges of both.
//!
//! A day without a time is 00:00 UTC where the column wants a moment, and a moment is its UTC day
//! where the column wants a day.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, TimestampRound, Unit};

use super::{ColumnKind, ColumnValue, Converted, FieldReason, minute};
use crate::sync::page::{DateOrTime, NotionDate};

/// The column's form of a date; a scalar column holds the start.
pub(super) fn to_column(date: &NotionDate, kind: &ColumnKind) -> Converted<ColumnValue> {
    let end = date.end.as_ref().unwrap_or(&date.start);
    match kind {
        ColumnKind::Date => Ok(ColumnValue::Date(day(&date.start))),
        ColumnKind::DateRange => {
            let (start, last) = (day(&date.start), day(end));
            in_order(start <= last, ColumnValue::DateRange { start, last })
        }
        ColumnKind::TstzRange => {
            let (start, end) = (instant(&date.start)?, instant(end)?);
            in_order(start <= end, ColumnValue::TstzRange { start, end })
        }
        ColumnKind::Json => Ok(ColumnValue::Json(json(date))),
        _ => moment_to_column(instant(&date.start)?, kind),
    }
}

/// The column's form of a moment, rounded as the declared precision rounds it.
pub(super) fn moment_to_column(moment: Timestamp, kind: &ColumnKind) -> Converted<ColumnValue> {
    match *kind {
        ColumnKind::TimestampTz { precision } => {
            Ok(ColumnValue::TimestampTz(to_precision(moment, precision)?))
        }
        ColumnKind::Timestamp { precision } => {
            let rounded = to_precision(moment, precision)?;
            Ok(ColumnValue::Timestamp(
                rounded.to_zoned(TimeZone::UTC).datetime(),
            ))
        }
        _ => Err(FieldReason::NotRepresentable),
    }
}

/// Notion's form of a column's date.
pub(super) fn to_notion(value: &ColumnValue) -> Converted<Option<NotionDate>> {
    let single = |start| Ok(Some(NotionDate { start, end: None }));
    match value {
        ColumnValue::Null | ColumnValue::Json(serde_json::Value::Null) => Ok(None),
        ColumnValue::Date(date) => single(DateOrTime::Day(*date)),
        ColumnValue::Timestamp(local) => {
            let zoned = local
                .to_zoned(TimeZone::UTC)
                .map_err(|_| FieldReason::NotRepresentable)?;
            single(DateOrTime::Moment(minute(zoned.timestamp())))
        }
        ColumnValue::TimestampTz(moment) => single(DateOrTime::Moment(minute(*moment))),
        ColumnValue::DateRange { start, last } => Ok(Some(NotionDate {
            start: DateOrTime::Day(*start),
            end: (start != last).then_some(DateOrTime::Day(*last)),
        })),
        ColumnValue::TstzRange { start, end } => Ok(Some(NotionDate {
            start: DateOrTime::Moment(minute(*start)),
            end: (start != end).then_some(DateOrTime::Moment(minute(*end))),
        })),
        ColumnValue::Json(value) => from_json(value).map(Some),
        _ => Err(FieldReason::NotRepresentable),
    }
}

/// The form in which equal dates are equal: moments cut to the minute.
pub(super) fn canonical(date: &NotionDate) -> NotionDate {
    let cut = |end: DateOrTime| match end {
        DateOrTime::Moment(moment) => DateOrTime::Moment(minute(moment)),
        DateOrTime::Day(_) => end,
    };
    NotionDate {
        start: cut(date.start),
        end: date.end.map(cut),
    }
}

fn in_order(ordered: bool, value: ColumnValue) -> Converted<ColumnValue> {
    if ordered {
        Ok(value)
    } else {
        Err(FieldReason::NotRepresentable)
    }
}

fn day(end: &DateOrTime) -> Date {
    match end {
        DateOrTime::Day(day) => *day,
        DateOrTime::Moment(moment) => moment.to_zoned(TimeZone::UTC).date(),
    }
}

fn instant(end: &DateOrTime) -> Converted<Timestamp> {
    match end {
        DateOrTime::Moment(moment) => Ok(*moment),
        DateOrTime::Day(day) => day
            .to_datetime(Time::midnight())
            .to_zoned(TimeZone::UTC)
            .map(|zoned| zoned.timestamp())
            .map_err(|_| FieldReason::NotRepresentable),
    }
}

fn to_precision(moment: Timestamp, precision: u8) -> Converted<Timestamp> {
    let increment = 10_i64.pow(u32::from(6_u8.saturating_sub(precision)));
    let round = match precision {
        0 => TimestampRound::new().smallest(Unit::Second),
        _ => TimestampRound::new()
            .smallest(Unit::Microsecond)
            .increment(increment),
    };
    moment
        .round(round)
        .map_err(|_| FieldReason::NotRepresentable)
}

/// A date as JSON: `{"start","end"}`, each a day or a moment in UTC.
pub fn json(date: &NotionDate) -> serde_json::Value {
    let text = |end: &DateOrTime| match end {
        DateOrTime::Day(day) => day.to_string(),
        DateOrTime::Moment(moment) => moment.to_string(),
    };
    serde_json::json!({ "start": text(&date.start), "end": date.end.as_ref().map(text) })
}

fn from_json(value: &serde_json::Value) -> Converted<NotionDate> {
    let end = |text: &str| {
        let moment = text
            .parse()
            .map(|moment| DateOrTime::Moment(minute(moment)));
        moment.or_else(|_| text.parse().map(DateOrTime::Day)).ok()
    };
    let start = value
        .get("start")
        .and_then(serde_json::Value::as_str)
        .and_then(end);
    let last = match value.get("end") {
        None | Some(serde_json::Value::Null) => Some(None),
        Some(text) => text.as_str().and_then(end).map(Some),
    };
    match (start, last) {
        (Some(start), Some(end)) => Ok(NotionDate { start, end }),
        _ => Err(FieldReason::NotRepresentable),
    }
}
