//! Finds events that another replica stored, events whose time has come, and databases that went
//! away or came back: one question a second to each database, not to each binding.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::context::Context;
use crate::metrics::StateLabel;
use crate::store::connection::Fingerprint;
use crate::store::inbox::InboxCounts;
use crate::sync::identity::BindingRef;

/// How often a database is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often waiting events are counted and old ones are pruned.
const UPKEEP_EVERY: Duration = Duration::from_secs(10);

/// Asks until it is dropped.
pub async fn run(context: Arc<Context>) {
    let mut away: BTreeSet<Fingerprint> = BTreeSet::new();
    let mut upkept = Instant::now();
    loop {
        let started = Instant::now();
        let databases = context.inboxes.by_database();
        let upkeep = upkept.elapsed() >= UPKEEP_EVERY;
        if upkeep {
            upkept = started;
        }
        let asked = databases.iter().map(|(database, bindings)| {
            let context = &context;
            async move { (*database, bindings, ask(context, *database, upkeep).await) }
        });
        let mut counted = InboxCounts::default();
        for (database, bindings, answer) in join_all(asked).await {
            let Ok(answer) = answer else {
                for binding in bindings {
                    context.nudges.worker(binding).database_was_away();
                }
                if away.insert(database) {
                    start_all(&context, bindings);
                }
                continue;
            };
            counted.pending += answer.counts.pending;
            counted.deferred += answer.counts.deferred;
            if away.remove(&database) {
                start_all(&context, bindings);
            }
            for binding in answer.due {
                context.nudges.events(&binding);
            }
        }
        if upkeep {
            let events = &context.metrics.inbox_events;
            events
                .get_or_create(&StateLabel::new("pending"))
                .set(counted.pending);
            events
                .get_or_create(&StateLabel::new("deferred"))
                .set(counted.deferred);
        }
        tokio::time::sleep_until(started + EVERY).await;
    }
}

#[derive(Default)]
struct Answer {
    due: Vec<BindingRef>,
    counts: InboxCounts,
}

async fn ask(context: &Context, database: Fingerprint, upkeep: bool) -> Result<Answer, ()> {
    let Some(inbox) = context.inboxes.get(database) else {
        return Ok(Answer::default());
    };
    let asked = async {
        let owners = inbox.owners_with_due_events(context.cluster_id()).await?;
        let mut counts = InboxCounts::default();
        if upkeep {
            counts = inbox.counts(context.cluster_id()).await?;
            inbox.prune().await?;
        }
        Ok::<_, crate::store::StoreError>((owners, counts))
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    let (owners, counts) = answer.map_err(drop)?.map_err(drop)?;
    let due = owners
        .iter()
        .filter_map(|owner| binding_of(owner))
        .collect();
    Ok(Answer { due, counts })
}

/// The binding of an owner, `<cluster id>/<namespace>/<name>`.
fn binding_of(owner: &str) -> Option<BindingRef> {
    let mut parts = owner.rsplitn(3, '/');
    let (name, namespace) = (parts.next()?, parts.next()?);
    Some(BindingRef {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}

fn start_all(context: &Context, bindings: &BTreeSet<BindingRef>) {
    for binding in bindings {
        context.nudges.start(binding);
    }
}

/// Which bindings live in which database.
pub type ByDatabase = BTreeMap<Fingerprint, BTreeSet<BindingRef>>;
