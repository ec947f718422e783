//! Ways to start a pass early.
//!
//! A nudge is a hint and may be lost: whatever it announces is also found by the next poll or the
//! next interval.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::Stream;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;

use super::worker::Worker;
use crate::api::NotionSyncBinding;
use crate::engine::PageLocks;
use crate::sync::identity::BindingRef;

/// The workers of this process and the queue that starts them.
#[derive(Debug)]
pub struct Nudges {
    workers: Mutex<HashMap<BindingRef, Arc<Worker>>>,
    queue: Mutex<mpsc::UnboundedSender<ObjectRef<NotionSyncBinding>>>,
    /// The pages that are being written to, by whichever binding.
    writes: Arc<PageLocks>,
}

impl Default for Nudges {
    fn default() -> Self {
        let (queue, _) = mpsc::unbounded_channel();
        Self {
            workers: Mutex::default(),
            queue: Mutex::new(queue),
            writes: Arc::default(),
        }
    }
}

impl Nudges {
    /// The queue of a new term of leadership. The one before it ends.
    pub fn subscribe(&self) -> impl Stream<Item = ObjectRef<NotionSyncBinding>> + Send + use<> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = sender;
        futures::stream::poll_fn(move |context| receiver.poll_recv(context))
    }

    /// Asks for a pass of this binding. Where nobody listens (this replica does not lead), nothing
    /// happens.
    pub fn start(&self, binding: &BindingRef) {
        let object = ObjectRef::new(&binding.name).within(&binding.namespace);
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        // The receiver is gone between two terms of leadership; the next one starts every binding.
        let _ = queue.send(object);
    }

    /// Says that events wait: to a pass that is running, and to the queue.
    pub fn events(&self, binding: &BindingRef) {
        self.worker(binding).signals.events.notify_one();
        self.start(binding);
    }

    /// The worker of this binding.
    pub fn worker(&self, binding: &BindingRef) -> Arc<Worker> {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Worker::new(Arc::clone(&self.writes)));
        Arc::clone(workers.entry(binding.clone()).or_insert_with(new))
    }

    /// Forgets a binding that is gone.
    pub fn forget(&self, binding: &BindingRef) {
        self.workers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(binding);
    }

    /// Forgets every worker: a new term of leadership trusts nothing of the one before.
    pub fn forget_all(&self) {
        self.workers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
