//! Credentials of a webhook request: what was presented, and whether a key accepts it.
//!
//! Pure. A signature is an HMAC-SHA256 over the raw bytes of the body, compared in constant time
//! (`design/receiver.md` §1). A request with the signature header is judged by it alone.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use warp::http::header::{AUTHORIZATION, HeaderMap};

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-notion-signature";
const PREFIX: &str = "sha256=";
/// The scheme of a bearer token, with the space that ends it.
const SCHEME: &[u8] = b"bearer ";

/// The signature header of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// There is none.
    Absent,
    /// Several, or not `sha256=` and 64 hex digits.
    Malformed,
    /// The claimed HMAC.
    Claimed([u8; 32]),
}

impl Signature {
    /// Reads the header.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(SIGNATURE_HEADER).iter();
        let Some(value) = values.next() else {
            return Self::Absent;
        };
        if values.next().is_some() {
            return Self::Malformed;
        }
        let mut claimed = [0; 32];
        let digits = value
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix(PREFIX));
        match digits.map(|digits| hex::decode_to_slice(digits, &mut claimed)) {
            Some(Ok(())) => Self::Claimed(claimed),
            _ => Self::Malformed,
        }
    }

    /// Whether `key` made this signature over `body`. An empty key never did.
    pub fn verifies(&self, key: &[u8], body: &[u8]) -> bool {
        let Self::Claimed(claimed) = self else {
            return false;
        };
        if key.is_empty() {
            return false;
        }
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
            return false;
        };
        mac.update(body);
        mac.verify_slice(claimed).is_ok()
    }
}

/// The `Authorization` header of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bearer<'a> {
    /// There is none.
    Absent,
    /// Several, or not of the form `Bearer <text>`.
    Malformed,
    /// What stands after `Bearer`, without surrounding spaces.
    Presented(&'a [u8]),
}

impl<'a> Bearer<'a> {
    /// Reads the header; the scheme's case does not matter.
    pub fn of(headers: &'a HeaderMap) -> Self {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Self::Absent;
        };
        if values.next().is_some() {
            return Self::Malformed;
        }
        match value.as_bytes().split_at_checked(SCHEME.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => {
                match rest.trim_ascii() {
                    [] => Self::Malformed,
                    text => Self::Presented(text),
                }
            }
            _ => Self::Malformed,
        }
    }

    /// Whether the presented text is `secret`. An empty secret never is.
    pub fn matches(&self, secret: &[u8]) -> bool {
        match self {
            Self::Presented(text) if !secret.is_empty() => same_secret(text, secret),
            _ => false,
        }
    }
}

/// Compares two secrets without telling, by its duration, where they differ or how long they are.
pub fn same_secret(left: &[u8], right: &[u8]) -> bool {
    Sha256::digest(left).ct_eq(&Sha256::digest(right)).into()
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
