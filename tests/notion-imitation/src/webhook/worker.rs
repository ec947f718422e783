//! The worker of a subscription: sends what is due, retries what was not acknowledged, logs all.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::sync::lock;
use crate::webhook::courier::{Job, Subscriber};
use crate::webhook::post::{Post, send};
use crate::webhook::sign::signature;

/// One delivery, or one that a switch prevented.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliveryRecord {
    /// Real time at which the answer was there.
    pub time: Timestamp,
    /// The subscription.
    pub subscription: Uuid,
    /// `id` of the event.
    pub event_id: Uuid,
    /// `type` of the event.
    pub event_type: String,
    /// Id of the object it is about.
    pub entity: Uuid,
    /// `attempt_number`.
    pub attempt: u32,
    /// `sent`, `failed` (no answer), `dropped` or `collapsed` (never sent).
    pub outcome: String,
    /// Status of the answer.
    pub status: Option<u16>,
    /// Body of the answer.
    pub reply: Option<String>,
    /// Why there was no answer.
    pub error: Option<String>,
    /// Whether the signature was made to be wrong.
    pub wrong_signature: bool,
    /// The exact body that was sent.
    pub body: String,
}

/// Works until the subscription is gone.
pub(crate) async fn run(
    subscriber: Arc<Subscriber>,
    client: reqwest::Client,
    log: Arc<Mutex<Vec<DeliveryRecord>>>,
) {
    let parallel = lock(&subscriber.spec).parallel.max(1);
    let permits = Arc::new(Semaphore::new(parallel));
    loop {
        let permit = tokio::select! {
            () = subscriber.gone.cancelled() => return,
            permit = Arc::clone(&permits).acquire_owned() => permit,
        };
        let Ok(permit) = permit else { return };
        let Some(job) = next(&subscriber).await else {
            return;
        };
        let (subscriber, client, log) = (Arc::clone(&subscriber), client.clone(), Arc::clone(&log));
        tokio::spawn(async move {
            tokio::select! {
                () = subscriber.gone.cancelled() => {}
                () = deliver(&subscriber, &client, &log, job) => {}
            }
            subscriber.busy.fetch_sub(1, Ordering::SeqCst);
            drop(permit);
        });
    }
}

/// Waits for the next job that is due; `None` once the subscription is gone.
async fn next(subscriber: &Subscriber) -> Option<Job> {
    loop {
        let due = {
            let mut queue = lock(&subscriber.queue);
            match queue.jobs.first_entry() {
                Some(first) if first.key().0 <= Instant::now() => {
                    subscriber.busy.fetch_add(1, Ordering::SeqCst);
                    return Some(first.remove());
                }
                Some(first) => Some(first.key().0),
                None => None,
            }
        };
        let wait = due.map_or(Duration::from_hours(1), |due| {
            due.saturating_duration_since(Instant::now())
        });
        tokio::select! {
            () = subscriber.gone.cancelled() => return None,
            () = subscriber.wake.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn deliver(
    subscriber: &Subscriber,
    client: &reqwest::Client,
    log: &Mutex<Vec<DeliveryRecord>>,
    job: Job,
) {
    let spec = lock(&subscriber.spec).clone();
    let body = job
        .event
        .envelope(&subscriber.sender, &spec, job.attempt)
        .to_string();
    let mut request = Post {
        url: spec.url.clone(),
        text: Some(body.clone()),
        headers: spec.headers.clone().into_iter().collect(),
        timeout_ms: Some(spec.timeout_ms),
        ..Post::default()
    };
    if !spec.unsigned {
        let key = if job.wrong_signature {
            "not the key"
        } else {
            &subscriber.verification_token
        };
        let header = (
            "x-notion-signature".to_owned(),
            signature(key, body.as_bytes()),
        );
        request.headers.push(header);
    }
    let answer = send(client, &request).await;
    let mut record = record(subscriber, &job, "sent");
    record.body = body;
    let acknowledged = match answer {
        Ok(reply) => {
            record.status = Some(reply.status);
            record.reply = Some(reply.body);
            (200..300).contains(&reply.status)
        }
        Err(error) => {
            "failed".clone_into(&mut record.outcome);
            record.error = Some(format!("{error:#}"));
            false
        }
    };
    lock(log).push(record);
    if !acknowledged && spec.retries && job.attempt < spec.max_attempts {
        let doublings = (job.attempt - 1).min(20);
        let wait = spec.retry_backoff_ms.saturating_mul(1 << doublings);
        let due = Instant::now() + Duration::from_millis(wait);
        lock(&subscriber.queue).push(
            due,
            Job {
                attempt: job.attempt + 1,
                ..job
            },
        );
        subscriber.wake.notify_one();
    }
}

/// Logs a job that is never sent.
pub(crate) fn note(
    log: &Mutex<Vec<DeliveryRecord>>,
    subscriber: &Subscriber,
    job: &Job,
    outcome: &str,
) {
    lock(log).push(record(subscriber, job, outcome));
}

fn record(subscriber: &Subscriber, job: &Job, outcome: &str) -> DeliveryRecord {
    DeliveryRecord {
        time: Timestamp::now(),
        subscription: subscriber.sender.subscription,
        event_id: job.event.id,
        event_type: job.event.kind.clone(),
        entity: job.event.entity,
        attempt: job.attempt,
        outcome: outcome.to_owned(),
        status: None,
        reply: None,
        error: None,
        wrong_signature: job.wrong_signature,
        body: String::new(),
    }
}

impl DeliveryRecord {
    /// The body as JSON; null if nothing was sent.
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or(Json::Null)
    }
}
