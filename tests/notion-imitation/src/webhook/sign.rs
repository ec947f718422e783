//! The signature of webhooks: HMAC-SHA256 over the raw body, keyed with the verification token.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The value of `X-Notion-Signature` for a body.
pub fn signature(verification_token: &str, body: &[u8]) -> String {
    // HMAC takes keys of any length, so this cannot fail; an empty text would verify nowhere.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(verification_token.as_bytes()) else {
        return String::new();
    };
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}
