//! Leader election over one `coordination.k8s.io` Lease.
//!
//! Every write carries the `resourceVersion` it was decided on, so of two candidates that see an
//! expired Lease one gets a conflict. Whether a Lease is expired is told by how long it has not
//! changed under our own eyes, never by comparing clocks of two machines. Losing the Lease, or the
//! API server, ends leadership and never the process. A Lease is advice all the same: what must not
//! happen twice is fenced by the epoch in Postgres (`design/state.md` §3).

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// The name of the Lease.
pub const LEASE_NAME: &str = "notion-sync-operator";
/// How long a Lease holds after it was renewed.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);
/// How often the holder renews it.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How often others look at it: what they add to the time a take-over needs.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// No answer by then counts as none. Several tries fit into one lease.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// The field manager of the holder's fields.
const HOLDER_MANAGER: &str = "notion-sync-operator/lease";
/// The field manager of the vacant Lease. Another one than the holder's: a late creation must not
/// take away the fields of a holder that was faster.
const CREATE_MANAGER: &str = "notion-sync-operator/lease-create";

/// Whether this process is the one that works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leadership {
    /// Another one is, or nobody knows.
    Standby,
    /// This one is.
    Leading {
        /// Until when, if nothing renews it; `None` without election.
        until: Option<Instant>,
    },
}

impl Leadership {
    /// Leadership of a process that runs alone (`--leader-elect=false`).
    pub const ALONE: Self = Self::Leading { until: None };

    /// How much of the lease is left. Zero is no leadership, whatever the last message said: a
    /// process that was stopped for a while finds out here.
    pub fn left(&self) -> Duration {
        match self {
            Self::Standby => Duration::ZERO,
            Self::Leading { until: None } => Duration::MAX,
            Self::Leading { until: Some(until) } => until.saturating_duration_since(Instant::now()),
        }
    }

    /// Whether this process leads now.
    pub fn leads(&self) -> bool {
        !self.left().is_zero()
    }
}

/// What the Lease says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Who holds it; nobody after a release.
    pub holder: Option<String>,
    /// How long it holds after a change.
    pub duration: Option<Duration>,
    /// How often it changed hands.
    pub transitions: i32,
    /// When the holder got it.
    pub acquired: Option<Timestamp>,
    /// The version that was read.
    pub resource_version: Option<String>,
}

/// What to do about the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Take it.
    Acquire,
    /// Keep it.
    Renew,
    /// Look again after this.
    Wait(Duration),
}

/// Decides about a Lease that has not changed for `unchanged`, by our own clock.
pub fn decide(lease: &Record, me: &str, unchanged: Duration) -> Step {
    let expires = lease.duration.unwrap_or(LEASE_DURATION);
    match lease.holder.as_deref() {
        None | Some("") => Step::Acquire,
        Some(holder) if holder == me => Step::Renew,
        Some(_) if unchanged >= expires => Step::Acquire,
        Some(_) => Step::Wait(LOOK_EVERY.min(expires.saturating_sub(unchanged))),
    }
}

/// Takes part in the election.
pub struct Elector {
    api: Api<Lease>,
    me: String,
    publish: watch::Sender<Leadership>,
    /// The Lease as last seen, and since when it has looked like that.
    seen: Option<(Record, Instant)>,
}

impl Elector {
    /// A candidate by the name `me` (`POD_NAME`) for the Lease in `namespace` (`POD_NAMESPACE`).
    pub fn new(client: Client, namespace: &str, me: &str) -> (Self, watch::Receiver<Leadership>) {
        let (publish, leadership) = watch::channel(Leadership::Standby);
        let elector = Self {
            api: Api::namespaced(client, namespace),
            me: me.to_owned(),
            publish,
            seen: None,
        };
        (elector, leadership)
    }

    /// Takes part until `stop`, then releases the Lease. Stop it after work has been drained.
    pub async fn run(self, stop: CancellationToken) {
        let publish = self.publish.clone();
        tokio::select! {
            () = end_on_time(&publish) => {}
            () = self.elect(stop) => {}
        }
    }

    async fn elect(mut self, stop: CancellationToken) {
        loop {
            let pause = self.turn().await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(pause) => {}
            }
        }
        self.release().await;
    }

    /// One look and one step; returns the time until the next.
    async fn turn(&mut self) -> Duration {
        let outcome = match timeout(REQUEST_TIMEOUT, self.read()).await {
            Ok(Ok(record)) => self.step(record).await,
            Ok(Err(error)) => Err(Some(error)),
            Err(_) => Err(None),
        };
        match outcome {
            Ok(pause) => pause,
            Err(error) => {
                let error = error.map_or_else(|| "no answer in time".to_owned(), |e| e.to_string());
                tracing::warn!(lease.name = LEASE_NAME, error = %error, "the Lease cannot be read or renewed");
                Duration::from_secs(1)
            }
        }
    }

    async fn step(&mut self, record: Record) -> Result<Duration, Option<kube::Error>> {
        let unchanged = self.observe(&record);
        let step = decide(&record, &self.me, unchanged);
        if let Step::Wait(pause) = step {
            self.announce(Leadership::Standby);
            return Ok(pause);
        }
        // The lease counts from before the request: another one counts from after it.
        let until = Instant::now() + LEASE_DURATION;
        let body = Patch::Apply(self.held(&record, step == Step::Renew));
        let params = PatchParams::apply(HOLDER_MANAGER).force();
        let request = self.api.patch(LEASE_NAME, &params, &body);
        match timeout(REQUEST_TIMEOUT, request).await {
            Ok(Ok(lease)) => {
                self.observe(&record_of(&lease));
                self.announce(Leadership::Leading { until: Some(until) });
                Ok(RENEW_EVERY)
            }
            // Somebody was faster, or our own last write arrived late: look again at once.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
                Ok(Duration::from_millis(100))
            }
            Ok(Err(error)) => Err(Some(error)),
            Err(_) => Err(None),
        }
    }

    /// Reads the Lease; makes a vacant one if there is none.
    async fn read(&self) -> Result<Record, kube::Error> {
        if let Some(lease) = self.api.get_opt(LEASE_NAME).await? {
            return Ok(record_of(&lease));
        }
        let vacant = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": LEASE_NAME,
                "labels": { "app.kubernetes.io/name": LEASE_NAME },
            },
        });
        let params = PatchParams::apply(CREATE_MANAGER);
        let lease = self
            .api
            .patch(LEASE_NAME, &params, &Patch::Apply(vacant))
            .await?;
        Ok(record_of(&lease))
    }

    /// Notes what was seen; returns how long it has been so.
    fn observe(&mut self, record: &Record) -> Duration {
        match &self.seen {
            Some((seen, since)) if seen == record => since.elapsed(),
            _ => {
                self.seen = Some((record.clone(), Instant::now()));
                Duration::ZERO
            }
        }
    }

    fn held(&self, record: &Record, renew: bool) -> Value {
        let now = Timestamp::now();
        let acquired = record.acquired.filter(|_| renew).unwrap_or(now);
        let changed_hands = record.acquired.is_some() && !renew;
        let spec = LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
            acquire_time: Some(MicroTime(acquired)),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(record.transitions + i32::from(changed_hands)),
            ..Default::default()
        };
        applied(record, &json!(spec))
    }

    async fn release(&mut self) {
        let leads = self.publish.borrow().leads();
        self.announce(Leadership::Standby);
        let Some((record, _)) = self.seen.take().filter(|_| leads) else {
            return;
        };
        // Without a holder and with its times, so that the next one counts the change of hands.
        let spec = LeaseSpec {
            lease_duration_seconds: Some(1),
            lease_transitions: Some(record.transitions),
            acquire_time: record.acquired.map(MicroTime),
            ..Default::default()
        };
        let params = PatchParams::apply(HOLDER_MANAGER).force();
        let body = Patch::Apply(applied(&record, &json!(spec)));
        let request = self.api.patch(LEASE_NAME, &params, &body);
        if let Ok(Ok(_)) = timeout(REQUEST_TIMEOUT, request).await {
            tracing::info!(lease.name = LEASE_NAME, "released the Lease");
        } else {
            tracing::warn!(
                lease.name = LEASE_NAME,
                "the Lease was not released, it will expire"
            );
        }
    }

    fn announce(&self, now: Leadership) {
        announce(&self.publish, now);
    }
}

/// Ends leadership when its time is over, also while a request hangs. Never returns.
async fn end_on_time(publish: &watch::Sender<Leadership>) {
    let mut leadership = publish.subscribe();
    loop {
        let until = match *leadership.borrow_and_update() {
            Leadership::Leading { until } => until,
            Leadership::Standby => None,
        };
        let end = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = leadership.changed() => {}
            () = end => if !publish.borrow().leads() {
                announce(publish, Leadership::Standby);
            }
        }
    }
}

fn announce(publish: &watch::Sender<Leadership>, now: Leadership) {
    let was_standby = *publish.borrow() == Leadership::Standby;
    let is_standby = now == Leadership::Standby;
    if was_standby != is_standby {
        tracing::info!(
            lease.name = LEASE_NAME,
            lease.leads = !is_standby,
            "leadership changed"
        );
    }
    if !(was_standby && is_standby) {
        publish.send_replace(now);
    }
}

fn applied(record: &Record, spec: &Value) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "name": LEASE_NAME, "resourceVersion": record.resource_version },
        "spec": spec,
    })
}

fn record_of(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec
        .lease_duration_seconds
        .and_then(|s| u64::try_from(s).ok());
    Record {
        holder: spec.holder_identity,
        duration: seconds.map(Duration::from_secs),
        transitions: spec.lease_transitions.unwrap_or_default(),
        acquired: spec.acquire_time.map(|time| time.0),
        resource_version: lease.metadata.resource_version.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(holder: &str) -> Record {
        Record {
            holder: Some(holder.to_owned()),
            duration: Some(LEASE_DURATION),
            ..Record::default()
        }
    }

    #[test]
    fn a_free_lease_is_taken_and_our_own_kept() {
        assert_eq!(
            decide(&Record::default(), "a", Duration::ZERO),
            Step::Acquire
        );
        assert_eq!(decide(&held_by(""), "a", Duration::ZERO), Step::Acquire);
        assert_eq!(decide(&held_by("a"), "a", Duration::ZERO), Step::Renew);
    }

    #[test]
    fn another_ones_lease_is_taken_only_after_it_stood_still_for_its_duration() {
        let wait = |seconds| decide(&held_by("b"), "a", Duration::from_secs(seconds));
        assert_eq!(wait(0), Step::Wait(LOOK_EVERY));
        assert_eq!(wait(14), Step::Wait(Duration::from_secs(1)));
        assert_eq!(wait(15), Step::Acquire);
    }

    #[test]
    fn take_over_stays_below_twenty_seconds() {
        // The last renewal is seen one look later; from then on the wait ends on the dot.
        assert!(LOOK_EVERY + LEASE_DURATION + REQUEST_TIMEOUT <= Duration::from_secs(20));
        // A holder whose API server is away has several tries before its lease ends.
        assert!(RENEW_EVERY + 2 * REQUEST_TIMEOUT < LEASE_DURATION);
    }

    #[test]
    fn leadership_ends_by_itself() {
        let now = Instant::now();
        let leading = |until| Leadership::Leading { until: Some(until) };
        assert!(leading(now + LEASE_DURATION).leads());
        assert!(leading(now + LEASE_DURATION).left() <= LEASE_DURATION);
        assert!(!leading(now).leads());
        assert!(Leadership::ALONE.leads() && !Leadership::Standby.leads());
    }
}
