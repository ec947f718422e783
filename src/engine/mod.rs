//! Runs a pass: reads both sides, lets `sync/` decide, has the decisions carried out.
//!
//! Generic over the two ports and unaware of Kubernetes. A pass is complete (`scan`), incremental
//! (`incremental`) or only settles waiting events (`events`); whichever it is, events that arrive
//! meanwhile are settled between two of its steps, so that a scan of hours delays nobody's edit.

mod absent;
mod changes;
mod events;
mod failures;
mod incremental;
mod locks;
mod outbound;
mod pages;
mod resolutions;
mod scan;
#[cfg(test)]
mod tests;
mod writes;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use crate::notion::{NotionApi, NotionError, NotionWriter};
use crate::store::changes::ChangeStore;
use crate::store::conflicts::ConflictStore;
use crate::store::intents::IntentStore;
use crate::store::{BindingStore, Progress, StoreError};
use crate::sync::filter::PageFilter;
use crate::sync::identity::{PageId, PropertyId};
use crate::sync::mapping::TablePlan;
use crate::sync::reason::Reason;

pub use locks::PageLocks;
pub use scan::ScanState;

/// Why a pass stopped.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Notion's side failed.
    #[error(transparent)]
    Notion(#[from] NotionError),
    /// Postgres' side failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EngineError {
    /// The condition's reason.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Notion(error) => error.reason(),
            Self::Store(error) => error.reason(),
        }
    }
}

/// What a pass is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Settle the waiting events.
    Events,
    /// And read what was edited since the watermark.
    Incremental,
    /// And read everything.
    Complete,
}

/// How a complete scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanEnd {
    /// Everything was read.
    Complete,
    /// A minute held more pages than could be read.
    TooDense,
}

/// What a pass did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassReport {
    /// How the complete scan ended, if there was one.
    pub scan: Option<ScanEnd>,
    /// Pages looked at.
    pub pages_read: u64,
    /// Rows written.
    pub rows_written: u64,
    /// Columns written.
    pub fields_written: u64,
    /// Properties written to Notion.
    pub fields_sent: u64,
    /// Events settled.
    pub events_settled: u64,
    /// The newest edit that polling applied and that no waiting event had announced.
    pub unannounced_edit: Option<Timestamp>,
    /// A page did not have its properties as they are pinned, or an event says that the schema
    /// changed: read the schema again.
    pub schema_check_due: bool,
    /// An event spoke of the schema: every page may look different (seed row S4).
    pub incremental_due: bool,
    /// The result was capped where it cannot be windowed: a complete scan is due.
    pub complete_scan_due: bool,
    /// Reads or writes of single pages that failed and will be tried again.
    pub retries_due: u64,
    /// Those among them that no event announced: the watermark must not move past them.
    pub left_open: u64,
    /// When a write whose answer was ambiguous can be judged.
    pub come_back: Option<Timestamp>,
    /// Reads of single pages that failed one after the other.
    failed_reads: u32,
    /// Pages that a write is due to.
    outbound: Vec<PageId>,
    /// Captured changes that could not be settled in this pass.
    open_changes: HashSet<i64>,
}

impl PassReport {
    /// Whether anything happened that the status should show.
    pub const fn is_idle(&self) -> bool {
        self.scan.is_none()
            && self.rows_written == 0
            && self.fields_sent == 0
            && self.events_settled == 0
    }

    /// Whether captured changes wait for a later pass.
    pub fn leaves_changes(&self) -> bool {
        !self.open_changes.is_empty()
    }

    /// Asks for another look at `when`.
    fn come_back(&mut self, when: Timestamp) {
        self.come_back = Some(self.come_back.map_or(when, |known| known.min(when)));
    }
}

/// How far a complete scan has come, for status and log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanProgress {
    /// Pages read so far.
    pub done: u64,
    /// Pages that the last complete scan read, where there was one.
    pub total: Option<u64>,
}

/// The two ways in which the world outside speaks with a running pass.
#[derive(Debug)]
pub struct Signals {
    /// Wakes a pass when events wait in the inbox.
    pub events: Notify,
    /// Tells how far a complete scan has come.
    pub progress: watch::Sender<Option<ScanProgress>>,
    /// The pages that are being written to; one for all bindings of the process.
    pub writes: Arc<PageLocks>,
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            events: Notify::new(),
            progress: watch::Sender::new(None),
            writes: Arc::default(),
        }
    }
}

/// Tells the time.
struct Clock(Box<dyn Fn() -> Timestamp + Send + Sync>);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&(self.0)()).finish()
    }
}

/// Notion as the engine needs it: to read and to write.
pub trait Notion: NotionApi + NotionWriter {}

impl<N: NotionApi + NotionWriter> Notion for N {}

/// Postgres as the engine needs it: the pairs, the writes that were announced, the captured changes,
/// what a person chose for conflicts.
pub trait Store: BindingStore + IntentStore + ChangeStore + ConflictStore {}

impl<S: BindingStore + IntentStore + ChangeStore + ConflictStore> Store for S {}

/// One binding's engine: its plan and its two sides.
#[derive(Debug)]
pub struct Engine<'a, N, S> {
    notion: &'a N,
    store: &'a S,
    plan: &'a TablePlan,
    signals: &'a Signals,
    clock: Clock,
    wanted: Vec<PropertyId>,
    /// Which pages scans read; validation has refused what this cannot read.
    filter: Option<PageFilter>,
    fingerprint: [u8; 32],
}

impl<'a, N: Notion, S: Store> Engine<'a, N, S> {
    /// An engine over these sides. The clock is an argument so that tests and the simulator can own
    /// the time.
    pub fn new(
        notion: &'a N,
        store: &'a S,
        plan: &'a TablePlan,
        signals: &'a Signals,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        let (wanted, fingerprint) = (plan.wanted(), plan.fingerprint());
        let filter = plan.binding.policies.filter.as_ref();
        Self {
            notion,
            store,
            plan,
            signals,
            clock: Clock(Box::new(clock)),
            wanted,
            filter: filter.and_then(|filter| PageFilter::parse(filter).ok().flatten()),
            fingerprint,
        }
    }

    /// Runs one pass. `scan` keeps the place of a complete scan that was aborted, so that the next
    /// call goes on from there.
    ///
    /// # Errors
    /// The first error that concerns the binding as a whole. Whatever was settled before it stays
    /// settled; errors of single pages are counted in the report instead.
    pub async fn run(
        &self,
        work: Work,
        scan: &mut Option<ScanState>,
    ) -> Result<PassReport, EngineError> {
        let mut report = PassReport::default();
        self.settle_waiting(&mut report).await?;
        self.settle_intents(&mut report).await?;
        self.settle_resolutions(&mut report).await?;
        let progress = self.store.progress().await?;
        match work {
            Work::Events => {}
            Work::Complete => self.scan(progress, scan, &mut report).await?,
            Work::Incremental => self.read_edits(progress, &mut report).await?,
        }
        self.push_scanned(&mut report).await?;
        Ok(report)
    }

    fn now(&self) -> Timestamp {
        (self.clock.0)()
    }

    async fn save(&self, progress: &Progress) -> Result<(), EngineError> {
        Ok(self.store.save_progress(progress).await?)
    }
}

/// The mapping's fingerprint as progress stores it.
fn mapping_digest(fingerprint: &[u8; 32]) -> String {
    hex::encode(fingerprint)
}

impl<N: Notion, S: Store> Engine<'_, N, S> {
    /// Whether the last complete scan used another mapping, so that a new one is due.
    pub async fn is_scanned(&self) -> Result<bool, EngineError> {
        let progress = self.store.progress().await?;
        Ok(progress.last_full_scan.is_some()
            && progress.scanned_mapping.as_deref() == Some(&mapping_digest(&self.fingerprint)))
    }
}
