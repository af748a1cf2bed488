//! The nodes of a store: one, or those of a Redis Cluster, which say themselves who has which slot.
//!
//! Nothing is asked about the Cluster beforehand: a node that has not got a slot answers with the one that has
//! (`MOVED`), which is remembered. That needs no more permissions than our commands do, and is right at every moment.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::runtime::Handle;

use crate::link::Node;
use crate::settings::Setup;
use crate::{Slot, StoreAddress};

/// Nodes that redirects may name, beside those that were set: more masters than any store of ours will ever need.
const MOST_LEARNED: usize = 64;

/// All nodes that are known.
#[derive(Debug)]
pub(crate) struct Nodes {
    setup: Arc<Setup>,
    runtime: Handle,
    first: Vec<Arc<Node>>,
    learned: RwLock<Learned>,
}

#[derive(Debug, Default)]
struct Learned {
    nodes: HashMap<StoreAddress, Arc<Node>>,
    slots: HashMap<u16, Arc<Node>>,
}

/// What a node of a Cluster says instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Redirect<'a> {
    /// Whether the slot is only being moved, and this one key is there already (`ASK`).
    pub(crate) asking: bool,
    to: &'a str,
}

impl<'a> Redirect<'a> {
    /// `MOVED SLOT HOST:PORT` or `ASK SLOT HOST:PORT`.
    pub(crate) fn read(error: &'a str) -> Option<Self> {
        let mut words = error.split(' ');
        let asking = match words.next()? {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        let to = words.nth(1)?;
        Some(Self { asking, to })
    }
}

impl Nodes {
    /// Begins to connect to those that were set.
    pub(crate) fn start(setup: Setup, runtime: Handle) -> Self {
        let setup = Arc::new(setup);
        let start = |address: &StoreAddress| Node::start(address.clone(), &setup, &runtime).into();
        let first = setup.settings.addresses.iter().map(start).collect();
        Self { setup, runtime, first, learned: RwLock::default() }
    }

    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Who is asked for a slot: the node that was last told to have it, or any of the first ones, which will say. None
    /// where none of them is asked.
    pub(crate) fn of(&self, slot: Slot) -> Option<Arc<Node>> {
        if let Some(node) = self.learned.read().slots.get(&slot.number())
            && node.standing().is_closed()
        {
            return Some(Arc::clone(node));
        }
        let begin = usize::from(slot.number()) % self.first.len().max(1);
        let others = self.first.iter().cycle().skip(begin).take(self.first.len());
        others.filter(|node| node.standing().is_closed()).map(Arc::clone).next()
    }

    /// The node that another one names; remembered for its slot where the slot has moved there. None where it names
    /// none, or one more than may be.
    pub(crate) fn follow(
        &self,
        redirect: Redirect<'_>,
        from: &Node,
        slot: Slot,
    ) -> Option<Arc<Node>> {
        let address = from.address().redirected(redirect.to)?;
        let mut learned = self.learned.write();
        let node = self.known(&mut learned, address)?;
        if !redirect.asking {
            learned.slots.insert(slot.number(), Arc::clone(&node));
        }
        Some(node)
    }

    fn known(&self, learned: &mut Learned, address: StoreAddress) -> Option<Arc<Node>> {
        let known = self.first.iter().find(|node| *node.address() == address);
        if let Some(node) = known.or_else(|| learned.nodes.get(&address)) {
            return Some(Arc::clone(node));
        }
        if learned.nodes.len() >= MOST_LEARNED {
            learned.drop_unused();
        }
        if learned.nodes.len() >= MOST_LEARNED {
            return None;
        }
        let node = Arc::new(Node::start(address.clone(), &self.setup, &self.runtime));
        learned.nodes.insert(address, Arc::clone(&node));
        Some(node)
    }

    /// Whether the store as a whole is there: one of the first nodes, and all that slots were moved to.
    pub(crate) fn are_up(&self) -> bool {
        let learned = self.learned.read();
        self.first.iter().any(|node| node.standing().is_up())
            && learned.in_use().all(|node| node.standing().is_up())
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Node>> {
        let learned = self.learned.read();
        self.first.iter().chain(learned.nodes.values()).map(Arc::clone).collect()
    }
}

impl Learned {
    fn in_use(&self) -> impl Iterator<Item = &Arc<Node>> {
        let used = |node: &Arc<Node>| self.slots.values().any(|used| Arc::ptr_eq(used, node));
        self.nodes.values().filter(move |node| used(node))
    }

    fn drop_unused(&mut self) {
        let slots = &self.slots;
        self.nodes.retain(|_, node| slots.values().any(|used| Arc::ptr_eq(used, node)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_as_nodes_say_them() {
        for (name, error, expect) in [
            ("moved", "MOVED 3999 127.0.0.1:6381", Some((false, "127.0.0.1:6381"))),
            ("being moved", "ASK 3999 127.0.0.1:6381", Some((true, "127.0.0.1:6381"))),
            ("no address", "MOVED 3999", None),
            ("another error", "ERR MOVED 1 a:1", None),
            ("nothing", "", None),
        ] {
            let found = Redirect::read(error).map(|redirect| (redirect.asking, redirect.to));
            assert_eq!(found, expect, "{name}");
        }
    }
}
