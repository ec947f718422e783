//! Which bindings a request is admitted to (`design/receiver.md` §1).
//!
//! One binding is judged at its own path, all of them at the shared path, by the same rule: a
//! binding admits a request by one of its own credentials only, and a request with the signature
//! header is judged by it alone. Distinct keys are each tried once.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream;
use futures::{FutureExt, StreamExt};

use super::keys::{KeyCache, Keys};
use super::ports::{Authentication, Proof, ReceiverBinding, SecretKeyRef};
use super::reply::Refusal;
use super::signature::{Bearer, Signature};

/// Secrets read at once for one request.
const PARALLEL_READS: usize = 16;
/// Bodies from this size on let other requests run between two keys.
const LARGE_BODY: usize = 16 * 1024;

/// The credentials of a request, and the bytes that they vouch for.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// The signature header.
    pub signature: Signature,
    /// The `Authorization` header.
    pub bearer: Bearer<'a>,
    /// The raw body.
    pub body: &'a [u8],
}

/// What a binding says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is admitted.
    Admitted(Proof),
    /// It is not.
    Refused(Refusal),
    /// The binding's keys have never been read and cannot be read now.
    Undecided,
}

/// How a binding is to judge a request.
enum Way<'a> {
    Decided(Verdict),
    Check {
        proof: Proof,
        reference: &'a SecretKeyRef,
        otherwise: Verdict,
    },
}

/// Judges requests.
#[derive(Debug)]
pub struct Gate {
    /// The keys of all bindings.
    pub keys: KeyCache,
    /// The operator's `--allow-unverified-webhooks`.
    pub allow_unverified: bool,
    /// How many keys one request that matches none may have read again.
    pub rereads: usize,
}

impl Gate {
    /// The verdict of each binding, in order.
    pub async fn judge(
        &self,
        bindings: &[Arc<ReceiverBinding>],
        presented: Presented<'_>,
    ) -> Vec<Verdict> {
        let ways: Vec<_> = bindings
            .iter()
            .map(|binding| self.way(binding, presented))
            .collect();
        let mut checks = Vec::new();
        for (index, way) in ways.iter().enumerate() {
            if let Way::Check {
                reference, proof, ..
            } = way
            {
                checks.push(Check {
                    index,
                    proof: *proof,
                    reference,
                    namespace: &bindings[index].binding.namespace,
                });
            }
        }
        let mut keys = self.read(&checks).await;
        let mut hits = hits(&checks, &keys, presented).await;
        if !hits.contains(&true) && self.read_again(&checks, &mut keys).await {
            hits = self::hits(&checks, &keys, presented).await;
        }
        let mut verdicts: Vec<_> = ways.into_iter().map(Way::unless_checked).collect();
        for ((check, keys), hit) in checks.iter().zip(&keys).zip(hits) {
            if hit {
                verdicts[check.index] = Verdict::Admitted(check.proof);
            } else if !keys.known && matches!(verdicts[check.index], Verdict::Refused(_)) {
                verdicts[check.index] = Verdict::Undecided;
            }
        }
        verdicts
    }

    async fn read(&self, checks: &[Check<'_>]) -> Vec<Keys> {
        let reads: Vec<BoxFuture<'_, Keys>> = checks
            .iter()
            .map(|each| self.keys.get(each.namespace, each.reference).boxed())
            .collect();
        stream::iter(reads).buffered(PARALLEL_READS).collect().await
    }

    /// Reads the keys that were read longest ago once more; whether any came out newer.
    async fn read_again(&self, checks: &[Check<'_>], keys: &mut [Keys]) -> bool {
        let mut order: Vec<usize> = (0..checks.len()).collect();
        order.sort_by_key(|at| keys[*at].read_at());
        order.truncate(self.rereads);
        let mut reads: Vec<BoxFuture<'_, Option<Keys>>> = Vec::with_capacity(order.len());
        for at in &order {
            let Check {
                namespace,
                reference,
                ..
            } = checks[*at];
            let seen = keys[*at].clone();
            reads.push(async move { self.keys.reread(namespace, reference, &seen).await }.boxed());
        }
        let newer: Vec<_> = stream::iter(reads).buffered(PARALLEL_READS).collect().await;
        let mut any = false;
        for (at, newer) in order.into_iter().zip(newer) {
            if let Some(newer) = newer {
                keys[at] = newer;
                any = true;
            }
        }
        any
    }

    fn way<'a>(&self, binding: &'a ReceiverBinding, presented: Presented<'_>) -> Way<'a> {
        let listed = binding.authentication;
        let unverified =
            (listed.none && self.allow_unverified).then_some(Verdict::Admitted(Proof::Unverified));
        let or_unverified = |refusal| Way::Decided(unverified.unwrap_or(Verdict::Refused(refusal)));
        match (presented.signature, presented.bearer) {
            // Where no signature is expected there is nothing to judge it by, and `None` asks for
            // nothing.
            (Signature::Malformed | Signature::Claimed(_), _) if !listed.signature => {
                or_unverified(Refusal::SignatureInvalid)
            }
            (Signature::Claimed(_), _) => Way::check(
                Proof::Signature,
                binding.verification_token_ref.as_ref(),
                Verdict::Refused(Refusal::SignatureInvalid),
            ),
            (Signature::Malformed, _) => Way::Decided(Verdict::Refused(Refusal::SignatureInvalid)),
            (Signature::Absent, Bearer::Presented(_)) if listed.shared_secret => Way::check(
                Proof::SharedSecret,
                binding.shared_secret_ref.as_ref(),
                unverified.unwrap_or(Verdict::Refused(Refusal::SecretInvalid)),
            ),
            (Signature::Absent, Bearer::Malformed) if listed.shared_secret => {
                or_unverified(Refusal::SecretInvalid)
            }
            (Signature::Absent, _) => or_unverified(nothing_sent(listed)),
        }
    }
}

impl<'a> Way<'a> {
    fn check(proof: Proof, reference: Option<&'a SecretKeyRef>, otherwise: Verdict) -> Self {
        match reference {
            Some(reference) => Self::Check {
                proof,
                reference,
                otherwise,
            },
            None => Self::Decided(otherwise),
        }
    }

    fn unless_checked(self) -> Verdict {
        match self {
            Self::Decided(verdict)
            | Self::Check {
                otherwise: verdict, ..
            } => verdict,
        }
    }
}

/// What a request without a credential is told.
const fn nothing_sent(listed: Authentication) -> Refusal {
    if listed.shared_secret && !listed.signature {
        Refusal::SecretInvalid
    } else {
        Refusal::SignatureMissing
    }
}

/// A binding whose keys must be tried.
#[derive(Clone, Copy)]
struct Check<'a> {
    index: usize,
    proof: Proof,
    reference: &'a SecretKeyRef,
    namespace: &'a str,
}

/// For each check, whether one of its keys accepts the request.
async fn hits(checks: &[Check<'_>], keys: &[Keys], presented: Presented<'_>) -> Vec<bool> {
    let mut tried: HashMap<(bool, &[u8]), bool> = HashMap::new();
    let mut hits = Vec::with_capacity(checks.len());
    for (check, keys) in checks.iter().zip(keys) {
        let mut hit = false;
        for key in keys.keys.iter().map(super::keys::Key::bytes) {
            let signed = check.proof == Proof::Signature;
            let matched = if let Some(matched) = tried.get(&(signed, key)) {
                *matched
            } else {
                if presented.body.len() >= LARGE_BODY {
                    tokio::task::yield_now().await;
                }
                let matched = if signed {
                    presented.signature.verifies(key, presented.body)
                } else {
                    presented.bearer.matches(key)
                };
                tried.insert((signed, key), matched);
                matched
            };
            hit |= matched;
        }
        hits.push(hit);
    }
    hits
}

/// What a request that no binding admits is told at the shared path.
pub fn refusal_of_all(
    bindings: &[Arc<ReceiverBinding>],
    verdicts: &[Verdict],
    presented: Presented<'_>,
) -> Refusal {
    let with_secret = |binding: &Arc<ReceiverBinding>| binding.authentication.shared_secret;
    let only_secret =
        |binding: &Arc<ReceiverBinding>| with_secret(binding) && !binding.authentication.signature;
    if verdicts.contains(&Verdict::Undecided) {
        return Refusal::KeysUnavailable;
    }
    let bearer_counts = !matches!(presented.bearer, Bearer::Absent);
    if presented.signature != Signature::Absent {
        Refusal::SignatureInvalid
    } else if (bearer_counts && bindings.iter().any(with_secret))
        || (!bindings.is_empty() && bindings.iter().all(only_secret))
    {
        Refusal::SecretInvalid
    } else {
        Refusal::SignatureMissing
    }
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
