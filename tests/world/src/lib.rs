//! The local world of the tests, the demo and the benchmark.
//!
//! A [`World`] is a real control plane and a real Postgres, which start in a few seconds on free
//! loopback ports in a temporary folder and are gone afterwards, also after Ctrl-C, a panic or a
//! kill. Tests share one per process ([`World::shared`]) and each makes a [`scene::Scene`] in it:
//! a namespace, a database, operators. The operator is run as a process, never linked in.

pub mod control_plane;
pub mod files;
pub mod http;
pub mod kubectl;
mod logs;
pub mod manifests;
pub mod metrics;
pub mod notion;
pub mod operator;
pub mod paths;
pub mod ports;
pub mod postgres;
pub mod postgres_binaries;
mod postgres_setup;
pub mod processes;
mod root;
pub mod scene;
mod tied;
pub mod wait;

use std::path::{Path, PathBuf};

use anyhow::Result;
use tokio::sync::OnceCell;

use crate::control_plane::ControlPlane;
use crate::postgres::{Postgres, PostgresOptions};
use crate::root::TemporaryRoot;

/// How a world is made.
#[derive(Debug, Clone, Default)]
pub struct WorldOptions {
    /// The Postgres server.
    pub postgres: PostgresOptions,
    /// Leave the operator's manifests to the caller.
    pub bare: bool,
}

/// A control plane and a Postgres server; they end when this is dropped or this process ends.
#[derive(Debug)]
pub struct World {
    control_plane: ControlPlane,
    postgres: Postgres,
    postgres_directory: PathBuf,
    // The last field: it is removed after the others were asked to end.
    root: TemporaryRoot,
}

impl World {
    /// The world that all tests of this process share, started by the first one that asks.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<World> = OnceCell::const_new();
        SHARED
            .get_or_try_init(|| Box::pin(Self::start(WorldOptions::default())))
            .await
    }

    /// Starts a world and installs the shipped manifests in it.
    pub async fn start(options: WorldOptions) -> Result<Self> {
        let root = TemporaryRoot::create()?;
        let postgres_directory = root.path().join("postgres");
        let directory = root.path().join("control-plane");
        let (control_plane, postgres) = tokio::try_join!(
            Box::pin(ControlPlane::start(&directory)),
            Box::pin(Postgres::start(&postgres_directory, &options.postgres)),
        )?;
        if !options.bare {
            Box::pin(manifests::install(&control_plane)).await?;
        }
        Ok(Self {
            control_plane,
            postgres,
            postgres_directory,
            root,
        })
    }

    /// The control plane.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// The Postgres server that the scenes share. A test that stops or slows it starts one of
    /// its own instead: [`scene::Scene::own_postgres`].
    pub fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    /// The temporary folder that everything lives in.
    pub fn directory(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn postgres_directory(&self) -> &Path {
        &self.postgres_directory
    }

    /// Ends everything and returns when nothing is left, the folder included.
    pub async fn stop(self) {
        self.control_plane.stop().await;
        if let Err(error) = self.postgres.stop().await {
            tracing::warn!(error = %error, "Postgres did not stop as asked");
        }
        self.root.remove().await;
    }
}
