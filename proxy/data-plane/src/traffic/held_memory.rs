//! How many bytes are held for one purpose, all of a process together: bodies for those who look through them, messages for
//! brokers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Relaxed};

use crate::http::body::BodyGuard;

/// The bytes that may be held.
pub(crate) struct MemoryBudget {
    left: Arc<AtomicUsize>,
}

/// Bytes that are held; given back when it is dropped. A body has it as a guard: what was read ahead of it lies in memory
/// until it has been sent.
pub(crate) struct HeldMemory {
    left: Arc<AtomicUsize>,
    bytes: usize,
}

impl MemoryBudget {
    /// So many at most.
    #[must_use]
    pub(crate) fn new(most: usize) -> Self {
        Self { left: Arc::new(AtomicUsize::new(most)) }
    }

    /// Nothing yet.
    pub(crate) fn hold(&self) -> HeldMemory {
        HeldMemory { left: Arc::clone(&self.left), bytes: 0 }
    }
}

impl HeldMemory {
    /// Holds so many in all; false, where there is no room.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let taken = self.left.fetch_update(AcqRel, Relaxed, |left| left.checked_sub(more));
        if taken.is_ok() {
            self.bytes += more;
        }
        taken.is_ok()
    }

    /// Gives back what is beyond so many.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let back = self.bytes.saturating_sub(bytes);
        self.bytes -= back;
        self.left.fetch_add(back, AcqRel);
    }
}

impl Drop for HeldMemory {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

impl BodyGuard for HeldMemory {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s48_limit_and_metric_keys_what_is_held_has_a_bound_and_comes_back() {
        let memory = MemoryBudget::new(100);
        let (mut one, mut other) = (memory.hold(), memory.hold());
        assert!(one.grow_to(60) && one.grow_to(40) && !other.grow_to(50));
        one.shrink_to(50);
        assert!(other.grow_to(50) && !one.grow_to(51));
        drop(other);
        assert!(one.grow_to(100));
        drop(one);
        assert!(memory.hold().grow_to(100));
    }
}
