//! Finds events that another replica stored, events whose time has come, captured changes, and
//! databases that went away or came back: one question a second to each database, not to each
//! binding.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::context::Context;
use super::ears::{self, Ears};
use crate::metrics::StateLabel;
use crate::store::StoreError;
use crate::store::capture::{self, Due};
use crate::store::connection::Fingerprint;
use crate::store::inbox::{Inbox, InboxCounts};
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
    let mut ears = Ears::default();
    loop {
        let started = Instant::now();
        let databases = context.inboxes.by_database();
        let upkeep = upkept.elapsed() >= UPKEEP_EVERY;
        if upkeep {
            upkept = started;
        }
        ears.retain(&databases);
        let asked = databases.iter().map(|(database, bindings)| {
            let inbox = context.inboxes.get(*database);
            let hears = inbox
                .as_ref()
                .is_some_and(|inbox| ears.listen(&context, *database, inbox.pool()));
            let question = Question {
                cluster_id: context.cluster_id(),
                bindings,
                hears,
                upkeep,
            };
            async move { (*database, bindings, ask(inbox, question).await) }
        });
        let mut counted = InboxCounts::default();
        let mut changes = 0;
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
            changes += answer.changes;
            if away.remove(&database) {
                start_all(&context, bindings);
            }
            for due in answer.due {
                if due.events {
                    context.nudges.events(&due.binding);
                } else if due.changes {
                    ears::wake(&context, &due.binding);
                }
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
            context.metrics.changes_pending.set(changes);
        }
        tokio::time::sleep_until(started + EVERY).await;
    }
}

#[derive(Default)]
struct Answer {
    due: Vec<Due>,
    counts: InboxCounts,
    /// Captured changes that wait.
    changes: i64,
}

/// What a database is asked, and by whom.
#[derive(Clone, Copy)]
struct Question<'a> {
    cluster_id: &'a str,
    /// The bindings that live there.
    bindings: &'a BTreeSet<BindingRef>,
    /// Whether announcements of captured changes are heard.
    hears: bool,
    upkeep: bool,
}

async fn ask(inbox: Option<Inbox>, question: Question<'_>) -> Result<Answer, ()> {
    let Some(inbox) = inbox else {
        return Ok(Answer::default());
    };
    let asked = async {
        let due = capture::due(inbox.pool(), question.cluster_id).await?;
        arm(&inbox, &due, question).await?;
        let mut counts = InboxCounts::default();
        let mut changes = 0;
        if question.upkeep {
            counts = inbox.counts(question.cluster_id).await?;
            inbox.prune().await?;
            capture::prune(inbox.pool()).await?;
            changes = capture::waiting(inbox.pool(), question.cluster_id).await?;
        }
        Ok::<_, StoreError>(Answer {
            due,
            counts,
            changes,
        })
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    answer.map_err(drop)?.map_err(drop)
}

/// Lets captured changes be announced where none waits and somebody hears it, and nowhere else.
async fn arm(inbox: &Inbox, due: &[Due], question: Question<'_>) -> Result<(), StoreError> {
    let captured = |wanted: fn(&Due) -> bool| -> Vec<i64> {
        let chosen = due.iter().filter(|due| wanted(due));
        let ours = chosen.filter(|due| question.bindings.contains(&due.binding));
        ours.filter_map(|due| due.binding_id).collect()
    };
    capture::disarm(inbox.pool(), &captured(|due| due.changes && due.armed)).await?;
    if question.hears {
        capture::arm(inbox.pool(), &captured(|due| !due.changes && !due.armed)).await?;
    }
    Ok(())
}

fn start_all(context: &Context, bindings: &BTreeSet<BindingRef>) {
    for binding in bindings {
        context.nudges.start(binding);
    }
}

/// Which bindings live in which database.
pub type ByDatabase = BTreeMap<Fingerprint, BTreeSet<BindingRef>>;
