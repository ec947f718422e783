//! How many connections are held, and which one gives way when there are too many.
//!
//! Memory is bounded by bounding connections. Those that wait for a head cost their owner nothing,
//! so they are the first to go: with thousands of silent ones open, a sender with something to say
//! is still served at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

#[derive(Debug, Default)]
struct Held {
    /// All connections that are not closed yet.
    open: usize,
    /// Those that wait for a head, by when they began to.
    waiting: BTreeMap<u64, CancellationToken>,
    /// The next number in `waiting`.
    next: u64,
}

/// All connections of a server.
#[derive(Debug)]
pub struct Connections {
    held: Mutex<Held>,
    cap: usize,
}

impl Connections {
    /// Room for `cap` connections.
    pub fn new(cap: usize) -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::default(),
            cap,
        })
    }

    /// Takes a new connection in, if need be in the place of the one that has waited longest.
    /// `None` where all are busy.
    pub fn admit(self: &Arc<Self>) -> Option<Admission> {
        let evicted = CancellationToken::new();
        let mut held = self.lock();
        if held.open >= self.cap {
            let (_, oldest) = held.waiting.pop_first()?;
            oldest.cancel();
            // It closes in a moment; its place counts as free already.
            held.open -= 1;
        }
        held.open += 1;
        let number = held.wait(&evicted);
        drop(held);
        let place = Mutex::new(Some(number));
        Some(Admission {
            connections: Arc::clone(self),
            evicted,
            place,
        })
    }

    /// Gives the place of the longest-waiting connection up; used where the process runs out of
    /// file descriptors.
    pub fn evict_one(&self) {
        let mut held = self.lock();
        if let Some((_, oldest)) = held.waiting.pop_first() {
            oldest.cancel();
            held.open -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn wait(&mut self, evicted: &CancellationToken) -> u64 {
        let number = self.next;
        self.next += 1;
        self.waiting.insert(number, evicted.clone());
        number
    }
}

/// The place of one connection; given back when dropped.
#[derive(Debug)]
pub struct Admission {
    connections: Arc<Connections>,
    /// Cancelled when the connection must close.
    pub evicted: CancellationToken,
    /// Its number while it waits.
    place: Mutex<Option<u64>>,
}

impl Admission {
    /// A request has begun: the connection cannot be evicted until it waits again.
    pub fn busy(&self) {
        let mut place = self.place();
        let mut held = self.connections.lock();
        if let Some(number) = place.take() {
            held.waiting.remove(&number);
        }
    }

    /// The request is answered.
    pub fn waiting(&self) {
        let mut place = self.place();
        let mut held = self.connections.lock();
        if place.is_none() && !self.evicted.is_cancelled() {
            *place = Some(held.wait(&self.evicted));
        }
    }

    fn place(&self) -> MutexGuard<'_, Option<u64>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.busy();
        // An evicted connection's place was given away when it was evicted.
        if !self.evicted.is_cancelled() {
            self.connections.lock().open -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_waiting_gives_way_and_busy_ones_stay() {
        let connections = Connections::new(2);
        let first = connections.admit().unwrap();
        let second = connections.admit().unwrap();
        first.busy();
        let third = connections.admit().unwrap();
        assert!(second.evicted.is_cancelled());
        assert!(!first.evicted.is_cancelled());
        drop(second);
        third.busy();
        assert!(connections.admit().is_none());
        first.waiting();
        let fourth = connections.admit().unwrap();
        assert!(first.evicted.is_cancelled());
        drop((first, third, fourth));
        assert_eq!(connections.lock().open, 0);
        assert!(connections.lock().waiting.is_empty());
    }

    #[test]
    fn being_evicted_at_the_start_of_a_request_keeps_the_count_right() {
        let connections = Connections::new(1);
        let first = connections.admit().unwrap();
        let second = connections.admit().unwrap();
        first.busy();
        first.waiting();
        drop(first);
        assert_eq!(connections.lock().open, 1);
        drop(second);
        assert_eq!(connections.lock().open, 0);
    }
}
