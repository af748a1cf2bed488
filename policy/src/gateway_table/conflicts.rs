//! Listeners that want the same port, and cannot share it.
//!
//! Of several objects the first in order of precedence has the port: the older Gateway, a Gateway before its ListenerSets,
//! the older ListenerSet. What is left of an object, and is in each other's way, is refused as a whole: which of them was
//! meant nobody can tell.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::port::PortProtocol;
use super::{PlannedListener, PortKey};
use crate::route::RouteHost;

/// The reasons of the condition `Conflicted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListenerConflict {
    /// Another listener of the port speaks something else.
    ProtocolConflict,
    /// Another listener of the port has the same host.
    HostnameConflict,
}

impl ListenerConflict {
    /// The reason as the standard writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProtocolConflict => "ProtocolConflict",
            Self::HostnameConflict => "HostnameConflict",
        }
    }
}

impl fmt::Display for ListenerConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A port at an address, and what has been given away of it.
#[derive(Debug)]
struct Taken<'r> {
    protocol: PortProtocol,
    hosts: Vec<Option<&'r RouteHost>>,
}

/// Tells every listener whether it conflicts. They are in order of precedence, those of one object together.
pub(super) fn find(listeners: &mut [PlannedListener<'_>]) {
    let mut taken: BTreeMap<PortKey, Taken<'_>> = BTreeMap::new();
    let mut begin = 0;
    while let Some(first) = listeners.get(begin) {
        let of_object = |other: &&PlannedListener<'_>| other.owner.is_same(&first.owner);
        let end = begin + listeners.iter().skip(begin).take_while(of_object).count();
        let Some(object) = listeners.get_mut(begin..end) else { return };
        // What an earlier object is in the way of is in nobody's.
        for listener in object.iter_mut().filter(|listener| listener.wants_port()) {
            listener.conflict = with_earlier(&taken, listener);
        }
        find_within(object);
        for listener in object.iter().filter(|listener| listener.wants_port()) {
            take(&mut taken, listener);
        }
        begin = end;
    }
}

/// What keeps a listener from a port that earlier objects have.
fn with_earlier(
    taken: &BTreeMap<PortKey, Taken<'_>>,
    listener: &PlannedListener<'_>,
) -> Option<ListenerConflict> {
    let ports = listener.wanted_addresses.iter().map(|at| (listener.listener.port, *at));
    let conflicts = ports.filter_map(|port| {
        let taken = taken.get(&port)?;
        let host = listener.listener.host.as_ref();
        if Some(taken.protocol) != PortProtocol::of(&listener.listener.protocol) {
            return Some(ListenerConflict::ProtocolConflict);
        }
        let is_alone = taken.protocol == PortProtocol::Tcp;
        (is_alone || taken.hosts.contains(&host)).then_some(ListenerConflict::HostnameConflict)
    });
    conflicts.min()
}

fn take<'r>(taken: &mut BTreeMap<PortKey, Taken<'r>>, listener: &PlannedListener<'r>) {
    let Some(protocol) = PortProtocol::of(&listener.listener.protocol) else { return };
    for address in &listener.wanted_addresses {
        let port = taken.entry((listener.listener.port, *address));
        let port = port.or_insert_with(|| Taken { protocol, hosts: Vec::new() });
        port.hosts.push(listener.listener.host.as_ref());
    }
}

/// Listeners of one object have the same addresses: only ports, protocols and hosts tell them apart.
fn find_within(object: &mut [PlannedListener<'_>]) {
    let mut protocols: HashMap<u16, Vec<PortProtocol>> = HashMap::new();
    let mut hosts: HashMap<(u16, PortProtocol, Option<&RouteHost>), usize> = HashMap::new();
    for planned in object.iter().filter(|planned| planned.wants_port()) {
        let listener = planned.listener;
        let Some(protocol) = PortProtocol::of(&listener.protocol) else { continue };
        let of_port = protocols.entry(listener.port).or_default();
        if !of_port.contains(&protocol) {
            of_port.push(protocol);
        }
        *hosts.entry((listener.port, protocol, listener.host.as_ref())).or_default() += 1;
    }
    for planned in object.iter_mut().filter(|planned| planned.wants_port()) {
        let listener = planned.listener;
        let Some(protocol) = PortProtocol::of(&listener.protocol) else { continue };
        let alike = hosts.get(&(listener.port, protocol, listener.host.as_ref()));
        planned.conflict = if protocols.get(&listener.port).is_some_and(|of| of.len() > 1) {
            Some(ListenerConflict::ProtocolConflict)
        } else {
            alike.is_some_and(|alike| *alike > 1).then_some(ListenerConflict::HostnameConflict)
        };
    }
}
