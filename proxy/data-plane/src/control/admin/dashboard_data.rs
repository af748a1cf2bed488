//! What the page at `/dashboard` shows of this proxy: collected from what the proxy keeps anyway, when somebody asks.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use dashboard::bounds::{
    BLOCKS, CERTIFICATES, DETECTED_RULES, DETECTIONS, ENDPOINTS, LIMITS, LISTENERS, POLICIES,
    ROUTES, SERVICES, shortened,
};
use dashboard::data::{
    Block, CertificateAge, DetectedRule, Detection, EndpointView, LimitState, ListenerState,
    Program, RouteCount, ServiceState,
};
use dashboard::denials::{
    DenialGroup, RefusedTraffic, SeenMessage, SeenMiss, SeenRequest, grouped,
};
use dashboard::{DashboardData, Listed, edges};
use policy::service::{EndpointAddress, Service};

use crate::traffic::abuse::BlockRecord;
use crate::traffic::balancing::EndpointStates;
use crate::traffic::decisions::DecisionRecord;
use crate::traffic::state::ProxyState;
use crate::traffic::threats::detections::DetectionRecord;

/// All of it, as of now.
pub(in crate::control) fn collect(state: &ProxyState) -> DashboardData {
    let now = state.clock.since_start(Instant::now());
    let requests = state.metrics.counted_requests();
    let mut policies = state.metrics.counted_refusals();
    policies.sort_by_key(|policy| Reverse(policy.count));
    DashboardData {
        time: state.clock.unix(),
        program: program(state, now),
        denials: denials(state),
        policies: Listed::first(POLICIES, policies),
        refusals: edges::refusals(&requests),
        edges: edges::edges(&requests),
        certificates: certificates(state),
        limits: limits(state),
        services: services(state, now),
        routes: routes(state),
        listeners: listeners(state),
        detections: detections(state),
        blocks: blocks(state),
    }
}

fn program(state: &ProxyState, now: Duration) -> Program {
    let settings = &state.settings;
    Program {
        kind: if settings.is_gateway { "gateway" } else { "sidecar" },
        workload: format!("{}/{}", settings.workload.namespace, settings.workload.service_account),
        identity: state.own_id().map(|id| id.as_str().to_owned()),
        version: env!("CARGO_PKG_VERSION"),
        up_seconds: now.as_secs(),
        unready: state.unready_reason(),
        stale: state.metrics.config_stale.get() != 0,
        connections: state.registry.len(),
    }
}

/// What the window of decisions has of refusals, in groups.
pub(in crate::control) fn denials(state: &ProxyState) -> Listed<DenialGroup> {
    grouped(state.decisions.recent().iter().flat_map(refused))
}

/// The refusals in an entry of the window: the one that was enforced, or else those that were not.
fn refused(record: &DecisionRecord) -> Vec<RefusedTraffic<'_>> {
    if record.decision == "deny" {
        return vec![of_record(record)];
    }
    let would = record.would.iter().filter(|shadow| shadow.decision == "would_deny");
    let would = would.map(|shadow| RefusedTraffic {
        decision: shadow.decision,
        reason: shadow.reason,
        policy: shadow.policy.as_deref(),
        rule: shadow.rule,
        nearest: None,
        ..of_record(record)
    });
    would.collect()
}

fn of_record(record: &DecisionRecord) -> RefusedTraffic<'_> {
    let request = || {
        let (method, path) = (record.method.as_deref()?, record.path.as_deref()?);
        Some(SeenRequest { method, host: record.host.as_deref().unwrap_or_default(), path })
    };
    RefusedTraffic {
        time: record.time,
        decision: record.decision,
        reason: record.reason,
        policy: record.policy.as_deref(),
        rule: record.rule,
        source_principal: record.source_principal.as_deref(),
        source_ip: &record.source_ip,
        destination: &record.destination,
        sni: record.sni.as_deref(),
        request: request(),
        message: record.message.as_ref().map(|message| SeenMessage {
            protocol: message.protocol,
            operation: message.operation,
            names: message.names.iter().map(|(key, name)| (*key, &**name)).collect(),
            reply: message.reply,
        }),
        nearest: record.nearest.as_ref().map(|miss| SeenMiss {
            policy: &miss.policy,
            rule: miss.rule,
            but_for: &miss.would_match_but_for,
        }),
    }
}

fn certificates(state: &ProxyState) -> Listed<CertificateAge> {
    let now = state.clock.unix();
    let own = state.credentials().map(|credentials| {
        let svid = credentials.svid();
        CertificateAge {
            name: svid.id().as_str().to_owned(),
            kind: "workload",
            not_before: svid.not_before(),
            not_after: svid.not_after(),
            state: credentials.state(now).as_str(),
            valid: credentials.is_valid(now) && !credentials.is_distrusted(),
        }
    });
    let ports = state.edge.ports();
    let listeners = ports.values().flat_map(|port| port.listeners());
    let shown = listeners.flat_map(|one| {
        let certificates = one.tls.iter().flat_map(|tls| tls.certificates().iter());
        certificates.map(|certificate| CertificateAge {
            name: shortened(&format!("{} {}", one.listener.label, certificate.name())),
            kind: "listener",
            not_before: certificate.leaf().not_before,
            not_after: certificate.leaf().not_after,
            state: certificate.state(now).as_str(),
            valid: certificate.is_valid(now),
        })
    });
    let mut shown: Vec<_> = shown.collect();
    shown.sort_by(|one, other| (one.not_after, &one.name).cmp(&(other.not_after, &other.name)));
    Listed::first(CERTIFICATES, own.into_iter().chain(shown))
}

fn limits(state: &ProxyState) -> Listed<LimitState> {
    let counted = state.metrics.counted_limits();
    let in_force = state.rate_limits.in_force();
    let sum = |limit: &str, allowed: bool| {
        let of = counted
            .iter()
            .filter(|(name, let_through, _)| name == limit && *let_through == allowed);
        of.map(|(.., count)| count).sum()
    };
    let limits = in_force.into_iter().map(|limit| LimitState {
        allowed: sum(&limit.id, true),
        refused: sum(&limit.id, false),
        limit: shortened(&limit.id),
        allows: limit.allows,
        callers: limit.callers,
    });
    Listed::first(LIMITS, limits)
}

fn services(state: &ProxyState, now: Duration) -> Listed<ServiceState> {
    let states = state.balancers.endpoint_states(now);
    let table = state.services.table();
    let mut services: Vec<_> = table.services().collect();
    services.sort_by(|one, other| one.host.cmp(&other.host));
    let left_out = services.len().saturating_sub(SERVICES);
    let shown = services.into_iter().take(SERVICES).map(|one| service(one, &states)).collect();
    Listed { shown, left_out }
}

fn service(service: &Service, states: &EndpointStates) -> ServiceState {
    let ports = service.ports.iter().take(ENDPOINTS);
    let identities = service.identities.iter().take(ENDPOINTS);
    let endpoints = service.endpoints.iter().map(|endpoint| match &endpoint.address {
        EndpointAddress::Ip(ip) => {
            let known = states.of(&service.host, ip.to_canonical());
            let (state, in_flight) = known.unwrap_or(("unused", 0));
            EndpointView { address: ip.to_string(), state, in_flight }
        }
        EndpointAddress::Dns(name) => {
            EndpointView { address: name.to_string(), state: "by name", in_flight: 0 }
        }
    });
    ServiceState {
        host: service.host.to_string(),
        external: service.external,
        ports: ports.map(|port| format!("{}/{}", port.number, port.protocol.as_str())).collect(),
        identities: identities.map(|id| id.as_str().to_owned()).collect(),
        endpoints: Listed::first(ENDPOINTS, endpoints),
    }
}

fn routes(state: &ProxyState) -> Listed<RouteCount> {
    let mut routes = state.metrics.counted_routes();
    routes.sort_by_key(|route| Reverse(route.count));
    Listed::first(ROUTES, routes)
}

fn listeners(state: &ProxyState) -> Listed<ListenerState> {
    let ports = state.edge.ports();
    let listeners = ports.values().flat_map(|port| {
        port.listeners().map(|one| ListenerState {
            name: one.listener.label.to_string(),
            port: port.port.number,
            protocol: one.listener.protocol.as_str().to_owned(),
            hosts: one.listener.host.iter().map(ToString::to_string).collect(),
            certificates: one.tls.as_ref().map_or(0, |tls| tls.certificates().len()),
        })
    });
    let mut listeners: Vec<_> = listeners.collect();
    listeners.sort_by(|one, other| (one.port, &one.name).cmp(&(other.port, &other.name)));
    Listed::first(LISTENERS, listeners)
}

/// `None` while there is none: a proxy without ThreatPolicies has nothing to say of them.
fn detections(state: &ProxyState) -> Option<Listed<Detection>> {
    let recent = state.detections.recent();
    (!recent.is_empty()).then(|| Listed::first(DETECTIONS, recent.iter().map(detection)))
}

fn detection(record: &DetectionRecord) -> Detection {
    let rules = record.rules.iter().map(|rule| DetectedRule {
        rule: rule.rule,
        group: rule.group,
        variable: shortened(&rule.variable),
    });
    let mut rules = Listed::first(DETECTED_RULES, rules);
    rules.left_out += record.more_rules;
    Detection {
        time: record.time,
        policy: shortened(&record.policy),
        action: record.action,
        score: record.score,
        threshold: record.threshold,
        rules,
        source_principal: record.source_principal.as_deref().map(shortened),
        source_ip: record.source_ip.clone(),
        method: shortened(&record.method),
        host: shortened(&record.host),
        path: shortened(&record.path),
    }
}

/// `None` while nobody is blocked, as in a proxy without AbusePolicies.
fn blocks(state: &ProxyState) -> Option<Listed<Block>> {
    let blocks = state.abuse.blocks();
    (!blocks.is_empty()).then(|| Listed::first(BLOCKS, blocks.iter().map(block)))
}

fn block(record: &BlockRecord) -> Block {
    let why = match record.cause {
        "refusals" => "most of what it asked for was refused",
        "enumeration" => "it asked for many paths that are not there",
        other => other,
    };
    let again = match record.repeated {
        0 => String::new(),
        times => format!(", again after {times} before"),
    };
    Block {
        policy: shortened(&record.policy),
        key: record.key,
        caller: shortened(&record.caller),
        why: format!("{why}{again}"),
        mode: if record.enforced { "block" } else { "detect" },
        since: record.since,
        until: record.until,
    }
}
