//! The decisions of the limiter: who may send now, and what an answer teaches.
//!
//! Pure: time is an argument. Scans leave a small reserve alone and may spend three quarters of the
//! rest as fast as they can; the last quarter is spent at an even pace. So a person's edit, which
//! goes first, finds a place at once or within a pace even while a scan uses all there is. Edits in
//! bulk are paced in the same way, so that one binding's ten thousand do not hold up another's one;
//! and while scans wait, every eighth request is theirs.

use std::time::Duration;

use super::queue::{Caller, Queue};
use super::window::{Moment, SPAN, Window};
use crate::notion::Lane;

/// Requests per minute to begin with: the smallest plan (`facts/notion-api.md` §2.4).
const FIRST_BUDGET: usize = 180;
/// Requests per minute of the largest plan; nothing more is tried.
const LARGEST_BUDGET: usize = 600;
/// Fewer requests than this in a minute prove nothing about the connection's limit, which is never
/// so small: somebody else uses the token, or used it just before this process began.
const LEAST_EVIDENCE: usize = 30;
/// Requests under way at a time.
const CONCURRENT: usize = 8;
/// Of these, requests of scans: slow queries must not take every place.
const CONCURRENT_BACKGROUND: usize = 6;
/// From how much of its budget on a minute counts as used in full.
const FULL_PERCENT: usize = 95;
/// How long a ceiling that Notion showed is believed.
const CEILING_LASTS: Duration = Duration::from_hours(1);
/// The same below the smallest plan: there somebody else uses the token too, for a while.
const SHARED_CEILING_LASTS: Duration = Duration::from_mins(10);
/// How long to pause where Notion does not say.
const PAUSE: Duration = Duration::from_secs(5);
/// `Retry-After` is in whole seconds, so a window may have begun this much earlier than it says.
const ROUNDING: Duration = Duration::from_secs(1);

/// Why a request waits; the label of `notion_throttled_seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::notion) enum WaitReason {
    /// Others came first.
    Queued,
    /// Enough requests are under way.
    Concurrency,
    /// The budget of this minute is used up.
    Budget,
    /// Notion refused with the connection's limit.
    RateLimited,
    /// Notion refused with the workspace's, an endpoint's or an unknown limit.
    OtherLimit,
    /// Notion is overloaded.
    Overloaded,
}

impl WaitReason {
    /// Whether Notion asked for the wait.
    pub(super) const fn is_pause(self) -> bool {
        matches!(
            self,
            Self::RateLimited | Self::OtherLimit | Self::Overloaded
        )
    }

    /// The metric's label.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Concurrency => "Concurrency",
            Self::Budget => "Budget",
            Self::RateLimited => "RateLimited",
            Self::OtherLimit => "OtherLimit",
            Self::Overloaded => "Overloaded",
        }
    }
}

/// What an answer says about the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::notion) enum Answer {
    /// Notion took the request on, or nobody knows.
    Taken,
    /// Notion refused for the limit of the connection.
    ConnectionLimit(Option<Duration>),
    /// Notion refused for another reason; the budget of the connection is as it was.
    Refused(WaitReason, Option<Duration>),
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Now, under this number.
    Go(u64),
    /// Not yet: not before `until`, or not before something else happens.
    Wait {
        until: Option<Moment>,
        reason: WaitReason,
    },
}

/// Lanes, budget and what was learned.
#[derive(Debug)]
pub(super) struct State {
    window: Window,
    queues: ByLane<Queue>,
    next_number: u64,
    /// Requests allowed in any span of 60 seconds.
    budget: usize,
    /// A smaller budget that a full minute went through with, while a larger one is tried.
    proven: usize,
    /// The requests under way that try the larger budget: few at a time, since each may be refused.
    trials: Vec<u64>,
    /// How long answers take, smoothed.
    latency: Duration,
    /// When a larger budget may be tried.
    trial_at: Moment,
    /// Refusals of requests sent before this taught the same lesson already.
    learned_at: Option<Moment>,
    /// What Notion seemed to accept at the last refusal, if that was too surprising to be believed.
    doubt: Option<usize>,
    /// No request before this.
    paused: Option<(Moment, WaitReason)>,
    /// When the last paced request of each lane was sent.
    paced_at: ByLane<Option<Moment>>,
    /// When the last background request was sent.
    background_at: Option<Moment>,
}

/// Something that each lane has of its own.
#[derive(Debug, Default)]
struct ByLane<T> {
    edit: T,
    background: T,
}

impl<T> ByLane<T> {
    const fn of(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Edit => &mut self.edit,
            Lane::Background => &mut self.background,
        }
    }

    const fn get(&self, lane: Lane) -> &T {
        match lane {
            Lane::Edit => &self.edit,
            Lane::Background => &self.background,
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            window: Window::default(),
            queues: ByLane::default(),
            next_number: 0,
            budget: FIRST_BUDGET,
            proven: FIRST_BUDGET,
            trials: Vec::new(),
            latency: Duration::ZERO,
            trial_at: SPAN,
            learned_at: None,
            doubt: None,
            paused: None,
            paced_at: ByLane::default(),
            background_at: None,
        }
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Takes a place in a lane.
    pub(super) fn join(&mut self, lane: Lane, caller: Caller) -> u64 {
        let ticket = self.number();
        self.queues.of(lane).join(caller, ticket);
        ticket
    }

    /// Gives a place up.
    pub(super) fn leave(&mut self, lane: Lane, ticket: u64) {
        self.queues.of(lane).leave(ticket);
    }

    /// Whether it is the turn of `ticket`; if so it has left its lane and counts as sent.
    pub(super) fn turn(&mut self, lane: Lane, ticket: u64, now: Moment) -> Turn {
        if let Some((until, reason)) = self.paused.filter(|(until, _)| *until > now) {
            return wait(Some(until), reason);
        }
        if lane == Lane::Background
            && !self.queues.edit.is_empty()
            && let Some(due) = self.trickle_at().filter(|due| *due > now)
        {
            return wait(Some(due), WaitReason::Queued);
        }
        if self.queues.of(lane).head() != Some(ticket) {
            return wait(None, WaitReason::Queued);
        }
        if let Some(wait) = self.obstacle(lane, now) {
            return wait;
        }
        self.queues.of(lane).pop();
        let number = self.number();
        if self.window.used() >= self.proven {
            self.trials.push(number);
        }
        let paced = self.pace_is_due(lane, now);
        if paced {
            *self.paced_at.of(lane) = Some(now);
        }
        if lane == Lane::Background {
            self.background_at = Some(now);
        }
        self.window.open(number, lane, paced, now);
        Turn::Go(number)
    }

    /// What keeps the head of a lane from being sent.
    fn obstacle(&mut self, lane: Lane, now: Moment) -> Option<Turn> {
        self.window.prune(now);
        let places = match lane {
            Lane::Edit => CONCURRENT,
            Lane::Background => CONCURRENT_BACKGROUND,
        };
        if self.window.in_flight() >= places {
            return Some(wait(None, WaitReason::Concurrency));
        }
        if self.window.used() * 100 >= self.share(lane) * FULL_PERCENT {
            self.try_more(now);
        }
        let used = self.window.used();
        if used >= self.share(lane) {
            let free = self.window.below_at(self.share(lane));
            return Some(wait(free, WaitReason::Budget));
        }
        if used >= self.proven && self.trials.len() >= self.trials_at_once() {
            return Some(wait(None, WaitReason::Budget));
        }
        if self.pace_is_due(lane, now) {
            return None;
        }
        let others = match lane {
            Lane::Edit => used - self.window.used_by(Lane::Edit),
            Lane::Background => 0,
        };
        let burst_left = used - others - self.window.paced(lane) < self.burst(lane);
        (!burst_left).then(|| {
            let due = self.paced_at.get(lane).map(|at| at + self.pace(lane));
            let until = due.into_iter().chain(self.window.below_at(used)).min();
            wait(until, WaitReason::Budget)
        })
    }

    /// Whether a request may be sent from the paced part of the budget. It goes before the burst:
    /// a beat that is missed is lost.
    fn pace_is_due(&self, lane: Lane, now: Moment) -> bool {
        let last = *self.paced_at.get(lane);
        let due = last.is_none_or(|at| at + self.pace(lane) <= now);
        due && self.window.paced(lane) < self.steady(lane)
    }

    /// When the next background request goes before waiting edits.
    fn trickle_at(&self) -> Option<Moment> {
        let beat = SPAN / u32::try_from(self.trickle()).unwrap_or(u32::MAX);
        self.background_at.map(|at| at + beat)
    }

    /// How many requests of a minute scans get even beside edits without end.
    fn trickle(&self) -> usize {
        (self.budget / 8).max(1)
    }

    /// How much of the budget a lane may use.
    fn share(&self, lane: Lane) -> usize {
        match lane {
            Lane::Edit => self.budget,
            // 2 % stay free, which with a minute's answer times keeps a lone scan within 5 % of
            // what the budget allows.
            Lane::Background => self.budget - self.budget / 50,
        }
    }

    /// How much of the budget a lane may use as fast as it can. Whatever other lanes used counts
    /// against that of scans.
    fn burst(&self, lane: Lane) -> usize {
        self.share(lane) * 3 / 4
    }

    /// How much of the budget a lane uses at an even pace. It is never nothing, because a part of
    /// the whole, rounded down, is less than it.
    fn steady(&self, lane: Lane) -> usize {
        let scans_wait = lane == Lane::Edit && !self.queues.background.is_empty();
        let left = if scans_wait { self.trickle() } else { 0 };
        (self.share(lane) - self.burst(lane))
            .saturating_sub(left)
            .max(1)
    }

    /// The distance of a lane's requests past its burst.
    fn pace(&self, lane: Lane) -> Duration {
        SPAN / u32::try_from(self.steady(lane)).unwrap_or(u32::MAX)
    }

    /// A minute was used in full and nothing was refused: tries a larger budget.
    fn try_more(&mut self, now: Moment) {
        if now < self.trial_at {
            return;
        }
        self.proven = self.budget;
        // A trial costs one refusal however large it is, so the smallest plan is tried at once.
        let more = (self.budget + self.budget / 4).max(FIRST_BUDGET);
        self.budget = more.min(LARGEST_BUDGET);
        self.trial_at = now + SPAN;
    }

    /// How many requests may try a larger budget at a time. One cannot carry on what was proven
    /// where answers take their time, and the larger plan would never show. Below the smallest plan
    /// the tries are frequent and the reason is somebody else, so there one refusal is the price.
    fn trials_at_once(&self) -> usize {
        if self.proven < FIRST_BUDGET {
            return 1;
        }
        let span = SPAN.as_millis().max(1);
        let flow = self.window.used() as u128 * self.latency.as_millis() / span;
        usize::try_from(flow).unwrap_or(CONCURRENT).min(CONCURRENT) + 1
    }

    /// Takes note of the end of a request.
    pub(super) fn finish(&mut self, number: u64, answer: Answer, now: Moment) {
        let taken = answer == Answer::Taken;
        let sent = self.window.close(number, taken, now);
        self.trials.retain(|trial| *trial != number);
        if let Some(sent) = sent {
            let took = now.saturating_sub(sent);
            self.latency = (self.latency * 7 + took) / 8;
        }
        match answer {
            Answer::Taken => {}
            Answer::ConnectionLimit(after) => {
                self.pause(now, after, WaitReason::RateLimited);
                if sent >= self.learned_at {
                    self.learn(now, after);
                }
            }
            Answer::Refused(reason, after) => {
                self.pause(now, after, reason);
                self.trial_at = self.trial_at.max(now + SPAN);
            }
        }
    }

    fn pause(&mut self, now: Moment, after: Option<Duration>, reason: WaitReason) {
        let until = now + after.unwrap_or(PAUSE);
        if self.paused.is_none_or(|(paused, _)| paused < until) {
            self.paused = Some((until, reason));
        }
    }

    /// Lowers the budget to what holds: the last one that was proven, else what Notion accepted in
    /// the window that it just closed. That window ends when Notion says to come back.
    fn learn(&mut self, now: Moment, after: Option<Duration>) {
        let before = self.learned_at.replace(now).unwrap_or_default();
        if self.proven < self.budget {
            self.budget = self.proven;
        } else {
            let rest = after.unwrap_or_default().min(SPAN);
            let begun = (now + rest).saturating_sub(SPAN + ROUNDING);
            let accepted = self.window.accepted_since(begun);
            if self.window.accepted_since(before) == 0 || !self.believes(accepted) {
                return;
            }
            self.budget = accepted.min(self.budget - 1);
            self.proven = self.budget;
        }
        let shared = self.budget < FIRST_BUDGET;
        let lasts = if shared {
            SHARED_CEILING_LASTS
        } else {
            CEILING_LASTS
        };
        self.trial_at = now + lasts;
    }

    /// Whether a limit is believed that shows as `accepted` requests: at once if it is not far from
    /// the budget, else when it shows a second time.
    fn believes(&mut self, accepted: usize) -> bool {
        let doubt = self.doubt.replace(accepted);
        let again = doubt.is_some_and(|before| before.abs_diff(accepted) * 4 <= accepted);
        accepted >= LEAST_EVIDENCE && (again || accepted * 2 >= self.budget)
    }
}

fn wait(until: Option<Moment>, reason: WaitReason) -> Turn {
    Turn::Wait { until, reason }
}
