//! Claims of tables: who may work on one, since when, and what it remembers.
//!
//! A claim is a row of `notion_sync.bindings`, unique on table OID and page id column. It outlives
//! its binding, so that the next one finds links and base (`design/state.md` §1). The epoch fences
//! work: every process that takes a claim over raises it, and every transaction that writes checks
//! it (§3).

use sqlx::postgres::{PgPool, types::Oid};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::Progress;
use super::catalog::TableHandle;
use super::error::StoreError;
use crate::sync::identity::{BindingRef, DataSourceId};
use crate::sync::mapping::PinnedProperty;
use crate::sync::reason::Reason;

mod statements;

/// Whether the binding of another claim exists; given namespace, name and UID. Only bindings of the
/// requesting cluster are asked about.
pub type IsLive<'a> = &'a (dyn Fn(&BindingRef, &str) -> bool + Send + Sync);

/// Everything that a claim is made of.
#[derive(Clone, Copy)]
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
    /// Who else is alive.
    pub is_live: IsLive<'a>,
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

/// A row of `notion_sync.bindings`, as far as a decision needs it.
struct Recorded {
    id: i64,
    cluster_id: String,
    binding: BindingRef,
    uid: String,
    data_source: Uuid,
    holder: String,
}

impl Recorded {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            cluster_id: row.try_get("cluster_id")?,
            binding: BindingRef {
                namespace: row.try_get("namespace")?,
                name: row.try_get("name")?,
            },
            uid: row.try_get("uid")?,
            data_source: row.try_get("data_source_id")?,
            holder: row.try_get("holder")?,
        })
    }

    fn is_of(&self, request: &ClaimRequest<'_>) -> bool {
        self.cluster_id == request.cluster_id && self.binding == *request.binding
    }
}

/// Claims the table for the binding, in one transaction.
///
/// A claim of a binding that no longer exists is adopted with links and base where data source,
/// table and column are the same; a claim of another cluster only with `take_over`. Another data
/// source, or another table under the name, starts without a base. Repeating it by the same process
/// changes nothing. [`Reason::TableAlreadyBound`] where somebody else holds the table.
pub async fn claim(
    pool: &PgPool,
    table: &TableHandle,
    request: ClaimRequest<'_>,
) -> Result<Claim, StoreError> {
    if let Some(claim) = repeated(pool, table, &request).await? {
        return Ok(claim);
    }
    let mut transaction = pool.begin().await?;
    for statement in statements::PREPARE {
        sqlx::query(*statement).execute(&mut *transaction).await?;
    }
    let claim = match by_table(&mut transaction, table).await? {
        Some(recorded) => {
            admit(&recorded, &request)?;
            take(&mut transaction, &recorded, table, &request, false).await?
        }
        None => match by_name(&mut transaction, table, &request).await? {
            Some(recorded) => take(&mut transaction, &recorded, table, &request, true).await?,
            None => insert(&mut transaction, table, &request).await?,
        },
    };
    transaction.commit().await?;
    Ok(claim)
}

/// The claim that this very process holds already: nothing is locked or written for it.
async fn repeated(
    pool: &PgPool,
    table: &TableHandle,
    request: &ClaimRequest<'_>,
) -> Result<Option<Claim>, StoreError> {
    let row = sqlx::query(statements::REPEATED)
        .bind(Oid(table.oid))
        .bind(&table.page_id.name)
        .bind(request.cluster_id)
        .bind(&request.binding.namespace)
        .bind(&request.binding.name)
        .bind(request.uid)
        .bind(request.data_source.0)
        .bind(request.holder)
        .bind(&table.table.schema)
        .bind(&table.table.name)
        .fetch_optional(pool)
        .await?;
    row.map(|row| granted(&row, false, false)).transpose()
}

async fn by_table(
    connection: &mut PgConnection,
    table: &TableHandle,
) -> Result<Option<Recorded>, sqlx::Error> {
    let row = sqlx::query(statements::BY_TABLE)
        .bind(Oid(table.oid))
        .bind(&table.page_id.name)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(Recorded::read).transpose()
}

/// The claim of the table that had this name before, if there is one to take.
///
/// Whoever holds the name and lives is asked for it just as for the table itself. The claim of a
/// table that merely goes by another name now stays with that table.
async fn by_name(
    connection: &mut PgConnection,
    table: &TableHandle,
    request: &ClaimRequest<'_>,
) -> Result<Option<Recorded>, StoreError> {
    let rows = sqlx::query(statements::BY_NAME)
        .bind(Oid(table.oid))
        .bind(&table.page_id.name)
        .bind(&table.table.schema)
        .bind(&table.table.name)
        .fetch_all(connection)
        .await?;
    let mut taken = None;
    for row in &rows {
        let recorded = Recorded::read(row)?;
        admit(&recorded, request)?;
        let gone: bool = row.try_get("gone")?;
        if recorded.is_of(request) {
            return Ok(Some(recorded));
        }
        if gone && taken.is_none() {
            taken = Some(recorded);
        }
    }
    Ok(taken)
}

/// Decides whether the request may have a recorded claim.
fn admit(recorded: &Recorded, request: &ClaimRequest<'_>) -> Result<(), StoreError> {
    if recorded.is_of(request) {
        return Ok(());
    }
    if recorded.cluster_id != request.cluster_id {
        if request.take_over {
            return Ok(());
        }
        return Err(bound(
            "a binding of another cluster holds this table; if that cluster is gone, set the \
             annotation notionsync.dev/take-over: \"true\" on this one",
        ));
    }
    if !(request.is_live)(&recorded.binding, &recorded.uid) {
        return Ok(());
    }
    if recorded.binding.namespace == request.binding.namespace {
        return Err(bound(&format!(
            "binding {} holds this table and page id column; delete one of the two",
            recorded.binding.name
        )));
    }
    Err(bound(
        "a binding of another namespace holds this table and page id column; \
         use another table or another page id column",
    ))
}

fn bound(remedy: &str) -> StoreError {
    StoreError::refused(Reason::TableAlreadyBound, remedy)
}

/// Takes a recorded claim, without its base where that does not count any more.
async fn take(
    connection: &mut PgConnection,
    recorded: &Recorded,
    table: &TableHandle,
    request: &ClaimRequest<'_>,
    table_replaced: bool,
) -> Result<Claim, StoreError> {
    let other_source = recorded.data_source != request.data_source.0;
    let baseless = table_replaced || other_source;
    if baseless {
        for statement in statements::DROP_BASE {
            sqlx::query(*statement)
                .bind(recorded.id)
                .execute(&mut *connection)
                .await?;
        }
    }
    let same_process = recorded.is_of(request) && recorded.holder == request.holder;
    let row = sqlx::query(statements::TAKE)
        .bind(recorded.id)
        .bind(request.cluster_id)
        .bind(&request.binding.namespace)
        .bind(&request.binding.name)
        .bind(request.uid)
        .bind(&table.table.schema)
        .bind(&table.table.name)
        .bind(Oid(table.oid))
        .bind(request.data_source.0)
        .bind(request.holder)
        .bind(i64::from(!same_process))
        // Pinned properties belong to a data source, progress to a table as well.
        .bind(other_source)
        .bind(baseless)
        .fetch_one(connection)
        .await?;
    granted(&row, baseless, table_replaced)
}

async fn insert(
    connection: &mut PgConnection,
    table: &TableHandle,
    request: &ClaimRequest<'_>,
) -> Result<Claim, StoreError> {
    let row = sqlx::query(statements::INSERT)
        .bind(request.cluster_id)
        .bind(&request.binding.namespace)
        .bind(&request.binding.name)
        .bind(request.uid)
        .bind(&table.table.schema)
        .bind(&table.table.name)
        .bind(Oid(table.oid))
        .bind(&table.page_id.name)
        .bind(request.data_source.0)
        .bind(request.holder)
        .fetch_one(connection)
        .await?;
    granted(&row, true, false)
}

fn granted(row: &PgRow, fresh: bool, table_replaced: bool) -> Result<Claim, StoreError> {
    Ok(Claim {
        binding_id: row.try_get("id")?,
        epoch: row.try_get("epoch")?,
        pinned: serde_json::from_value(row.try_get("pinned")?)?,
        progress: serde_json::from_value(row.try_get("progress")?)?,
        fresh,
        table_replaced,
    })
}

impl Claim {
    /// Checks the fence in a transaction that is about to write, and holds it until its end.
    pub async fn check(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let epoch: Option<i64> = sqlx::query_scalar(statements::FENCE)
            .bind(self.binding_id)
            .fetch_optional(connection)
            .await?;
        if epoch == Some(self.epoch) {
            Ok(())
        } else {
            Err(StoreError::Fenced)
        }
    }

    /// Stores the pinned properties.
    pub async fn save_pinned(
        &mut self,
        pool: &PgPool,
        pinned: Vec<PinnedProperty>,
    ) -> Result<(), StoreError> {
        let saved = sqlx::query(statements::SAVE_PINNED)
            .bind(self.binding_id)
            .bind(self.epoch)
            .bind(serde_json::to_value(&pinned)?)
            .execute(pool)
            .await?;
        if saved.rows_affected() == 0 {
            return Err(StoreError::Fenced);
        }
        self.pinned = pinned;
        Ok(())
    }
}
