//! The two requests that nobody can sign: the seed's challenge (S2) and Notion's handshake.
//!
//! They are recognised before anything is authenticated, so only small bodies are looked at, and
//! nothing but these few fields is read.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::sync::json::sanitize_surrogates;

/// Longest token that is taken; Notion's have some 50 characters.
const MAX_TOKEN: usize = 512;

/// A request of one of the two kinds.
#[derive(Clone, PartialEq, Eq)]
pub enum Hello {
    /// `{"type":"webhook_challenge","challenge":"x"}`.
    Challenge(String),
    /// `{"verification_token":"secret_…"}`.
    Token(String),
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "type")]
    kind: Option<String>,
    challenge: Option<String>,
    verification_token: Option<String>,
    entity: Option<IgnoredAny>,
    object: Option<IgnoredAny>,
    data: Option<IgnoredAny>,
}

impl Hello {
    /// Recognises a body of at most `cap` bytes; anything else is left to authentication.
    pub fn of(body: &[u8], cap: usize) -> Option<Self> {
        if body.len() > cap || !mentions(body) {
            return None;
        }
        let wire: Wire = serde_json::from_slice(&sanitize_surrogates(body)).ok()?;
        if wire.kind.as_deref() == Some("webhook_challenge") {
            return wire.challenge.map(Self::Challenge);
        }
        // An event that happens to carry a field of this name is an event.
        if wire.entity.is_some() || wire.object.is_some() || wire.data.is_some() {
            return None;
        }
        let token = wire.verification_token?;
        let plain = token.bytes().all(|byte| byte.is_ascii_graphic());
        (plain && !token.is_empty() && token.len() <= MAX_TOKEN).then_some(Self::Token(token))
    }
}

/// Spares nearly every event the second parsing.
fn mentions(body: &[u8]) -> bool {
    let found = |word: &[u8]| body.windows(word.len()).any(|window| window == word);
    found(b"verification_token") || found(b"webhook_challenge")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: usize = 1024;

    fn of(body: &str) -> Option<Hello> {
        Hello::of(body.as_bytes(), CAP)
    }

    #[test]
    fn a_challenge_is_taken_whatever_stands_beside_it() {
        let challenge = |body| matches!(of(body), Some(Hello::Challenge(text)) if text == "x");
        assert!(challenge(r#"{"type":"webhook_challenge","challenge":"x"}"#));
        assert!(challenge(
            r#" {"challenge":"x","more":[1],"type":"webhook_challenge"} "#
        ));
        assert!(!challenge(r#"{"type":"webhook_challenge","challenge":7}"#));
        assert!(!challenge(r#"{"type":"webhook_challenge"}"#));
        assert!(!challenge(r#"{"challenge":"x"}"#));
    }

    #[test]
    fn a_token_is_taken_only_from_a_body_that_is_no_event() {
        let token = |body| matches!(of(body), Some(Hello::Token(text)) if text == "secret_x");
        assert!(token(r#"{"verification_token":"secret_x"}"#));
        assert!(token(r#"{"verification_token":"secret_x","more":null}"#));
        assert!(!token(r#"{"verification_token":"secret_x","entity":{}}"#));
        assert!(!token(r#"{"verification_token":"secret x"}"#));
        assert!(!token(r#"{"verification_token":"secret_x\n"}"#));
        assert!(!token(r#"{"verification_token":""}"#));
        assert!(!token(r#"["verification_token"]"#));
    }

    #[test]
    fn a_large_body_is_not_looked_at() {
        let pad = " ".repeat(CAP);
        assert!(of(&format!(r#"{{"verification_token":"secret_x"}}{pad}"#)).is_none());
    }
}
