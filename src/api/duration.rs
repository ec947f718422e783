//! Durations as the resource spells them: `30s`, `5m`, `1h30m`.
//!
//! The form is Go's, limited by [`super::rules::INTERVAL`] to units from milliseconds to hours, so
//! that CEL's own `duration()` and this parser agree on every accepted text.

use std::time::Duration;

/// Reads a duration; `None` where the text is not of the form that the schema accepts.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, tail) = rest.split_at(number);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, after) = tail.split_at(end);
        total = total.checked_add(part(digits, unit)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

/// One number with its unit, in whole microseconds: three decimals of a millisecond.
fn part(digits: &str, unit: &str) -> Option<Duration> {
    let millis: u64 = match unit {
        "h" => 3_600_000,
        "m" => 60_000,
        "s" => 1_000,
        "ms" => 1,
        _ => return None,
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    if fraction.is_empty() || fraction.len() > 3 || fraction.contains('.') {
        return None;
    }
    let thousandths: u64 = format!("{fraction:0<3}").parse().ok()?;
    let whole: u64 = whole.parse().ok()?;
    let micros = whole
        .checked_mul(1_000)?
        .checked_add(thousandths)?
        .checked_mul(millis)?;
    Some(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_schema_accepts() {
        let cases = [
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("6h", 21_600_000),
            ("1.5h", 5_400_000),
            ("0.25s", 250),
            ("15000ms", 15_000),
            ("99999h99999h99999h99999h", 4 * 99_999 * 3_600_000),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "", "5", "m", "5 m", "-5m", "5d", "1.s", "1..5s", ".5s", "1.2345s", "5m3",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
