//! What every reconcile shares.

use std::sync::{Arc, OnceLock};

use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};

use super::events;
use super::inboxes::Inboxes;
use super::nudge::Nudges;
use super::secrets::Secrets;
use crate::api::NotionSyncBinding;
use crate::metrics::Metrics;
use crate::notion::Clients;
use crate::probes::Vitals;
use crate::store::pool::Pools;
use crate::sync::identity::BindingRef;

/// Clients, caches and settings of the process.
#[derive(Clone)]
pub struct Context {
    /// The API server.
    pub kube: kube::Client,
    /// Named reads of Secrets.
    pub secrets: Secrets,
    /// Clients of Notion, one for each token.
    pub notion: Arc<Clients>,
    /// Pools, one for each connection string.
    pub pools: Arc<Pools>,
    /// The inbox of each database.
    pub inboxes: Arc<Inboxes>,
    /// Kubernetes Events.
    pub events: Arc<events::Publisher>,
    /// Every binding in the watched namespaces.
    pub bindings: Store<NotionSyncBinding>,
    /// The namespaces that are watched; empty means all.
    pub namespaces: Arc<[String]>,
    /// Workers, and the queue that starts them.
    pub nudges: Arc<Nudges>,
    /// All metrics.
    pub metrics: Metrics,
    /// What the probes tell.
    pub vitals: Arc<Vitals>,
    /// UID of `kube-system` (of the operator's own namespace where it has no cluster rights), once
    /// it was read; nothing is stored or claimed before.
    pub cluster_id: Arc<OnceLock<String>>,
    /// Identity of this process in claims: another one raises the epoch.
    pub holder: Arc<str>,
    /// Whether bindings may list `None`.
    pub allow_unverified_webhooks: bool,
}

impl Context {
    /// What tells this cluster from others in claims and in the inbox; empty until
    /// [`Vitals::is_listed`] says that the receiver may serve.
    pub fn cluster_id(&self) -> &str {
        self.cluster_id.get().map_or("", String::as_str)
    }

    /// Whether another claim's binding exists. In a namespace that is not watched nobody can tell,
    /// and a claim is never taken from the living.
    pub fn is_live(&self, other: &BindingRef, uid: &str) -> bool {
        let watched = self.namespaces.is_empty() || self.namespaces.contains(&other.namespace);
        if !watched {
            return true;
        }
        let found = self.find(other);
        found.is_some_and(|binding| binding.uid().as_deref() == Some(uid))
    }

    /// The binding of that name.
    pub fn find(&self, name: &BindingRef) -> Option<Arc<NotionSyncBinding>> {
        self.bindings
            .get(&ObjectRef::new(&name.name).within(&name.namespace))
    }
}
