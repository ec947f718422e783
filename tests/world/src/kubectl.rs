//! kubectl, as users run it: the real one that the control plane's program carries.

use std::ffi::OsStr;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::control_plane::ControlPlane;
use crate::paths;

/// What a command left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output if the command succeeded, else an error with both outputs.
    pub fn ok(self) -> Result<String> {
        ensure!(
            self.code == Some(0),
            "kubectl ended with {:?}: {}{}",
            self.code,
            self.stderr,
            self.stdout
        );
        Ok(self.stdout)
    }

    /// The refusal's text if the command failed, else an error.
    pub fn refused(self) -> Result<String> {
        ensure!(self.code != Some(0), "kubectl succeeded: {}", self.stdout);
        Ok(self.stderr)
    }
}

impl ControlPlane {
    /// Runs kubectl with the administrator's rights.
    pub async fn kubectl<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<Output> {
        self.kubectl_with_input(arguments, "").await
    }

    /// The same, with a text on standard input.
    pub async fn kubectl_with_input<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        input: &str,
    ) -> Result<Output> {
        let mut child = Command::new(paths::control_plane()?)
            .arg("kubectl")
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            // The discovery cache goes with the control plane that it describes.
            .env("KUBECACHEDIR", self.directory().join("kubectl-cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("start kubectl")?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that reads no input may have closed it; its exit code tells what matters.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        let output = child.wait_with_output().await.context("wait for kubectl")?;
        Ok(Output {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Applies one object, or a `List` of several, server-side.
    pub async fn apply(&self, object: &Value) -> Result<()> {
        self.try_apply(object).await?.ok().map(drop)
    }

    /// The same for an object that may be refused.
    pub async fn try_apply(&self, object: &Value) -> Result<Output> {
        let arguments = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.kubectl_with_input(&arguments, &object.to_string())
            .await
    }
}
