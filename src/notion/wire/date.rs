//! Dates: days, moments with an offset, and local times with a zone beside them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::value::RawValue;

use super::object::{Object, is_null, is_object};
use crate::sync::page::{DateOrTime, NotionDate, PropertyValue};

/// A date property.
pub(super) fn decode(raw: &RawValue) -> Option<PropertyValue> {
    if is_null(raw) {
        return Some(PropertyValue::Date(None));
    }
    let range = is_object(raw).then(|| range(&Object::read(raw)))?;
    range.map(|range| PropertyValue::Date(Some(range)))
}

fn range(object: &Object<'_>) -> Option<NotionDate> {
    let zone = object.text("time_zone");
    let start = date_or_time(&object.text("start")?, zone.as_deref())?;
    let end = if object.has("end") {
        Some(date_or_time(&object.text("end")?, zone.as_deref())?)
    } else {
        None
    };
    Some(NotionDate { start, end })
}

fn date_or_time(text: &str, zone: Option<&str>) -> Option<DateOrTime> {
    if !text.contains(['T', 't', ' ']) {
        return text.parse::<Date>().ok().map(DateOrTime::Day);
    }
    // An offset says more than the zone beside it: Notion itself turns zones into offsets.
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(DateOrTime::Moment(moment));
    }
    let local: DateTime = text.parse().ok()?;
    let zone = match zone {
        Some(name) => TimeZone::get(name).ok()?,
        // Notion's own rule for a time without a zone.
        None => TimeZone::UTC,
    };
    let moment = zone.to_ambiguous_timestamp(local).compatible().ok()?;
    Some(DateOrTime::Moment(moment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Option<PropertyValue> {
        decode(&RawValue::from_string(text.to_owned()).unwrap())
    }

    fn value(start: DateOrTime, end: Option<DateOrTime>) -> PropertyValue {
        PropertyValue::Date(Some(NotionDate { start, end }))
    }

    fn day(text: &str) -> DateOrTime {
        DateOrTime::Day(text.parse().unwrap())
    }

    fn moment(text: &str) -> DateOrTime {
        DateOrTime::Moment(text.parse().unwrap())
    }

    #[test]
    fn days_and_moments_are_told_apart() {
        assert_eq!(
            decoded(r#"{"start":"2022-02-11","end":"2022-02-12","time_zone":null}"#),
            Some(value(day("2022-02-11"), Some(day("2022-02-12"))))
        );
        assert_eq!(
            decoded(r#"{"start":"2022-02-22T09:00:00.000+09:00","end":null}"#),
            Some(value(moment("2022-02-22T00:00:00Z"), None))
        );
        assert_eq!(decoded("null"), Some(PropertyValue::Date(None)));
    }

    #[test]
    fn a_local_time_is_read_in_the_zone_beside_it() {
        assert_eq!(
            decoded(r#"{"start":"2026-07-01T09:00:00","time_zone":"Europe/Berlin"}"#),
            Some(value(moment("2026-07-01T07:00:00Z"), None))
        );
        assert_eq!(
            decoded(r#"{"start":"2026-07-01T09:00:00"}"#),
            Some(value(moment("2026-07-01T09:00:00Z"), None))
        );
        assert_eq!(
            decoded(r#"{"start":"2026-07-01T09:00:00.000Z","time_zone":"Europe/Berlin"}"#),
            Some(value(moment("2026-07-01T09:00:00Z"), None))
        );
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            r#"{"start":null}"#,
            "{}",
            r#"{"start":"tomorrow"}"#,
            r#"{"start":"2026-02-30"}"#,
            r#"{"start":"2026-02-20","end":"soon"}"#,
            r#"{"start":"2026-07-01T09:00:00","time_zone":"Mars/Phobos"}"#,
            r#""2026-02-20""#,
        ] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }
}
