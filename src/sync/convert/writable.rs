//! What Notion takes in one write (`facts/notion-api.md` §2.5): a value beyond these sizes would be
//! refused, so it is marked before anything is sent.

use super::Converted;
use crate::sync::column::survives_double;
use crate::sync::page::{DateOrTime, PropertyType, PropertyValue};
use crate::sync::reason::FieldReason;

/// Characters of one segment of text.
const SEGMENT: usize = 2_000;
/// Segments of one text, and elements of a multi-select, a relation or of people.
const ELEMENTS: usize = 100;
/// Characters of a URL.
const URL: usize = 2_000;
/// Characters of an e-mail address or a phone number.
const LINE: usize = 200;
/// Characters of an option's name.
const OPTION: usize = 100;

/// Whether a write may carry the value, as a value of a property of this type. Notion counts
/// characters as JavaScript does, in UTF-16 units.
pub fn writable(value: &PropertyValue, kind: &PropertyType) -> Converted<()> {
    use PropertyType as P;
    use PropertyValue as V;
    let fits = match (kind, value) {
        (P::Title | P::RichText, V::Text { plain, .. }) => text_segments(plain).len() <= ELEMENTS,
        (P::Number, V::Number(number)) => number.as_ref().is_none_or(survives_double),
        (P::Checkbox, V::Checkbox(_)) => true,
        (P::Select | P::Status, V::Choice(name)) => name.as_deref().is_none_or(is_option),
        (P::MultiSelect, V::Names(names)) => {
            names.len() <= ELEMENTS && names.iter().all(|name| is_option(name))
        }
        (P::Date, V::Date(date)) => date
            .iter()
            .flat_map(|date| [Some(date.start), date.end])
            .flatten()
            .all(has_plain_year),
        (P::Url, V::Line(line)) => is_short(line.as_deref(), URL),
        (P::Email | P::PhoneNumber, V::Line(line)) => is_short(line.as_deref(), LINE),
        (P::Relation | P::People, V::Ids(ids)) => ids.len() <= ELEMENTS,
        _ => return Err(FieldReason::Unsupported),
    };
    fits.then_some(()).ok_or(FieldReason::NotRepresentable)
}

/// The segments in which a text is written. No character is split.
pub fn text_segments(text: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    let (mut start, mut units) = (0, 0);
    for (at, character) in text.char_indices() {
        if units + character.len_utf16() > SEGMENT {
            segments.push(&text[start..at]);
            (start, units) = (at, 0);
        }
        units += character.len_utf16();
    }
    if start < text.len() {
        segments.push(&text[start..]);
    }
    segments
}

fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

fn is_short(line: Option<&str>, limit: usize) -> bool {
    line.is_none_or(|line| length(line) <= limit)
}

fn is_option(name: &str) -> bool {
    !name.is_empty() && !name.contains(',') && length(name) <= OPTION
}

/// Years of other than four digits have no form that Notion reads.
fn has_plain_year(end: DateOrTime) -> bool {
    let year = match end {
        DateOrTime::Day(day) => day.year(),
        DateOrTime::Moment(moment) => moment.to_zoned(jiff::tz::TimeZone::UTC).year(),
    };
    (1..=9999).contains(&year)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(length: usize) -> PropertyValue {
        PropertyValue::Line(Some("a".repeat(length)))
    }

    fn names(count: usize, name: &str) -> PropertyValue {
        PropertyValue::Names((0..count).map(|number| format!("{name}{number}")).collect())
    }

    #[test]
    fn what_is_larger_than_notion_takes_is_refused() {
        use PropertyType as P;
        let text = |length| crate::sync::fixtures::text(&"a".repeat(length));
        let ids = |count| PropertyValue::Ids(vec![uuid::Uuid::nil(); count]);
        let option = |length| PropertyValue::Choice(Some("a".repeat(length)));
        let cases = [
            (P::RichText, text(200_000), text(200_001)),
            (P::Title, text(0), text(200_001)),
            (P::Url, line(2_000), line(2_001)),
            (P::Email, line(200), line(201)),
            (P::PhoneNumber, line(200), line(201)),
            (P::MultiSelect, names(100, "a"), names(101, "a")),
            (P::MultiSelect, names(1, "a"), names(1, "a,b")),
            (P::Select, option(100), option(101)),
            (P::Relation, ids(100), ids(101)),
            (P::People, ids(100), ids(101)),
        ];
        for (kind, fits, does_not) in cases {
            assert_eq!(writable(&fits, &kind), Ok(()), "{kind:?}");
            let refused = Err(FieldReason::NotRepresentable);
            assert_eq!(writable(&does_not, &kind), refused, "{kind:?}");
        }
        let read_only = writable(&line(1), &P::Verification);
        assert_eq!(read_only, Err(FieldReason::Unsupported));
    }

    #[test]
    fn a_character_of_two_units_is_not_split() {
        let text = format!("{}\u{1f600}{}", "a".repeat(1_999), "b".repeat(1_998));
        let segments = text_segments(&text);
        assert_eq!(segments.len(), 2);
        assert_eq!(segments[0].len(), 1_999);
        assert_eq!(length(segments[1]), 2_000);
        assert!(text_segments("").is_empty());
    }

    proptest! {
        #[test]
        fn segments_are_the_text_again(text in "(\\PC|\u{1f600}){0,60}", times in 0_usize..200) {
            let text = text.repeat(times);
            let segments = text_segments(&text);
            prop_assert!(segments.iter().all(|segment| (1..=SEGMENT).contains(&length(segment))));
            prop_assert_eq!(segments.concat(), text);
        }
    }
}
