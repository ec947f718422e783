//! What a failed test leaves behind: its logs, in a folder that stays.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Copies the `*.log` files below each of the folders to a folder that stays, and returns that.
/// It is made under `WORLD_LOGS`, or the machine's folder for temporary files.
pub(crate) fn keep(name: &str, folders: &[&Path]) -> Result<PathBuf> {
    let base = std::env::var_os("WORLD_LOGS").map_or_else(
        || std::env::temp_dir().join("notion-sync-world-logs"),
        PathBuf::from,
    );
    let target = base.join(name);
    for folder in folders {
        copy_logs(folder, &target)?;
    }
    Ok(target)
}

fn copy_logs(folder: &Path, target: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name() else {
            continue;
        };
        if path.is_dir() {
            copy_logs(&path, &target.join(name))?;
        } else if path.extension().is_some_and(|extension| extension == "log") {
            std::fs::create_dir_all(target)?;
            std::fs::copy(&path, target.join(name))?;
        }
    }
    Ok(())
}
