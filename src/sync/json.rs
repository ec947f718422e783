//! Escapes that are valid in JSON text but that a stricter reader cannot hold.
//!
//! JSON may name half of a surrogate pair (`\ud83d` alone), which is no character: Rust strings and
//! Postgres' `jsonb` refuse it. JSON may name NUL, which `jsonb` and `text` refuse. Both are
//! replaced by U+FFFD in the text itself, before it is parsed or stored (`design/state.md` §5).

use std::borrow::Cow;

/// The escape that stands for what cannot be held.
const REPLACEMENT: &[u8] = br"\ufffd";
/// Length of `\uXXXX`.
const ESCAPE_LEN: usize = 6;

/// Replaces every lone surrogate escape by `\ufffd`; pairs stay.
///
/// Works on JSON text that was not parsed yet, so it accepts any bytes; what is no JSON stays none.
pub fn sanitize_surrogates(json: &[u8]) -> Cow<'_, [u8]> {
    replace_escapes(json, |unit, next| match (unit, next) {
        (0xD800..=0xDBFF, Some(0xDC00..=0xDFFF)) => Escape::KeepPair,
        (0xD800..=0xDFFF, _) => Escape::Replace,
        _ => Escape::Keep,
    })
}

/// Replaces every `\u0000` escape by `\ufffd`, for JSON text that goes into a `jsonb` column.
pub fn without_nul(json: &str) -> Cow<'_, str> {
    let replaced = replace_escapes(json.as_bytes(), |unit, _| match unit {
        0 => Escape::Replace,
        _ => Escape::Keep,
    });
    match replaced {
        Cow::Borrowed(_) => Cow::Borrowed(json),
        // ASCII was replaced by ASCII, so nothing is lost here; the lossy form avoids a panic.
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// What to do with one `\uXXXX` escape.
enum Escape {
    /// Leave it.
    Keep,
    /// Leave it and the escape right after it.
    KeepPair,
    /// Put U+FFFD in its place.
    Replace,
}

/// Walks over all escapes and asks `judge` about each `\uXXXX`, handing it the code unit and that
/// of the escape that follows immediately. Copies only once something is replaced.
fn replace_escapes(json: &[u8], judge: impl Fn(u16, Option<u16>) -> Escape) -> Cow<'_, [u8]> {
    let mut output: Vec<u8> = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(offset) = json[at..].iter().position(|byte| *byte == b'\\') {
        at += offset;
        let Some(unit) = unicode_escape(&json[at..]) else {
            // Another escape, `\\` among them: its second byte must not be taken for a backslash.
            at = (at + 2).min(json.len());
            continue;
        };
        let after = at + ESCAPE_LEN;
        match judge(unit, unicode_escape(&json[after..])) {
            Escape::Keep => at = after,
            Escape::KeepPair => at = after + ESCAPE_LEN,
            Escape::Replace => {
                output.extend_from_slice(&json[copied..at]);
                output.extend_from_slice(REPLACEMENT);
                copied = after;
                at = after;
            }
        }
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    output.extend_from_slice(&json[copied..]);
    Cow::Owned(output)
}

/// The code unit of the `\uXXXX` that `bytes` starts with.
fn unicode_escape(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(br"\u")?.get(..4)?;
    digits.iter().try_fold(0_u16, |unit, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some(unit * 16 + u16::try_from(value).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sanitized(text: &str) -> String {
        String::from_utf8(sanitize_surrogates(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_stay() {
        assert_eq!(sanitized(r#""a\ud83db""#), r#""a\ufffdb""#);
        assert_eq!(sanitized(r#""\uDE00""#), r#""\ufffd""#);
        assert_eq!(sanitized(r#""\ud83d\ude00""#), r#""\ud83d\ude00""#);
        assert_eq!(
            sanitized(r#""\ud83d\ud83d\ude00""#),
            r#""\ufffd\ud83d\ude00""#
        );
        assert_eq!(sanitized(r#""\ude00\ud83d""#), r#""\ufffd\ufffd""#);
        assert_eq!(sanitized(r#""\ud83d\n""#), r#""\ufffd\n""#);
    }

    #[test]
    fn an_escaped_backslash_starts_no_escape() {
        assert_eq!(sanitized(r#""\\ud83d""#), r#""\\ud83d""#);
        assert_eq!(sanitized(r#""\\\ud83d""#), r#""\\\ufffd""#);
        assert_eq!(without_nul(r#""\\u0000""#), r#""\\u0000""#);
    }

    #[test]
    fn text_that_ends_inside_an_escape_is_left_alone() {
        for text in [r"\", r"\u", r"\ud83", r"\ud83d\", r"\ud83d\ud", "\\u+123"] {
            let expected = text.replace(r"\ud83d", r"\ufffd");
            assert_eq!(sanitized(text), expected);
        }
    }

    #[test]
    fn nothing_is_copied_where_nothing_is_replaced() {
        assert!(matches!(
            sanitize_surrogates(br#"{"a":"\u00e9"}"#),
            Cow::Borrowed(_)
        ));
        assert!(matches!(without_nul(r#""\u0001""#), Cow::Borrowed(_)));
    }

    #[test]
    fn nul_is_replaced_in_stored_bodies() {
        assert_eq!(without_nul(r#"{"a":"x\u0000é"}"#), r#"{"a":"x\ufffdé"}"#);
    }

    /// UTF-16 code units, half of them surrogates, as a JSON string of escapes.
    fn escaped(units: &[u16]) -> String {
        let escapes: Vec<String> = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
        format!("\"{}\"", escapes.concat())
    }

    proptest! {
        #[test]
        fn the_result_is_what_a_lossy_decoder_reads(
            units in prop::collection::vec(prop_oneof![any::<u16>(), 0xD800_u16..=0xDFFF], 0..20)
        ) {
            let json = escaped(&units);
            let read: String = serde_json::from_slice(&sanitize_surrogates(json.as_bytes())).unwrap();
            prop_assert_eq!(read, String::from_utf16_lossy(&units));
        }

        #[test]
        fn any_string_survives_unless_it_holds_nul(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let stored = without_nul(&json);
            let read: String = serde_json::from_slice(&sanitize_surrogates(stored.as_bytes())).unwrap();
            prop_assert_eq!(read, text.replace('\0', "\u{fffd}"));
        }

        #[test]
        fn any_bytes_are_accepted(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\\'), Just(b'u')], 0..40)) {
            let once = sanitize_surrogates(&bytes).into_owned();
            let twice = sanitize_surrogates(&once).into_owned();
            prop_assert_eq!(once, twice);
        }
    }
}
