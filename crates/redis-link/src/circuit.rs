//! Whether a node of the store is asked at all. There is no clock in it: moments are handed in.
//!
//! Closed, every question is asked. After so many failures in a row it opens, and nobody asks; then *one trial at a time*
//! is made, by the connection and not by anybody's request, until one is answered in time.

use std::time::{Duration, Instant};

/// The circuit of one node.
#[derive(Debug)]
pub(crate) struct Circuit {
    failures_to_open: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { trial_at: Instant },
}

impl Circuit {
    /// Closed.
    pub(crate) fn new(failures_to_open: u32) -> Self {
        Self { failures_to_open, state: State::Closed { failures: 0 } }
    }

    /// Whether it is asked.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// When the next trial is due, while it is open.
    pub(crate) fn trial_at(&self) -> Option<Instant> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { trial_at } => Some(trial_at),
        }
    }

    /// A question was answered. One that was asked before the circuit opened does not close it: it says nothing about
    /// those that were not answered after it.
    pub(crate) fn answered(&mut self) {
        if let State::Closed { failures } = &mut self.state {
            *failures = 0;
        }
    }

    /// A question was not answered, or refused. Whether the circuit opens by it: the first trial is due after `wait`.
    pub(crate) fn failed(&mut self, now: Instant, wait: Duration) -> bool {
        let State::Closed { failures } = &mut self.state else { return false };
        *failures = failures.saturating_add(1);
        let opens = *failures >= self.failures_to_open;
        if opens {
            self.state = State::Open { trial_at: now + wait };
        }
        opens
    }

    /// A trial was answered in time, or the store took a new connection: it is asked again.
    pub(crate) fn close(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// A trial was not answered: the next one is due after `wait`.
    pub(crate) fn trial_failed(&mut self, now: Instant, wait: Duration) {
        if !self.is_closed() {
            self.state = State::Open { trial_at: now + wait };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[derive(Clone, Copy)]
    enum Event {
        Answered,
        Failed,
        Close,
        TrialFailed,
    }
    use Event::{Answered, Close, Failed, TrialFailed};

    #[test]
    fn what_opens_and_closes_it() {
        let check = |name: &str, events: &[Event], expect: Option<u64>| {
            let start = Instant::now();
            let mut circuit = Circuit::new(3);
            // One event a second.
            let mut now = start;
            for event in events {
                match event {
                    Answered => circuit.answered(),
                    Failed => drop(circuit.failed(now, SECOND)),
                    Close => circuit.close(),
                    TrialFailed => circuit.trial_failed(now, SECOND),
                }
                now += SECOND;
            }
            let trial_at = circuit.trial_at().map(|at| (at - start).as_secs());
            assert_eq!(trial_at, expect, "{name}");
            assert_eq!(circuit.is_closed(), expect.is_none(), "{name}");
        };
        check("at the beginning", &[], None);
        check("too few", &[Failed, Failed], None);
        check("three in a row", &[Failed, Failed, Failed], Some(3));
        check("not in a row", &[Failed, Failed, Answered, Failed, Failed], None);
        check("more do not put the trial off", &[Failed, Failed, Failed, Failed, Failed], Some(3));
        check("a late answer is no trial", &[Failed, Failed, Failed, Answered], Some(3));
        check("a trial that failed", &[Failed, Failed, Failed, TrialFailed], Some(4));
        check("two of them", &[Failed, Failed, Failed, TrialFailed, TrialFailed], Some(5));
        check("a trial that was answered", &[Failed, Failed, Failed, Close], None);
        check("anew, and counted anew", &[Failed, Failed, Failed, Close, Failed, Failed], None);
        check(
            "closed meanwhile by a connection",
            &[Failed, Failed, Failed, Close, TrialFailed],
            None,
        );
    }

    #[test]
    fn it_says_once_that_it_opens() {
        let mut circuit = Circuit::new(2);
        let found = [(); 4].map(|()| circuit.failed(Instant::now(), SECOND));
        assert_eq!(found, [false, true, false, false]);
    }

    #[test]
    fn failures_without_end_are_counted_without_a_panic() {
        let mut circuit = Circuit::new(u32::MAX);
        circuit.state = State::Closed { failures: u32::MAX - 1 };
        assert!(circuit.failed(Instant::now(), SECOND));
    }
}
