//! Values on their way into the state schema: words for enums, JSON, and nothing that Postgres'
//! text and jsonb cannot hold.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// U+FFFD, which stands for what cannot be stored (`design/state.md` §5).
const REPLACEMENT: &str = "\u{fffd}";

/// The text with every NUL replaced.
pub(in crate::store) fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', REPLACEMENT))
    } else {
        Cow::Borrowed(text)
    }
}

/// The JSON text of a value, with every NUL inside it replaced.
pub(in crate::store) fn json<T: Serialize + ?Sized>(
    value: &T,
) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string(value)?;
    // The escape is the only form that a NUL takes in JSON text, but the same letters may also
    // follow an escaped backslash: only then is the value walked through.
    if text.contains("\\u0000") {
        text = clean(serde_json::to_value(value)?).to_string();
    }
    Ok(text)
}

fn clean(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_nul(&text).into_owned()),
        Value::Array(items) => items.into_iter().map(clean).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            fields
                .map(|(name, value)| (without_nul(&name).into_owned(), clean(value)))
                .collect()
        }
        other => other,
    }
}

/// The word that stands for a variant without content, as serde spells it.
pub(in crate::store) fn word<T: Serialize>(variant: &T) -> Result<String, serde_json::Error> {
    serde_json::from_value(serde_json::to_value(variant)?)
}

/// The variant that a word stands for.
pub(in crate::store) fn variant<T: DeserializeOwned>(word: String) -> Result<T, serde_json::Error> {
    serde_json::from_value(Value::String(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::event::{Dialect, Skip};

    #[test]
    fn nul_is_replaced_and_nothing_else() {
        let value = serde_json::json!({"a\0": ["b\0c", "\\u0000", 1.5, null]});
        let stored: Value = serde_json::from_str(&json(&value).unwrap()).unwrap();
        let expected = serde_json::json!({"a\u{fffd}": ["b\u{fffd}c", "\\u0000", 1.5, null]});
        assert_eq!(stored, expected);
    }

    #[test]
    fn words_are_read_back() {
        assert_eq!(word(&Dialect::Legacy).unwrap(), "Legacy");
        assert_eq!(variant::<Skip>("NotNewer".into()).unwrap(), Skip::NotNewer);
        assert!(variant::<Skip>("Else".into()).is_err());
    }
}
