//! Files and folders with permissions that somebody else relies on.

use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result};

/// Writes a file that only its owner can read, replacing what was there in one step, as a mounted
/// Secret is replaced.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let name = path
        .file_name()
        .context("a file needs a name")?
        .to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.fresh"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(content)?;
    std::fs::rename(&fresh, path).with_context(|| format!("write {}", path.display()))
}

/// Makes a folder, if it is absent, with exactly these permissions.
pub fn make_folder(path: &Path, mode: u32) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(())
}
