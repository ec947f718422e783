//! What one test has to itself in a shared world: a namespace, a database with its owner, and
//! operators that watch that namespace only.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::Result;
use kube::Client;
use serde_json::Value;
use sqlx::PgPool;

use crate::kubectl::Output;
use crate::manifests::{SERVICE_ACCOUNT, SYSTEM_NAMESPACE, install_namespaced, namespace, secret};
use crate::operator::{Operator, OperatorOptions};
use crate::postgres::{Postgres, PostgresOptions};
use crate::{World, files, logs};

/// One test's part of a world. If it is dropped while the test panics, its logs are kept and
/// their place is printed.
#[derive(Debug)]
pub struct Scene<'w> {
    world: &'w World,
    name: String,
    directory: PathBuf,
    operators: AtomicU32,
    servers: AtomicU32,
    keep_logs: AtomicBool,
}

impl World {
    /// Makes a scene whose name is the topic and some random letters. The topic is made of
    /// lower-case letters, digits and hyphens, at most 40.
    pub async fn scene(&self, topic: &str) -> Result<Scene<'_>> {
        let unique = uuid::Uuid::new_v4().simple().to_string();
        self.scene_named(format!("{topic}-{}", &unique[..8])).await
    }

    /// Makes a namespace, a role and a database of exactly that name, which may not exist yet.
    pub async fn scene_named(&self, name: String) -> Result<Scene<'_>> {
        let directory = self.directory().join("scenes").join(&name);
        // Another user, whom a server in it may run as, passes through.
        files::make_folder(&self.directory().join("scenes"), 0o711)?;
        files::make_folder(&directory, 0o711)?;
        self.control_plane().apply(&namespace(&name)).await?;
        self.postgres().create_role(&name).await?;
        self.postgres().create_database(&name, &name).await?;
        Ok(Scene {
            world: self,
            name,
            directory,
            operators: AtomicU32::new(0),
            servers: AtomicU32::new(0),
            keep_logs: AtomicBool::new(false),
        })
    }
}

impl<'w> Scene<'w> {
    /// The world it is in.
    pub fn world(&self) -> &'w World {
        self.world
    }

    /// The name of its namespace, its database and that database's owner.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A folder for the test's files; `*.log` in it is kept when the test fails.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A client with the administrator's rights.
    pub async fn client(&self) -> Result<Client> {
        self.world.control_plane().client().await
    }

    /// Runs kubectl in the scene's namespace.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<Output> {
        let mut all = vec!["--namespace", self.name()];
        all.extend_from_slice(arguments);
        self.world.control_plane().kubectl(&all).await
    }

    /// Applies an object server-side.
    pub async fn apply(&self, object: &Value) -> Result<()> {
        self.world.control_plane().apply(object).await
    }

    /// Applies a Secret in the scene's namespace.
    pub async fn apply_secret(&self, name: &str, entries: &[(&str, &str)]) -> Result<()> {
        self.apply(&secret(&self.name, name, entries)).await
    }

    /// Applies the Secrets that [`crate::manifests::minimal_spec`] refers to: `notion` with the
    /// token, and `app-db` with the database's connection string.
    pub async fn apply_usual_secrets(&self, notion_token: &str) -> Result<()> {
        self.apply_secret("notion", &[("token", notion_token)])
            .await?;
        self.apply_secret("app-db", &[("uri", &self.database_uri()?)])
            .await
    }

    /// The connection string of the database's owner.
    pub fn database_uri(&self) -> Result<String> {
        self.world.postgres().uri(&self.name, &self.name)
    }

    /// A pool of connections as the database's owner.
    pub fn pool(&self) -> Result<PgPool> {
        self.world.postgres().pool(&self.name, &self.name)
    }

    /// Options of an operator that watches this namespace alone, under the `ServiceAccount` and
    /// the rights that `deploy/` ships.
    pub async fn operator_options(&self, notion_api_url: &str) -> Result<OperatorOptions> {
        let kubeconfig = self.directory.join("operator.kubeconfig");
        let control_plane = self.world.control_plane();
        control_plane
            .write_account_kubeconfig(SYSTEM_NAMESPACE, SERVICE_ACCOUNT, &kubeconfig)
            .await?;
        let mut options = OperatorOptions::new(&kubeconfig, notion_api_url);
        options.watch_namespaces = vec![self.name.clone()];
        Ok(options)
    }

    /// Options of an operator that is installed in this namespace, with Roles only, and chooses
    /// leaders there, apart from the operators of other scenes. Replicas differ by `pod_name`.
    pub async fn namespaced_operator_options(
        &self,
        notion_api_url: &str,
    ) -> Result<OperatorOptions> {
        let control_plane = self.world.control_plane();
        let overlay = self.directory.join("overlay");
        install_namespaced(control_plane, &self.name, &overlay).await?;
        let kubeconfig = self.directory.join("namespaced-operator.kubeconfig");
        control_plane
            .write_account_kubeconfig(&self.name, SERVICE_ACCOUNT, &kubeconfig)
            .await?;
        let mut options = OperatorOptions::new(&kubeconfig, notion_api_url);
        options.watch_namespaces = vec![self.name.clone()];
        options.pod_namespace.clone_from(&self.name);
        options.leader_elect = true;
        Ok(options)
    }

    /// Starts an operator and waits until it is ready.
    pub async fn start_operator(&self, options: OperatorOptions) -> Result<Operator> {
        Operator::start(&self.operator_directory(), options).await
    }

    /// A folder for one more operator of this scene.
    pub fn operator_directory(&self) -> PathBuf {
        let number = self.operators.fetch_add(1, Ordering::Relaxed);
        self.directory.join(format!("operator-{number}"))
    }

    /// Starts a Postgres server of this scene's own, for tests that stop it or need its settings.
    pub async fn own_postgres(&self, options: &PostgresOptions) -> Result<Postgres> {
        let number = self.servers.fetch_add(1, Ordering::Relaxed);
        Postgres::start(&self.directory.join(format!("postgres-{number}")), options).await
    }

    /// Keeps the logs even if the test does not panic: for tests that return an error.
    pub fn keep_logs(&self) {
        self.keep_logs.store(true, Ordering::Relaxed);
    }

    #[expect(clippy::print_stderr, reason = "a failed test says where its logs are")]
    fn save_logs(&self) {
        let shared = [
            self.directory.as_path(),
            self.world.control_plane().directory(),
            self.world.postgres_directory(),
        ];
        match logs::keep(&self.name, &shared) {
            Ok(folder) => eprintln!("the logs of {} are in {}", self.name, folder.display()),
            Err(error) => eprintln!("the logs of {} could not be kept: {error:#}", self.name),
        }
    }

    /// Asks an existing cluster to remove the namespace; one of our own goes as a whole.
    fn delete_namespace(&self) {
        let Ok(kubectl) = crate::paths::control_plane() else {
            return;
        };
        let deleted = std::process::Command::new(kubectl)
            .args(["kubectl", "delete", "namespace", &self.name, "--wait=false"])
            .env("KUBECONFIG", self.world.control_plane().kubeconfig())
            .output();
        if let Err(error) = deleted {
            tracing::warn!(namespace = %self.name, error = %error, "the namespace stays");
        }
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() || self.keep_logs.load(Ordering::Relaxed) {
            self.save_logs();
        }
        if self.world.control_plane().is_existing() {
            self.delete_namespace();
        }
    }
}
