//! The inbox of each database, shared by receiver and controller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::inbox_poll::ByDatabase;
use crate::store::StoreError;
use crate::store::connection::{ConnectionString, Fingerprint};
use crate::store::inbox::Inbox;
use crate::store::pool::Pools;
use crate::sync::identity::BindingRef;

/// The inboxes that this process has opened.
#[derive(Debug)]
pub struct Inboxes {
    pools: Arc<Pools>,
    opened: Mutex<HashMap<Fingerprint, Inbox>>,
    homes: Mutex<HashMap<BindingRef, Fingerprint>>,
}

impl Inboxes {
    /// No inbox yet; they are opened over these pools.
    pub fn new(pools: Arc<Pools>) -> Self {
        Self {
            pools,
            opened: Mutex::default(),
            homes: Mutex::default(),
        }
    }

    /// The inbox behind this connection string, for this binding.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn open(
        &self,
        binding: &BindingRef,
        connection: &ConnectionString,
    ) -> Result<Inbox, StoreError> {
        let fingerprint = connection.fingerprint();
        self.homes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(binding.clone(), fingerprint);
        let pool = self.pools.get(connection).await?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        // A pool that was closed because its server was away is another one by now.
        if opened.get(&fingerprint).is_none_or(Inbox::is_closed) {
            opened.insert(fingerprint, Inbox::start(pool));
        }
        Ok(opened[&fingerprint].clone())
    }

    /// The inbox that a binding's events go to, if it was opened.
    pub fn of(&self, binding: &BindingRef) -> Option<Inbox> {
        let home = *self
            .homes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(binding)?;
        self.get(home)
    }

    /// The inbox of a database, if it was opened.
    pub fn get(&self, database: Fingerprint) -> Option<Inbox> {
        self.opened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&database)
            .cloned()
    }

    /// Which bindings live in which database.
    pub fn by_database(&self) -> ByDatabase {
        let homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut databases = ByDatabase::new();
        for (binding, fingerprint) in &*homes {
            databases
                .entry(*fingerprint)
                .or_default()
                .insert(binding.clone());
        }
        databases
    }

    /// Forgets a binding that is gone, and its database if nobody else lives there.
    pub fn forget(&self, binding: &BindingRef) {
        let mut homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(gone) = homes.remove(binding) else {
            return;
        };
        if !homes.values().any(|fingerprint| *fingerprint == gone) {
            self.opened
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&gone);
        }
    }
}
