//! Finding a Postgres of the machine, or fetching one.
//!
//! In this order: `PG_BIN`, the newest Debian layout (`/usr/lib/postgresql/*/bin`), the one on
//! `PATH`, and else what `tests/world/get-postgres.sh` fetches. Versions before 14 are passed by.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::paths;

const OLDEST_MAJOR: u32 = 14;
const FETCHED_MAJOR: &str = "18";

/// The folder with `initdb` and `postgres`, and the server's major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresBinaries {
    /// The folder.
    pub folder: PathBuf,
    /// The major version, for example 17.
    pub major: u32,
}

impl PostgresBinaries {
    /// Looks at the places above; the last one takes a while the first time.
    pub fn find() -> Result<Self> {
        if let Some(named) = std::env::var_os("PG_BIN") {
            return Self::at(Path::new(&named)).context("PG_BIN");
        }
        match installed().into_iter().max_by_key(|found| found.major) {
            Some(found) => Ok(found),
            None => Self::fetch(FETCHED_MAJOR),
        }
    }

    /// Fetches that major version, or finds it in the cache.
    pub fn fetch(major: &str) -> Result<Self> {
        let script = paths::repository().join("tests/world/get-postgres.sh");
        let output = Command::new(&script)
            .arg(major)
            .stderr(std::process::Stdio::inherit())
            .output()
            .with_context(|| format!("run {}", script.display()))?;
        ensure!(
            output.status.success(),
            "no Postgres {OLDEST_MAJOR} or newer on this machine, and {} could not fetch one: \
             install Postgres or set PG_BIN",
            script.display()
        );
        Self::at(Path::new(String::from_utf8_lossy(&output.stdout).trim()))
    }

    /// The binaries of that folder.
    pub fn at(folder: &Path) -> Result<Self> {
        let postgres = folder.join("postgres");
        let output = Command::new(&postgres)
            .arg("--version")
            .output()
            .with_context(|| format!("run {}", postgres.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let major = parse_major(&text)
            .with_context(|| format!("{} is of version {:?}", postgres.display(), text.trim()))?;
        ensure!(
            major >= OLDEST_MAJOR,
            "{} is of version {major}: {OLDEST_MAJOR} or newer is needed",
            postgres.display()
        );
        ensure!(
            folder.join("initdb").is_file(),
            "{} has no initdb",
            folder.display()
        );
        Ok(Self {
            folder: folder.to_owned(),
            major,
        })
    }
}

fn installed() -> Vec<PostgresBinaries> {
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    debian
        .chain(on_path)
        .filter(|folder| folder.join("postgres").is_file())
        .filter_map(|folder| PostgresBinaries::at(&folder).ok())
        .collect()
}

/// Reads "postgres (PostgreSQL) 17.5 (Debian 17.5-1)".
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL)")?.1.trim_start();
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_major_version_of_releases_and_betas() {
        assert_eq!(
            parse_major("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(parse_major("something else 18"), None);
    }
}
