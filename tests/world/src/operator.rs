//! The operator, run as its own process from its program, as a cluster runs it: by flags and
//! environment alone, and with a kubeconfig that carries a `ServiceAccount`'s token.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::metrics::Metrics;
use crate::processes::{Exit, Process, Program, tail};
use crate::{files, http, paths, ports, wait};

const READY_TIMEOUT: Duration = Duration::from_mins(1);

/// How the operator is run. Fields that are `None` or empty leave the operator's default.
#[derive(Debug, Clone)]
pub struct OperatorOptions {
    /// Its program; by default [`paths::operator`].
    pub binary: Option<PathBuf>,
    /// The kubeconfig it reads.
    pub kubeconfig: PathBuf,
    /// Scheme and host of Notion's API.
    pub notion_api_url: String,
    /// The namespaces it watches; empty: all.
    pub watch_namespaces: Vec<String>,
    /// The static token of the admin API.
    pub admin_token: Option<String>,
    /// Whether replicas choose a leader.
    pub leader_elect: bool,
    /// `POD_NAME`, the identity that it holds the Lease by.
    pub pod_name: String,
    /// `POD_NAMESPACE`, where the Lease is.
    pub pod_namespace: String,
    /// `DATABASE_HOSTS`.
    pub database_hosts: Vec<String>,
    /// `ALLOW_UNVERIFIED_WEBHOOKS`.
    pub allow_unverified_webhooks: bool,
    /// `RUST_LOG`.
    pub log_filter: String,
    /// Further environment variables, which win over those above.
    pub environment: Vec<(String, String)>,
}

impl OperatorOptions {
    /// Options of one operator alone, which watches everything.
    pub fn new(kubeconfig: &Path, notion_api_url: &str) -> Self {
        Self {
            binary: None,
            kubeconfig: kubeconfig.to_owned(),
            notion_api_url: notion_api_url.to_owned(),
            watch_namespaces: Vec::new(),
            admin_token: None,
            leader_elect: false,
            pod_name: "notion-sync-operator-0".to_owned(),
            pod_namespace: crate::manifests::SYSTEM_NAMESPACE.to_owned(),
            database_hosts: Vec::new(),
            allow_unverified_webhooks: false,
            log_filter: "info".to_owned(),
            environment: Vec::new(),
        }
    }
}

/// An operator that may be stopped and started; it ends when this is dropped.
#[derive(Debug)]
pub struct Operator {
    options: OperatorOptions,
    binary: PathBuf,
    directory: PathBuf,
    http: SocketAddr,
    metrics: SocketAddr,
    client: reqwest::Client,
    starts: AtomicU32,
    process: Mutex<Option<Process>>,
}

impl Operator {
    /// Starts the operator, with its files in `directory`, and waits until it is ready.
    pub async fn start(directory: &Path, options: OperatorOptions) -> Result<Self> {
        let operator = Self::prepare(directory, options)?;
        operator.start_again().await?;
        Ok(operator)
    }

    /// The same without starting it, for what [`Operator::launch`] is to show.
    pub fn prepare(directory: &Path, options: OperatorOptions) -> Result<Self> {
        files::make_folder(directory, 0o700)?;
        if let Some(token) = &options.admin_token {
            files::write_private(&directory.join("admin-token"), token.as_bytes())?;
        }
        let binary = match &options.binary {
            Some(given) => given.clone(),
            None => paths::operator()?,
        };
        Ok(Self {
            options,
            binary,
            directory: directory.to_owned(),
            http: ports::free_address()?,
            metrics: ports::free_address()?,
            client: http::client()?,
            starts: AtomicU32::new(0),
            process: Mutex::new(None),
        })
    }

    /// Starts it, at the same addresses as before, and waits until it is ready.
    pub async fn start_again(&self) -> Result<()> {
        self.launch().await?;
        self.wait_ready().await
    }

    /// Starts it without waiting.
    pub async fn launch(&self) -> Result<()> {
        let mut process = self.process.lock().await;
        if process
            .as_ref()
            .is_some_and(|process| process.exited().is_none())
        {
            bail!("the operator runs already");
        }
        self.starts.fetch_add(1, Ordering::Relaxed);
        *process = Some(Process::start(&self.program()).await?);
        Ok(())
    }

    /// Waits until `/readyz` answers 200.
    pub async fn wait_ready(&self) -> Result<()> {
        let what = "the operator is ready";
        let ready = wait::eventually(READY_TIMEOUT, what, async || {
            if self.exited().await.is_some() {
                return Ok(false);
            }
            let answer = self.client.get(self.metrics_url("/readyz")).send().await?;
            ensure!(answer.status().is_success(), "/readyz: {}", answer.status());
            Ok(true)
        })
        .await
        .with_context(|| format!("its log:\n{}", tail(&self.log_path())))?;
        ensure!(ready, "the operator ended:\n{}", tail(&self.log_path()));
        Ok(())
    }

    /// Asks it to end (`SIGTERM`) and waits until it has.
    pub async fn stop(&self) -> Result<Exit> {
        self.take().await?.stop().await
    }

    /// Ends it at once (`SIGKILL`).
    pub async fn kill(&self) -> Result<Exit> {
        self.take().await?.kill().await
    }

    /// Stops it and starts it again.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// Delivers a signal, see [`Process::signal`].
    pub async fn signal(&self, name: &str) -> Result<()> {
        self.process
            .lock()
            .await
            .as_ref()
            .context("the operator does not run")?
            .signal(name)
            .await
    }

    /// The process id while it runs.
    pub async fn pid(&self) -> Option<u32> {
        self.process.lock().await.as_ref().map(Process::pid)
    }

    /// How it ended, if it has by itself.
    pub async fn exited(&self) -> Option<Exit> {
        self.process.lock().await.as_ref().and_then(Process::exited)
    }

    /// What it is run with.
    pub fn options(&self) -> &OperatorOptions {
        &self.options
    }

    /// The address of webhooks and admin API.
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// An address of webhooks or admin API; the path starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// Where webhooks of every binding go.
    pub fn webhook_url(&self) -> String {
        self.url("/api/webhooks/notion")
    }

    /// An address of metrics or probes; the path starts with a slash.
    pub fn metrics_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.metrics)
    }

    /// What `/metrics` says now.
    pub async fn metrics(&self) -> Result<Metrics> {
        let answer = self.client.get(self.metrics_url("/metrics")).send().await?;
        Ok(Metrics::parse(&answer.error_for_status()?.text().await?))
    }

    /// The log of the latest start.
    pub fn log_path(&self) -> PathBuf {
        self.directory.join(format!(
            "operator-{}.log",
            self.starts.load(Ordering::Relaxed)
        ))
    }

    /// The text of the latest start's log.
    pub fn log(&self) -> Result<String> {
        std::fs::read_to_string(self.log_path()).context("read the operator's log")
    }

    /// The latest start's events; a line that is no JSON is passed by.
    pub fn log_events(&self) -> Result<Vec<Value>> {
        Ok(self
            .log()?
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }

    /// Replaces the admin token's file, as a rotated Secret would.
    pub fn write_admin_token(&self, token: &str) -> Result<()> {
        files::write_private(&self.directory.join("admin-token"), token.as_bytes())
    }

    async fn take(&self) -> Result<Process> {
        self.process
            .lock()
            .await
            .take()
            .context("the operator does not run")
    }

    fn program(&self) -> Program {
        let options = &self.options;
        let mut program = Program::new(&self.binary, &self.directory, &self.log_path())
            .argument("run")
            .variable("KUBECONFIG", &options.kubeconfig)
            .variable("HTTP_ADDR", self.http.to_string())
            .variable("METRICS_ADDR", self.metrics.to_string())
            .variable("NOTION_API_URL", &options.notion_api_url)
            .variable("WATCH_NAMESPACE", options.watch_namespaces.join(","))
            .variable("LEADER_ELECT", options.leader_elect.to_string())
            .variable("POD_NAME", &options.pod_name)
            .variable("POD_NAMESPACE", &options.pod_namespace)
            .variable("DATABASE_HOSTS", options.database_hosts.join(","))
            .variable(
                "ALLOW_UNVERIFIED_WEBHOOKS",
                options.allow_unverified_webhooks.to_string(),
            )
            .variable("LOG_FORMAT", "json")
            .variable("RUST_LOG", &options.log_filter);
        if options.admin_token.is_some() {
            program = program.variable("ADMIN_TOKEN_FILE", self.directory.join("admin-token"));
        }
        for (name, value) in &options.environment {
            program = program.variable(name, value);
        }
        program
    }
}
