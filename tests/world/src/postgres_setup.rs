//! Making a data folder that Postgres accepts, whoever runs the tests.

use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::time::timeout;

use crate::files::{make_folder, write_private};
use crate::postgres::{PostgresOptions, SUPERUSER};
use crate::postgres_binaries::PostgresBinaries;
use crate::processes::{Process, Program, User, tail};

const INITDB_TIMEOUT: Duration = Duration::from_mins(1);

/// A data folder and what serves it.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) binaries: PostgresBinaries,
    pub(crate) data: PathBuf,
    pub(crate) user: Option<User>,
}

/// Makes the data folder below `directory`, with a superuser of that password.
pub(crate) async fn make(
    directory: &Path,
    options: &PostgresOptions,
    password: &str,
) -> Result<Setup> {
    let found = match &options.binaries {
        Some(given) => given.clone(),
        None => PostgresBinaries::find()?,
    };
    make_folder(directory, 0o711)?;
    let user = user_for(directory)?;
    let binaries = reachable(found, user, directory)?;
    let data = directory.join("data");
    make_folder(&data, 0o700)?;
    let password_file = data.with_file_name("password");
    write_private(&password_file, password.as_bytes())?;
    if let Some(user) = user {
        give(&data, user)?;
        give(&password_file, user)?;
    }
    let setup = Setup {
        binaries,
        data,
        user,
    };
    initialise(&setup, directory, &password_file).await?;
    std::fs::remove_file(&password_file)?;
    append_settings(&setup.data, options)?;
    Ok(setup)
}

async fn initialise(setup: &Setup, directory: &Path, password_file: &Path) -> Result<()> {
    let log = directory.join("initdb.log");
    let initdb = setup.binaries.folder.join("initdb");
    let mut password = std::ffi::OsString::from("--pwfile=");
    password.push(password_file);
    let program = Program::new(&initdb, &setup.data, &log)
        .argument("-D")
        .argument(&setup.data)
        .argument(format!("--username={SUPERUSER}"))
        .argument("--auth=scram-sha-256")
        .argument("--encoding=UTF8")
        .argument("--locale=C")
        // What it makes is thrown away; the machine may as well crash.
        .argument("--no-sync")
        .argument(password)
        .user(setup.user);
    let process = Process::start(&program).await?;
    let exit = timeout(INITDB_TIMEOUT, process.wait())
        .await
        .context("initdb takes too long")??;
    ensure!(exit.code == 0, "initdb failed:\n{}", tail(&log));
    Ok(())
}

fn append_settings(data: &Path, options: &PostgresOptions) -> Result<()> {
    let fixed = [
        ("listen_addresses", "127.0.0.1"),
        // The path of a socket in a deep folder would be too long.
        ("unix_socket_directories", ""),
        // Many operators, each with pools of its own, share one server in a test run.
        ("max_connections", "400"),
        ("log_line_prefix", "%m [%p] %u@%d "),
    ];
    let hasty = [
        ("fsync", "off"),
        ("synchronous_commit", "off"),
        ("full_page_writes", "off"),
    ];
    let mut text = String::from("\n");
    for (name, value) in fixed
        .iter()
        .chain(hasty.iter().filter(|_| !options.durable))
    {
        writeln!(text, "{name} = '{value}'")?;
    }
    for (name, value) in &options.settings {
        writeln!(text, "{name} = '{}'", value.replace('\'', "''"))?;
    }
    let path = data.join("postgresql.conf");
    let mut whole = std::fs::read_to_string(&path)?;
    whole.push_str(&text);
    // Written in place: the file belongs to the server's user.
    std::fs::write(&path, whole)?;
    Ok(())
}

/// Nobody in particular, or when this is root, somebody else who is known to the machine.
fn user_for(directory: &Path) -> Result<Option<User>> {
    if std::fs::metadata(directory)?.uid() != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").context("read the list of users")?;
    let named = |name: &str| users.lines().find_map(|line| parse_user(line, name));
    match named("postgres").or_else(|| named("nobody")) {
        Some(user) => Ok(Some(user)),
        None => bail!("Postgres refuses to run as root, and there is no user postgres or nobody"),
    }
}

/// Reads a line of the list of users: name, password, user id, group id and more.
fn parse_user(line: &str, name: &str) -> Option<User> {
    let mut fields = line.split(':');
    if fields.next() != Some(name) {
        return None;
    }
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(User { uid, gid })
}

fn give(path: &Path, user: User) -> Result<()> {
    std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid))
        .with_context(|| format!("give {} to Postgres' user", path.display()))
}

/// The binaries themselves, or where the other user cannot get at them (a cache in root's home),
/// a copy in the server's own folder.
fn reachable(
    found: PostgresBinaries,
    user: Option<User>,
    directory: &Path,
) -> Result<PostgresBinaries> {
    let open = |folder: &Path| {
        std::fs::metadata(folder).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
    };
    let real = found.folder.canonicalize()?;
    if user.is_none() || real.ancestors().all(open) {
        return Ok(found);
    }
    let root = real
        .parent()
        .context("the folder of Postgres' programs has no parent")?;
    let copy = directory.join("programs");
    let copied = Command::new("cp")
        .arg("-rL")
        .arg(root)
        .arg(&copy)
        .status()?;
    ensure!(copied.success(), "cannot copy {}", root.display());
    make_folder(&copy, 0o755)?;
    let name = real
        .file_name()
        .context("the folder of Postgres' programs has no name")?;
    Ok(PostgresBinaries {
        folder: copy.join(name),
        major: found.major,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_the_user_that_was_asked_for() {
        let line = "postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash";
        assert_eq!(
            parse_user(line, "postgres"),
            Some(User { uid: 101, gid: 104 })
        );
        assert_eq!(parse_user(line, "post"), None);
    }
}
