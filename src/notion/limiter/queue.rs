//! A lane: those who wait for a request, in turns by caller.
//!
//! First come, first served among the requests of one caller; between callers one request each. So
//! a binding that waits with a hundred requests delays another's by one, not by a hundred.

use std::collections::VecDeque;

/// On whose behalf a request waits. Equal callers share their turns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::notion) struct Caller(pub(in crate::notion) u64);

/// The tickets of a lane.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Whoever waits, with their tickets; none is without any. The first is next.
    turns: VecDeque<(Caller, VecDeque<u64>)>,
}

impl Queue {
    /// Takes a place behind the caller's other tickets.
    pub(super) fn join(&mut self, caller: Caller, ticket: u64) {
        match self.turns.iter_mut().find(|(known, _)| *known == caller) {
            Some((_, tickets)) => tickets.push_back(ticket),
            None => self.turns.push_back((caller, VecDeque::from([ticket]))),
        }
    }

    /// Gives a place up.
    pub(super) fn leave(&mut self, ticket: u64) {
        for (_, tickets) in &mut self.turns {
            tickets.retain(|waiting| *waiting != ticket);
        }
        self.turns.retain(|(_, tickets)| !tickets.is_empty());
    }

    /// The ticket whose turn it is.
    pub(super) fn head(&self) -> Option<u64> {
        self.turns.front()?.1.front().copied()
    }

    /// Lets that ticket go; its caller's next turn comes after everybody else's.
    pub(super) fn pop(&mut self) {
        let Some((caller, mut tickets)) = self.turns.pop_front() else {
            return;
        };
        tickets.pop_front();
        if !tickets.is_empty() {
            self.turns.push_back((caller, tickets));
        }
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| {
            let head = queue.head();
            queue.pop();
            head
        })
        .collect()
    }

    #[test]
    fn callers_take_turns_and_their_tickets_keep_their_order() {
        let mut queue = Queue::default();
        for ticket in [1, 2, 3] {
            queue.join(Caller(7), ticket);
        }
        queue.join(Caller(8), 4);
        queue.join(Caller(9), 5);
        queue.join(Caller(8), 6);
        assert_eq!(order(&mut queue), [1, 4, 5, 2, 6, 3]);
        assert!(queue.is_empty());
    }

    #[test]
    fn whoever_leaves_costs_nobody_a_turn() {
        let mut queue = Queue::default();
        queue.join(Caller(7), 1);
        queue.join(Caller(8), 2);
        queue.join(Caller(7), 3);
        queue.leave(1);
        queue.leave(2);
        assert_eq!(order(&mut queue), [3]);
    }
}
