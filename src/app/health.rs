//! What the admin API shows: status for the whole, the state schema for the details.

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::sink::InboxSink;
use crate::api::NotionSyncBinding;
use crate::api::status::{DriftStatus, Health as StatusHealthWord};
use crate::controller::conditions::{self, Truth, kind};
use crate::controller::context::Context;
use crate::controller::publish::health_now;
use crate::controller::watch::binding_ref;
use crate::store::claim::owner;
use crate::store::details::details;
use crate::sync::drift::{Counts, DriftCounts};
use crate::sync::identity::BindingRef;
use crate::webhook::admin::ports::{
    BindingHealth, DriftSummary, Health, HealthDetails, HealthError, HealthSource,
};

/// Answers from status and from the state schema.
pub(super) struct StatusHealth {
    context: Arc<Context>,
    sink: Arc<InboxSink>,
}

impl StatusHealth {
    pub(super) const fn new(context: Arc<Context>, sink: Arc<InboxSink>) -> Self {
        Self { context, sink }
    }
}

impl HealthSource for StatusHealth {
    fn bindings(&self) -> Vec<BindingHealth> {
        self.context
            .bindings
            .state()
            .iter()
            .map(|binding| shown(binding))
            .collect()
    }

    fn details<'a>(
        &'a self,
        binding: &'a BindingRef,
        limit: usize,
        values: bool,
    ) -> BoxFuture<'a, Result<HealthDetails, HealthError>> {
        Box::pin(async move {
            // Another replica may be the one that works on the binding: this one opens its database
            // for the first time here.
            let inbox = self.sink.inbox_to_read(binding).await;
            let inbox = inbox.map_err(|error| HealthError {
                source: Some(Box::new(error)),
            })?;
            let owner = owner(self.context.cluster_id(), binding);
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let found = details(inbox.pool(), &owner, limit, values).await;
            let found = found.map_err(|error| HealthError {
                source: Some(Box::new(error)),
            })?;
            Ok(HealthDetails {
                discrepancies: found.discrepancies,
                orphaned_pages: found.orphaned_pages,
                plain_keys: found.plain_keys,
                truncated: found.truncated,
            })
        })
    }
}

fn shown(binding: &NotionSyncBinding) -> BindingHealth {
    let status = binding.status.clone().unwrap_or_default();
    let ready = conditions::find(&status.conditions, kind::READY);
    BindingHealth {
        binding: binding_ref(binding),
        health: health(health_now(binding)),
        ready: ready.is_some_and(|ready| conditions::truth_of(ready) == Truth::True),
        reason: ready.map(|ready| ready.reason.clone()).unwrap_or_default(),
        message: ready.map(|ready| ready.message.clone()).unwrap_or_default(),
        counts: status.counts.map(|counts| Counts {
            pages: counts.pages,
            rows: counts.rows,
            linked: counts.linked,
        }),
        drift: status.drift.map(|drift| summary(&drift)),
        last_sync: time(status.last_sync_time),
        last_full_scan: time(status.last_full_scan_time),
    }
}

const fn health(health: StatusHealthWord) -> Health {
    match health {
        StatusHealthWord::Healthy => Health::Healthy,
        StatusHealthWord::Suspended => Health::Suspended,
        StatusHealthWord::Unknown => Health::Unknown,
        StatusHealthWord::Degraded => Health::Degraded,
        StatusHealthWord::Failing => Health::Failing,
    }
}

fn summary(drift: &DriftStatus) -> DriftSummary {
    DriftSummary {
        counts: DriftCounts {
            mismatched: drift.mismatched,
            orphaned_pages: drift.orphaned_pages,
            unlinked_rows: drift.unlinked_rows,
            missing_pages: drift.missing_pages,
            conflicts: drift.conflicts,
            failed: drift.failed,
            held: drift.held.count,
        },
        held_token: None,
        checked_at: time(drift.checked_at.clone()),
    }
}

fn time(time: Option<Time>) -> Option<Timestamp> {
    time.map(|time| time.0)
}
