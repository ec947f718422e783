//! The HTTP client of tests: no proxy from the environment, no redirects, no pooled surprises
//! between runtimes.

use std::time::Duration;

use anyhow::{Context as _, Result};

/// Names the one cryptography of this process, as the TLS library demands when it is compiled
/// without a default. Further calls do nothing.
pub fn install_crypto_provider() {
    // An error means that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client with a 30 s timeout, for the runtime that calls this.
pub fn client() -> Result<reqwest::Client> {
    install_crypto_provider();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .build()
        .context("make an HTTP client")
}
