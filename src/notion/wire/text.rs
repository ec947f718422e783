//! Rich text: segments joined, and what joining loses.

use serde_json::value::RawValue;

use super::lists::REFERENCE_LIMIT;
use super::object::{Object, is_null, read};
use crate::sync::page::{PropertyRead, PropertyValue};

/// Segments joined to plain text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    /// The joined text.
    pub(super) plain: String,
    /// Whether mentions, equations or links were flattened.
    pub(super) lossy: bool,
    segments: usize,
    mentions: usize,
}

impl Text {
    /// Adds one segment. `None` where it has no text to take: the rest would read as if it were
    /// the whole.
    pub(super) fn push(&mut self, raw: &RawValue) -> Option<()> {
        let segment = Object::read(raw);
        let content = segment.object("text");
        let written = || content.as_ref().and_then(|text| text.text("content"));
        // Hand-made payloads carry the form that is written, which has no `plain_text`.
        self.plain
            .push_str(&segment.text("plain_text").or_else(written)?);
        let kind = segment.text("type");
        let linked = segment.has("href") || content.as_ref().is_some_and(|text| text.has("link"));
        self.lossy |= linked || kind.as_deref().is_some_and(|kind| kind != "text");
        self.segments += 1;
        self.mentions += usize::from(kind.as_deref() == Some("mention"));
        Some(())
    }

    /// Joins the segments of an array. `null` is no text.
    pub(super) fn read(raw: &RawValue) -> Option<Self> {
        let mut text = Self::default();
        if is_null(raw) {
            return Some(text);
        }
        for segment in read::<Vec<&RawValue>>(raw)? {
            text.push(segment)?;
        }
        Some(text)
    }

    /// Whether a page or query answer may have cut the text.
    ///
    /// Notion documents a limit on mentions and recordings confirm that long text is not cut; but
    /// some report 25 segments, so exactly that many are read again as well. More were evidently
    /// not cut there.
    fn may_be_cut(&self) -> bool {
        self.mentions >= REFERENCE_LIMIT || self.segments == REFERENCE_LIMIT
    }

    /// The text as a value that is known to be whole.
    pub(super) fn into_value(self) -> PropertyValue {
        PropertyValue::Text {
            plain: self.plain,
            lossy: self.lossy,
        }
    }
}

/// A title or rich text of a page or query answer.
pub(super) fn decode(raw: &RawValue) -> Option<PropertyRead> {
    let text = Text::read(raw)?;
    if text.may_be_cut() {
        return Some(PropertyRead::Truncated);
    }
    Some(PropertyRead::Value(text.into_value()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn decoded(text: &str) -> Option<PropertyRead> {
        decode(&raw(text))
    }

    fn whole(plain: &str, lossy: bool) -> PropertyRead {
        PropertyRead::Value(PropertyValue::Text {
            plain: plain.to_owned(),
            lossy,
        })
    }

    const BOLD: &str = r#"{"type":"text","text":{"content":"a","link":null},
        "annotations":{"bold":true,"color":"red"},"plain_text":"a","href":null}"#;
    const MENTION: &str = r#"{"type":"mention","mention":{"type":"user"},"plain_text":"@A"}"#;

    fn array(segments: &[(&str, usize)]) -> String {
        let all: Vec<&str> = segments
            .iter()
            .flat_map(|(segment, count)| std::iter::repeat_n(*segment, *count))
            .collect();
        format!("[{}]", all.join(","))
    }

    #[test]
    fn style_alone_is_not_lossy() {
        assert_eq!(decoded(&array(&[(BOLD, 2)])), Some(whole("aa", false)));
        assert_eq!(decoded("[]"), Some(whole("", false)));
        assert_eq!(decoded("null"), Some(whole("", false)));
    }

    #[test]
    fn mentions_equations_and_links_are_lossy() {
        assert_eq!(
            decoded(&array(&[(BOLD, 1), (MENTION, 1)])),
            Some(whole("a@A", true))
        );
        let equation = r#"[{"type":"equation","equation":{"expression":"x"},"plain_text":"x"}]"#;
        assert_eq!(decoded(equation), Some(whole("x", true)));
        let href = r#"[{"type":"text","plain_text":"x","href":"https://a.example"}]"#;
        assert_eq!(decoded(href), Some(whole("x", true)));
        let link = r#"[{"text":{"content":"x","link":{"url":"https://a.example"}}}]"#;
        assert_eq!(decoded(link), Some(whole("x", true)));
        let new = r#"[{"type":"hologram","plain_text":"x"}]"#;
        assert_eq!(decoded(new), Some(whole("x", true)));
    }

    #[test]
    fn text_that_may_be_cut_is_read_again_and_long_text_is_not() {
        let cases = [
            (array(&[(BOLD, 24)]), false),
            (array(&[(BOLD, 25)]), true),
            (array(&[(BOLD, 100)]), false),
            (array(&[(MENTION, 24), (BOLD, 24)]), false),
            (array(&[(MENTION, 25), (BOLD, 24)]), true),
            (array(&[(MENTION, 50), (BOLD, 50)]), true),
        ];
        for (text, cut) in cases {
            assert_eq!(decoded(&text) == Some(PropertyRead::Truncated), cut);
        }
    }

    #[test]
    fn a_segment_without_text_is_no_text() {
        assert_eq!(decoded(r#"[{"type":"text"}]"#), None);
        assert_eq!(decoded("[null]"), None);
        assert_eq!(decoded(r#""x""#), None);
    }
}
