//! Notion, as the crate `notion-imitation` plays it: in this process, on the runtime of the test
//! that starts it, with nothing shared between scenes.

use anyhow::{Context as _, Result};
pub use notion_imitation::*;

use crate::http;

/// Starts an imitation on a free port; it stops when the handle is dropped.
pub async fn start(options: Options) -> Result<Handle> {
    http::install_crypto_provider();
    Imitation::start(options)
        .await
        .context("start the imitation of Notion")
}
