//! The receiver's inbox: the database that the binding's own Secret names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use kube::ResourceExt;

use crate::controller::conditions::{self, Truth, kind};
use crate::controller::context::Context;
use crate::controller::session;
use crate::store::StoreError;
use crate::store::claim::owner;
use crate::store::connection::ConnectionString;
use crate::store::inbox::{self, Inbox, LinkTarget};
use crate::sync::event::NewEvent;
use crate::sync::identity::{BindingRef, PageId};
use crate::sync::reason::Reason;
use crate::webhook::ports::{Accepted, EventSink, Proof, RejectionNote, SinkError};

/// How long a connection string serves before its Secret is read again. After a failure it is read
/// at once: the password may have been rotated.
const FRESH: Duration = Duration::from_mins(1);

/// Stores events over the pools of the process.
pub(super) struct InboxSink {
    context: Arc<Context>,
    connections: Mutex<HashMap<BindingRef, (Instant, ConnectionString)>>,
}

impl InboxSink {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            connections: Mutex::default(),
        }
    }

    async fn inbox(&self, binding: &BindingRef) -> Result<Inbox, SinkError> {
        let connection = self.connection(binding).await?;
        let opened = self.context.inboxes.open(binding, &connection).await;
        opened.map_err(|error| self.failed(binding, error))
    }

    /// The inbox of a binding, for readers: whether it can be reached says nothing about events.
    pub(super) async fn inbox_to_read(&self, binding: &BindingRef) -> Result<Inbox, SinkError> {
        let connection = self.connection(binding).await?;
        let opened = self.context.inboxes.open(binding, &connection).await;
        opened.map_err(|error| SinkError {
            reason: Reason::DatabaseUnavailable,
            source: Some(Box::new(error)),
        })
    }

    async fn connection(&self, binding: &BindingRef) -> Result<ConnectionString, SinkError> {
        if let Some((read, connection)) = self.known().get(binding)
            && read.elapsed() < FRESH
        {
            return Ok(connection.clone());
        }
        let gone = || SinkError {
            reason: Reason::DatabaseUnavailable,
            source: None,
        };
        let object = self.context.find(binding).ok_or_else(gone)?;
        let namespace = object.namespace().unwrap_or_default();
        let read = session::connection(&self.context, &object, &namespace).await;
        match read {
            Ok(connection) => {
                self.known()
                    .insert(binding.clone(), (Instant::now(), connection.clone()));
                Ok(connection)
            }
            // While the API server is away the last one read stays good.
            Err(problem) => match self.known().get(binding) {
                Some((_, connection)) if problem.reason == Reason::InternalError => {
                    Ok(connection.clone())
                }
                _ => Err(SinkError {
                    reason: Reason::DatabaseUnavailable,
                    source: None,
                }),
            },
        }
    }

    /// Notes that events may be lost, so that the next pass is complete.
    fn failed(&self, binding: &BindingRef, error: StoreError) -> SinkError {
        self.known().remove(binding);
        self.context.nudges.worker(binding).database_was_away();
        SinkError {
            reason: Reason::DatabaseUnavailable,
            source: Some(Box::new(error)),
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<BindingRef, (Instant, ConnectionString)>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn owner(&self, binding: &BindingRef) -> String {
        owner(self.context.cluster_id(), binding)
    }
}

fn is_verified(context: &Context, binding: &BindingRef) -> bool {
    let object = context.find(binding);
    let status = object.as_ref().and_then(|object| object.status.as_ref());
    status.is_some_and(|status| {
        conditions::is(&status.conditions, kind::WEBHOOK_VERIFIED, Truth::True)
    })
}

impl EventSink for InboxSink {
    fn insert<'a>(
        &'a self,
        binding: &'a BindingRef,
        event: &'a NewEvent,
    ) -> BoxFuture<'a, Result<Accepted, SinkError>> {
        Box::pin(async move {
            let inbox = self.inbox(binding).await?;
            let stored = inbox.insert(&self.owner(binding), event.clone()).await;
            match stored.map_err(|error| self.failed(binding, error))? {
                inbox::Accepted::Queued => Ok(Accepted::Queued),
                inbox::Accepted::Duplicate => Ok(Accepted::Duplicate),
                inbox::Accepted::Skipped(skip) => Ok(Accepted::Skipped(skip)),
            }
        })
    }

    fn is_linked<'a>(
        &'a self,
        binding: &'a BindingRef,
        page: PageId,
    ) -> BoxFuture<'a, Result<bool, SinkError>> {
        Box::pin(async move {
            let inbox = self.inbox(binding).await?;
            let Some(object) = self.context.find(binding) else {
                return Ok(false);
            };
            let postgres = &object.spec.postgres;
            let target = LinkTarget {
                schema: &postgres.schema,
                table: &postgres.table,
                page_id_column: &postgres.page_id_column,
            };
            let linked = inbox.is_linked(&self.owner(binding), target, page).await;
            linked.map_err(|error| self.failed(binding, error))
        })
    }

    fn nudge(&self, binding: &BindingRef) {
        self.context.nudges.events(binding);
    }

    fn note_event(&self, binding: &BindingRef, proof: Proof) {
        let Some(inbox) = self.context.inboxes.of(binding) else {
            return;
        };
        let owner = self.owner(binding);
        let verified = proof == Proof::Signature;
        let context = Arc::clone(&self.context);
        let binding = binding.clone();
        tokio::spawn(async move {
            match inbox.note_event(&owner, verified).await {
                // The first event that verifies is shown at once, also where nothing came of it.
                Ok(()) if !is_verified(&context, &binding) => context.nudges.start(&binding),
                Ok(()) => {}
                Err(error) => {
                    tracing::debug!(error = ?error, "the time of an event could not be noted");
                }
            }
        });
    }

    fn note_rejections(&self, notes: Vec<RejectionNote>) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            for note in notes {
                let inbox = self.inbox(&note.binding).await?;
                let owner = self.owner(&note.binding);
                let count = i64::try_from(note.count).unwrap_or(i64::MAX);
                inbox
                    .note_rejections(&owner, count, note.last_reason, note.last_at)
                    .await
                    .map_err(|error| self.failed(&note.binding, error))?;
            }
            Ok(())
        })
    }
}
