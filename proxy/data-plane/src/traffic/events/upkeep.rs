//! What an open session costs others: the memory that all of them share, and its part of the gauge of subscriptions.

use message_access::SessionEnd;
use prometheus::IntGauge;

use crate::traffic::held_memory::HeldMemory;

/// What every session may hold without asking: chunks on their way, as an opaque connection has them too.
const OWN: usize = 128 << 10;

/// The grain of what is asked for, so that most messages ask for nothing.
const GRAIN: usize = 64 << 10;

/// What one session holds and has open.
pub(super) struct Upkeep {
    memory: HeldMemory,
    asked_for: usize,
    gauge: IntGauge,
    subscriptions: usize,
}

impl Upkeep {
    /// Nothing yet, of this memory and in this gauge.
    pub(super) fn new(memory: HeldMemory, gauge: IntGauge) -> Self {
        Self { memory, asked_for: 0, gauge, subscriptions: 0 }
    }

    /// Whether it holds more than what is its own.
    pub(super) fn has_asked(&self) -> bool {
        self.asked_for > 0
    }

    /// The session has so many subscriptions, and holds so many bytes.
    ///
    /// # Errors
    /// There is no room for them.
    pub(super) fn note(&mut self, subscriptions: usize, bytes: usize) -> Result<(), SessionEnd> {
        if subscriptions != self.subscriptions {
            self.gauge.add(number(subscriptions) - number(self.subscriptions));
            self.subscriptions = subscriptions;
        }
        let need = bytes.saturating_sub(OWN).next_multiple_of(GRAIN);
        if need > self.asked_for && !self.memory.grow_to(need) {
            return Err(SessionEnd::Limit("no room in `limits.eventMemory`".to_owned()));
        }
        if need < self.asked_for {
            self.memory.shrink_to(need);
        }
        self.asked_for = need;
        Ok(())
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.gauge.sub(number(self.subscriptions));
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::traffic::held_memory::MemoryBudget;

    #[test]
    fn s48_limit_and_metric_keys_sessions_share_their_memory_and_give_it_back() {
        let budget = MemoryBudget::new(3 * GRAIN);
        let gauge = IntGauge::new("open", "open").unwrap();
        let session = || Upkeep::new(budget.hold(), gauge.clone());
        let (mut one, mut other) = (session(), session());
        one.note(3, OWN).unwrap();
        other.note(2, OWN).unwrap();
        assert_eq!(gauge.get(), 5);
        one.note(4, OWN + 2 * GRAIN).unwrap();
        other.note(2, OWN + GRAIN).unwrap();
        assert!(matches!(other.note(2, OWN + GRAIN + 1), Err(SessionEnd::Limit(_))));
        one.note(0, OWN + 1).unwrap();
        other.note(1, OWN + 2 * GRAIN).unwrap();
        assert_eq!(gauge.get(), 1);
        drop(other);
        one.note(0, OWN + 3 * GRAIN).unwrap();
        assert_eq!(gauge.get(), 0);
    }
}
