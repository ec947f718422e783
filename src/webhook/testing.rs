//! In-memory ports, and a server on a real socket, for the tests of this module.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use super::ports::*;
use crate::sync::event::NewEvent;
use crate::sync::identity::{BindingRef, DataSourceId, PageId};
use crate::sync::reason::Reason;

pub(super) const KEY: &str = "secret_of_projects";

pub(super) fn source_id(n: u128) -> DataSourceId {
    DataSourceId(Uuid::from_u128(n))
}

pub(super) fn page_id(n: u128) -> PageId {
    PageId(Uuid::from_u128(n))
}

pub(super) fn name(text: &str) -> BindingRef {
    BindingRef {
        namespace: "team-a".into(),
        name: text.into(),
    }
}

fn key(secret: String, key: &str) -> SecretKeyRef {
    SecretKeyRef {
        name: secret,
        key: key.into(),
    }
}

/// A binding of data source 1 whose Secrets bear its own name.
pub(super) fn binding(text: &str) -> ReceiverBinding {
    ReceiverBinding {
        binding: name(text),
        data_source: Some(source_id(1)),
        database: None,
        authentication: Authentication {
            signature: true,
            ..Authentication::default()
        },
        on_database_error: OnDatabaseError::Acknowledge,
        verification_token_ref: Some(key(format!("{text}-webhook"), "verification-token")),
        shared_secret_ref: Some(key(format!("{text}-webhook"), "shared-secret")),
        token_ref: key(format!("{text}-notion"), "token"),
        handshake: Handshake::Closed,
        verified: true,
    }
}

pub(super) fn sign(key: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[derive(Default)]
pub(super) struct FakeDirectory {
    pub(super) unready: AtomicBool,
    pub(super) list: Mutex<Vec<Arc<ReceiverBinding>>>,
}

impl Directory for FakeDirectory {
    fn ready(&self) -> bool {
        !self.unready.load(Ordering::SeqCst)
    }

    fn bindings(&self) -> Arc<[Arc<ReceiverBinding>]> {
        self.list.lock().unwrap().clone().into()
    }
}

type SecretName = (String, String);

/// Secrets by (namespace/name, key); a Secret may lack its key.
#[derive(Default)]
pub(super) struct FakeCredentials {
    secrets: Mutex<HashMap<SecretName, Option<Vec<u8>>>>,
    pub(super) reads: AtomicUsize,
    pub(super) away: AtomicBool,
}

impl FakeCredentials {
    pub(super) fn set(&self, secret: &str, key: &str, value: &str) {
        let name = (format!("team-a/{secret}"), key.to_owned());
        self.secrets
            .lock()
            .unwrap()
            .insert(name, Some(value.as_bytes().to_vec()));
    }

    /// Creates a Secret without that key.
    pub(super) fn set_empty(&self, secret: &str, key: &str) {
        let name = (format!("team-a/{secret}"), key.to_owned());
        self.secrets.lock().unwrap().insert(name, None);
    }

    pub(super) fn remove(&self, secret: &str, key: &str) {
        self.secrets
            .lock()
            .unwrap()
            .remove(&(format!("team-a/{secret}"), key.to_owned()));
    }
}

impl Credentials for FakeCredentials {
    fn read<'a>(
        &'a self,
        namespace: &'a str,
        reference: &'a SecretKeyRef,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, CredentialsError>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let name = (
            format!("{namespace}/{}", reference.name),
            reference.key.clone(),
        );
        let read = if self.away.load(Ordering::SeqCst) {
            Err(CredentialsError { source: None })
        } else {
            Ok(self.secrets.lock().unwrap().get(&name).cloned().flatten())
        };
        async { read }.boxed()
    }

    fn store_token<'a>(
        &'a self,
        namespace: &'a str,
        reference: &'a SecretKeyRef,
        token: &'a str,
    ) -> BoxFuture<'a, Result<TokenStored, CredentialsError>> {
        let name = (
            format!("{namespace}/{}", reference.name),
            reference.key.clone(),
        );
        let mut secrets = self.secrets.lock().unwrap();
        let stored = match secrets.get_mut(&name) {
            None => TokenStored::SecretMissing,
            Some(Some(_)) => TokenStored::Conflict,
            Some(empty) => {
                *empty = Some(token.as_bytes().to_vec());
                TokenStored::Stored
            }
        };
        async move { Ok(stored) }.boxed()
    }
}

/// How the inbox of a binding behaves.
#[derive(Clone, Copy)]
pub(super) enum Mode {
    Fails(Reason),
    Hangs,
    Panics,
    Says(Accepted),
}

#[derive(Default)]
pub(super) struct FakeSink {
    pub(super) stored: Mutex<Vec<(BindingRef, NewEvent)>>,
    pub(super) links: Mutex<HashSet<(BindingRef, PageId)>>,
    pub(super) modes: Mutex<HashMap<BindingRef, Mode>>,
    pub(super) nudged: Mutex<Vec<BindingRef>>,
    pub(super) noted: Mutex<Vec<(BindingRef, Proof)>>,
    pub(super) rejected: Mutex<Vec<RejectionNote>>,
    pub(super) rejections_fail: AtomicBool,
}

impl FakeSink {
    fn insert_now(&self, binding: &BindingRef, event: &NewEvent) -> Accepted {
        let mut stored = self.stored.lock().unwrap();
        let known = |(of, each): &(BindingRef, NewEvent)| {
            of == binding && each.dedupe_key == event.dedupe_key
        };
        if stored.iter().any(known) {
            return Accepted::Duplicate;
        }
        stored.push((binding.clone(), event.clone()));
        Accepted::Queued
    }

    async fn mode(&self, binding: &BindingRef) -> Result<Option<Accepted>, SinkError> {
        let mode = self.modes.lock().unwrap().get(binding).copied();
        match mode {
            None => Ok(None),
            Some(Mode::Says(accepted)) => Ok(Some(accepted)),
            Some(Mode::Fails(reason)) => Err(SinkError {
                reason,
                source: None,
            }),
            Some(Mode::Hangs) => std::future::pending().await,
            Some(Mode::Panics) => panic!("a fault in the inbox"),
        }
    }
}

impl EventSink for FakeSink {
    fn insert<'a>(
        &'a self,
        binding: &'a BindingRef,
        event: &'a NewEvent,
    ) -> BoxFuture<'a, Result<Accepted, SinkError>> {
        async move {
            let said = self.mode(binding).await?;
            Ok(said.unwrap_or_else(|| self.insert_now(binding, event)))
        }
        .boxed()
    }

    fn is_linked<'a>(
        &'a self,
        binding: &'a BindingRef,
        page: PageId,
    ) -> BoxFuture<'a, Result<bool, SinkError>> {
        async move {
            self.mode(binding).await?;
            Ok(self
                .links
                .lock()
                .unwrap()
                .contains(&(binding.clone(), page)))
        }
        .boxed()
    }

    fn nudge(&self, binding: &BindingRef) {
        self.nudged.lock().unwrap().push(binding.clone());
    }

    fn note_event(&self, binding: &BindingRef, proof: Proof) {
        self.noted.lock().unwrap().push((binding.clone(), proof));
    }

    fn note_rejections(&self, notes: Vec<RejectionNote>) -> BoxFuture<'_, Result<(), SinkError>> {
        let fails = self.rejections_fail.load(Ordering::SeqCst);
        if !fails {
            self.rejected.lock().unwrap().extend(notes);
        }
        let reason = Reason::DatabaseUnavailable;
        async move {
            if fails {
                Err(SinkError {
                    reason,
                    source: None,
                })
            } else {
                Ok(())
            }
        }
        .boxed()
    }
}

/// Waits until `check` holds, for at most five seconds.
pub(super) async fn eventually(what: &str, check: impl Fn() -> bool) {
    for _ in 0..500 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come true");
}
