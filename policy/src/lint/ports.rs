//! Findings about ports that do not carry HTTP.

use super::{Finding, LintContext, LocatedRule, Severity};
use crate::resources::PolicyAction;
use crate::rule::{Condition, Rule};
use crate::{Protocol, Resources};

fn is_opaque(protocol: Protocol) -> bool {
    protocol.is_opaque_to_callers()
}

/// Rules of the workload that speak of HTTP where none is seen: an ALLOW rule never matches there, a DENY rule is
/// judged without its HTTP fields and refuses more than it says.
pub(super) fn http_on_opaque_ports(
    at: LocatedRule<'_>,
    resources: &Resources,
    context: &LintContext<'_>,
    findings: &mut Vec<Finding>,
) {
    if !at.rule.names_http() || !at.policy.selects(context.workload, resources) {
        return;
    }
    let opaque = |port: &u16| context.ports.get(port).copied().is_some_and(is_opaque);
    let allows = at.policy.action() == PolicyAction::Allow;
    let met = match (allows, at.rule.ports()) {
        (true, _) => named_ports(at.rule),
        (false, Some(ports)) => ports,
        (false, None) => context.ports.keys().copied().collect(),
    };
    let Some(port) = met.iter().find(|port| opaque(port)) else { return };
    let protocol = context.ports.get(port).map_or("tcp", |protocol| protocol.as_str());
    let (found, fix) = match at.policy.action() {
        PolicyAction::Allow => (
            format!(
                "it never matches on port {port}, which is declared {protocol}, because it names HTTP fields, be it for another port"
            ),
            "write a rule without HTTP fields for that port, or declare it http",
        ),
        PolicyAction::Deny => (
            format!(
                "on port {port}, which is declared {protocol}, it is judged without its HTTP fields: it refuses every connection there that its other fields match"
            ),
            "limit it to the HTTP ports with `ports`",
        ),
        PolicyAction::Audit => return,
    };
    let finding = at.finding(Severity::Warning, "http_on_tcp_port", found, fix);
    findings.push(finding);
}

/// Every port a rule names, be it in one operation of several.
fn named_ports(rule: &Rule) -> Vec<u16> {
    let operations = rule.to.iter().flat_map(|to| &to.ports.any_of);
    let conditions = rule.when.iter().flat_map(|condition| match condition {
        Condition::DestinationPort(ports) => &*ports.any_of,
        _ => &[],
    });
    operations.chain(conditions).copied().collect()
}

/// Where the app must not believe `x-forwarded-client-cert`: only on ports declared http, http2 or grpc is every byte
/// seen as HTTP, and the header of the caller's own taken out.
pub(super) fn forwarded_identity(context: &LintContext<'_>, findings: &mut Vec<Finding>) {
    let mut places: Vec<String> = context
        .ports
        .iter()
        .filter(|(_, protocol)| !protocol.is_http() && protocol.messages().is_none())
        .map(|(port, protocol)| format!("{port} ({})", protocol.as_str()))
        .collect();
    if context.undeclared_ports {
        places.push("every port that is not declared".to_owned());
    }
    if places.is_empty() {
        return;
    }
    findings.push(Finding {
        severity: Severity::Notice,
        code: "forwarded_identity_untrusted",
        policy: None,
        rule: None,
        place: None,
        found: format!("x-forwarded-client-cert can be the caller's own on: {}", places.join(", ")),
        fix: "let apps believe it only on ports declared http, http2 or grpc".to_owned(),
    });
}
