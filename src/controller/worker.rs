//! What a process remembers of a binding between two passes. Everything durable is in Postgres;
//! losing this costs a complete scan at most.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::Mutex;

use super::schedule::Schedule;
use super::session::Session;
use crate::engine::{PageLocks, ScanState, Signals};
use crate::store::capture::CaptureState;

/// The memory of one binding.
#[derive(Debug, Default)]
pub struct Worker {
    /// How the world outside speaks with a running pass.
    pub signals: Signals,
    /// Held by the pass that runs; there is never a second one.
    pub memory: Mutex<Memory>,
    secrets_changed: AtomicBool,
    holder_changed: AtomicBool,
    database_was_away: AtomicBool,
    left: std::sync::Mutex<Option<Instant>>,
}

impl Worker {
    /// A worker that shares the knowledge of pages being written with every other.
    pub fn new(writes: Arc<PageLocks>) -> Self {
        Self {
            signals: Signals {
                writes,
                ..Signals::default()
            },
            ..Self::default()
        }
    }

    /// A Secret that the binding refers to is another one now.
    pub fn secrets_changed(&self) {
        self.secrets_changed.store(true, Ordering::Release);
    }

    /// A binding is gone, or has another spec, that may have held the table of this one or a
    /// property that it writes.
    pub fn holder_changed(&self) {
        self.holder_changed.store(true, Ordering::Release);
    }

    /// Whether such a binding went or changed since the last call.
    pub fn take_holder_changed(&self) -> bool {
        self.holder_changed.swap(false, Ordering::AcqRel)
    }

    /// Changes that wait were looked at and cannot be settled before `until`: only something new
    /// starts a pass for them.
    pub fn leave_changes(&self, until: Option<Instant>) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Whether the changes that wait may start a pass.
    pub fn minds_changes(&self) -> bool {
        let left = *self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.is_none_or(|until| until <= Instant::now())
    }

    /// Events may have been lost: the next pass must be complete.
    pub fn database_was_away(&self) {
        self.database_was_away.store(true, Ordering::Release);
    }

    /// Whether a Secret changed since the last call.
    pub fn take_secrets_changed(&self) -> bool {
        self.secrets_changed.swap(false, Ordering::AcqRel)
    }

    /// Whether the database was away since the last call that [`Self::database_is_back`] confirmed.
    pub fn was_database_away(&self) -> bool {
        self.database_was_away.load(Ordering::Acquire)
    }

    /// A complete pass made up for the time without the database.
    pub fn database_is_back(&self) {
        self.database_was_away.store(false, Ordering::Release);
    }
}

/// The part of the memory that a pass changes.
#[derive(Debug, Default)]
pub struct Memory {
    /// Both sides, opened and checked.
    pub session: Option<Session>,
    /// The place of a complete scan that was aborted.
    pub scan: Option<ScanState>,
    /// How change capture stood at the start of the last pass that looked.
    pub capture: CaptureState,
    /// When the next passes are due.
    pub schedule: Option<Schedule>,
    /// Failures in a row, and until when the last one keeps the binding waiting.
    pub failures: u32,
    /// Until when only a probe, or a change that a person made, starts anything.
    pub wait_until: Option<Instant>,
    /// Set where a complete pass is due for a reason other than the clock.
    pub complete_due: bool,
    /// Set while the binding is suspended: resuming starts with a complete pass.
    pub was_suspended: bool,
    /// Receipts of the annotations, as last answered.
    pub receipts: Receipts,
    /// The generation that the last pass was about.
    pub generation: Option<i64>,
    /// When the last pass ended well.
    pub last_sync: Option<Timestamp>,
    /// An edit that polling found and no event has announced yet, and when it was found.
    pub unannounced: Option<(Timestamp, Instant)>,
}

/// The values of the annotations that the last pass answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipts {
    /// `notionsync.dev/requestedAt`.
    pub requested_at: Option<String>,
    /// `notionsync.dev/fullScanRequestedAt`.
    pub full_scan_requested_at: Option<String>,
    /// `notionsync.dev/repin`: an order once carried out is not carried out again.
    pub repin: Option<String>,
    /// `notionsync.dev/resolve`, likewise.
    pub resolve: Option<String>,
}
