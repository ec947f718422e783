//! The temporary folder that everything lives in, gone with the last process that works in it.
//!
//! Not this process removes it, which may be killed at any time, but a helper that waits for
//! this process' end, then for the end of every process with its working directory inside.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::files::make_folder;
use crate::paths;
use crate::tied::Tied;

/// A folder that goes when this is dropped and nothing uses it any more.
#[derive(Debug)]
pub(crate) struct TemporaryRoot {
    path: PathBuf,
    remover: Tied,
}

impl TemporaryRoot {
    pub(crate) fn create() -> Result<Self> {
        let path = tempfile::Builder::new()
            .prefix("notion-sync-world-")
            .tempdir()
            .context("make a temporary folder")?
            .keep();
        let started = Tied::start(Command::new(paths::supervisor()?).arg("remove").arg(&path));
        // Another user, whom Postgres may run as, passes through it but cannot list it.
        make_folder(&path, 0o711)?;
        Ok(Self {
            path,
            remover: started.context("start the supervisor")?,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder once nothing uses it, and waits for that.
    pub(crate) async fn remove(&self) {
        self.remover.release();
        self.remover.ended().await;
    }
}
