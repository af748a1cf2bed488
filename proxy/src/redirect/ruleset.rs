//! Settings in, rules out: what the table `inet postern` says, as a pure function.
//!
//! Two chains redirect (type `nat`, which sees the first packet of each connection), two guard
//! (type `filter`, every packet). They run 5 before the usual priority of address translation, so
//! that no other table of the machine decides first; connection tracking is earlier still.

pub(crate) mod rule;

use std::fmt::{Display, Write as _};
use std::net::{IpAddr, SocketAddr};

use super::interception::{EgressMode, InterceptionRules, TrafficExemption};
use data_plane::ports::{ADMIN_PORT, INBOUND_SOURCE_V4, METRICS_PORT, READINESS_PORT};

use rule::{BaseChain, Chain, Rule, Verdict, rule};

/// Name of our table, in the family `inet`.
pub const TABLE: &str = "postern";

/// Counts packets of transports that `--egress deny` rejected.
pub const EGRESS_DENIED: &str = "egress_denied";
/// Counts TCP packets that belong to no tracked connection, so that no redirection applies to them.
pub const OUT_OF_STATE: &str = "out_of_state";
/// Counts attempts from outside to reach ports that are the pod's alone.
pub const PRIVATE_PORTS: &str = "private_ports";

const COUNTERS: [&str; 3] = [EGRESS_DENIED, OUT_OF_STATE, PRIVATE_PORTS];

/// The text to load: removes what an earlier run left and puts the rules in place, one transaction.
#[must_use]
pub fn ruleset(settings: &InterceptionRules) -> String {
    let mut text = removal();
    let _ = writeln!(text, "table inet {TABLE} {{");
    for counter in COUNTERS {
        let _ = write!(text, "\tcounter {counter} {{\n\t}}\n\n");
    }
    for chain in chains(settings) {
        let _ = write!(text, "{chain}");
    }
    text.push_str("}\n");
    text
}

/// The text that takes the table away, whether or not it is there.
#[must_use]
pub fn removal() -> String {
    format!("add table inet {TABLE}\ndelete table inet {TABLE}\n")
}

/// The chains in the order a reader meets them: inbound, outbound, what is the proxy's own, guards.
pub(crate) fn chains(settings: &InterceptionRules) -> Vec<Chain> {
    vec![
        Chain { name: "inbound", base: base("nat", "prerouting", -105), rules: inbound(settings) },
        Chain { name: "outbound", base: base("nat", "output", -105), rules: outbound(settings) },
        Chain { name: "proxy", base: None, rules: proxy(settings) },
        Chain {
            name: "inbound_guard",
            base: base("filter", "input", -5),
            rules: inbound_guard(settings),
        },
        Chain {
            name: "outbound_guard",
            base: base("filter", "output", -5),
            rules: outbound_guard(settings),
        },
    ]
}

/// Connections from outside to any address of the pod.
fn inbound(settings: &InterceptionRules) -> Vec<Rule> {
    use Verdict::{Redirect, Return};
    let private = set(&private_ports(settings));
    let mut rules = vec![
        rule("iifname \"lo\"", Return, "the pod's own traffic is judged as outbound"),
        rule("fib daddr type != local", Return, "traffic this machine only routes is not ours"),
        rule(format!("tcp dport {private}"), Return, "refused by inbound_guard"),
        rule(
            format!("tcp dport {{ {METRICS_PORT}, {READINESS_PORT} }}"),
            Return,
            "metrics and readiness are served directly",
        ),
    ];
    if !settings.skip_inbound_ports.is_empty() {
        let ports = set(&settings.skip_inbound_ports);
        rules.push(rule(format!("tcp dport {ports}"), Return, "--skip-inbound-ports"));
    }
    rules.push(rule(
        "meta l4proto tcp",
        Redirect(settings.inbound_port),
        "everything else is for the proxy",
    ));
    rules
}

/// Connections that processes of the pod open.
fn outbound(settings: &InterceptionRules) -> Vec<Rule> {
    use Verdict::{Goto, Redirect, Return};
    let mut rules = Vec::new();
    for exempt in &settings.exempt {
        rules.push(rule(sent_by(*exempt), Goto("proxy"), "the proxy's own connections"));
    }
    rules.extend(loopback());
    for (uid, authority) in agent(settings) {
        let address = daddr(authority.ip());
        let port = authority.port();
        rules.push(rule(
            format!("meta skuid {uid} {address} tcp dport {port}"),
            Return,
            "the cert agent to its authority",
        ));
    }
    if settings.egress == EgressMode::Deny {
        for address in &settings.dns {
            rules.push(rule(
                format!("{} tcp dport 53", daddr(*address)),
                Return,
                "long DNS answers come over TCP",
            ));
        }
    }
    rules.extend(skipped(settings, Return));
    rules.push(rule(
        "meta l4proto tcp",
        Redirect(settings.outbound_port),
        "everything else is for the proxy",
    ));
    rules
}

/// Connections of the proxy itself. Leaving the pod they are free; back into it they are not.
fn proxy(settings: &InterceptionRules) -> Vec<Rule> {
    use Verdict::{Redirect, Return};
    let mut rules = vec![
        rule(
            format!("ip saddr {INBOUND_SOURCE_V4}"),
            Return,
            "inbound, checked, on its way to the app",
        ),
        rule("ip6 saddr ::1", Return, "inbound, checked, on its way to the app"),
    ];
    rules.extend(loopback());
    rules.push(rule(
        "fib daddr type local meta l4proto tcp",
        Redirect(settings.inbound_port),
        "a service that picks itself is still checked",
    ));
    rules
}

/// Packets from outside that no redirection may be asked about.
fn inbound_guard(settings: &InterceptionRules) -> Vec<Rule> {
    use Verdict::{Accept, Drop, Reset};
    let private = set(&private_ports(settings));
    let mut rules = vec![
        rule("iifname \"lo\"", Accept, "loopback is not guarded"),
        rule(format!("tcp dport {private}"), Reset, "for the pod alone").counted(PRIVATE_PORTS),
    ];
    if !settings.skip_inbound_ports.is_empty() {
        let ports = set(&settings.skip_inbound_ports);
        rules.push(rule(format!("tcp dport {ports}"), Accept, "--skip-inbound-ports"));
    }
    // Not translated, it would reach the app's port, and the reset sent from there would end the
    // proxy's good connection with that peer.
    rules.push(rule(OUTSIDE_STATE, Drop, "belongs to no connection").counted(OUT_OF_STATE));
    rules
}

/// Packets to the outside: those that escape redirection, and transports the proxy cannot carry.
fn outbound_guard(settings: &InterceptionRules) -> Vec<Rule> {
    use Verdict::{Accept, Drop, Prohibit};
    let mut rules = vec![rule("oifname \"lo\"", Accept, "loopback is not guarded")];
    for exempt in &settings.exempt {
        rules.push(rule(sent_by(*exempt), Accept, "the proxy's own traffic"));
    }
    rules.extend(skipped(settings, Accept));
    // The kernel translates only packets of a known connection; a stray one would leave the pod as
    // the app wrote it, in plaintext.
    rules.push(rule(OUTSIDE_STATE, Drop, "belongs to no connection").counted(OUT_OF_STATE));
    if settings.egress == EgressMode::Allow {
        return rules;
    }
    rules.push(rule("meta l4proto tcp", Accept, "redirected already"));
    // By number: their names would be looked up in /etc/protocols, which an image need not have.
    rules.push(rule("meta l4proto { 1, 58 }", Accept, "ICMP: path MTU, neighbours, ping"));
    for address in &settings.dns {
        rules.push(rule(
            format!("{} udp dport 53", daddr(*address)),
            Accept,
            "DNS of the pod's resolver",
        ));
    }
    if !settings.allow_udp.is_empty() {
        let ports = set(&settings.allow_udp);
        rules.push(rule(format!("udp dport {ports}"), Accept, "--allow-udp, as a client"));
        rules.push(rule(
            format!("ct direction reply udp sport {ports}"),
            Accept,
            "--allow-udp, as a server",
        ));
    }
    rules.push(rule("", Prohibit, "--egress deny").counted(EGRESS_DENIED));
    rules
}

/// TCP packets without a tracked connection: the kernel applies no redirection to them.
const OUTSIDE_STATE: &str = "meta l4proto tcp ct state { invalid, untracked }";

/// Ports of the proxy that only the pod itself may reach.
fn private_ports(settings: &InterceptionRules) -> [u16; 2] {
    [ADMIN_PORT, settings.outbound_port]
}

fn loopback() -> [Rule; 2] {
    let why = "loopback stays loopback";
    [
        rule("ip daddr 127.0.0.0/8", Verdict::Return, why),
        rule("ip6 daddr ::1", Verdict::Return, why),
    ]
}

fn skipped(settings: &InterceptionRules, verdict: Verdict) -> Vec<Rule> {
    let mut rules = Vec::new();
    if !settings.skip_v4.is_empty() {
        rules.push(rule(format!("ip daddr {}", set(&settings.skip_v4)), verdict, "--skip-cidrs"));
    }
    if !settings.skip_v6.is_empty() {
        rules.push(rule(format!("ip6 daddr {}", set(&settings.skip_v6)), verdict, "--skip-cidrs"));
    }
    if !settings.skip_outbound_ports.is_empty() {
        let ports = set(&settings.skip_outbound_ports);
        rules.push(rule(format!("tcp dport {ports}"), verdict, "--skip-outbound-ports"));
    }
    rules
}

fn agent(settings: &InterceptionRules) -> impl Iterator<Item = (u32, SocketAddr)> {
    let agent = settings.agent.iter();
    agent.flat_map(|(uid, authorities)| authorities.iter().map(|authority| (*uid, *authority)))
}

fn sent_by(exempt: TrafficExemption) -> String {
    match exempt {
        TrafficExemption::Uid(uid) => format!("meta skuid {uid}"),
        TrafficExemption::Mark(mark) => format!("meta mark {mark}"),
    }
}

fn daddr(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("ip daddr {address}"),
        IpAddr::V6(address) => format!("ip6 daddr {address}"),
    }
}

fn set<T: Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    format!("{{ {} }}", items.join(", "))
}

fn base(kind: &'static str, hook: &'static str, priority: i64) -> Option<BaseChain> {
    Some(BaseChain { kind, hook, priority })
}

#[cfg(test)]
mod tests;
