//! Keys of Secrets, cached for each replica (`design/receiver.md` §1).
//!
//! A key is read at most once in `fresh` (60 s), and once more when it does not match, at most every
//! `reread` (5 s): a rotated key works within seconds, and forged requests cannot turn into load on
//! the API server. While the API server is away the last keys read stay valid.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretSlice};
use tokio::time::{Instant, timeout};

use super::ports::{Credentials, SecretKeyRef};

/// Entries beyond which those that nobody asked for are dropped.
const SWEEP_ABOVE: usize = 1024;
/// An entry that was not used for this long may be dropped.
const UNUSED: Duration = Duration::from_mins(10);

/// One key; wiped when dropped.
pub struct Key(SecretSlice<u8>);

impl Key {
    /// The key's bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// What a Secret's key held when it was last read.
#[derive(Debug, Clone)]
pub struct Keys {
    /// One key for each line that is not blank; empty where there is no Secret, key or content.
    pub keys: Arc<[Key]>,
    /// Whether it was ever read. If not, nothing follows from `keys` being empty.
    pub known: bool,
    /// When it was last read.
    read_at: Option<Instant>,
}

impl Keys {
    /// When it was last read, for choosing what to read again first.
    pub const fn read_at(&self) -> Option<Instant> {
        self.read_at
    }
}

/// How long what was read counts.
#[derive(Debug, Clone, Copy)]
pub struct Freshness {
    /// How long it is used without reading again.
    pub fresh: Duration,
    /// The shortest time between two reads.
    pub reread: Duration,
    /// How long one read may take.
    pub read: Duration,
}

struct State {
    keys: Keys,
    tried_at: Option<Instant>,
}

struct Entry {
    state: tokio::sync::Mutex<State>,
    used_at: Mutex<Instant>,
}

type EntryName = (String, SecretKeyRef);

/// The cache.
pub struct KeyCache {
    credentials: Arc<dyn Credentials>,
    freshness: Freshness,
    entries: Mutex<HashMap<EntryName, Arc<Entry>>>,
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCache").finish_non_exhaustive()
    }
}

impl KeyCache {
    /// An empty cache over `credentials`.
    pub fn new(credentials: Arc<dyn Credentials>, freshness: Freshness) -> Self {
        Self {
            credentials,
            freshness,
            entries: Mutex::default(),
        }
    }

    /// The keys behind a reference, read if what is cached is too old.
    pub async fn get(&self, namespace: &str, reference: &SecretKeyRef) -> Keys {
        let entry = self.entry(namespace, reference);
        let mut state = entry.state.lock().await;
        let age = state.keys.read_at.map(|at| at.elapsed());
        if age.is_none_or(|age| age >= self.freshness.fresh) && self.may_read(&state) {
            self.read(&mut state, namespace, reference).await;
        }
        state.keys.clone()
    }

    /// The keys behind a reference after `seen` did not match, or `None` if nothing newer may be had
    /// now.
    pub async fn reread(
        &self,
        namespace: &str,
        reference: &SecretKeyRef,
        seen: &Keys,
    ) -> Option<Keys> {
        let entry = self.entry(namespace, reference);
        let mut state = entry.state.lock().await;
        if state.keys.read_at == seen.read_at && self.may_read(&state) {
            self.read(&mut state, namespace, reference).await;
        }
        (state.keys.read_at != seen.read_at).then(|| state.keys.clone())
    }

    /// Makes the next [`Self::get`] read again.
    pub async fn forget(&self, namespace: &str, reference: &SecretKeyRef) {
        let entry = self.entry(namespace, reference);
        let mut state = entry.state.lock().await;
        state.keys.read_at = None;
        state.tried_at = None;
    }

    fn may_read(&self, state: &State) -> bool {
        state
            .tried_at
            .is_none_or(|at| at.elapsed() >= self.freshness.reread)
    }

    /// A failed read leaves what is known, and counts as a try.
    async fn read(&self, state: &mut State, namespace: &str, reference: &SecretKeyRef) {
        // Noted before, so that being dropped in the middle counts as a try as well.
        state.tried_at = Some(Instant::now());
        let read = timeout(
            self.freshness.read,
            self.credentials.read(namespace, reference),
        )
        .await;
        match read {
            Ok(Ok(value)) => {
                state.keys = Keys {
                    keys: value
                        .map(SecretSlice::from)
                        .map_or_else(no_keys, |value| lines(&value)),
                    known: true,
                    read_at: Some(Instant::now()),
                };
            }
            Ok(Err(error)) => tracing::debug!(
                binding.namespace = namespace,
                error = %error,
                "a webhook key could not be read"
            ),
            Err(_) => tracing::debug!(
                binding.namespace = namespace,
                "reading a webhook key took too long"
            ),
        }
    }

    fn entry(&self, namespace: &str, reference: &SecretKeyRef) -> Arc<Entry> {
        let now = Instant::now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() > SWEEP_ABOVE {
            entries.retain(|_, entry| now.duration_since(*used_at(entry)) < UNUSED);
        }
        let entry = entries
            .entry((namespace.to_owned(), reference.clone()))
            .or_insert_with(|| Arc::new(Entry::new(now)));
        *used_at(entry) = now;
        Arc::clone(entry)
    }
}

fn used_at(entry: &Entry) -> std::sync::MutexGuard<'_, Instant> {
    entry.used_at.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Entry {
    fn new(now: Instant) -> Self {
        let keys = Keys {
            keys: no_keys(),
            known: false,
            read_at: None,
        };
        let state = tokio::sync::Mutex::new(State {
            keys,
            tried_at: None,
        });
        Self {
            state,
            used_at: Mutex::new(now),
        }
    }
}

fn no_keys() -> Arc<[Key]> {
    Arc::new([])
}

fn lines(value: &SecretSlice<u8>) -> Arc<[Key]> {
    value
        .expose_secret()
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .map(|line| Key(line.to_vec().into()))
        .collect()
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
