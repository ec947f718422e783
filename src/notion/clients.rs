//! The clients of all tokens.
//!
//! Bindings come and go, and passes of one binding are minutes apart; what a token's limiter
//! learned must outlive both. A client is therefore kept until it was not asked for in two hours.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::client::Client;
use super::error::NotionError;
use super::transport::Transport;
use super::writer::LONGEST_CONNECT;
use crate::metrics::Metrics;

/// How long an unused client is kept.
const KEPT: Duration = Duration::from_hours(2);
/// Names this program to Notion.
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// Tokens are told apart by their SHA-256, so that none is kept as a key.
type TokenDigest = [u8; 32];

/// One [`Client`] per token, over one pool of connections.
pub struct Clients {
    http: reqwest::Client,
    base: String,
    metrics: Metrics,
    by_token: Mutex<HashMap<TokenDigest, (Instant, Arc<Client>)>>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Clients {
    /// Clients of the API at `base`: scheme and host, without `/v1`.
    ///
    /// A process-wide rustls provider must be installed. Fails where the system's certificates
    /// cannot be read.
    pub fn new(base: &str, metrics: Metrics) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(LONGEST_CONNECT)
            // The API redirects nowhere; following would carry the request to somebody else.
            .redirect(Policy::none())
            // Whoever waits for the end of a write counts from when it was sent, which a repetition
            // down there would move.
            .retry(reqwest::retry::never())
            .build()?;
        Ok(Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            metrics,
            by_token: Mutex::default(),
        })
    }

    /// The client of a token. White space around it is ignored: Secrets often end in a newline.
    ///
    /// Fails with [`NotionError::TokenMalformed`] where the token cannot be sent.
    pub fn get(&self, token: &SecretString) -> Result<Arc<Client>, NotionError> {
        let token = SecretString::from(token.expose_secret().trim());
        let digest: TokenDigest = Sha256::digest(token.expose_secret()).into();
        let now = Instant::now();
        let mut clients = self.by_token.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|_, (used, client)| {
            now.duration_since(*used) < KEPT || Arc::strong_count(client) > 1 || client.is_shared()
        });
        if let Some((used, client)) = clients.get_mut(&digest) {
            *used = now;
            return Ok(Arc::clone(client));
        }
        let transport = Transport::new(self.http.clone(), self.base.clone(), &token)?;
        let client = Arc::new(Client::new(transport, self.metrics.clone()));
        clients.insert(digest, (now, Arc::clone(&client)));
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::identity::BindingRef;

    #[test]
    fn a_binding_has_a_turn_of_its_own_at_the_same_token() {
        crate::notion::stub::install_crypto();
        let clients = Clients::new("http://127.0.0.1:1/", Metrics::default()).unwrap();
        let client = clients.get(&SecretString::from("ntn_a")).unwrap();
        let binding = |name: &str| BindingRef {
            namespace: "team-a".to_owned(),
            name: name.to_owned(),
        };
        let [one, again, other] = ["a", "a", "b"].map(|name| client.for_binding(&binding(name)));
        assert!(one.shares_with(&other) && one.shares_with(&client));
        assert_eq!(one.caller(), again.caller());
        assert_ne!(one.caller(), other.caller());
    }

    #[test]
    fn a_token_has_one_client_however_it_is_written() {
        crate::notion::stub::install_crypto();
        let clients = Clients::new("http://127.0.0.1:1/", Metrics::default()).unwrap();
        let get = |text: &str| clients.get(&SecretString::from(text)).unwrap();
        let first = get("ntn_a");
        assert!(Arc::ptr_eq(&first, &get("ntn_a\n")));
        assert!(!Arc::ptr_eq(&first, &get("ntn_b")));
        assert!(!format!("{clients:?} {first:?}").contains("ntn_a"));
        let error = clients.get(&SecretString::from("ntn\u{7f}a")).unwrap_err();
        assert!(matches!(error, NotionError::TokenMalformed));
    }
}
