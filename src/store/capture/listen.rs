//! The ear of a database: one connection that listens for captured changes.
//!
//! It only makes things fast. What it misses is found by the poll, which also arms capture again
//! once nothing waits; capture is armed only while somebody listens.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::task::JoinHandle;

use super::poll::disarm;
use crate::store::StoreError;
use crate::sync::identity::BindingRef;

/// The channel of the trigger function; a payload is the id of a claim.
const CHANNEL: &str = "notion_sync";

/// How long a connection that failed is left alone.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What to do with a binding whose changes were announced.
pub type WakeBinding = Arc<dyn Fn(BindingRef) + Send + Sync>;

/// One listening connection; dropping it ends it.
pub struct ChangeListener {
    pool: PgPool,
    listens: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl fmt::Debug for ChangeListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeListener")
            .field("listens", &self.listens())
            .finish_non_exhaustive()
    }
}

impl ChangeListener {
    /// Listens on a connection of this pool, for the bindings of this cluster, until it is dropped.
    pub fn start(pool: PgPool, cluster_id: String, wake: WakeBinding) -> Self {
        let listens = Arc::new(AtomicBool::new(false));
        let ear = Ear {
            pool: pool.clone(),
            cluster_id,
            wake,
            listens: Arc::clone(&listens),
        };
        Self {
            pool,
            listens,
            task: tokio::spawn(ear.run()),
        }
    }

    /// Whether announcements are heard now.
    pub fn listens(&self) -> bool {
        self.listens.load(Ordering::Acquire)
    }

    /// Whether its pool was closed, because the server was away; another one is to be started.
    pub fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }
}

impl Drop for ChangeListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Ear {
    pool: PgPool,
    cluster_id: String,
    wake: WakeBinding,
    listens: Arc<AtomicBool>,
}

impl Ear {
    async fn run(self) {
        while !self.pool.is_closed() {
            if let Err(error) = self.listen().await {
                tracing::debug!(error = ?error, "captured changes cannot be listened for");
            }
            self.listens.store(false, Ordering::Release);
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    async fn listen(&self) -> Result<(), StoreError> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(CHANNEL).await?;
        self.listens.store(true, Ordering::Release);
        // `None` is a connection that was lost.
        while let Some(notification) = listener.try_recv().await? {
            let mut told: Vec<i64> = notification.payload().parse().into_iter().collect();
            while let Some(more) = listener.next_buffered() {
                told.extend(more.payload().parse::<i64>());
            }
            told.sort_unstable();
            told.dedup();
            self.heard(&told).await?;
        }
        Ok(())
    }

    async fn heard(&self, told: &[i64]) -> Result<(), StoreError> {
        disarm(&self.pool, told).await?;
        let bindings: Vec<(String, String)> = sqlx::query_as(
            "SELECT namespace, name FROM notion_sync.bindings
             WHERE id = ANY ($1) AND cluster_id = $2",
        )
        .bind(told)
        .bind(&self.cluster_id)
        .fetch_all(&self.pool)
        .await?;
        for (namespace, name) in bindings {
            (self.wake)(BindingRef { namespace, name });
        }
        Ok(())
    }
}
