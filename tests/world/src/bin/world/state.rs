//! The folder `.world` in the checkout: what a running world says about itself, and the way to
//! ask it to end. It exists exactly as long as the world does, unless that was killed.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

const PROCESS: &str = "pid";
const STOP: &str = "stop";
const GUIDE: &str = "guide";

/// The folder of this checkout.
#[derive(Debug, Clone)]
pub(crate) struct State {
    folder: PathBuf,
}

impl State {
    pub(crate) fn of_checkout() -> Self {
        Self {
            folder: world::paths::repository().join(".world"),
        }
    }

    /// A file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The process that the folder belongs to, if it lives.
    ///
    /// An id may have gone to another program since; that one is not a `world`.
    pub(crate) fn owner(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.path(PROCESS)).ok()?;
        let pid = text.trim().parse().ok()?;
        // Unlike its name, its program cannot be read once it has ended unnoticed by its parent.
        let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        program
            .file_name()?
            .to_string_lossy()
            .starts_with("world")
            .then_some(pid)
    }

    /// Takes possession of the folder for this process, until the claim is dropped.
    pub(crate) fn claim(&self) -> Result<Claim<'_>> {
        self.ensure_free()?;
        self.make()?;
        for left_over in [STOP, GUIDE] {
            // It is there only if a world was killed.
            let _ = std::fs::remove_file(self.path(left_over));
        }
        std::fs::write(self.path(PROCESS), std::process::id().to_string())?;
        Ok(Claim(self))
    }

    /// The place of the log of a world that is to be started in the background.
    pub(crate) fn new_log(&self) -> Result<PathBuf> {
        self.ensure_free()?;
        self.remove()?;
        self.make()?;
        Ok(self.path("world.log"))
    }

    fn ensure_free(&self) -> Result<()> {
        match self.owner() {
            Some(pid) => bail!("a world is up already (process {pid}): end it with `make down`"),
            None => Ok(()),
        }
    }

    fn make(&self) -> Result<()> {
        // What it says includes passwords.
        world::files::make_folder(&self.folder, 0o700)
    }

    /// Removes the folder, if it is there.
    pub(crate) fn remove(&self) -> Result<()> {
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", self.folder.display()))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn exists(&self) -> bool {
        self.folder.exists()
    }

    /// Says how to use the world, which is how others see that it is up.
    pub(crate) fn announce(&self, guide: &str) -> Result<()> {
        let fresh = self.path(".guide");
        std::fs::write(&fresh, guide)?;
        std::fs::rename(fresh, self.path(GUIDE))?;
        Ok(())
    }

    pub(crate) fn guide(&self) -> Option<String> {
        std::fs::read_to_string(self.path(GUIDE)).ok()
    }

    /// Asks the owner to end.
    pub(crate) fn ask_to_stop(&self) -> Result<()> {
        std::fs::write(self.path(STOP), "").context("leave word for the world to end")
    }

    pub(crate) fn asked_to_stop(&self) -> bool {
        self.path(STOP).exists()
    }
}

/// Possession of the folder, which goes with it.
#[derive(Debug)]
pub(crate) struct Claim<'s>(&'s State);

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.remove() {
            tracing::warn!(error = %format!("{error:#}"), "the world's folder stays");
        }
    }
}
