//! What a binding asks for beyond the clock: changes of the spec, of annotations, of Secrets.

use super::worker::{Memory, Receipts, Worker};
use crate::api::{NotionSyncBinding, annotations};

/// What a person, or a Secret, asks for.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is another cause, and several may hold"
)]
pub(super) struct Asked {
    /// The spec is not the one of the last pass.
    pub(super) spec_changed: bool,
    /// A Secret that the binding refers to is another one now.
    pub(super) secrets_changed: bool,
    /// A binding that it may wait for is gone, or has another spec.
    pub(super) holder_changed: bool,
    /// `notionsync.dev/requestedAt` has a new value.
    pub(super) requested: bool,
    /// `notionsync.dev/fullScanRequestedAt` has a new value.
    pub(super) complete_requested: bool,
    /// Columns whose pin a person gave up.
    pub(super) repin: Vec<String>,
    /// The value of `notionsync.dev/resolve`, where it has not been answered.
    pub(super) resolve: Option<String>,
    /// The annotations as they are now: the receipts of the pass that answers them.
    pub(super) receipts: Receipts,
}

impl Asked {
    /// Reads what is new since the last pass; changes that were signalled are taken.
    pub(super) fn read(binding: &NotionSyncBinding, worker: &Worker, memory: &Memory) -> Self {
        let status = binding.status.as_ref();
        let text = |key| binding.annotation(key).map(str::to_owned);
        let receipts = Receipts {
            requested_at: text(annotations::REQUESTED_AT),
            full_scan_requested_at: text(annotations::FULL_SCAN_REQUESTED_AT),
            repin: text(annotations::REPIN),
            resolve: text(annotations::RESOLVE),
        };
        // After a restart the receipts of the process before stand in status.
        let answered = |now: &Option<String>, memory: &Option<String>, status: Option<&String>| {
            now.is_none() || now == memory || (memory.is_none() && now.as_ref() == status)
        };
        let requested = !answered(
            &receipts.requested_at,
            &memory.receipts.requested_at,
            status.and_then(|status| status.last_handled_reconcile_at.as_ref()),
        );
        let complete_requested = !answered(
            &receipts.full_scan_requested_at,
            &memory.receipts.full_scan_requested_at,
            status.and_then(|status| status.last_handled_full_scan_at.as_ref()),
        );
        let is_resolved = answered(
            &receipts.resolve,
            &memory.receipts.resolve,
            status.and_then(|status| status.last_handled_resolve.as_ref()),
        );
        let repin = receipts
            .repin
            .as_deref()
            .filter(|_| receipts.repin != memory.receipts.repin);
        let repin = repin.into_iter().flat_map(|columns| columns.split(','));
        Self {
            spec_changed: memory.generation != binding.metadata.generation,
            secrets_changed: worker.take_secrets_changed(),
            holder_changed: worker.take_holder_changed(),
            requested,
            complete_requested,
            repin: repin.map(|column| column.trim().to_owned()).collect(),
            resolve: receipts.resolve.clone().filter(|_| !is_resolved),
            receipts,
        }
    }

    /// Whether waiting after a failure is over because somebody did something.
    pub(super) fn is_news(&self) -> bool {
        self.spec_changed
            || self.secrets_changed
            || self.holder_changed
            || self.requested
            || self.complete_requested
            || !self.repin.is_empty()
            || self.resolve.is_some()
    }
}
