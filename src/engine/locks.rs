//! One write in flight per page, across all bindings of the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as PageMutex, OwnedMutexGuard};

use crate::sync::identity::PageId;

/// The pages that somebody writes to.
#[derive(Debug, Default)]
pub struct PageLocks {
    pages: Mutex<HashMap<PageId, Weak<PageMutex<()>>>>,
}

impl PageLocks {
    /// Waits until nobody else writes to the page.
    pub(super) async fn lock(&self, page: PageId) -> OwnedMutexGuard<()> {
        let lock = self.of(page);
        lock.lock_owned().await
    }

    fn of(&self, page: PageId) -> Arc<PageMutex<()>> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = pages.get(&page).and_then(Weak::upgrade) {
            return lock;
        }
        // Locks that nobody holds any more go as soon as a new one is needed.
        pages.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(PageMutex::new(()));
        pages.insert(page, Arc::downgrade(&lock));
        lock
    }
}
