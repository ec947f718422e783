//! The limiter against an imagined Notion: fixed windows of unknown phase, virtual time.

use std::time::Duration;

use proptest::prelude::*;

use super::queue;
use super::state::{Answer, State, Turn, WaitReason};
use super::window::{Moment, SPAN};
use crate::notion::Lane;

/// Notion's limit.
struct Server {
    limit: usize,
    phase: Duration,
    window: u128,
    count: usize,
}

impl Server {
    fn new(limit: usize, phase: Duration) -> Self {
        Self {
            limit,
            phase,
            window: 0,
            count: 0,
        }
    }

    fn answer(&mut self, at: Moment) -> Answer {
        let position = (at + self.phase).as_nanos();
        let window = position / SPAN.as_nanos();
        if window != self.window {
            self.window = window;
            self.count = 0;
        }
        if self.count < self.limit {
            self.count += 1;
            return Answer::Taken;
        }
        let rest = SPAN.as_nanos() - position % SPAN.as_nanos();
        let seconds = u64::try_from(rest.div_ceil(1_000_000_000)).unwrap();
        Answer::ConnectionLimit(Some(Duration::from_secs(seconds)))
    }
}

/// Somebody who sends one request after another.
#[derive(Clone, Copy)]
struct Caller {
    /// The binding that it works for.
    binding: u64,
    lane: Lane,
    latency: Duration,
    /// Time between an answer and the next request.
    rest: Duration,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    Resting(Moment),
    Waiting {
        ticket: u64,
        since: Moment,
    },
    Sent {
        number: u64,
        answer: Answer,
        back: Moment,
    },
}

impl Caller {
    fn new(lane: Lane, latency: u64, rest: u64) -> Self {
        Self {
            binding: 0,
            lane,
            latency: Duration::from_millis(latency),
            rest: Duration::from_millis(rest),
            stage: Stage::Resting(Moment::ZERO),
        }
    }

    fn of(self, binding: u64) -> Self {
        Self { binding, ..self }
    }
}

/// What happened.
#[derive(Default)]
struct Log {
    sent: Vec<Moment>,
    refused: Vec<Moment>,
    by_caller: Vec<usize>,
    longest_wait: Vec<Duration>,
}

impl Log {
    /// The longest wait of the caller that was named last.
    fn last_waited(&self) -> Duration {
        self.longest_wait.last().copied().unwrap()
    }
}

struct World {
    state: State,
    server: Server,
    callers: Vec<Caller>,
    now: Moment,
    log: Log,
    /// Counts requests and answers.
    progress: usize,
}

impl World {
    fn new(server: Server, callers: Vec<Caller>) -> Self {
        let log = Log {
            by_caller: vec![0; callers.len()],
            longest_wait: vec![Duration::ZERO; callers.len()],
            ..Log::default()
        };
        Self {
            state: State::default(),
            server,
            callers,
            now: Moment::ZERO,
            log,
            progress: 0,
        }
    }

    fn run(mut self, until: Moment) -> Log {
        while self.now < until {
            let next = loop {
                let before = self.progress;
                let next = (0..self.callers.len())
                    .filter_map(|index| self.step(index))
                    .min();
                // Whoever stood behind somebody who moved looks again.
                if self.progress == before {
                    break next;
                }
            };
            self.now = next
                .unwrap_or(until)
                .max(self.now + Duration::from_millis(1));
        }
        self.log
    }

    /// Moves one caller on as far as it gets now; tells when to look again.
    fn step(&mut self, index: usize) -> Option<Moment> {
        let mut caller = self.callers[index];
        if let Stage::Sent {
            number,
            answer,
            back,
        } = caller.stage
            && back <= self.now
        {
            self.state.finish(number, answer, self.now);
            self.progress += 1;
            if answer == Answer::Taken {
                self.log.by_caller[index] += 1;
            } else {
                self.log.refused.push(self.now);
            }
            caller.stage = Stage::Resting(self.now + caller.rest);
        }
        if let Stage::Resting(end) = caller.stage
            && end <= self.now
        {
            let ticket = self.state.join(caller.lane, queue::Caller(caller.binding));
            let since = self.now;
            caller.stage = Stage::Waiting { ticket, since };
        }
        let mut again = None;
        if let Stage::Waiting { ticket, since } = caller.stage {
            match self.state.turn(caller.lane, ticket, self.now) {
                Turn::Wait { until, .. } => again = until,
                Turn::Go(number) => {
                    let waited = self.now.saturating_sub(since);
                    let longest = &mut self.log.longest_wait[index];
                    *longest = waited.max(*longest);
                    caller.stage = self.send(caller, number);
                }
            }
        }
        self.callers[index] = caller;
        match caller.stage {
            Stage::Resting(end) => Some(end),
            Stage::Sent { back, .. } => Some(back),
            Stage::Waiting { .. } => again,
        }
    }

    fn send(&mut self, caller: Caller, number: u64) -> Stage {
        self.log.sent.push(self.now);
        self.progress += 1;
        // The request arrives half-way; callers are stepped in order of time, so arrivals may be
        // counted slightly out of order, which a real network does as well.
        let answer = self.server.answer(self.now + caller.latency / 2);
        let back = self.now + caller.latency;
        Stage::Sent {
            number,
            answer,
            back,
        }
    }
}

fn seconds(count: u64) -> Moment {
    Duration::from_secs(count)
}

/// The most requests in any span of 60 seconds.
fn densest(sent: &[Moment]) -> usize {
    let mut first = 0;
    (0..sent.len())
        .map(|last| {
            while sent[last].saturating_sub(sent[first]) >= SPAN {
                first += 1;
            }
            last - first + 1
        })
        .max()
        .unwrap_or(0)
}

const HOUR: u64 = 60 * 60;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn after_it_has_learned_nothing_is_refused(
        limit in 40_usize..700,
        phase in 0_u64..60_000,
        callers in prop::collection::vec((20_u64..3_000, any::<bool>(), 0_u64..4), 1..12),
    ) {
        let callers = callers.iter().map(|(latency, edit, binding)| {
            let lane = if *edit { Lane::Edit } else { Lane::Background };
            Caller::new(lane, *latency, 0).of(*binding)
        }).collect();
        let server = Server::new(limit, Duration::from_millis(phase));
        let log = World::new(server, callers).run(seconds(HOUR / 3));
        let late = log.refused.iter().filter(|at| **at > seconds(HOUR / 5)).count();
        // A larger budget is tried now and then for the price of one refusal.
        prop_assert!(late <= 1, "{late} of {:?}", log.refused);
        prop_assert!(densest(&log.sent) <= 600);
    }

    #[test]
    fn no_minute_holds_more_than_the_budget_before_it_was_tried(
        arrivals in prop::collection::vec((0_u64..59_000, any::<bool>()), 1..400),
        latency in 0_u64..30_000,
    ) {
        let callers = arrivals.iter().map(|(at, edit)| {
            let lane = if *edit { Lane::Edit } else { Lane::Background };
            let mut caller = Caller::new(lane, latency, 100_000_000);
            caller.stage = Stage::Resting(Duration::from_millis(*at));
            caller
        }).collect();
        let server = Server::new(usize::MAX, Duration::ZERO);
        let log = World::new(server, callers).run(seconds(60));
        prop_assert!(densest(&log.sent) <= 180);
    }
}

#[test]
fn a_lone_scan_or_a_bulk_of_edits_comes_within_five_percent_of_the_floor() {
    let cases = [(180, 300, 0), (180, 900, 17), (600, 50, 43), (60, 300, 5)];
    let lanes = [Lane::Background, Lane::Edit];
    for ((limit, latency, phase), lane) in cases.iter().flat_map(|it| lanes.map(|lane| (*it, lane)))
    {
        let scan = vec![Caller::new(lane, latency, 10); 6];
        let server = Server::new(limit, seconds(phase));
        let log = World::new(server, scan).run(seconds(HOUR / 2));
        let half: usize = log.by_caller.iter().sum();
        // The first five minutes are for learning.
        let floor = limit * 25;
        assert!(
            half * 100 >= floor * 95,
            "{half} of {floor} at {limit} {lane:?}"
        );
    }
}

#[test]
fn the_larger_plan_is_found_without_a_refusal_and_the_smaller_for_few() {
    let (edit, background) = (Lane::Edit, Lane::Background);
    // As many may be refused as are under way while more is tried.
    for (lane, latency, refusals) in [(background, 100, 1), (edit, 300, 2), (background, 600, 3)] {
        let callers = || vec![Caller::new(lane, latency, 0); 8];
        let log = World::new(Server::new(600, seconds(20)), callers()).run(seconds(HOUR / 5));
        assert_eq!(log.refused.len(), 0, "{lane:?} {latency}");
        // Six at a time, with answers of 600 ms, are 600 a minute in theory only.
        let densest = densest(&log.sent);
        assert!(densest * 100 >= 600 * 92, "{densest} {lane:?} {latency}");
        let log = World::new(Server::new(180, seconds(20)), callers()).run(seconds(HOUR / 5));
        let few = (1..=refusals).contains(&log.refused.len());
        assert!(few, "{:?} {lane:?} {latency}", log.refused);
    }
}

#[test]
fn a_scan_does_not_starve_edits() {
    let mut callers = vec![Caller::new(Lane::Background, 300, 0); 8];
    callers.push(Caller::new(Lane::Edit, 300, 3_000));
    let log = World::new(Server::new(180, seconds(7)), callers.clone()).run(seconds(HOUR / 2));
    // The trial of a larger budget pauses everything once, until Notion's window ends.
    assert!(log.last_waited() <= SPAN, "{:?}", log.longest_wait);
    let log = World::new(Server::new(usize::MAX, seconds(7)), callers).run(seconds(HOUR / 2));
    assert!(log.last_waited() <= seconds(5), "{:?}", log.longest_wait);
}

/// A binding that always waits with many requests, one that sends one after the other, and one that
/// asks for something every three seconds.
fn three_bindings(lane: Lane) -> Vec<Caller> {
    let mut callers = vec![Caller::new(lane, 300, 0).of(1); 30];
    callers.push(Caller::new(lane, 300, 0).of(2));
    callers.push(Caller::new(lane, 300, 3_000).of(3));
    callers
}

#[test]
fn a_large_binding_does_not_delay_the_others_of_its_lane() {
    for lane in [Lane::Background, Lane::Edit] {
        let server = Server::new(usize::MAX, seconds(7));
        let log = World::new(server, three_bindings(lane)).run(seconds(HOUR / 2));
        assert!(log.last_waited() <= seconds(5), "{:?}", log.longest_wait);
        // It asks every 3.3 seconds.
        assert!(log.by_caller[31] > 400, "{:?}", log.by_caller);
        let server = Server::new(180, seconds(7));
        let log = World::new(server, three_bindings(lane)).run(seconds(HOUR / 2));
        let (large, one_by_one) = (log.by_caller[..30].iter().sum::<usize>(), log.by_caller[30]);
        // The fair share of one place among eight; in one line it would be a thirtieth.
        assert!(one_by_one * 8 >= large, "{one_by_one} beside {large}");
    }
}

#[test]
fn edits_without_end_leave_scans_an_eighth_and_use_all_the_rest() {
    let mut callers = vec![Caller::new(Lane::Edit, 300, 0); 8];
    callers.push(Caller::new(Lane::Background, 300, 0));
    let log = World::new(Server::new(180, seconds(7)), callers).run(seconds(HOUR / 2));
    let all: usize = log.by_caller.iter().sum();
    assert!(all * 100 >= 180 * 28 * 95, "{:?}", log.by_caller);
    let scan = log.by_caller[8];
    assert!(scan * 10 >= all && scan * 6 <= all, "{:?}", log.by_caller);
}

/// Sends one request at `now` and reports its answer.
fn exchange(state: &mut State, answer: Answer, now: Moment) {
    let ticket = state.join(Lane::Background, queue::Caller(0));
    let Turn::Go(number) = state.turn(Lane::Background, ticket, now) else {
        panic!("nothing stands in the way at {now:?}");
    };
    state.finish(number, answer, now);
}

#[test]
fn single_refusals_of_a_quiet_token_cost_their_pause_only() {
    let mut state = State::default();
    for round in 0..20 {
        let now = seconds(2 * round);
        exchange(&mut state, Answer::ConnectionLimit(Some(seconds(1))), now);
        exchange(&mut state, Answer::Taken, now + seconds(1));
    }
    // More than all that were accepted before: the budget is what it was.
    for _ in 0..90 {
        exchange(&mut state, Answer::Taken, seconds(50));
    }
}

#[test]
fn other_limits_pause_and_leave_the_budget_alone() {
    let mut state = State::default();
    let ticket = state.join(Lane::Background, queue::Caller(0));
    let Turn::Go(number) = state.turn(Lane::Background, ticket, seconds(0)) else {
        panic!("nothing stands in the way");
    };
    let answer = Answer::Refused(WaitReason::OtherLimit, Some(seconds(30)));
    state.finish(number, answer, seconds(1));
    let mut sent = 0;
    for _ in 0..200 {
        let ticket = state.join(Lane::Background, queue::Caller(0));
        assert!(matches!(
            state.turn(Lane::Background, ticket, seconds(30)),
            Turn::Wait { until: Some(until), reason: WaitReason::OtherLimit } if until == seconds(31)
        ));
        if let Turn::Go(number) = state.turn(Lane::Background, ticket, seconds(61)) {
            state.finish(number, Answer::Taken, seconds(61));
            sent += 1;
        } else {
            state.leave(Lane::Background, ticket);
            break;
        }
    }
    assert!(sent >= 130, "{sent}");
}
