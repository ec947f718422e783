//! Lenient reading of JSON objects whose shape is Notion's to change.
//!
//! Unknown fields are passed by, a field of an unexpected type reads as absent, and values stay
//! JSON text until somebody asks for them: a number must be read exactly as it was written, and a
//! property that nobody maps must cost nothing (`facts/notion-api.md` §1, compatibility promises).

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The members of a JSON object in the order of the text; empty where the text is no object.
#[derive(Debug, Clone)]
pub(super) struct Object<'a, V = &'a RawValue> {
    members: Vec<(Cow<'a, str>, V)>,
}

impl<V> Object<'_, V> {
    /// The members.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.members.iter().map(|(name, value)| (&**name, value))
    }

    /// The value under `name`; the last one where it occurs twice, as in JavaScript.
    fn find(&self, name: &str) -> Option<&V> {
        self.members
            .iter()
            .rev()
            .find_map(|(key, value)| (key == name).then_some(value))
    }
}

impl<'a> Object<'a> {
    /// The object that `raw` holds; an empty one if it holds something else.
    pub(super) fn read(raw: &'a RawValue) -> Self {
        serde_json::from_str(raw.get()).unwrap_or(Self {
            members: Vec::new(),
        })
    }

    /// The value under `name`, `null` included.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.find(name).copied()
    }

    /// The string under `name`.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        read(self.get(name)?)
    }

    /// The boolean under `name`.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        read(self.get(name)?)
    }

    /// The object under `name`; `None` if it is absent or something else.
    pub(super) fn object(&self, name: &str) -> Option<Object<'a>> {
        let raw = self.get(name)?;
        is_object(raw).then(|| Self::read(raw))
    }

    /// Whether `name` is present and not null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|raw| !is_null(raw))
    }
}

/// Whether the value is `null`.
pub(super) fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// Whether the value is an object.
pub(super) fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

/// Reads a value as `T`; `None` where it is something else.
pub(super) fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// A key, borrowed from the text where it holds no escape.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

struct ObjectVisitor<'a, V>(PhantomData<(&'a (), V)>);

impl<'a, V> ObjectVisitor<'a, V> {
    const EMPTY: Object<'a, V> = Object {
        members: Vec::new(),
    };
}

impl<'de: 'a, 'a, V: Deserialize<'de>> Visitor<'de> for ObjectVisitor<'a, V> {
    type Value = Object<'a, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((Key(name), value)) = map.next_entry::<Key<'de>, V>()? {
            members.push((name, value));
        }
        Ok(Object { members })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::EMPTY)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Self::EMPTY)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Self::EMPTY)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Self::EMPTY)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Self::EMPTY)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Self::EMPTY)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Self::EMPTY)
    }
}

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Object<'a, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_one_by_one_and_oddities_are_absent() {
        let text = r#"{"a":"x","b":7,"c":null,"d":{"e":true},"\u0066":1.50,"a":"y"}"#;
        let object: Object<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(object.text("a").as_deref(), Some("y"));
        assert_eq!(object.text("b"), None);
        assert!(object.get("c").is_some() && !object.has("c"));
        assert_eq!(object.object("d").unwrap().flag("e"), Some(true));
        assert!(object.object("b").is_none());
        assert_eq!(object.get("f").unwrap().get(), "1.50");
    }

    #[test]
    fn anything_else_is_an_empty_object() {
        for text in ["null", "true", "-1", "1", "1.5", "\"x\"", r#"[{"a":1}]"#] {
            let object: Object<'_> = serde_json::from_str(text).unwrap();
            assert_eq!(object.iter().count(), 0, "{text}");
        }
    }

    #[test]
    fn nested_objects_are_read_in_the_same_pass() {
        let text = r#"{"Name":{"id":"title"},"Odd":null}"#;
        let object: Object<'_, Object<'_>> = serde_json::from_str(text).unwrap();
        let names: Vec<_> = object.iter().map(|(n, v)| (n, v.text("id"))).collect();
        assert_eq!(names, [("Name", Some("title".to_owned())), ("Odd", None)]);
    }
}
