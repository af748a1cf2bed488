//! The request to close a connection, which several threads may make at once: control, when policy or certificates
//! change, and the connection's own worker, when it drains.

use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::SeqCst;

use crate::labels::CloseReason;

/// Why a connection was asked to close; nothing at the beginning.
#[derive(Debug, Default)]
pub(super) struct CloseSignal(AtomicU8);

impl CloseSignal {
    /// Sets a reason: the first wins, but an abort overrides a drain. Returns whether it was set.
    pub(super) fn ask(&self, reason: CloseReason) -> bool {
        set_reason(&self.0, reason)
    }

    /// The reason in force.
    pub(super) fn reason(&self) -> Option<CloseReason> {
        CloseReason::from_code(self.0.load(SeqCst))
    }
}

/// The cell that holds the reason; a test runs another thread's steps between two of ours.
trait ReasonCell {
    fn load(&self) -> u8;
    /// Stores `new` if `old` is there, in one atomic step; otherwise returns the current value.
    fn exchange(&self, old: u8, new: u8) -> Result<u8, u8>;
}

impl ReasonCell for AtomicU8 {
    fn load(&self) -> u8 {
        self.load(SeqCst)
    }

    fn exchange(&self, old: u8, new: u8) -> Result<u8, u8> {
        self.compare_exchange(old, new, SeqCst, SeqCst)
    }
}

/// Never a load and a store: between the two another thread may have stored a stronger reason, which would be lost.
fn set_reason(cell: &impl ReasonCell, reason: CloseReason) -> bool {
    let mut seen = cell.load();
    while overrides(seen, reason) {
        match cell.exchange(seen, reason as u8) {
            Ok(_) => return true,
            Err(now) => seen = now,
        }
    }
    false
}

fn overrides(old: u8, new: CloseReason) -> bool {
    match CloseReason::from_code(old) {
        None => true,
        Some(old) => old.is_graceful() && !new.is_graceful(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell as Place, RefCell};
    use std::collections::VecDeque;

    use super::*;

    /// A cell that runs another caller as a whole before its n-th step.
    struct InterruptedCell<'a> {
        place: &'a Place<u8>,
        steps: Place<usize>,
        others: RefCell<VecDeque<(usize, CloseReason)>>,
    }

    impl<'a> InterruptedCell<'a> {
        fn new(place: &'a Place<u8>, others: &[(usize, CloseReason)]) -> Self {
            let others = RefCell::new(others.iter().copied().collect());
            Self { place, steps: Place::new(0), others }
        }

        fn step(&self) {
            let step = self.steps.replace(self.steps.get() + 1);
            while self.others.borrow().front().is_some_and(|(at, _)| *at <= step) {
                self.run_next();
            }
        }

        fn run_next(&self) {
            let next = self.others.borrow_mut().pop_front();
            if let Some((_, reason)) = next {
                set_reason(&InterruptedCell::new(self.place, &[]), reason);
            }
        }
    }

    impl ReasonCell for InterruptedCell<'_> {
        fn load(&self) -> u8 {
            self.step();
            self.place.get()
        }

        fn exchange(&self, old: u8, new: u8) -> Result<u8, u8> {
            self.step();
            let now = self.place.get();
            if now != old {
                return Err(now);
            }
            self.place.set(new);
            Ok(old)
        }
    }

    const DRAIN: CloseReason = CloseReason::Drain;
    const EXPIRY: CloseReason = CloseReason::CertificateExpiry;
    const POLICY: CloseReason = CloseReason::Policy;
    const REVOKED: CloseReason = CloseReason::PeerRevoked;

    /// Only an exchange changes the cell, so callers have no other interleavings than whole calls between the steps of
    /// one: before its load, before its first exchange, before its second, and after everything (step 3).
    fn run(mine: CloseReason, others: &[(usize, CloseReason)]) -> Option<CloseReason> {
        let place = Place::new(0);
        let cell = InterruptedCell::new(&place, others);
        set_reason(&cell, mine);
        others.iter().for_each(|_| cell.run_next());
        CloseReason::from_code(place.get())
    }

    #[test]
    fn s28_revocation_a_drain_never_overwrites_an_abort_in_any_interleaving() {
        for reasons in [
            [DRAIN, POLICY],
            [POLICY, DRAIN],
            [DRAIN, EXPIRY],
            [POLICY, REVOKED],
            [REVOKED, EXPIRY],
        ] {
            let [mine, other] = reasons;
            for step in 0..4 {
                check(&reasons, run(mine, &[(step, other)]), &format!("{reasons:?}, {step}"));
            }
        }
        for reasons in [[DRAIN, EXPIRY, POLICY], [DRAIN, POLICY, REVOKED]] {
            for [mine, one, two] in orders(reasons) {
                for (first, second) in (0..4).flat_map(|first| (first..4).map(move |s| (first, s)))
                {
                    let others = [(first, one), (second, two)];
                    check(&reasons, run(mine, &others), &format!("{mine:?} with {others:?}"));
                }
            }
        }
    }

    fn check(reasons: &[CloseReason], last: Option<CloseReason>, name: &str) {
        assert!(last.is_some_and(|last| reasons.contains(&last)), "{name}: {last:?}");
        let abort = reasons.iter().any(|reason| !reason.is_graceful());
        assert_eq!(last.map(CloseReason::is_graceful), Some(!abort), "{name}: {last:?}");
    }

    fn orders([a, b, c]: [CloseReason; 3]) -> [[CloseReason; 3]; 6] {
        [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]]
    }

    #[test]
    fn the_first_reason_wins_but_an_abort_overrides_a_drain() {
        for (name, asked, expect) in [
            ("nothing", vec![], None),
            ("a drain", vec![DRAIN], Some(DRAIN)),
            ("a second drain", vec![DRAIN, EXPIRY], Some(DRAIN)),
            ("an abort after a drain", vec![DRAIN, POLICY], Some(POLICY)),
            ("a drain after an abort", vec![POLICY, DRAIN], Some(POLICY)),
            ("a second abort", vec![POLICY, REVOKED], Some(POLICY)),
        ] {
            let closing = CloseSignal::default();
            for reason in asked {
                closing.ask(reason);
            }
            assert_eq!(closing.reason(), expect, "{name}");
        }
    }
}
