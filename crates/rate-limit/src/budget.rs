//! How many callers may be kept apart, over all limits of a proxy.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The room that tables share. One table alone gets all of it. Several get half of it divided evenly, each a part that no
/// other can take, and the other half as it comes: a flood at one limit leaves the callers of the others their buckets.
#[derive(Debug)]
pub struct KeyBudget {
    most: usize,
    total: AtomicUsize,
    tables: AtomicUsize,
}

impl KeyBudget {
    /// Room for so many keys.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, total: AtomicUsize::new(0), tables: AtomicUsize::new(0) }
    }

    /// How many there are, over all tables.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total.load(Relaxed)
    }

    pub(crate) fn table_begins(&self) {
        self.tables.fetch_add(1, Relaxed);
    }

    /// A table of so many keys has ended.
    pub(crate) fn table_ends(&self, held: usize) {
        self.tables.fetch_sub(1, Relaxed);
        self.total.fetch_sub(held, Relaxed);
    }

    /// Whether a table that has `held` may take one more; counted, if so.
    pub(crate) fn take(&self, held: &AtomicUsize) -> bool {
        let most = match self.tables.load(Relaxed) {
            0 | 1 => self.most,
            tables if held.load(Relaxed) < self.most / 2 / tables => self.most,
            _ => self.most / 2,
        };
        let one_more = |total: usize| (total < most).then_some(total + 1);
        let taken = self.total.fetch_update(Relaxed, Relaxed, one_more).is_ok();
        if taken {
            held.fetch_add(1, Relaxed);
        }
        taken
    }

    /// So many keys of a table are gone.
    pub(crate) fn give_back(&self, held: &AtomicUsize, keys: usize) {
        held.fetch_sub(keys, Relaxed);
        self.total.fetch_sub(keys, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_table_may_hold() {
        for (name, tables, others, expect) in [
            ("alone, all of it", 1, 0, 100),
            ("of two, a part of its own and what is free of the other half", 2, 0, 50),
            ("of two, its part although the other half is taken", 2, 50, 25),
            ("of four", 4, 50, 12),
        ] {
            let budget = KeyBudget::new(100);
            (0..tables).for_each(|_| budget.table_begins());
            let (flooded, own) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let taken = (0..others).filter(|_| budget.take(&flooded)).count();
            assert_eq!(taken, others, "{name}");
            let taken = (0..200).filter(|_| budget.take(&own)).count();
            assert_eq!(taken, expect, "{name}");
            assert!(budget.total() <= 100, "{name}");
        }
    }
}
