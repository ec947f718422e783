//! Where things are: the checkout, the programs built from it, the cache outside it.
//!
//! The crate is never installed, so that the checkout it was compiled in is the one it serves.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// The checkout's root.
pub fn repository() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own)
}

/// The control plane's program, which is also kubectl.
///
/// `CONTROL_PLANE_BIN` names another one.
pub fn control_plane() -> Result<PathBuf> {
    built("CONTROL_PLANE_BIN", "control-plane")
}

/// The program that ties others to this process.
pub(crate) fn supervisor() -> Result<PathBuf> {
    built("SUPERVISOR_BIN", "supervisor")
}

fn built(variable: &str, name: &str) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        return Ok(named.into());
    }
    let path = repository().join("tests/control-plane/bin").join(name);
    ensure!(
        path.is_file(),
        "{} is missing: run tests/control-plane/build.sh",
        path.display()
    );
    Ok(path)
}

/// The operator's program: `OPERATOR_BIN`, else the one built beside the running program.
pub fn operator() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("OPERATOR_BIN") {
        return Ok(named.into());
    }
    let own = std::env::current_exe().context("find this program")?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("notion-sync-operator"))
        .find(|candidate| candidate.is_file())
        .with_context(|| {
            format!(
                "no notion-sync-operator beside {}: build it with `cargo build` or set OPERATOR_BIN",
                own.display()
            )
        })
}
