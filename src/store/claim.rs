//! Claims of tables: who may work on one, since when, and what it remembers.

use crate::sync::identity::{BindingRef, DataSourceId};
use crate::sync::mapping::PinnedProperty;

use super::Progress;

/// Everything that a claim is made of.
#[derive(Debug, Clone)]
pub struct ClaimRequest<'a> {
    /// The UID of the cluster's `kube-system` namespace.
    pub cluster_id: &'a str,
    /// The binding.
    pub binding: &'a BindingRef,
    /// The binding's UID.
    pub uid: &'a str,
    /// The data source that the binding follows.
    pub data_source: DataSourceId,
    /// The process that claims: another one raises the epoch.
    pub holder: &'a str,
    /// Whether the claim of another cluster may be taken (`notionsync.dev/take-over`).
    pub take_over: bool,
}

/// A claim that was granted.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The key of every row about this binding in the state schema.
    pub binding_id: i64,
    /// The fence: writes are refused once the row holds another number.
    pub epoch: i64,
    /// The properties as they were resolved.
    pub pinned: Vec<PinnedProperty>,
    /// How far its passes have come.
    pub progress: Progress,
    /// Whether nothing was known about this table before, or nothing that still counts.
    pub fresh: bool,
    /// Whether another table than the recorded one stands under the name: it has no base.
    pub table_replaced: bool,
}

/// Who owns events in the inbox: `<cluster id>/<namespace>/<name>`.
pub fn owner(cluster_id: &str, binding: &BindingRef) -> String {
    format!("{cluster_id}/{binding}")
}
