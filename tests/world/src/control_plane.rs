//! A real API server: the one that `tests/control-plane` embeds, or with
//! `USE_EXISTING_CLUSTER=true` the cluster that `KUBECONFIG` names.
//!
//! Clients are made per call, because a client's worker lives on the runtime that made it and
//! every test has a runtime of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use crate::paths;
use crate::processes::tail;
use crate::tied::Tied;

/// More than the slowest start seen under load, by an order of magnitude.
const START_TIMEOUT: Duration = Duration::from_mins(2);
const TOKEN_SECONDS: i64 = 24 * 60 * 60;

/// A running control plane; one that was started here ends when this is dropped.
#[derive(Debug)]
pub struct ControlPlane {
    kubeconfig: PathBuf,
    server: String,
    directory: PathBuf,
    process: Option<Tied>,
}

#[derive(Deserialize)]
struct Announcement {
    server: String,
    kubeconfig: PathBuf,
}

impl ControlPlane {
    /// Starts a control plane in the folder, or joins the existing cluster if the environment
    /// says so.
    pub async fn start(directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory)?;
        if existing_cluster() {
            Self::join(directory)
        } else {
            Self::serve(directory).await
        }
    }

    fn join(directory: &Path) -> Result<Self> {
        let kubeconfig = std::env::var_os("KUBECONFIG")
            .map(PathBuf::from)
            .context("USE_EXISTING_CLUSTER is set, KUBECONFIG is not: name the cluster's file")?;
        let server = current_server(&Kubeconfig::read_from(&kubeconfig)?)?;
        Ok(Self {
            kubeconfig,
            server,
            directory: directory.to_owned(),
            process: None,
        })
    }

    async fn serve(directory: &Path) -> Result<Self> {
        let log_path = directory.join("control-plane.log");
        let log = File::create(&log_path)?;
        let mut command = Command::new(paths::control_plane()?);
        command
            .arg("serve")
            .arg("--dir")
            .arg(directory)
            .stderr(Stdio::from(log));
        let process = Tied::start(&mut command).context("start the control plane")?;
        let announced = timeout(
            START_TIMEOUT,
            process.find(|line| serde_json::from_str(line).ok()),
        )
        .await;
        let Ok(Some(Announcement { server, kubeconfig })) = announced else {
            bail!("the control plane did not start:\n{}", tail(&log_path));
        };
        let directory = directory.to_owned();
        Ok(Self {
            kubeconfig,
            server,
            directory,
            process: Some(process),
        })
    }

    /// Whether the cluster was there before and stays afterwards.
    pub fn is_existing(&self) -> bool {
        self.process.is_none()
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The API server's address, with scheme.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Where its logs are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A client with the administrator's rights, for the runtime that calls this.
    pub async fn client(&self) -> Result<Client> {
        client_of(&self.kubeconfig).await
    }

    /// Writes a kubeconfig with a fresh token of a `ServiceAccount`, so that a program runs with
    /// the rights that the account was granted, and no more.
    pub async fn write_account_kubeconfig(
        &self,
        namespace: &str,
        account: &str,
        path: &Path,
    ) -> Result<()> {
        let token = self.account_token(namespace, account).await?;
        let admin = Kubeconfig::read_from(&self.kubeconfig)?;
        let context = admin
            .current_context
            .as_deref()
            .context("no current context")?;
        let cluster = current_cluster_name(&admin, context)?;
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": account,
            "clusters": admin.clusters.iter().filter(|entry| entry.name == cluster).collect::<Vec<_>>(),
            "users": [{"name": account, "user": {"token": token}}],
            "contexts": [{
                "name": account,
                "context": {"cluster": cluster, "user": account, "namespace": namespace},
            }],
        });
        // JSON is YAML too.
        crate::files::write_private(path, serde_json::to_string_pretty(&config)?.as_bytes())
    }

    /// A token of a `ServiceAccount`, good for a day.
    pub async fn account_token(&self, namespace: &str, account: &str) -> Result<String> {
        let accounts = Api::<ServiceAccount>::namespaced(self.client().await?, namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(TOKEN_SECONDS),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(account, &PostParams::default(), &request)
            .await
            .with_context(|| format!("request a token of {namespace}/{account}"))?;
        Ok(answer
            .status
            .context("the token request has no answer")?
            .token)
    }

    /// Makes it hang, connections and all, until the answer is dropped; only for a control plane of
    /// one's own.
    pub fn pause(&self) -> Result<Paused> {
        let process = self
            .process
            .as_ref()
            .context("an existing cluster cannot be paused")?;
        let paused = Paused {
            group: process.pid(),
        };
        paused.signal("STOP")?;
        Ok(paused)
    }

    /// Stops it; an existing cluster stays.
    pub async fn stop(&self) {
        if let Some(process) = &self.process {
            process.release();
            process.ended().await;
        }
    }
}

/// A control plane that hangs; it goes on when this is dropped.
#[derive(Debug)]
pub struct Paused {
    group: u32,
}

impl Paused {
    fn signal(&self, name: &str) -> Result<()> {
        let group = format!("-{}", self.group);
        let status = Command::new("kill")
            .args(["-s", name, "--", &group])
            .status();
        ensure!(
            status.context("run kill")?.success(),
            "the control plane is gone"
        );
        Ok(())
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        if let Err(error) = self.signal("CONT") {
            tracing::warn!(error = %error, "the control plane stays paused");
        }
    }
}

/// A client of the cluster and user that a kubeconfig names.
pub async fn client_of(kubeconfig: &Path) -> Result<Client> {
    crate::http::install_crypto_provider();
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn existing_cluster() -> bool {
    std::env::var("USE_EXISTING_CLUSTER").is_ok_and(|value| value == "true" || value == "1")
}

fn current_cluster_name(config: &Kubeconfig, context: &str) -> Result<String> {
    let named = config.contexts.iter().find(|entry| entry.name == context);
    let context = named.and_then(|entry| entry.context.as_ref());
    Ok(context
        .context("the kubeconfig's current context is missing")?
        .cluster
        .clone())
}

fn current_server(config: &Kubeconfig) -> Result<String> {
    let context = config
        .current_context
        .as_deref()
        .context("no current context")?;
    let name = current_cluster_name(config, context)?;
    let named = config.clusters.iter().find(|entry| entry.name == name);
    let cluster = named.and_then(|entry| entry.cluster.as_ref());
    cluster
        .and_then(|cluster| cluster.server.clone())
        .context("the cluster has no server")
}
