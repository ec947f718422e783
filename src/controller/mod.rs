//! The Kubernetes side: watches bindings, runs passes, writes status.
//!
//! A path to read: `watch` (one watch fills the store and starts passes) → `reconcile` (the stages of
//! one pass) → `session` (opens both sides) → `engine` (the pass) → `publish` (status, events,
//! metrics). Everything else here starts passes early: `secret_poll`, `inbox_poll`, `ears`, `nudge`.

mod asked;
pub mod conditions;
pub mod context;
pub mod ears;
pub mod events;
pub mod findings;
pub mod inbox_poll;
pub mod inboxes;
pub mod lease;
pub mod nudge;
pub mod publish;
pub mod reconcile;
pub mod relations;
mod resolving;
pub mod schedule;
pub mod secret_poll;
pub mod secrets;
pub mod session;
pub mod status;
mod status_parts;
#[cfg(test)]
mod status_tests;
pub mod status_writer;
pub mod validate;
pub mod watch;
mod webhook_check;
pub mod worker;
pub mod writers;

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt, stream};
use kube::runtime::Controller;
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::watch as channel;
use tokio_util::sync::CancellationToken;

use self::context::Context;
use self::lease::Leadership;
use crate::api::NotionSyncBinding;
use crate::metrics::{ControllerLabel, ReconcileLabels};
use crate::sync::identity::BindingRef;
use crate::sync::reason::Reason;

/// The controller's name in metrics.
const NAME: &str = "notionsyncbinding";
/// How long passes may go on after SIGTERM; shorter than the pod's grace period.
const DRAIN: Duration = Duration::from_secs(10);
/// When a binding whose reconcile panicked is tried again.
const AFTER_PANIC: Duration = Duration::from_mins(1);

/// Works on bindings while this replica leads, until the token is cancelled. Losing the Lease ends
/// passes, never the process.
pub async fn run(
    context: Arc<Context>,
    mut leadership: channel::Receiver<Leadership>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let leads = tokio::select! {
            leads = leadership.wait_for(Leadership::leads) => leads.is_ok(),
            () = stop.cancelled() => return,
        };
        if !leads {
            return;
        }
        tracing::info!("this replica leads");
        let term = lead(Arc::clone(&context), stop.clone());
        tokio::select! {
            () = term => {}
            lost = leadership.wait_for(|state| !state.leads()) => {
                if lost.is_ok() {
                    tracing::warn!("this replica does not lead any more");
                }
            }
        }
        context.nudges.forget_all();
        context.metrics.forget_bindings();
    }
}

/// One term of leadership. Dropping it ends every pass at once.
async fn lead(context: Arc<Context>, stop: CancellationToken) {
    let queue = context.nudges.subscribe();
    for binding in context.bindings.state() {
        context.nudges.start(&watch::binding_ref(&binding));
    }
    let reader = context.bindings.clone();
    let stopping = stop.clone();
    let passes = Controller::for_stream(stream::pending(), reader)
        .reconcile_on(queue)
        .graceful_shutdown_on(async move { stopping.cancelled().await })
        .run(
            observed,
            |_, _: &Infallible, _| Action::await_change(),
            Arc::clone(&context),
        )
        .for_each(|outcome| {
            if let Err(controller::Error::ObjectNotFound(object)) = outcome {
                let namespace = object.namespace.clone().unwrap_or_default();
                let name = object.name.clone();
                forget(&context, &BindingRef { namespace, name });
            }
            std::future::ready(())
        });
    let polls = async {
        tokio::join!(
            secret_poll::run(Arc::clone(&context)),
            inbox_poll::run(Arc::clone(&context))
        )
    };
    let deadline = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        () = passes => {}
        _ = polls => {}
        () = deadline => {}
    }
}

/// Lets go of what the last pass of a binding that is gone left behind, and starts those that wait
/// for its table. That pass has ended: the queue keeps to one at a time.
fn forget(context: &Context, gone: &BindingRef) {
    if context.find(gone).is_some() {
        // Another one of that name came meanwhile.
        return;
    }
    context.nudges.forget(gone);
    context.inboxes.forget(gone);
    for binding in context.bindings.state() {
        let status = binding.status.as_ref();
        let conditions = status.map(|status| status.conditions.as_slice());
        let stalled = conditions::find(conditions.unwrap_or_default(), conditions::kind::STALLED);
        let waits = [Reason::TableAlreadyBound, Reason::PropertyAlreadyWritten];
        if stalled.is_some_and(|is| waits.iter().any(|reason| is.reason == reason.as_str())) {
            let waiting = watch::binding_ref(&binding);
            context.nudges.worker(&waiting).holder_changed();
            context.nudges.start(&waiting);
        }
    }
}

/// A reconcile with its metrics, and with a panic kept to itself.
async fn observed(
    binding: Arc<NotionSyncBinding>,
    context: Arc<Context>,
) -> Result<Action, Infallible> {
    let started = Instant::now();
    let object = ObjectRef::from_obj(&*binding);
    let pass = AssertUnwindSafe(reconcile::reconcile(binding, Arc::clone(&context)));
    let (action, result) = if let Ok(action) = pass.catch_unwind().await {
        (action, "success")
    } else {
        tracing::error!(binding = %object, "a reconcile panicked");
        (Action::requeue(AFTER_PANIC), "panic")
    };
    context.vitals.beat();
    let metrics = &context.metrics;
    metrics
        .reconcile
        .get_or_create(&ReconcileLabels::new(NAME, result))
        .inc();
    let seconds = metrics
        .reconcile_seconds
        .get_or_create(&ControllerLabel::new(NAME));
    seconds.observe(started.elapsed().as_secs_f64());
    Ok(action)
}
