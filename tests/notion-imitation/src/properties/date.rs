//! Dates: what may be written, what comes back, and where it lies on the time line.
//!
//! A date-only value stays date-only. A date with a time comes back as
//! `2026-11-20T10:15:00.000+01:00`: seconds dropped, the offset as written, a time zone turned
//! into its offset, and `time_zone` always null.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::{Value as Json, json};

use crate::properties::value::DateValue;

/// Reads a date object of a write. The error says what it should be.
pub(crate) fn parse(given: &Json, floor: bool) -> Result<DateValue, &'static str> {
    let zone = match &given["time_zone"] {
        Json::Null => None,
        Json::String(name) => {
            Some(TimeZone::get(name).map_err(|_| "a date with a valid IANA time_zone")?)
        }
        _ => return Err("a date whose time_zone is a string or null"),
    };
    let start = given["start"]
        .as_str()
        .ok_or("a date object with `start`")?;
    let end = match &given["end"] {
        Json::Null => None,
        Json::String(end) => Some(normalise(end, zone.as_ref(), floor)?),
        _ => return Err("a date whose end is a string or null"),
    };
    Ok(DateValue {
        start: normalise(start, zone.as_ref(), floor)?,
        end,
    })
}

fn normalise(text: &str, zone: Option<&TimeZone>, floor: bool) -> Result<Box<str>, &'static str> {
    const SHOULD: &str = "a valid ISO 8601 date string";
    if text.len() == 10 {
        let date: Date = text.parse().map_err(|_| SHOULD)?;
        if zone.is_some() {
            return Err("a date with a time where a time_zone is given");
        }
        return Ok(date.to_string().into());
    }
    if !matches!(text.as_bytes().get(10), Some(b'T' | b' ')) {
        return Err(SHOULD);
    }
    let zoned = match (instant(text), zone) {
        (Some((at, _)), Some(zone)) => at.to_zoned(zone.clone()),
        (Some((at, offset)), None) => at.to_zoned(offset),
        (None, zone) => {
            let local: DateTime = text.parse().map_err(|_| SHOULD)?;
            local
                .to_zoned(zone.cloned().unwrap_or(TimeZone::UTC))
                .map_err(|_| SHOULD)?
        }
    };
    Ok(write(&zoned, floor).into())
}

/// The instant and the offset of a text that has one.
fn instant(text: &str) -> Option<(Timestamp, TimeZone)> {
    let at: Timestamp = text.parse().ok()?;
    let offset = if text.ends_with(['Z', 'z']) {
        jiff::tz::Offset::UTC
    } else {
        let pieces = jiff::fmt::temporal::Pieces::parse(text).ok()?;
        pieces.to_numeric_offset()?
    };
    Some((at, TimeZone::fixed(offset)))
}

fn write(zoned: &Zoned, floor: bool) -> String {
    let format = if floor {
        "%Y-%m-%dT%H:%M:00.000%:z"
    } else {
        "%Y-%m-%dT%H:%M:%S.%3f%:z"
    };
    zoned.strftime(format).to_string()
}

/// As a read shows it.
pub(crate) fn read(date: &DateValue) -> Json {
    json!({"start": date.start, "end": date.end, "time_zone": null})
}

/// Milliseconds since 1970 of a date as it is read or filtered by; date-only is 00:00 UTC.
pub(crate) fn to_ms(text: &str) -> Option<i64> {
    if text.len() == 10 {
        let date: Date = text.parse().ok()?;
        return Some(
            date.to_zoned(TimeZone::UTC)
                .ok()?
                .timestamp()
                .as_millisecond(),
        );
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond());
    }
    let local: DateTime = text.parse().ok()?;
    Some(
        local
            .to_zoned(TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_millisecond(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(given: &Json) -> String {
        parse(given, true).unwrap().start.into()
    }

    #[test]
    fn dates_come_back_as_recorded() {
        assert_eq!(start(&json!({"start": "2026-11-20"})), "2026-11-20");
        for (written, read) in [
            (
                "2026-11-20T10:15:28.513237Z",
                "2026-11-20T10:15:00.000+00:00",
            ),
            ("2026-11-20T10:15:04+09:00", "2026-11-20T10:15:00.000+09:00"),
            ("2026-11-20T10:15:04", "2026-11-20T10:15:00.000+00:00"),
        ] {
            assert_eq!(start(&json!({"start": written})), read);
        }
        let zoned = json!({"start": "2026-11-20T10:15:00", "time_zone": "Europe/Berlin"});
        assert_eq!(start(&zoned), "2026-11-20T10:15:00.000+01:00");
        let both = json!({"start": "2026-11-20T10:15:00Z", "time_zone": "UTC"});
        assert_eq!(start(&both), "2026-11-20T10:15:00.000+00:00");
    }

    #[test]
    fn refused_dates() {
        for given in [
            json!({"start": "tomorrow"}),
            json!({"start": ""}),
            json!({}),
            json!({"start": "2026-11-20", "time_zone": "Europe/Berlin"}),
            json!({"start": "2026-11-20T10:15:00", "time_zone": "Mars/Crater"}),
            json!({"start": "2026-02-30"}),
        ] {
            assert!(parse(&given, true).is_err(), "{given}");
        }
    }

    #[test]
    fn seconds_stay_where_the_switch_says_so() {
        let date = parse(&json!({"start": "2026-11-20T10:15:28.5Z"}), false).unwrap();
        assert_eq!(&*date.start, "2026-11-20T10:15:28.500+00:00");
    }
}
