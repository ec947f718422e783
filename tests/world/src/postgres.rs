//! A Postgres server of one's own: made from nothing in a folder, reachable by password over TCP
//! on the loopback interface, gone with the folder.
//!
//! Postgres refuses to run as root; then it runs as the user `postgres`, or `nobody`, who is given
//! the data folder.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use reqwest::Url;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use crate::postgres_binaries::PostgresBinaries;
use crate::postgres_setup::{self, Setup};
use crate::processes::{Exit, Process, Program, tail};
use crate::{ports, wait};

/// The superuser's name.
pub const SUPERUSER: &str = "postgres";

const START_TIMEOUT: Duration = Duration::from_mins(1);
const PORT_ATTEMPTS: usize = 5;

/// How a server is made.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// The server's programs; by default [`PostgresBinaries::find`].
    pub binaries: Option<PostgresBinaries>,
    /// Whether a commit waits for the disk, as in production. Off by default: a test throws its
    /// data away, a benchmark must not.
    pub durable: bool,
    /// Further lines of `postgresql.conf`, names and values.
    pub settings: Vec<(String, String)>,
}

/// A server, which may be stopped and started; it ends when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    setup: Setup,
    address: SocketAddr,
    log: PathBuf,
    process: tokio::sync::Mutex<Option<Process>>,
    passwords: Mutex<HashMap<String, String>>,
}

impl Postgres {
    /// Makes a server in the folder and starts it.
    pub async fn start(directory: &Path, options: &PostgresOptions) -> Result<Self> {
        let password = random_password();
        let setup = postgres_setup::make(directory, options, &password).await?;
        let mut server = Self {
            setup,
            address: ports::free_address()?,
            log: directory.join("postgres.log"),
            process: tokio::sync::Mutex::new(None),
            passwords: Mutex::new(HashMap::from([(SUPERUSER.to_owned(), password)])),
        };
        for _ in 0..PORT_ATTEMPTS {
            match server.start_again().await {
                Ok(()) => return Ok(server),
                Err(_) if tail(&server.log).contains("Address already in use") => {
                    server.address = ports::free_address()?;
                }
                Err(error) => return Err(error),
            }
        }
        bail!("every port tried for Postgres was taken by somebody else")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its major version.
    pub fn major(&self) -> u32 {
        self.setup.binaries.major
    }

    /// The folder of its programs (`psql` may be absent, `pgbench` too).
    pub fn programs(&self) -> &Path {
        &self.setup.binaries.folder
    }

    /// The server's log.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Starts it where it was, after [`Postgres::stop`] or [`Postgres::kill`].
    pub async fn start_again(&self) -> Result<()> {
        let mut process = self.process.lock().await;
        if process
            .as_ref()
            .is_some_and(|process| process.exited().is_none())
        {
            bail!("Postgres runs already");
        }
        let started = Process::start(&self.program()).await?;
        let ready = wait::eventually(START_TIMEOUT, "Postgres accepts connections", async || {
            if started.exited().is_some() {
                return Ok(false);
            }
            self.connect("postgres", SUPERUSER).await?.close().await?;
            Ok(true)
        })
        .await
        .with_context(|| format!("its log:\n{}", tail(&self.log)))?;
        if !ready {
            started.ensure_running()?;
        }
        *process = Some(started);
        Ok(())
    }

    /// Stops it as an administrator would: open connections are cut, data is kept.
    pub async fn stop(&self) -> Result<Exit> {
        self.take().await?.stop().await
    }

    /// Ends it as a power cut would; the next start recovers.
    pub async fn kill(&self) -> Result<Exit> {
        self.take().await?.kill().await
    }

    /// Makes it hang: connections stay open, new ones are taken by the kernel, nothing answers.
    pub async fn pause(&self) -> Result<()> {
        self.process
            .lock()
            .await
            .as_ref()
            .context("Postgres does not run")?
            .pause()
            .await
    }

    /// Lets it go on after [`Postgres::pause`].
    pub async fn resume(&self) -> Result<()> {
        self.process
            .lock()
            .await
            .as_ref()
            .context("Postgres does not run")?
            .resume()
            .await
    }

    /// Makes a role that may log in, with a random password that [`Postgres::uri`] knows.
    pub async fn create_role(&self, name: &str) -> Result<()> {
        let password = random_password();
        self.execute(
            "postgres",
            &format!(
                "CREATE ROLE {} LOGIN PASSWORD '{password}'",
                quote_identifier(name)
            ),
        )
        .await?;
        self.remember_password(name, &password);
        Ok(())
    }

    /// Tells which password [`Postgres::uri`] uses for a role from now on.
    pub fn remember_password(&self, role: &str, password: &str) {
        let mut passwords = self
            .passwords
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        passwords.insert(role.to_owned(), password.to_owned());
    }

    /// Makes a database that belongs to a role.
    pub async fn create_database(&self, name: &str, owner: &str) -> Result<()> {
        let (name, owner) = (quote_identifier(name), quote_identifier(owner));
        self.execute("postgres", &format!("CREATE DATABASE {name} OWNER {owner}"))
            .await
    }

    /// Runs statements as the superuser, without a transaction if there is only one.
    pub async fn execute(&self, database: &str, statements: &str) -> Result<()> {
        let mut connection = self.connect(database, SUPERUSER).await?;
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(())
    }

    /// The connection string of a role that was made here, with its password.
    pub fn uri(&self, database: &str, role: &str) -> Result<String> {
        let passwords = self
            .passwords
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let password = passwords
            .get(role)
            .with_context(|| format!("role {role} is unknown"))?;
        let mut uri = Url::parse(&format!("postgres://{}", self.address))?;
        uri.set_username(role)
            .map_err(|()| anyhow!("role {role} fits no URI"))?;
        uri.set_password(Some(password))
            .map_err(|()| anyhow!("its password fits no URI"))?;
        uri.path_segments_mut()
            .map_err(|()| anyhow!("no path"))?
            .push(database);
        Ok(uri.into())
    }

    /// A connection as one of the roles made here.
    pub async fn connect(&self, database: &str, role: &str) -> Result<PgConnection> {
        Ok(self.connect_options(database, role)?.connect().await?)
    }

    /// A small pool as one of the roles made here, for the runtime that calls this.
    pub fn pool(&self, database: &str, role: &str) -> Result<PgPool> {
        let options = PgPoolOptions::new().max_connections(4);
        Ok(options.connect_lazy_with(self.connect_options(database, role)?))
    }

    fn connect_options(&self, database: &str, role: &str) -> Result<PgConnectOptions> {
        crate::http::install_crypto_provider();
        Ok(self
            .uri(database, role)?
            .parse::<PgConnectOptions>()?
            .disable_statement_logging())
    }

    async fn take(&self) -> Result<Process> {
        self.process
            .lock()
            .await
            .take()
            .context("Postgres does not run")
    }

    fn program(&self) -> Program {
        let postgres = self.setup.binaries.folder.join("postgres");
        Program::new(&postgres, &self.setup.data, &self.log)
            .argument("-D")
            .argument(&self.setup.data)
            .argument("-p")
            .argument(self.address.port().to_string())
            .user(self.setup.user)
            // Cuts open connections; SIGTERM would wait for them.
            .stop_signal("INT")
    }
}

/// Quotes a name as Postgres wants it inside a statement.
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn random_password() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_names_that_hold_quotes() {
        assert_eq!(
            quote_identifier("a\"; DROP TABLE b"),
            "\"a\"\"; DROP TABLE b\""
        );
    }
}
