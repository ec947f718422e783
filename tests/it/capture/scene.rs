//! A bound table with capture on it.

use notion_sync_operator::store::capture::{self, CaptureState};
use notion_sync_operator::store::catalog::{TableHandle, inspect};
use notion_sync_operator::store::claim::{Claim, ClaimRequest, claim};
use notion_sync_operator::store::{CapturedChange, ChangeKind, ChangeStore, StoreError};
use notion_sync_operator::sync::mapping::BindingPlan;
use notion_sync_operator::sync::page::PropertyType;
use sqlx::PgPool;

use crate::store_binding::world::{Mapped, World, page_id};

pub(super) const TABLE: &str = "CREATE TABLE t (
    id bigint PRIMARY KEY, page text, name text, status text, unmapped integer DEFAULT 0)";

pub(super) const FIELDS: &[Mapped<'static>] = &[
    ("name", PropertyType::RichText),
    ("status", PropertyType::RichText),
];

/// A binding over a table, with what capture needs of it.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) table: TableHandle,
    pub(super) claim: Claim,
}

impl Scene {
    /// Table [`TABLE`], captured.
    pub(super) async fn new() -> Self {
        Self::with(TABLE, FIELDS, |_| {}).await
    }

    /// Another table, captured.
    pub(super) async fn with(
        ddl: &str,
        fields: &[Mapped<'_>],
        change: impl FnOnce(&mut BindingPlan),
    ) -> Self {
        let scene = Self::bare(ddl, fields, change).await;
        let state = scene.ensure().await;
        assert!(state.installed && state.gap, "{state:?}");
        scene.compared(&state).await;
        scene
    }

    /// A table without capture.
    pub(super) async fn bare(
        ddl: &str,
        fields: &[Mapped<'_>],
        change: impl FnOnce(&mut BindingPlan),
    ) -> Self {
        Self::over(World::with(ddl, fields, change).await).await
    }

    /// A world that is bound already.
    pub(super) async fn over(world: World) -> Self {
        let table = inspect(&world.pool, &world.plan.binding).await.unwrap();
        let claim = claim_again(&world, &table).await.unwrap();
        Self {
            world,
            table,
            claim,
        }
    }

    pub(super) async fn try_ensure(&self) -> Result<CaptureState, StoreError> {
        self.ensure_by(&self.world.pool).await
    }

    pub(super) async fn ensure_by(&self, pool: &PgPool) -> Result<CaptureState, StoreError> {
        capture::ensure(pool, &self.table, &self.world.plan, &self.claim).await
    }

    /// The start of a pass.
    pub(super) async fn ensure(&self) -> CaptureState {
        self.try_ensure().await.unwrap()
    }

    /// The end of a pass that compared everything.
    pub(super) async fn compared(&self, state: &CaptureState) {
        capture::compared(&self.world.pool, &self.claim, state)
            .await
            .unwrap();
    }

    /// Runs statements as a user.
    pub(super) async fn user(&self, sql: &str) {
        self.world.database.execute(sql).await;
    }

    /// What waits.
    pub(super) async fn due(&self) -> Vec<CapturedChange> {
        self.world.store.due_changes(1_000_000).await.unwrap()
    }

    /// What waits, by key and kind; then nothing waits any more.
    pub(super) async fn take(&self) -> Vec<(String, ChangeKind)> {
        let due = self.due().await;
        let ids: Vec<i64> = due.iter().flat_map(|change| change.ids.clone()).collect();
        self.world.store.settle_changes(&ids).await.unwrap();
        assert_eq!(self.world.store.changes_waiting().await.unwrap(), 0);
        let mut taken: Vec<_> = due
            .into_iter()
            .map(|change| {
                let key = change.row_key.map(|key| key.0.join(","));
                (key.unwrap_or_default(), change.kind)
            })
            .collect();
        taken.sort_by(|one, other| one.0.cmp(&other.0));
        taken
    }
}

/// The claim that the world's store works under.
async fn claim_again(world: &World, table: &TableHandle) -> Result<Claim, StoreError> {
    let request = ClaimRequest {
        cluster_id: "cluster",
        binding: &world.plan.binding.binding,
        uid: "uid",
        data_source: world.plan.data_source,
        holder: "holder",
        take_over: false,
        is_live: &|_, _| true,
    };
    claim(&world.pool, table, request).await
}

/// Keys that were inserted or updated.
pub(super) fn upserts(keys: &[&str]) -> Vec<(String, ChangeKind)> {
    of(keys, ChangeKind::Upsert)
}

/// Keys that were deleted.
pub(super) fn deletes(keys: &[&str]) -> Vec<(String, ChangeKind)> {
    of(keys, ChangeKind::Delete)
}

fn of(keys: &[&str], kind: ChangeKind) -> Vec<(String, ChangeKind)> {
    keys.iter().map(|key| ((*key).to_owned(), kind)).collect()
}

/// The page of that number as the column spells it.
pub(super) fn page(id: u128) -> String {
    page_id(id).to_string()
}
