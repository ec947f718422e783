//! Who asks, and what they may see (`design/receiver.md` §5).
//!
//! The static token sees everything. Any other is reviewed by the API server: first whose it is,
//! then, for each namespace, what it may get there. Answers are kept for at most 10 s under the hash
//! of the token; a review that fails is a refusal and is not kept.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::ports::{Identity, Reviewer, Right};
use crate::webhook::limits::Limits;
use crate::webhook::signature::Bearer;

/// Answers kept of each kind; beyond it all are dropped, since guessing tokens must not cost memory.
const KEPT: usize = 4096;
/// Reviews under way at once: guessing tokens must not become load on the API server.
const PARALLEL_REVIEWS: usize = 8;

type TokenHash = [u8; 32];

/// Somebody whose token was accepted.
#[derive(Clone)]
pub(super) enum Caller {
    /// The holder of the static token.
    Static,
    /// Somebody whom the API server knows.
    Reviewed(TokenHash, Arc<Identity>),
}

/// Judges callers.
pub(super) struct Access {
    reviewer: Arc<dyn Reviewer>,
    time: Duration,
    slots: Semaphore,
    identities: Cache<TokenHash, Option<Arc<Identity>>>,
    rights: Cache<(TokenHash, String, Right), bool>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

impl Access {
    /// An empty cache over `reviewer`.
    pub(super) fn new(reviewer: Arc<dyn Reviewer>, limits: &Limits) -> Self {
        Self {
            reviewer,
            time: limits.review,
            slots: Semaphore::new(PARALLEL_REVIEWS),
            identities: Cache::new(limits.review_cache),
            rights: Cache::new(limits.review_cache),
        }
    }

    /// Who presents this token, if it is accepted.
    pub(super) async fn caller(&self, bearer: Bearer<'_>) -> Option<Caller> {
        let Bearer::Presented(token) = bearer else {
            return None;
        };
        let known = self.reviewer.static_token();
        if known.is_some_and(|known| bearer.matches(known.expose_secret().trim_ascii())) {
            return Some(Caller::Static);
        }
        let hash: TokenHash = Sha256::digest(token).into();
        if let Some(identity) = self.identities.get(&hash) {
            return identity.map(|identity| Caller::Reviewed(hash, identity));
        }
        let token = std::str::from_utf8(token).ok()?;
        let identity = self
            .reviewed(self.reviewer.review_token(token))
            .await?
            .map(Arc::new);
        self.identities.put(hash, identity.clone());
        identity.map(|identity| Caller::Reviewed(hash, identity))
    }

    /// Whether the caller has the right in the namespace.
    pub(super) async fn may(&self, caller: &Caller, namespace: &str, right: Right) -> bool {
        let Caller::Reviewed(hash, identity) = caller else {
            return true;
        };
        let key = (*hash, namespace.to_owned(), right);
        if let Some(allowed) = self.rights.get(&key) {
            return allowed;
        }
        let review = self.reviewer.may(identity, namespace, right);
        match self.reviewed(review).await {
            Some(allowed) => {
                self.rights.put(key, allowed);
                allowed
            }
            None => false,
        }
    }

    /// The answer of a review; `None` if it failed or took too long.
    async fn reviewed<T>(
        &self,
        review: impl Future<Output = Result<T, super::ports::ReviewError>>,
    ) -> Option<T> {
        let answer = timeout(self.time, async {
            let _slot = self.slots.acquire().await.ok()?;
            review
                .await
                .inspect_err(|error| tracing::warn!(error = %error, "an access review failed"))
                .ok()
        });
        answer.await.ok().flatten()
    }
}

/// Answers, each kept for the same time.
struct Cache<K, V> {
    kept: Mutex<HashMap<K, (Instant, V)>>,
    time: Duration,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    fn new(time: Duration) -> Self {
        Self {
            kept: Mutex::default(),
            time,
        }
    }

    fn get(&self, key: &K) -> Option<V> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, value) = kept.get(key)?;
        (at.elapsed() < self.time).then(|| value.clone())
    }

    fn put(&self, key: K, value: V) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, (Instant::now(), value));
    }
}
