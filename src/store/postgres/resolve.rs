//! A person's decision about conflicts, as the annotation gives it: the same statement that a person
//! would run. Whoever handles the pair next carries it out.

use super::PostgresBinding;
use crate::store::StoreError;

/// The side whose value is to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Winner {
    /// Notion's.
    Notion,
    /// The row's.
    Postgres,
}

/// One decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolution {
    /// The conflict's number; `None` is every open one.
    pub conflict: Option<i64>,
    /// Whose value is to stand.
    pub winner: Winner,
}

impl PostgresBinding {
    /// Notes decisions at open conflicts of this binding, in order: a later one wins. Returns how many
    /// conflicts they concern; numbers of other bindings' conflicts are left alone.
    ///
    /// # Errors
    /// Postgres cannot be reached, or another process has taken the binding over.
    pub async fn resolve(&self, resolutions: &[Resolution]) -> Result<u64, StoreError> {
        if resolutions.is_empty() {
            return Ok(0);
        }
        let mut transaction = self.begin().await?;
        let mut concerned = 0;
        for resolution in resolutions {
            let winner = match resolution.winner {
                Winner::Notion => "Notion",
                Winner::Postgres => "Postgres",
            };
            let updated = sqlx::query(
                "UPDATE notion_sync.conflicts SET resolution = $3
                 WHERE binding_id = $1 AND closed_at IS NULL AND ($2::bigint IS NULL OR id = $2)",
            )
            .bind(self.claim.binding_id)
            .bind(resolution.conflict)
            .bind(winner)
            .execute(&mut *transaction)
            .await?;
            concerned += updated.rows_affected();
        }
        transaction.commit().await?;
        Ok(concerned)
    }
}
