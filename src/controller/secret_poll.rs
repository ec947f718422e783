//! Notices that a referenced Secret changed, without watching Secrets.
//!
//! Watching needs the right to list every Secret of the cluster and a cache of all of them; that is
//! the commonest way in which operators run out of memory. The leader asks for the version of each
//! referenced Secret by name instead, spread over a few seconds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use kube::ResourceExt;
use tokio::time::Instant;

use super::context::Context;
use super::secrets::SecretVersion;
use super::watch::binding_ref;
use crate::sync::identity::BindingRef;

/// One round takes this long, so that a change is seen within 10 s (`DESIGN.md` §4).
const ROUND: Duration = Duration::from_secs(7);
/// Questions under way at once.
const PARALLEL: usize = 8;

/// Namespace and name of a Secret.
type SecretName = (String, String);

/// Asks for versions until it is dropped.
pub async fn run(context: Arc<Context>) {
    let mut versions: HashMap<SecretName, Option<SecretVersion>> = HashMap::new();
    loop {
        let started = Instant::now();
        let referenced = referenced(&context);
        versions.retain(|secret, _| referenced.contains_key(secret));
        let asked = stream::iter(referenced.keys().cloned())
            .map(|secret| {
                let secrets = context.secrets.clone();
                async move {
                    let version = secrets.version(&secret.0, &secret.1).await;
                    (secret, version)
                }
            })
            .buffer_unordered(PARALLEL);
        let mut asked = std::pin::pin!(asked);
        while let Some((secret, version)) = asked.next().await {
            // While the API server is away the last version stays good.
            let Ok(version) = version else { continue };
            let first_read = context.secrets.take_first_read(&secret);
            let before = versions.insert(secret.clone(), version.clone());
            let before = before.or(first_read);
            if before.is_some_and(|before| before != version) {
                for binding in &referenced[&secret] {
                    context.nudges.worker(binding).secrets_changed();
                    context.nudges.start(binding);
                }
            }
        }
        tokio::time::sleep_until(started + ROUND).await;
    }
}

/// Every referenced Secret with the bindings that refer to it.
fn referenced(context: &Context) -> BTreeMap<SecretName, BTreeSet<BindingRef>> {
    let mut referenced: BTreeMap<SecretName, BTreeSet<BindingRef>> = BTreeMap::new();
    for binding in context.bindings.state() {
        let namespace = binding.namespace().unwrap_or_default();
        for key in binding.spec.secret_keys() {
            let secret = (namespace.clone(), key.name);
            referenced
                .entry(secret)
                .or_default()
                .insert(binding_ref(&binding));
        }
    }
    referenced
}
