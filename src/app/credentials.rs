//! The receiver's Secrets, read through the API server by name.

use std::sync::Arc;

use futures::future::BoxFuture;
use secrecy::SecretString;

use crate::api::SecretKey;
use crate::controller::context::Context;
use crate::controller::secrets::{SecretError, SecretRead, Stored};
use crate::webhook::ports::{Credentials, CredentialsError, SecretKeyRef, TokenStored};

/// Reads and, for the handshake, writes keys of Secrets.
pub(super) struct SecretCredentials {
    context: Arc<Context>,
}

impl SecretCredentials {
    pub(super) const fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

impl Credentials for SecretCredentials {
    fn read<'a>(
        &'a self,
        namespace: &'a str,
        reference: &'a SecretKeyRef,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, CredentialsError>> {
        Box::pin(async move {
            let read = self.context.secrets.read(namespace, &key(reference)).await;
            Ok(match read.map_err(unreachable_secret)? {
                SecretRead::MissingSecret | SecretRead::MissingKey(_) => None,
                SecretRead::Found(value) => Some(value.bytes().to_vec()),
            })
        })
    }

    fn store_token<'a>(
        &'a self,
        namespace: &'a str,
        reference: &'a SecretKeyRef,
        token: &'a str,
    ) -> BoxFuture<'a, Result<TokenStored, CredentialsError>> {
        Box::pin(async move {
            let token = SecretString::from(token);
            let stored = self
                .context
                .secrets
                .store(namespace, &key(reference), &token)
                .await;
            Ok(match stored.map_err(unreachable_secret)? {
                Stored::Stored => TokenStored::Stored,
                Stored::MissingSecret => TokenStored::SecretMissing,
                Stored::AlreadySet | Stored::Raced => TokenStored::Conflict,
            })
        })
    }
}

fn key(reference: &SecretKeyRef) -> SecretKey {
    SecretKey {
        name: reference.name.clone(),
        key: reference.key.clone(),
    }
}

fn unreachable_secret(error: SecretError) -> CredentialsError {
    CredentialsError {
        source: Some(Box::new(error)),
    }
}
