//! Programs that end with this process: started under the supervisor, which ends them when this
//! process dies in whatever way, and delivers signals without a race for the process id.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;
use tokio::time::timeout;

use crate::paths;
use crate::tied::Tied;

/// The supervisor is a small program; where it takes longer, something is wrong.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// What to start and how.
#[derive(Debug, Clone)]
pub struct Program {
    executable: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: PathBuf,
    log: PathBuf,
    user: Option<User>,
    stop: &'static str,
    grace: Duration,
}

/// A numeric user and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub uid: u32,
    /// The user's primary group.
    pub gid: u32,
}

impl Program {
    /// A program that works in `directory` and writes its output to `log`.
    ///
    /// It inherits nothing of this process's environment but `PATH`, `HOME` and the like: a
    /// variable set in a developer's shell must not decide a test.
    pub fn new(executable: &Path, directory: &Path, log: &Path) -> Self {
        let inherited = [
            "PATH",
            "HOME",
            "TMPDIR",
            "LLVM_PROFILE_FILE",
            "RUST_BACKTRACE",
        ];
        Self {
            executable: executable.to_owned(),
            arguments: Vec::new(),
            environment: inherited
                .into_iter()
                .filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
                .collect(),
            directory: directory.to_owned(),
            log: log.to_owned(),
            user: None,
            stop: "TERM",
            grace: Duration::from_secs(15),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Runs it as another user, which only root may ask for.
    #[must_use]
    pub fn user(mut self, user: Option<User>) -> Self {
        self.user = user;
        self
    }

    /// The signal that asks it to end (default `TERM`).
    #[must_use]
    pub fn stop_signal(mut self, signal: &'static str) -> Self {
        self.stop = signal;
        self
    }

    fn supervised(&self, supervisor: &Path) -> Command {
        let mut command = Command::new(supervisor);
        command.arg("run").arg("--log").arg(&self.log);
        command.arg("--stop").arg(self.stop);
        command
            .arg("--grace")
            .arg(format!("{}ms", self.grace.as_millis()));
        if let Some(User { uid, gid }) = self.user {
            command
                .arg("--uid")
                .arg(uid.to_string())
                .arg("--gid")
                .arg(gid.to_string());
        }
        command
            .arg("--")
            .arg(&self.executable)
            .args(&self.arguments);
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(&self.directory);
        command
    }
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Exit {
    /// The exit code, or -1 if a signal ended it.
    pub code: i32,
    /// The name of the signal that ended it, if one did.
    #[serde(default)]
    pub signal: Option<String>,
}

/// What the supervisor reports.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Report {
    Started { pid: u32 },
    Delivered { order: String },
    Exited(Exit),
}

fn started(line: &str) -> Option<u32> {
    match serde_json::from_str(line) {
        Ok(Report::Started { pid }) => Some(pid),
        _ => None,
    }
}

fn exit(line: &str) -> Option<Exit> {
    match serde_json::from_str(line) {
        Ok(Report::Exited(exit)) => Some(exit),
        _ => None,
    }
}

/// A running program; dropping it asks it to end.
#[derive(Debug)]
pub struct Process {
    tied: Tied,
    pid: u32,
    name: String,
    log: PathBuf,
    grace: Duration,
}

impl Process {
    /// Starts the program; it runs when this returns, but need not be ready.
    pub async fn start(program: &Program) -> Result<Self> {
        let name = program.executable.display().to_string();
        let tied = Tied::start(&mut program.supervised(&paths::supervisor()?))
            .with_context(|| format!("start {name}"))?;
        let pid = timeout(START_TIMEOUT, tied.find(started))
            .await
            .with_context(|| format!("{name} did not start in time"))?
            .with_context(|| format!("{name} could not be started"))?;
        Ok(Self {
            tied,
            pid,
            name,
            log: program.log.clone(),
            grace: program.grace,
        })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The file with everything it printed.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it has.
    pub fn exited(&self) -> Option<Exit> {
        self.tied.find_so_far(exit)
    }

    /// Fails with the end of the log if the program has ended.
    pub fn ensure_running(&self) -> Result<()> {
        match self.exited() {
            None => Ok(()),
            Some(exit) => bail!("{} ended ({exit:?}):\n{}", self.name, tail(&self.log)),
        }
    }

    /// Waits until it ended.
    pub async fn wait(&self) -> Result<Exit> {
        let exit = self.tied.find(exit).await;
        self.tied.ended().await;
        exit.with_context(|| format!("{} vanished with its supervisor", self.name))
    }

    /// Asks it to end, as a cluster would, and makes it end after a grace of 15 s.
    pub async fn stop(&self) -> Result<Exit> {
        self.tied.release();
        timeout(self.grace + START_TIMEOUT, self.wait())
            .await
            .map_err(|_| anyhow!("{} does not end", self.name))?
    }

    /// Ends it and its children at once, by `SIGKILL`.
    pub async fn kill(&self) -> Result<Exit> {
        self.signal("KILL").await?;
        timeout(START_TIMEOUT, self.wait())
            .await
            .map_err(|_| anyhow!("{} does not end", self.name))?
    }

    /// Stops its clock and its children's (`SIGSTOP`): connections stay open and nothing answers.
    pub async fn pause(&self) -> Result<()> {
        self.signal("STOP").await
    }

    /// Lets it go on after [`Process::pause`].
    pub async fn resume(&self) -> Result<()> {
        self.signal("CONT").await
    }

    /// Delivers a signal by its name without `SIG`: `TERM`, `INT`, `QUIT`, `HUP`, `STOP`, `CONT`
    /// or `KILL`; the last three also to all its descendants. Returns once it was delivered.
    pub async fn signal(&self, name: &str) -> Result<()> {
        let word = uuid::Uuid::new_v4().simple().to_string();
        let delivered = |line: &str| match serde_json::from_str(line) {
            Ok(Report::Delivered { order }) if order == word => Some(()),
            _ => None,
        };
        self.tied
            .order(&format!("{name} {word}"))
            .with_context(|| format!("send {name} to {}", self.name))?;
        // It ends before it reports where the signal ends it.
        timeout(START_TIMEOUT, self.tied.find(delivered))
            .await
            .map_err(|_| anyhow!("{name} was not delivered to {}", self.name))?;
        Ok(())
    }
}

/// The last lines of a log, for a failure's message.
pub(crate) fn tail(log: &Path) -> String {
    const LINES: usize = 30;
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
