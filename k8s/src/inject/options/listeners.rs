//! The listeners of a pod without redirection: what its two annotations name must be free for the proxy to bind, and
//! what the app listens on must be left to the app.
//!
//! An inbound listener takes its port of every address, the loopback's too, where the app and the outbound listeners
//! are.

use std::collections::BTreeMap;

use super::annotation::{self, InjectionOptions};
use crate::inject::refusal::{OWN_PORTS, Refusal};

const INBOUND: &str = "inbound-listeners";
const OUTBOUND: &str = "outbound-listeners";

/// Who takes a port of the pod: the annotation, and what of it.
type PortClaims = BTreeMap<u16, String>;

/// Every port that two want, or that is the proxy's own.
pub(crate) fn check(options: &InjectionOptions) -> Vec<Refusal> {
    let mut taken: PortClaims = BTreeMap::new();
    let mut wrong = Vec::new();
    for listener in &options.inbound_listeners {
        let problem = own_port(listener.app_port);
        wrong.extend(problem.map(|problem| annotation::refusal(INBOUND, problem)));
        // The same port of the app may stand behind several listeners.
        let app = format!("what the app listens on by {INBOUND}");
        taken.entry(listener.app_port).or_insert(app);
    }
    let inbound = options.inbound_listeners.iter().map(|listener| (INBOUND, listener.port));
    let outbound = options.outbound_listeners.iter().map(|listener| (OUTBOUND, listener.port));
    for (key, port) in inbound.chain(outbound) {
        let problem = own_port(port).or_else(|| take(&mut taken, port, key));
        wrong.extend(problem.map(|problem| annotation::refusal(key, problem)));
    }
    wrong
}

fn own_port(port: u16) -> Option<String> {
    OWN_PORTS.contains(&port).then(|| {
        let own = OWN_PORTS.map(|port| port.to_string()).join(", ");
        format!("port {port} is one of the proxy's own ({own}); write another")
    })
}

fn take(taken: &mut PortClaims, port: u16, key: &str) -> Option<String> {
    let before = taken.insert(port, format!("a listener of {key}"));
    before
        .map(|before| format!("port {port} is also {before}; give each listener a port of its own"))
}
