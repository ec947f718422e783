//! The request budget of a token.
//!
//! One limiter per token, shared by all bindings that use it. `state.rs` decides, purely; here its
//! decisions are waited for. A waiter that is dropped gives its place back, and a request that is
//! dropped under way still counts, because Notion may have received it.

mod queue;
mod state;
mod window;

#[cfg(test)]
mod simulation;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use self::state::{State, Turn};
use self::window::Moment;
use super::Lane;
use super::error::NotionError;
use crate::metrics::{Metrics, ReasonLabel};

pub(super) use self::queue::Caller;
pub(super) use self::state::{Answer, WaitReason};

/// How soon to come back where only other requests' answers decide.
const SOON: Duration = Duration::from_secs(1);

/// How long a request may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    /// For its turn, all in all.
    pub(super) line: Duration,
    /// For the end of a pause that Notion asked for.
    pub(super) pause: Duration,
}

/// The budget of one token.
#[derive(Debug)]
pub(super) struct Limiter {
    state: Mutex<State>,
    changed: Notify,
    made: Instant,
    metrics: Metrics,
}

impl Limiter {
    /// A limiter that knows nothing yet.
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            made: Instant::now(),
            metrics,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        self.made.elapsed()
    }

    /// Waits for permission to send one request on behalf of `caller`.
    ///
    /// Fails with [`NotionError::Throttled`] where `patience` ends, at once where that is known.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        caller: Caller,
        lane: Lane,
        patience: Patience,
    ) -> Result<Permit, NotionError> {
        let deadline = self.now() + patience.line;
        let place = Place {
            limiter: self,
            lane,
            ticket: self.state().join(lane, caller),
        };
        loop {
            // Created before the state is looked at, so that no change in between is missed.
            let changed = self.changed.notified();
            let now = self.now();
            let turn = self.state().turn(lane, place.ticket, now);
            let (until, reason) = match turn {
                Turn::Go(number) => {
                    return Ok(Permit {
                        limiter: Arc::clone(self),
                        number,
                        answer: Answer::Taken,
                    });
                }
                Turn::Wait { until, reason } => (until, reason),
            };
            let latest = if reason.is_pause() {
                deadline.min(now + patience.pause)
            } else {
                deadline
            };
            if until.unwrap_or(now) > latest || now >= deadline {
                let retry_after = until.map_or(SOON, |until| until.saturating_sub(now));
                return Err(NotionError::Throttled { retry_after });
            }
            tokio::select! {
                () = changed => {}
                () = sleep_until(self.made + until.unwrap_or(deadline)) => {}
            }
            self.count_wait(reason, self.now().saturating_sub(now));
        }
    }

    fn count_wait(&self, reason: WaitReason, waited: Duration) {
        self.metrics
            .notion_throttled_seconds
            .get_or_create(&ReasonLabel::new(reason.as_str()))
            .inc_by(waited.as_secs_f64());
    }
}

/// A place in a lane. Leaving is harmless after the turn came, and every end of a wait, also a
/// turn that came, lets the next in line look again.
struct Place<'a> {
    limiter: &'a Limiter,
    lane: Lane,
    ticket: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.limiter.state().leave(self.lane, self.ticket);
        self.limiter.changed.notify_waiters();
    }
}

/// Permission for one request; dropping it ends the request.
#[derive(Debug)]
pub(super) struct Permit {
    limiter: Arc<Limiter>,
    number: u64,
    answer: Answer,
}

impl Permit {
    /// Ends the request with what its answer says about the limit.
    pub(super) fn finish(mut self, answer: Answer) {
        self.answer = answer;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now = self.limiter.now();
        self.limiter.state().finish(self.number, self.answer, now);
        self.limiter.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANYBODY: Caller = Caller(0);
    const LONG: Patience = Patience {
        line: Duration::from_mins(10),
        pause: Duration::from_mins(10),
    };

    fn limiter() -> Arc<Limiter> {
        Arc::new(Limiter::new(Metrics::default()))
    }

    async fn use_up(limiter: &Arc<Limiter>) {
        for lane in [Lane::Background, Lane::Edit] {
            for _ in 0..90 {
                drop(limiter.acquire(ANYBODY, lane, LONG).await.unwrap());
            }
        }
    }

    #[tokio::test]
    async fn the_impatient_are_told_when_to_come_back() {
        let limiter = limiter();
        use_up(&limiter).await;
        let short = Duration::from_secs(20);
        let line = Patience {
            line: short,
            ..LONG
        };
        let retry_after = throttled(&limiter, line).await;
        assert!(retry_after > Duration::from_secs(50));
    }

    #[tokio::test]
    async fn a_pause_has_a_patience_of_its_own() {
        let limiter = limiter();
        let permit = limiter
            .acquire(ANYBODY, Lane::Background, LONG)
            .await
            .unwrap();
        let pause = Some(Duration::from_secs(30));
        permit.finish(Answer::Refused(WaitReason::OtherLimit, pause));
        let short = Duration::from_secs(20);
        let retry_after = throttled(
            &limiter,
            Patience {
                pause: short,
                ..LONG
            },
        )
        .await;
        assert!(retry_after > Duration::from_secs(25));
    }

    /// How long a request that fails at once is told to wait.
    async fn throttled(limiter: &Arc<Limiter>, patience: Patience) -> Duration {
        let begun = Instant::now();
        let result = limiter.acquire(ANYBODY, Lane::Edit, patience).await;
        assert!(begun.elapsed() < Duration::from_secs(10));
        match result {
            Err(NotionError::Throttled { retry_after }) => retry_after,
            other => panic!("the wait is longer than the patience: {other:?}"),
        }
    }

    #[tokio::test]
    async fn callers_that_wait_take_turns() {
        let limiter = limiter();
        let mut held = Vec::new();
        for _ in 0..6 {
            let permit = limiter.acquire(ANYBODY, Lane::Background, LONG);
            held.push(permit.await.unwrap());
        }
        let (sent, mut order) = tokio::sync::mpsc::unbounded_channel();
        for caller in [1, 1, 1, 2, 3] {
            let (limiter, sent) = (Arc::clone(&limiter), sent.clone());
            tokio::spawn(async move {
                let permit = limiter.acquire(Caller(caller), Lane::Background, LONG);
                let permit = permit.await.unwrap();
                sent.send((caller, permit)).unwrap();
            });
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut turns = Vec::new();
        for _ in 0..5 {
            held.pop();
            let (caller, permit) = order.recv().await.unwrap();
            turns.push(caller);
            held.push(permit);
        }
        assert_eq!(turns, [1, 2, 3, 1, 1]);
    }

    #[tokio::test]
    async fn a_dropped_waiter_gives_its_place_back() {
        let limiter = limiter();
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push(limiter.acquire(ANYBODY, Lane::Edit, LONG).await.unwrap());
        }
        let gone = limiter.acquire(ANYBODY, Lane::Edit, LONG);
        let gone = tokio::time::timeout(Duration::from_millis(10), gone).await;
        assert!(gone.is_err());
        let next = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move {
                limiter
                    .acquire(ANYBODY, Lane::Background, LONG)
                    .await
                    .map(drop)
            }
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
        held.truncate(5);
        next.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_pause_holds_both_lanes() {
        let limiter = limiter();
        let permit = limiter
            .acquire(ANYBODY, Lane::Background, LONG)
            .await
            .unwrap();
        let pause = Duration::from_millis(200);
        let begun = Instant::now();
        permit.finish(Answer::Refused(WaitReason::Overloaded, Some(pause)));
        for lane in [Lane::Edit, Lane::Background] {
            drop(limiter.acquire(ANYBODY, lane, LONG).await.unwrap());
            assert!(begun.elapsed() >= pause);
        }
        let label = ReasonLabel::new("Overloaded");
        let waited = limiter
            .metrics
            .notion_throttled_seconds
            .get_or_create(&label);
        assert!(waited.get() > 0.1);
    }
}
