//! What has changed since a proxy was last answered: a bounded journal, so that a change costs what it touches.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

use super::{ObjectName, PolicyName};

/// The most changes that are kept, about a megabyte of them. A thousand endpoints that change in a second make about
/// four thousand entries, and a stream reads them twenty times a second or more.
const MOST_CHANGES: usize = 16_384;
/// An event that touches more addresses than these counts as one of all destinations: it shall not push out all others.
const MOST_ADDRESSES: usize = 256;

/// What the meaning of a destination follows from, besides ServiceEntries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Dependency {
    /// Whether there is a Service of this name, and the document about it.
    Service(ObjectName),
    /// Who is at this address.
    Address(IpAddr),
}

/// What may have another answer than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// The destinations that follow from this.
    Destinations(Dependency),
    /// Every destination.
    AllDestinations,
    /// The pod's description of itself, and the policies that select it.
    Workload(ObjectName),
    /// Those of every pod.
    AllWorkloads,
    /// This route or traffic policy, for whomever it was or is about.
    Traffic(PolicyName),
    /// What the proxies of gateways are told.
    Gateways,
}

/// The newest changes. Its revision is the number of all there were.
#[derive(Debug)]
pub(super) struct ChangeJournal {
    kept: VecDeque<Change>,
    most: usize,
    revision: u64,
}

impl Default for ChangeJournal {
    fn default() -> Self {
        Self::keeping(MOST_CHANGES)
    }
}

impl ChangeJournal {
    /// A journal of so many changes.
    pub(super) fn keeping(most: usize) -> Self {
        Self { kept: VecDeque::new(), most, revision: 0 }
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn record(&mut self, change: Change) {
        self.kept.push_back(change);
        if self.kept.len() > self.most {
            self.kept.pop_front();
        }
        self.revision += 1;
    }

    pub(super) fn record_addresses(&mut self, addresses: &BTreeSet<IpAddr>) {
        if addresses.len() > MOST_ADDRESSES {
            return self.record(Change::AllDestinations);
        }
        for ip in addresses {
            self.record(Change::Destinations(Dependency::Address(*ip)));
        }
    }

    /// The changes after a revision; `None` when not all of them are kept: then everything may have changed.
    pub(super) fn since(&self, revision: u64) -> Option<impl Iterator<Item = &Change> + Clone> {
        let behind = usize::try_from(self.revision.checked_sub(revision)?).ok()?;
        let first = self.kept.len().checked_sub(behind)?;
        Some(self.kept.range(first..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_says_when_it_does_not_know() {
        let workload = |number: u32| Change::Workload(ObjectName::new("shop", &number.to_string()));
        let mut journal = ChangeJournal::keeping(2);
        (0..3).for_each(|number| journal.record(workload(number)));
        let since = |revision| journal.since(revision).map(|found| found.cloned().collect());
        let check = |revision: u64, expect: Option<Vec<Change>>| {
            assert_eq!(since(revision), expect, "since {revision}");
        };
        check(3, Some(vec![]));
        check(2, Some(vec![workload(2)]));
        check(1, Some(vec![workload(1), workload(2)]));
        check(0, None);
        check(4, None);
    }

    #[test]
    fn very_many_addresses_are_all_destinations() {
        let addresses = |count: u32| (0..count).map(|n| std::net::Ipv4Addr::from(n).into());
        let mut journal = ChangeJournal::default();
        journal.record_addresses(&addresses(256).collect());
        assert_eq!(journal.revision(), 256);
        journal.record_addresses(&addresses(257).collect());
        let last = journal.since(256).map(Iterator::collect::<Vec<_>>);
        assert_eq!(last, Some(vec![&Change::AllDestinations]));
    }
}
