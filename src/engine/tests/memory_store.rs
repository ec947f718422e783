//! Postgres in memory: the bound table and the state of one binding.
//!
//! It keeps the contract of [`crate::store::BindingStore`]: what is atomic there happens under one
//! lock here, `apply` plans again on the row as it is then, every write is fenced. A script adds the faults; a
//! fault after a call finds the call's effect in place, as a lost answer would.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use jiff::Timestamp;

use super::clock::VirtualClock;
use super::script::{Fault, Guard, Script, When};
use crate::store::intents::{Intent, NotionChange};
use crate::store::{PairRecord, Progress, StoreError};
use crate::sync::column::Column;
use crate::sync::drift::{Counts, Discrepancy, DriftCounts, DriftKind, DriftReport};
use crate::sync::event::{EventResult, InboxEvent, NewEvent, Outcome};
use crate::sync::identity::{PageId, RowKey};
use crate::sync::mapping::TablePlan;
use crate::sync::pair::{OwnEdit, OwnWrite, PairBase, PairHash, PairHead, RowRead};
use crate::sync::side::Side;

mod apply;
mod changes;
mod conflicts;
mod intents;
mod port;

/// One call, as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StoreCall {
    ReadPairs(Vec<PageId>),
    ReadBases(Vec<PageId>),
    Record(Vec<PageId>),
    Apply(PageId),
    FinishEvents(Vec<i64>),
    DeferEvents(Vec<i64>),
    DueEvents,
    OldestEvent,
    LinkedPages,
    RecordedPages,
    Forget(Vec<PageId>),
    CountTable,
    Report,
    Progress,
    SaveProgress,
    Intents(Vec<PageId>),
    Unsettled,
    BeginIntent(Option<PageId>),
    SentIntent(i64),
    SettleIntent(i64),
    NoteOverwrites(Vec<i64>),
    DueChanges,
    SettleChanges(Vec<i64>),
    OldestChange,
    ChangesWaiting,
    ReadRows(Vec<RowKey>),
    Resolutions,
    Resolve,
}

/// How a call fails; made into a [`StoreError`] when it does.
#[derive(Debug, Clone, Copy)]
pub(super) enum StoreFailure {
    Unavailable,
    Refused,
    Fenced,
}

impl StoreFailure {
    fn error(self) -> StoreError {
        match self {
            Self::Unavailable => StoreError::Unavailable(sqlx::Error::PoolTimedOut),
            Self::Refused => StoreError::Database(sqlx::Error::RowNotFound),
            Self::Fenced => StoreError::Fenced,
        }
    }
}

/// A row of the bound table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: RowKey,
    pub(super) page_id: Option<PageId>,
    pub(super) updated_at: Option<Timestamp>,
    pub(super) values: Vec<Option<String>>,
}

/// What is remembered about a pair.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) row_key: RowKey,
    pub(super) hash: Option<PairHash>,
    pub(super) last_edited_seen: Option<Timestamp>,
    pub(super) own_write: Option<OwnWrite>,
    pub(super) own_edit: Option<OwnEdit>,
    pub(super) provisional: bool,
    pub(super) base: PairBase,
}

/// A row of the audit table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AuditRow {
    /// The event, or nothing where a pass found the change.
    pub(super) event: Option<i64>,
    pub(super) page_id: Option<PageId>,
    pub(super) outcome: Outcome,
    pub(super) reason: Option<String>,
    /// Column, value before, value after, and the lost value of a contest.
    pub(super) changes: Vec<Change>,
}

/// One written column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) column: String,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) overwrote: Option<String>,
}

/// An audit row about a write to Notion.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NotionAudit {
    pub(super) page_id: PageId,
    pub(super) outcome: Outcome,
    pub(super) reason: Option<String>,
    pub(super) changes: Vec<NotionChange>,
}

/// An event in the inbox.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) event: InboxEvent,
    pub(super) not_before: Timestamp,
    pub(super) end: Option<(Outcome, Option<String>)>,
}

/// Everything in this Postgres.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) rows: Vec<Row>,
    pub(super) pairs: HashMap<PageId, Pair>,
    pub(super) discrepancies: Vec<Discrepancy>,
    pub(super) audit: Vec<AuditRow>,
    pub(super) inbox: Vec<Stored>,
    pub(super) intents: Vec<Intent>,
    /// What the audit says of writes to Notion.
    pub(super) sent: Vec<NotionAudit>,
    pub(super) progress: Progress,
    /// Rows of the bound table that were updated by us, one entry for each update.
    pub(super) written: Vec<RowKey>,
    pub(super) fenced: bool,
    /// What was captured and is not settled.
    pub(super) changes: Vec<changes::Captured>,
    /// Whether capture fails: what users do from now on leaves no trace.
    pub(super) capture_is_lost: bool,
    /// What a person chose for open conflicts, by page and column.
    pub(super) resolutions: BTreeMap<(PageId, String), Side>,
    last_change: i64,
    log: Vec<StoreCall>,
}

/// What a column makes of a written text: its declared type, or a user's trigger.
pub(super) type Rounding = fn(&Column, Option<&str>) -> Option<String>;

/// Postgres in memory.
pub(super) struct MemoryStore {
    clock: VirtualClock,
    plan: TablePlan,
    rounding: Rounding,
    state: Mutex<State>,
    pub(super) script: Script<StoreCall, StoreFailure>,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty table of this plan.
    pub(super) fn new(clock: VirtualClock, plan: TablePlan, rounding: Rounding) -> Self {
        Self {
            clock,
            plan,
            rounding,
            state: Mutex::default(),
            script: Script::default(),
        }
    }

    /// The spec is another now.
    pub(super) fn replan(&mut self, plan: TablePlan) {
        self.plan = plan;
    }

    /// Everything in it, to look at or to change as a user would.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Inserts a row.
    pub(super) fn insert(&self, key: &str, page_id: Option<PageId>, values: &[Option<&str>]) {
        let row = Row {
            key: RowKey(vec![key.to_owned()]),
            page_id,
            updated_at: None,
            values: values.iter().map(|text| text.map(str::to_owned)).collect(),
        };
        self.state().rows.push(row);
    }

    /// Puts an event into the inbox; gives its number.
    pub(super) fn deliver(&self, event: NewEvent) -> i64 {
        let now = self.clock.now();
        let mut state = self.state();
        let id = i64::try_from(state.inbox.len()).unwrap() + 1;
        let event = InboxEvent {
            id,
            received_at: now,
            skipped: None,
            reread_only: false,
            attempts: 0,
            event,
        };
        state.inbox.push(Stored {
            event,
            not_before: now,
            end: None,
        });
        id
    }

    /// Gives the log and starts a new one.
    pub(super) fn take_log(&self) -> Vec<StoreCall> {
        std::mem::take(&mut self.state().log)
    }

    async fn begin(&self, call: StoreCall) -> Result<Guard, StoreError> {
        self.state().log.push(call.clone());
        tokio::task::yield_now().await;
        let guard = self.script.act(&call, When::Before).await;
        let guard = guard.map_err(StoreFailure::error)?;
        let fenced = self.state().fenced && is_write(&call);
        if fenced {
            return Err(StoreError::Fenced);
        }
        Ok(guard)
    }

    async fn end(&self, call: &StoreCall) -> Result<(), StoreError> {
        let guard = self.script.act(call, When::After).await;
        guard.map(drop).map_err(StoreFailure::error)
    }
}

/// A fault of the store, for scripts.
pub(super) type StoreFault = Fault<StoreFailure>;

/// Whether a call writes.
pub(super) const fn is_write(call: &StoreCall) -> bool {
    matches!(
        call,
        StoreCall::Record(_)
            | StoreCall::Apply(_)
            | StoreCall::FinishEvents(_)
            | StoreCall::DeferEvents(_)
            | StoreCall::Forget(_)
            | StoreCall::CountTable
            | StoreCall::SaveProgress
            | StoreCall::BeginIntent(_)
            | StoreCall::SentIntent(_)
            | StoreCall::SettleIntent(_)
            | StoreCall::NoteOverwrites(_)
            | StoreCall::SettleChanges(_)
            | StoreCall::Resolve
    )
}

impl State {
    /// The event with this number.
    pub(super) fn event(&self, id: i64) -> &Stored {
        self.inbox.iter().find(|one| one.event.id == id).unwrap()
    }

    /// The rows that carry a page's id.
    fn rows_of(&self, page: PageId) -> Vec<usize> {
        let rows = self.rows.iter().enumerate();
        let linked = rows.filter(|(_, row)| row.page_id == Some(page));
        linked.map(|(index, _)| index).collect()
    }

    fn replace_discrepancies(&mut self, page: PageId, found: &[Discrepancy]) {
        self.discrepancies.retain(|one| one.page_id != Some(page));
        self.discrepancies.extend_from_slice(found);
    }

    fn record(&mut self, record: PairRecord) {
        self.replace_discrepancies(record.page_id, &record.discrepancies);
        let Some(row_key) = record.row_key else {
            self.pairs.remove(&record.page_id);
            return;
        };
        let pair = self.pairs.entry(record.page_id).or_insert_with(|| Pair {
            row_key: row_key.clone(),
            hash: None,
            last_edited_seen: None,
            own_write: None,
            own_edit: None,
            provisional: false,
            base: PairBase::new(),
        });
        pair.row_key = row_key;
        pair.hash = record.hash;
        pair.last_edited_seen = pair.last_edited_seen.max(record.last_edited);
        pair.provisional = false;
        pair.base.extend(record.settle);
        self.close_resolved(record.page_id, &record.resolved);
    }

    fn finish(&mut self, results: &[EventResult], changes: &[Change]) {
        for result in results {
            let stored = self.inbox.iter_mut().find(|one| one.event.id == result.id);
            let stored = stored.unwrap();
            assert!(stored.end.is_none(), "event {} ends twice", result.id);
            stored.end = Some((result.outcome, result.reason.clone()));
            if stored.event.reread_only {
                continue;
            }
            let page_id = match stored.event.event.subject {
                crate::sync::event::EventSubject::Page(page) => Some(page),
                _ => None,
            };
            self.audit.push(AuditRow {
                event: Some(result.id),
                page_id,
                outcome: result.outcome,
                reason: result.reason.clone(),
                changes: changes.to_vec(),
            });
        }
    }

    fn report(&self) -> DriftReport {
        let of = |kind| {
            let found = self.discrepancies.iter().filter(|one| one.kind == kind);
            i64::try_from(found.count()).unwrap()
        };
        let drift = DriftCounts {
            mismatched: of(DriftKind::Mismatch),
            orphaned_pages: of(DriftKind::OrphanedPage),
            unlinked_rows: of(DriftKind::UnlinkedRow),
            missing_pages: of(DriftKind::MissingPage),
            conflicts: of(DriftKind::Conflict),
            failed: of(DriftKind::Failed),
            held: of(DriftKind::Held),
        };
        let linked = i64::try_from(self.pairs.len()).unwrap();
        let counts = Counts {
            pages: linked - drift.missing_pages + drift.orphaned_pages,
            rows: i64::try_from(self.rows.len()).unwrap(),
            linked,
        };
        DriftReport {
            drift,
            counts,
            samples: self.discrepancies.iter().take(10).cloned().collect(),
            checked_at: None,
        }
    }
}

impl State {
    fn head(&self, page: PageId) -> Option<PairHead> {
        let mut marked = self.discrepancies.iter();
        let is_marked = marked.any(|one| one.page_id == Some(page));
        self.pairs.get(&page).map(|pair| pair.head(is_marked))
    }
}

impl Pair {
    fn head(&self, is_marked: bool) -> PairHead {
        PairHead {
            is_marked,
            row_key: self.row_key.clone(),
            hash: self.hash,
            last_edited_seen: self.last_edited_seen,
            own_write: self.own_write,
            own_edit: self.own_edit,
            provisional: self.provisional,
        }
    }
}

impl Row {
    fn read(&self) -> RowRead {
        RowRead {
            key: self.key.clone(),
            updated_at: self.updated_at,
            values: self.values.clone(),
        }
    }
}
