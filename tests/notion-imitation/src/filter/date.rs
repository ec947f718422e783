//! Date conditions. An operand without a time means its whole day, in UTC.

use serde_json::Value as Json;

use crate::error::ApiError;
use crate::properties::date::to_ms;

const DAY: i64 = 86_400_000;

/// A test of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DateTest {
    /// From the first to the last millisecond, both included.
    Within(i64, i64),
    Empty,
    NotEmpty,
}

impl DateTest {
    /// Reads `{"<operator>": operand}`.
    pub(crate) fn parse(now_ms: i64, place: &str, given: &Json) -> Result<Self, ApiError> {
        let (operator, operand) = only_entry(place, given)?;
        let ahead = |days: i64| Self::Within(now_ms, now_ms.saturating_add(days * DAY));
        let back = |days: i64| Self::Within(now_ms.saturating_sub(days * DAY), now_ms);
        Ok(match operator {
            "is_empty" => Self::Empty,
            "is_not_empty" => Self::NotEmpty,
            "past_week" => back(7),
            "past_month" => back(30),
            "past_year" => back(365),
            "next_week" => ahead(7),
            "next_month" => ahead(30),
            "next_year" => ahead(365),
            "this_week" => {
                // Weeks start on Sunday; 1970 began on a Thursday.
                let day = now_ms.div_euclid(DAY);
                let sunday = (day - (day + 4).rem_euclid(7)) * DAY;
                Self::Within(sunday, sunday + 7 * DAY - 1)
            }
            "equals" | "before" | "after" | "on_or_before" | "on_or_after" => {
                let (first, last) = span(now_ms, operand).ok_or_else(|| {
                    ApiError::body(
                        &format!("filter.{place}.{operator}"),
                        &format!("a valid ISO 8601 date string, instead was `{operand}`"),
                    )
                })?;
                match operator {
                    "equals" => Self::Within(first, last),
                    "before" => Self::Within(i64::MIN, first - 1),
                    "after" => Self::Within(last + 1, i64::MAX),
                    "on_or_before" => Self::Within(i64::MIN, last),
                    _ => Self::Within(first, i64::MAX),
                }
            }
            other => return Err(unknown_operator(place, other)),
        })
    }

    pub(crate) fn passes(self, value: Option<i64>) -> bool {
        match (self, value) {
            (Self::Within(first, last), Some(ms)) => (first..=last).contains(&ms),
            (Self::Within(..), None) => false,
            (Self::Empty, value) => value.is_none(),
            (Self::NotEmpty, value) => value.is_some(),
        }
    }

    pub(crate) fn bounds(self) -> (i64, i64) {
        match self {
            Self::Within(first, last) => (first, last),
            Self::Empty => (i64::MAX, i64::MIN),
            Self::NotEmpty => (i64::MIN, i64::MAX),
        }
    }
}

/// First and last millisecond of an operand.
fn span(now_ms: i64, operand: &Json) -> Option<(i64, i64)> {
    let text = operand.as_str()?;
    let today = now_ms - now_ms.rem_euclid(DAY);
    let day = |offset: i64| Some((today + offset * DAY, today + (offset + 1) * DAY - 1));
    match text {
        "today" => day(0),
        "tomorrow" => day(1),
        "yesterday" => day(-1),
        "one_week_ago" => day(-7),
        "one_week_from_now" => day(7),
        "one_month_ago" => day(-30),
        "one_month_from_now" => day(30),
        text if text.len() == 10 => to_ms(text).map(|first| (first, first + DAY - 1)),
        text => to_ms(text).map(|ms| (ms, ms)),
    }
}

/// The only entry of a condition.
pub(crate) fn only_entry<'a>(
    place: &str,
    given: &'a Json,
) -> Result<(&'a str, &'a Json), ApiError> {
    let mut entries = given.as_object().into_iter().flatten();
    match (entries.next(), entries.next()) {
        (Some((operator, operand)), None) => Ok((operator, operand)),
        _ => Err(ApiError::body(
            &format!("filter.{place}"),
            "an object with one condition",
        )),
    }
}

pub(crate) fn unknown_operator(place: &str, operator: &str) -> ApiError {
    ApiError::body(&format!("filter.{place}.{operator}"), "not present")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: i64 = 1_763_633_700_000; // 2025-11-20T10:15:00Z, a Thursday

    fn passes(given: &Json, text: &str) -> bool {
        DateTest::parse(NOW, "date", given)
            .unwrap()
            .passes(to_ms(text))
    }

    #[test]
    fn comparisons_are_to_the_millisecond() {
        let at = "2025-11-20T10:00:00.000Z";
        assert!(passes(&json!({"on_or_after": at}), at));
        assert!(!passes(&json!({"after": at}), at));
        assert!(passes(&json!({"on_or_before": at}), at));
        assert!(!passes(&json!({"before": at}), at));
        assert!(passes(&json!({"before": "2025-11-20T10:00:00.001Z"}), at));
        assert!(passes(&json!({"equals": "2025-11-20T11:00:00+01:00"}), at));
    }

    #[test]
    fn a_day_is_all_of_it() {
        let late = "2025-11-20T23:59:00Z";
        assert!(passes(&json!({"equals": "2025-11-20"}), late));
        assert!(passes(&json!({"on_or_before": "2025-11-20"}), late));
        assert!(!passes(&json!({"after": "2025-11-20"}), late));
        assert!(passes(&json!({"equals": "today"}), late));
        assert!(passes(&json!({"this_week": {}}), "2025-11-16T00:00:00Z"));
        assert!(!passes(&json!({"this_week": {}}), "2025-11-15T23:59:00Z"));
        assert!(passes(&json!({"past_week": {}}), "2025-11-14"));
    }

    #[test]
    fn nonsense_is_refused() {
        for given in [
            json!({"on_or_after": "soon"}),
            json!({"near": "today"}),
            json!({}),
            json!(3),
        ] {
            assert!(DateTest::parse(NOW, "date", &given).is_err(), "{given}");
        }
    }
}
