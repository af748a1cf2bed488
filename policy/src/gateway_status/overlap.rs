//! Listeners of TLS whose hosts overlap: one connection may then be used for requests that belong to both.

use std::collections::{HashMap, HashSet};

use crate::PlannedListener;
use crate::gateway::{ListenerProtocol, ObjectName};
use crate::route::RouteHost;

/// The places of listeners that overlap with another one of their Gateway's port.
#[derive(Debug, Default)]
pub(super) struct Overlaps(HashSet<usize>);

/// A port of a Gateway.
type PortKey<'p> = (&'p ObjectName, u16);

/// A host, or what several hosts end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum HostKey<'p> {
    Exact(&'p str),
    Below(&'p str),
    Any,
}

impl<'p> HostKey<'p> {
    fn of(host: Option<&'p RouteHost>) -> Self {
        match host {
            Some(RouteHost::Exact(host)) => Self::Exact(host),
            Some(RouteHost::Below(parent)) => Self::Below(parent),
            None => Self::Any,
        }
    }

    /// What takes all that this one takes, and more.
    fn wider(self) -> impl Iterator<Item = HostKey<'p>> {
        let (first, is_any) = match self {
            Self::Exact(host) | Self::Below(host) => (parent(host), false),
            Self::Any => (None, true),
        };
        let parents = std::iter::successors(first, |host| parent(host)).map(HostKey::Below);
        parents.chain((!is_any).then_some(HostKey::Any))
    }
}

fn parent(host: &str) -> Option<&str> {
    host.split_once('.').map(|(_, parent)| parent)
}

impl Overlaps {
    pub(super) fn among(listeners: &[PlannedListener<'_>]) -> Self {
        let mut by_host: HashMap<(PortKey<'_>, HostKey<'_>), usize> = HashMap::new();
        let of_tls = || {
            let tls = listeners.iter().enumerate().filter(|(_, planned)| has_tls(planned));
            tls.map(|(at, planned)| {
                let port = (&planned.gateway.id, planned.listener.port);
                (at, port, HostKey::of(planned.listener.host.as_ref()))
            })
        };
        by_host.extend(of_tls().map(|(at, port, host)| ((port, host), at)));
        let mut found = HashSet::new();
        for (at, port, host) in of_tls() {
            for wider in host.wider().filter_map(|wider| by_host.get(&(port, wider))) {
                found.extend([at, *wider]);
            }
        }
        Self(found)
    }

    pub(super) fn has(&self, at: usize) -> bool {
        self.0.contains(&at)
    }
}

/// Whether it begins with TLS and has its port.
fn has_tls(planned: &PlannedListener<'_>) -> bool {
    let of_tls =
        matches!(planned.listener.protocol, ListenerProtocol::Https | ListenerProtocol::Tls);
    of_tls && planned.conflict.is_none() && planned.not_accepted.is_none()
}
