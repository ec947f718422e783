//! Identifiers as Notion reads and writes them.
//!
//! UUIDs come with or without dashes and are always given back dashed. Property ids are short raw
//! strings that the API returns percent-encoded, with JavaScript's `encodeURIComponent` rules.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use uuid::{Uuid, Variant};

use crate::random::Random;

const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Reads a UUID as the API does: 32 hex digits or the dashed form, and a real UUID structure
/// (`12345678-1234-1234-1234-123456789abc` was refused in recordings; the nil UUID was not).
pub(crate) fn parse_uuid(text: &str) -> Option<Uuid> {
    if text.len() != 32 && text.len() != 36 {
        return None;
    }
    let id = Uuid::try_parse(text).ok()?;
    let real = id.get_variant() == Variant::RFC4122 && (1..=8).contains(&id.get_version_num());
    (real || id.is_nil()).then_some(id)
}

/// As the API returns a property id.
pub(crate) fn encode_property_id(raw: &str) -> String {
    utf8_percent_encode(raw, COMPONENT).to_string()
}

/// The raw form of what a client sent in a path or query string.
pub(crate) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A new raw property id. About half of them need percent-encoding, as in real workspaces.
pub(crate) fn new_property_id(random: &mut Random) -> String {
    const PLAIN: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_~";
    const AWKWARD: &[u8] = b":;`{}<>?@[]^|=\\";
    let mut id = String::with_capacity(4);
    for _ in 0..4 {
        let alphabet = if random.below(6) == 0 { AWKWARD } else { PLAIN };
        let length = u64::try_from(alphabet.len()).unwrap_or(1);
        let index = usize::try_from(random.below(length)).unwrap_or(0);
        id.push(char::from(alphabet[index]));
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_need_a_real_structure() {
        let dashed = "7855b161-f63e-4683-b7c7-8ca6e97ee266";
        assert_eq!(
            parse_uuid(dashed),
            parse_uuid("7855B161F63E4683B7C78CA6E97EE266")
        );
        assert!(parse_uuid(dashed).is_some());
        assert!(parse_uuid("00000000-0000-0000-0000-000000000000").is_some());
        assert_eq!(parse_uuid("12345678-1234-1234-1234-123456789abc"), None);
        assert_eq!(parse_uuid("{7855b161-f63e-4683-b7c7-8ca6e97ee266}"), None);
        assert_eq!(parse_uuid("AAA"), None);
    }

    #[test]
    fn property_ids_are_encoded_like_recorded_ones() {
        for (raw, encoded) in [("U`;C", "U%60%3BC"), (":?vz", "%3A%3Fvz"), ("~pTC", "~pTC")] {
            assert_eq!(encode_property_id(raw), encoded);
            assert_eq!(decode(encoded), raw);
        }
    }
}
