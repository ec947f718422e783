//! Scripted faults: what goes wrong in which call, how often, and when.
//!
//! A rule matches calls, lets some of them pass, and then acts: it fails the call, panics, holds it
//! back, or does something else in the world just before or after it.

use std::fmt;
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

/// Whether a rule acts before the call has its effect or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Before,
    After,
}

/// What a rule does.
pub(super) enum Fault<E> {
    /// The call fails.
    Fail(E),
    /// The call panics.
    Panic,
    /// The call waits until it gets a permit, which it gives back when its answer is there.
    Hold(Arc<Semaphore>),
    /// Something happens in the world.
    Do(Arc<dyn Fn() + Send + Sync>),
}

impl<E: Clone> Clone for Fault<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Fail(error) => Self::Fail(error.clone()),
            Self::Panic => Self::Panic,
            Self::Hold(gate) => Self::Hold(Arc::clone(gate)),
            Self::Do(action) => Self::Do(Arc::clone(action)),
        }
    }
}

impl<E> Fault<E> {
    /// Something happens in the world.
    pub(super) fn run(action: impl Fn() + Send + Sync + 'static) -> Self {
        Self::Do(Arc::new(action))
    }
}

struct Rule<C, E> {
    matches: Box<dyn Fn(&C) -> bool + Send>,
    when: When,
    pass: usize,
    left: usize,
    fault: Fault<E>,
}

/// The rules of one port.
pub(super) struct Script<C, E>(Mutex<Vec<Rule<C, E>>>);

impl<C, E> Default for Script<C, E> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<C, E> fmt::Debug for Script<C, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Script").finish_non_exhaustive()
    }
}

impl<C, E: Clone> Script<C, E> {
    /// Acts in the first matching call only.
    pub(super) fn once(
        &self,
        matches: impl Fn(&C) -> bool + Send + 'static,
        when: When,
        fault: Fault<E>,
    ) {
        self.add(matches, when, 0, 1, fault);
    }

    /// Acts in every matching call.
    pub(super) fn always(
        &self,
        matches: impl Fn(&C) -> bool + Send + 'static,
        when: When,
        fault: Fault<E>,
    ) {
        self.add(matches, when, 0, usize::MAX, fault);
    }

    /// Lets `pass` matching calls pass, then acts in the next `times`.
    pub(super) fn add(
        &self,
        matches: impl Fn(&C) -> bool + Send + 'static,
        when: When,
        pass: usize,
        times: usize,
        fault: Fault<E>,
    ) {
        self.0.lock().unwrap().push(Rule {
            matches: Box::new(matches),
            when,
            pass,
            left: times,
            fault,
        });
    }

    /// Takes all rules back.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// Acts out what is due in this call. A held call keeps its permit as long as the guard lives.
    pub(super) async fn act(&self, call: &C, when: When) -> Result<Guard, E> {
        let due = self.due(call, when);
        let mut guard = Guard::default();
        for fault in due {
            match fault {
                Fault::Fail(error) => return Err(error),
                Fault::Panic => panic!("a scripted panic"),
                Fault::Hold(gate) => guard.0.push(gate.acquire_owned().await.unwrap()),
                Fault::Do(action) => action(),
            }
        }
        Ok(guard)
    }

    fn due(&self, call: &C, when: When) -> Vec<Fault<E>> {
        let mut due = Vec::new();
        for rule in self.0.lock().unwrap().iter_mut() {
            if rule.when != when || rule.left == 0 || !(rule.matches)(call) {
                continue;
            }
            if rule.pass > 0 {
                rule.pass -= 1;
                continue;
            }
            rule.left = rule
                .left
                .saturating_sub(usize::from(rule.left != usize::MAX));
            due.push(rule.fault.clone());
        }
        due
    }
}

/// The permits of a held call.
#[derive(Debug, Default)]
pub(super) struct Guard(Vec<tokio::sync::OwnedSemaphorePermit>);
