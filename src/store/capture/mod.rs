//! Change capture: triggers that tell which rows users changed (`design/state.md` §2).
//!
//! [`ensure`] runs at the start of each pass: it puts the triggers on the table and its partitions,
//! repairs what is missing, and keeps `notion_sync.captures.until` ahead. Capture is never needed for
//! correctness. Where it was not continuous, [`CaptureState::gap`] says so until [`compared`].

use jiff::Timestamp;
use sqlx::PgPool;

use super::StoreError;
use super::catalog::TableHandle;
use super::claim::Claim;
use super::postgres::time::Moment;
use crate::sync::mapping::TablePlan;
use look::Look;
use spec::CaptureSpec;

mod install;
mod listen;
mod look;
mod poll;
mod spec;

pub use listen::{ChangeListener, WakeBinding};
pub use poll::{Due, arm, disarm, due, prune, waiting};

/// How capture stands at the start of a pass.
#[expect(
    clippy::struct_excessive_bools,
    reason = "four findings, each by itself"
)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CaptureState {
    /// Whether changes of the table are recorded from now on.
    pub installed: bool,
    /// Whether another table was captured for this binding before (`TableReplaced`).
    pub replaced: bool,
    /// Whether changes may have gone unrecorded since everything was last compared: the next pass
    /// must compare everything, and then call [`compared`].
    pub gap: bool,
    /// Whether the table was emptied by a TRUNCATE since everything was last compared, also where
    /// that change was settled: the table counts as replaced (`TableReplaced`).
    pub truncated: bool,
    /// From when on capture is continuous; what [`compared`] refers to.
    since: Option<Timestamp>,
}

/// Puts capture on the table, or repairs it, or does nothing: an idle pass writes nothing here but
/// once an hour.
///
/// A role without TRIGGER simply has no capture, and a table that is locked gets it at a later pass.
///
/// # Errors
/// Postgres cannot be reached, another process has taken the binding over, or the state schema
/// cannot be used.
pub async fn ensure(
    pool: &PgPool,
    table: &TableHandle,
    plan: &TablePlan,
    claim: &Claim,
) -> Result<CaptureState, StoreError> {
    let spec = CaptureSpec::new(table, plan);
    let seen = Look::take(pool, table.oid, claim.binding_id, &spec).await?;
    if seen.is_continuous() && !seen.installable {
        if !seen.is_fresh() {
            install::extend(pool, claim).await?;
        }
        return Ok(seen.state());
    }
    if seen.function_missing {
        install::function(pool).await?;
    }
    let installable = seen.installable || seen.function_missing;
    if !seen.installed && !installable {
        tracing::debug!(
            "the role may not create triggers on the table; changes are found by comparison"
        );
        install::interrupt(pool, claim).await?;
        let seen = Look::take(pool, table.oid, claim.binding_id, &spec).await?;
        return Ok(seen.state());
    }
    let replaced = seen.replaced;
    install::install(pool, table.oid, claim, &spec).await?;
    let seen = Look::take(pool, table.oid, claim.binding_id, &spec).await?;
    Ok(CaptureState {
        replaced,
        ..seen.state()
    })
}

/// Notes that everything was compared by a pass that began after `state` was given: the gap that
/// it told of is closed, unless another one opened meanwhile, and so is a TRUNCATE that was settled.
///
/// # Errors
/// As [`ensure`].
pub async fn compared(
    pool: &PgPool,
    claim: &Claim,
    state: &CaptureState,
) -> Result<(), StoreError> {
    let Some(since) = state.since.filter(|_| state.gap || state.truncated) else {
        return Ok(());
    };
    let mut transaction = pool.begin().await?;
    claim.check(&mut transaction).await?;
    sqlx::query(
        "UPDATE notion_sync.captures SET gap = false, emptied = false
         WHERE binding_id = $1 AND since = $2",
    )
    .bind(claim.binding_id)
    .bind(Moment(since))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Ends capture for this binding and removes what was captured. With the last captured binding of
/// the database goes the function, and so every trigger, where the role may drop it.
///
/// # Errors
/// As [`ensure`].
pub async fn remove(pool: &PgPool, claim: &Claim) -> Result<(), StoreError> {
    install::remove(pool, claim).await
}
