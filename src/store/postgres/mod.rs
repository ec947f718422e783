//! The port over Postgres: one binding's table and its state.
//!
//! Reads run on any connection of the pool; everything that writes begins with the claim's fence
//! and is one transaction. Statements over the bound table are built once, from the catalog's names.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use sqlx::{PgPool, Postgres, Transaction};

use super::audit::AuditTable;
use super::catalog::TableHandle;
use super::claim::Claim;
use super::patience::answered;
use super::{Applied, BindingStore, PairChange, PairRecord, Progress, StoreError, TableCounts};
use crate::metrics::Metrics;
use crate::sync::drift::DriftReport;
use crate::sync::event::{EventResult, InboxEvent};
use crate::sync::identity::PageId;
use crate::sync::mapping::TablePlan;
use crate::sync::pair::{PairBase, PairRead};

mod apply;
mod changes;
mod conclusion;
mod conflicts;
mod discrepancies;
mod events;
mod intents;
pub(in crate::store) mod pages;
mod read;
mod record;
pub mod report;
pub mod resolve;
mod row;
pub(in crate::store) mod text;
pub(in crate::store) mod time;
mod write;

use pages::MixedCase;
use row::RowShape;

/// One binding's table and state, under the claim that was granted for it.
#[derive(Debug)]
pub struct PostgresBinding {
    pool: PgPool,
    plan: Arc<TablePlan>,
    fingerprint: [u8; 32],
    table: TableHandle,
    shape: RowShape,
    claim: Claim,
    owner: String,
    mixed_case: MixedCase,
    audit: tokio::sync::RwLock<AuditTable>,
    metrics: Metrics,
}

/// What a [`PostgresBinding`] is made of.
#[derive(Debug, Clone)]
pub struct BindingParts {
    /// The pool of the binding's connection string.
    pub pool: PgPool,
    /// The fields that work.
    pub plan: Arc<TablePlan>,
    /// The table, as the catalog describes it.
    pub table: TableHandle,
    /// The claim under which everything is written.
    pub claim: Claim,
    /// Whose events are handled; see [`super::claim::owner`].
    pub owner: String,
    /// Where writes and failures are counted.
    pub metrics: Metrics,
}

impl PostgresBinding {
    /// Finds or makes the audit table, writes what could not be audited before, and is ready for a
    /// pass. What is wrong with the audit table is no error; see [`Self::audit_problem`].
    pub async fn open(parts: BindingParts) -> Result<Self, StoreError> {
        let binding = &parts.plan.binding;
        let audit = AuditTable::open(&parts.pool, &binding.schema, &binding.audit_table).await?;
        let store = Self {
            fingerprint: parts.plan.fingerprint(),
            shape: RowShape::new(&parts.plan, &parts.table),
            pool: parts.pool,
            plan: parts.plan,
            table: parts.table,
            claim: parts.claim,
            owner: parts.owner,
            mixed_case: MixedCase::default(),
            audit: tokio::sync::RwLock::new(audit),
            metrics: parts.metrics,
        };
        store.flush_unaudited().await?;
        Ok(store)
    }

    /// What must be done about the audit table (`SchemaValid=False/AuditTableInvalid`), if anything.
    pub async fn audit_problem(&self) -> Option<String> {
        self.audit.read().await.problem().map(str::to_owned)
    }

    /// Looks at the audit table again and writes into it what could not be written before; for the
    /// start of each pass of a store that outlives one.
    pub async fn flush_unaudited(&self) -> Result<(), StoreError> {
        let mut audit = self.audit.write().await;
        if audit.problem().is_some() {
            let binding = &self.plan.binding;
            *audit = AuditTable::open(&self.pool, &binding.schema, &binding.audit_table).await?;
        }
        while audit.problem().is_none() && self.has_unaudited().await? {
            let mut transaction = self.begin().await?;
            let moved = audit.flush(&mut transaction, self.claim.binding_id).await?;
            transaction.commit().await?;
            if !moved {
                break;
            }
        }
        Ok(())
    }

    /// Whether rows wait for the audit table; asked for without a lock, since it is rare.
    async fn has_unaudited(&self) -> Result<bool, StoreError> {
        let exists = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM notion_sync.unaudited WHERE binding_id = $1)",
        );
        Ok(exists
            .bind(self.claim.binding_id)
            .fetch_one(&self.pool)
            .await?)
    }

    /// Begins a transaction that writes.
    async fn begin(&self) -> Result<Transaction<'_, Postgres>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        self.claim.check(&mut transaction).await?;
        Ok(transaction)
    }
}

impl BindingStore for PostgresBinding {
    async fn read_pairs(&self, pages: &[PageId]) -> Result<Vec<PairRead>, StoreError> {
        answered(read::pairs(self, pages)).await
    }

    async fn read_bases(&self, pages: &[PageId]) -> Result<HashMap<PageId, PairBase>, StoreError> {
        answered(read::bases(self, pages)).await
    }

    async fn record(&self, records: Vec<PairRecord>) -> Result<(), StoreError> {
        answered(record::record(self, records)).await
    }

    async fn apply(&self, change: PairChange<'_>) -> Result<Applied, StoreError> {
        answered(apply::apply(self, change)).await
    }

    async fn finish_events(
        &self,
        events: &[InboxEvent],
        results: &[EventResult],
    ) -> Result<(), StoreError> {
        answered(events::finish(self, events, results)).await
    }

    async fn defer_events(
        &self,
        events: &[i64],
        until: Timestamp,
        failed: bool,
    ) -> Result<(), StoreError> {
        answered(events::defer(self, events, until, failed)).await
    }

    async fn due_events(&self, limit: i64) -> Result<Vec<InboxEvent>, StoreError> {
        answered(events::due(self, limit)).await
    }

    async fn oldest_event(&self) -> Result<Option<Timestamp>, StoreError> {
        answered(events::oldest(self)).await
    }

    async fn linked_pages(&self) -> Result<Vec<PageId>, StoreError> {
        answered(read::linked_pages(self)).await
    }

    async fn recorded_pages(&self) -> Result<Vec<PageId>, StoreError> {
        answered(read::recorded_pages(self)).await
    }

    async fn forget(&self, pages: &[PageId]) -> Result<(), StoreError> {
        answered(record::forget(self, pages)).await
    }

    async fn count_table(&self) -> Result<TableCounts, StoreError> {
        answered(report::count_table(self)).await
    }

    async fn report(&self) -> Result<DriftReport, StoreError> {
        answered(report::report(&self.pool, self.claim.binding_id)).await
    }

    async fn progress(&self) -> Result<Progress, StoreError> {
        answered(report::progress(self)).await
    }

    async fn save_progress(&self, progress: &Progress) -> Result<(), StoreError> {
        answered(report::save_progress(self, progress)).await
    }
}
