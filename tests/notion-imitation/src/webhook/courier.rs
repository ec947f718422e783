//! The courier: takes changes, turns them into events per subscription, and queues them.
//!
//! Every subscription has its own queue and its own worker (`crate::webhook::worker`), so that a
//! receiver that hangs holds up nobody else.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::random::Random;
use crate::state::change::Change;
use crate::state::world::World;
use crate::sync::lock;
use crate::webhook::event::{Event, Sender};
use crate::webhook::subscription::{Subscription, SubscriptionInfo};
use crate::webhook::worker::{self, DeliveryRecord};

/// A delivery that waits: the event and the attempt it will be.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) event: Event,
    pub(crate) attempt: u32,
    pub(crate) wrong_signature: bool,
}

/// Waiting jobs by due time, then by arrival.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) jobs: BTreeMap<(Instant, u64), Job>,
    /// Where the job is that may still take in changes of a kind of an object.
    open: HashMap<(&'static str, Uuid), (Instant, u64)>,
    next: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, due: Instant, job: Job) -> (Instant, u64) {
        let place = (due, self.next);
        self.next += 1;
        self.jobs.insert(place, job);
        place
    }

    fn open_job(&mut self, kind: &'static str, entity: Uuid) -> Option<&mut Job> {
        let place = self.open.get(&(kind, entity))?;
        self.jobs.get_mut(place)
    }
}

/// A subscription with its queue.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) spec: Mutex<Subscription>,
    pub(crate) sender: Sender,
    pub(crate) verification_token: String,
    pub(crate) token: String,
    pub(crate) queue: Mutex<Queue>,
    pub(crate) wake: Notify,
    pub(crate) random: Mutex<Random>,
    pub(crate) gone: CancellationToken,
    /// Deliveries under way.
    pub(crate) busy: AtomicUsize,
}

/// All subscriptions, and the log of what was sent.
#[derive(Debug, Clone)]
pub(crate) struct Courier {
    pub(crate) client: reqwest::Client,
    subscribers: Arc<Mutex<BTreeMap<Uuid, Arc<Subscriber>>>>,
    pub(crate) log: Arc<Mutex<Vec<DeliveryRecord>>>,
    stop: CancellationToken,
    runtime: tokio::runtime::Handle,
}

impl Courier {
    pub(crate) fn new(client: reqwest::Client, stop: CancellationToken) -> Self {
        Self {
            client,
            subscribers: Arc::default(),
            log: Arc::default(),
            stop,
            runtime: tokio::runtime::Handle::current(),
        }
    }

    /// Adds a subscription and starts its worker. `None` if its connection does not exist.
    pub(crate) fn subscribe(&self, world: &mut World, spec: Subscription) -> Option<Uuid> {
        let connection = match &spec.token {
            Some(token) => world.connections.get(token),
            None => world.first_connection(),
        }?
        .clone();
        let id = world.random.uuid();
        let drawn = format!("secret_{}", world.random.uuid().simple());
        let subscriber = Arc::new(Subscriber {
            sender: Sender {
                workspace: world.workspace,
                workspace_name: world.workspace_name.clone(),
                subscription: id,
                integration: connection.integration,
                bot: connection.bot,
            },
            verification_token: spec.verification_token.clone().unwrap_or(drawn),
            token: connection.token.clone(),
            spec: Mutex::new(spec),
            queue: Mutex::default(),
            wake: Notify::new(),
            random: Mutex::new(Random::new(world.random.next())),
            gone: self.stop.child_token(),
            busy: AtomicUsize::new(0),
        });
        lock(&self.subscribers).insert(id, Arc::clone(&subscriber));
        self.runtime.spawn(worker::run(
            subscriber,
            self.client.clone(),
            Arc::clone(&self.log),
        ));
        Some(id)
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<Arc<Subscriber>> {
        lock(&self.subscribers).get(&id).cloned()
    }

    /// Removes a subscription with everything that waits.
    pub(crate) fn unsubscribe(&self, id: Uuid) -> bool {
        let gone = lock(&self.subscribers).remove(&id);
        gone.map(|subscriber| subscriber.gone.cancel()).is_some()
    }

    pub(crate) fn all(&self) -> Vec<SubscriptionInfo> {
        let subscribers = lock(&self.subscribers);
        subscribers
            .values()
            .map(|subscriber| subscriber.info())
            .collect()
    }

    /// Whether nothing waits and nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        lock(&self.subscribers).values().all(|subscriber| {
            let queue = lock(&subscriber.queue);
            queue.jobs.is_empty() && subscriber.busy.load(Ordering::SeqCst) == 0
        })
    }

    /// Queues the events of changes for everybody who may know of them.
    pub(crate) fn take(&self, world: &World, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        let subscribers = lock(&self.subscribers);
        for change in changes {
            for subscriber in subscribers.values() {
                let sees = world
                    .connections
                    .get(&subscriber.token)
                    .is_some_and(|it| !it.revoked && world.sees(it, change.scope));
                let spec = lock(&subscriber.spec).clone();
                if sees && spec.active && spec.wants(change.kind) {
                    subscriber.queue(&spec, change, &self.log);
                }
            }
        }
    }
}

impl Subscriber {
    pub(crate) fn info(&self) -> SubscriptionInfo {
        SubscriptionInfo {
            id: self.sender.subscription,
            verification_token: self.verification_token.clone(),
            waiting: lock(&self.queue).jobs.len(),
            subscription: lock(&self.spec).clone(),
        }
    }

    fn queue(&self, spec: &Subscription, change: &Change, log: &Mutex<Vec<DeliveryRecord>>) {
        let mut queue = lock(&self.queue);
        if spec.aggregate_ms > 0 {
            if let Some(job) = queue.open_job(change.kind, change.entity) {
                job.event.merge(change);
                return;
            }
            if let Some(undone) = undoes(change.kind)
                && let Some(place) = queue.open.remove(&(undone, change.entity))
                && let Some(job) = queue.jobs.remove(&place)
            {
                worker::note(log, self, &job, "collapsed");
                return;
            }
        }
        let mut random = lock(&self.random);
        let job = Job {
            event: Event::of(change, random.uuid()),
            attempt: 1,
            wrong_signature: random.chance(spec.wrong_signature_probability),
        };
        if random.chance(spec.drop_probability) {
            worker::note(log, self, &job, "dropped");
            return;
        }
        let copies = 1 + usize::from(random.chance(spec.duplicate_probability));
        for copy in 0..copies {
            let extra = random.below(spec.reorder_ms.saturating_add(1));
            let wait = spec
                .aggregate_ms
                .saturating_add(spec.delay_ms)
                .saturating_add(extra);
            let due = Instant::now() + std::time::Duration::from_millis(wait);
            let place = queue.push(due, job.clone());
            if copy == 0 && spec.aggregate_ms > 0 {
                queue.open.insert((change.kind, change.entity), place);
            }
        }
        drop(queue);
        self.wake.notify_one();
    }
}

/// The event that another one takes back, if both fall into one aggregation window.
fn undoes(kind: &str) -> Option<&'static str> {
    match kind {
        "page.deleted" => Some("page.created"),
        "page.undeleted" => Some("page.deleted"),
        _ => None,
    }
}
