//! What the types of the resource can do.

use std::time::Duration;

use kube::ResourceExt;

use super::duration;
use super::secret_ref::SecretKey;
use super::v1alpha1::{NotionSyncBinding, NotionSyncBindingSpec};

impl NotionSyncBindingSpec {
    /// `interval` as a duration; `None` if the schema was not enforced when it was stored.
    pub fn interval(&self) -> Option<Duration> {
        duration::parse(&self.interval)
    }

    /// `fullScanInterval`, likewise.
    pub fn full_scan_interval(&self) -> Option<Duration> {
        duration::parse(&self.full_scan_interval)
    }

    /// Every key of a Secret that the binding refers to, each once: a change of any of them starts
    /// a pass.
    pub fn secret_keys(&self) -> Vec<SecretKey> {
        let webhook = self.webhook.as_ref();
        let mut keys: Vec<SecretKey> = [
            Some(SecretKey::from(&self.notion.token_secret_ref)),
            Some(SecretKey::from(&self.postgres.connection_secret_ref)),
            self.postgres.ca_secret_ref.as_ref().map(SecretKey::from),
            webhook
                .and_then(|w| w.verification_token_secret_ref.as_ref())
                .map(SecretKey::from),
            webhook
                .and_then(|w| w.shared_secret_ref.as_ref())
                .map(SecretKey::from),
        ]
        .into_iter()
        .flatten()
        .collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

impl NotionSyncBinding {
    /// The value of an annotation; an empty one counts as absent.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        let value = self.annotations().get(key)?;
        (!value.is_empty()).then_some(value.as_str())
    }

    /// The path under which the receiver serves this binding alone.
    pub fn webhook_path(&self) -> String {
        format!(
            "/api/webhooks/notion/{}/{}",
            self.metadata.namespace.as_deref().unwrap_or_default(),
            self.metadata.name.as_deref().unwrap_or_default()
        )
    }
}
