//! Array literals, as Postgres writes and reads them: `{a,"b c",NULL}`.

use super::{ColumnKind, ColumnValue};

/// Reads the elements of an array of one dimension; `None` for any other text.
pub(super) fn parse(element: &ColumnKind, text: &str) -> Option<Vec<ColumnValue>> {
    let mut rest = without_bounds(text)?.strip_prefix('{')?;
    if rest == "}" {
        return Some(Vec::new());
    }
    let mut elements = Vec::new();
    loop {
        let (value, after) = next(rest)?;
        elements.push(ColumnValue::parse(element, value.as_deref()));
        if after == "}" {
            return Some(elements);
        }
        rest = after.strip_prefix(',')?;
    }
}

/// Passes by the bounds that Postgres writes where an array does not begin at 1: `[0:1]={a,b}`.
fn without_bounds(text: &str) -> Option<&str> {
    if !text.starts_with('[') {
        return Some(text);
    }
    text.split_once('=').map(|(_, array)| array)
}

/// One element, `None` for NULL, and what follows it.
fn next(text: &str) -> Option<(Option<String>, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (value, rest) = until_quote(quoted)?;
        return Some((Some(value), rest));
    }
    let end = text.find([',', '{', '}', '"', '\\'])?;
    let (value, rest) = text.split_at(end);
    if value.is_empty() {
        return None;
    }
    // Text that spells NULL is quoted, so a bare one is none.
    let value = (!value.eq_ignore_ascii_case("NULL")).then(|| value.to_owned());
    Some((value, rest))
}

/// Takes a quoted element, whose quotation mark is already gone.
fn until_quote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// The literal of an array. Every element is quoted, which is always right.
pub(super) fn literal(elements: &[ColumnValue]) -> String {
    let mut literal = String::from("{");
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            literal.push(',');
        }
        match element.to_text() {
            None => literal.push_str("NULL"),
            Some(text) => quote(&text, &mut literal),
        }
    }
    literal.push('}');
    literal
}

fn quote(text: &str, literal: &mut String) {
    literal.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            literal.push('\\');
        }
        literal.push(character);
    }
    literal.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: ColumnKind = ColumnKind::Text { max_chars: None };

    fn texts(text: &str) -> Option<Vec<Option<String>>> {
        let elements = parse(&TEXT, text)?;
        Some(elements.iter().map(ColumnValue::to_text).collect())
    }

    fn some(texts: &[&str]) -> Vec<Option<String>> {
        texts.iter().map(|text| Some((*text).to_owned())).collect()
    }

    #[test]
    fn what_postgres_writes_is_read() {
        assert_eq!(texts("{}"), Some(Vec::new()));
        assert_eq!(texts("{a,b}"), Some(some(&["a", "b"])));
        assert_eq!(
            texts(r#"{"a b","c,d","\"e\"","\\","NULL","","{}"}"#),
            Some(some(&["a b", "c,d", "\"e\"", "\\", "NULL", "", "{}"]))
        );
        assert_eq!(texts("{NULL,a}"), Some(vec![None, Some("a".to_owned())]));
        assert_eq!(texts("[0:1]={a,b}"), Some(some(&["a", "b"])));
    }

    #[test]
    fn what_is_no_array_of_one_dimension_is_refused() {
        for text in [
            "",
            "a",
            "{",
            "{a",
            "{a,",
            "{a,}",
            "{,a}",
            "{{a},{b}}",
            "{a}b",
            "{\"a}",
            "{\"a\"b}",
            "{}}",
        ] {
            assert_eq!(texts(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_array_is_read_as_it_was_written(
            elements in prop::collection::vec(prop::option::of(any::<String>()), 0..6)
        ) {
            let values: Vec<ColumnValue> = elements
                .into_iter()
                .map(|element| element.map_or(ColumnValue::Null, ColumnValue::Text))
                .collect();
            prop_assert_eq!(parse(&TEXT, &literal(&values)), Some(values));
        }
    }
}
