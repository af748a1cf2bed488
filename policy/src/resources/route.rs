//! HTTPRoute, GRPCRoute, TLSRoute and TCPRoute (`gateway.networking.k8s.io`).
//!
//! Every field of the standard is taken, or refused by name with what to do instead. A reference that may turn out to
//! lead nowhere (an unknown kind of backend, another namespace without a grant) is no mistake of the file: its share of
//! requests is answered 500, as the standard says.

mod backends;
mod cors;
mod field_changes;
mod filters;
mod grpc;
pub(super) mod hosts;
mod matches;
mod parents;
mod path;
mod timing;

use std::sync::Arc;

use super::kind::ResourceKind;
use super::object::ResourceObject;
use crate::route::{
    FieldChanges, PathMatch, Route, RouteId, RouteKind, RouteMatch, RouteRule, RouteTimeouts,
    RuleDefinition,
};
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};
use filters::RuleFilters;
pub(super) use matches::read_headers as read_header_matches;

/// The most rules of an HTTPRoute or GRPCRoute, as the standard has it.
const MAX_RULES: usize = 16;
/// The most matches of one rule, and of all rules of a route, as the standard has it.
const MAX_MATCHES: usize = 64;
const MAX_MATCHES_OF_ROUTE: usize = 128;

/// The kind of route that a kind of resource is; `None` for all others.
pub(super) fn route_kind(kind: ResourceKind) -> Option<RouteKind> {
    match kind {
        ResourceKind::HttpRoute => Some(RouteKind::Http),
        ResourceKind::GrpcRoute => Some(RouteKind::Grpc),
        ResourceKind::TlsRoute => Some(RouteKind::Tls),
        ResourceKind::TcpRoute => Some(RouteKind::Tcp),
        _ => None,
    }
}

/// Reads a route of a kind.
pub(super) fn read(
    reader: &mut YamlReader,
    object: &ResourceObject<'_>,
    kind: RouteKind,
) -> Option<Route> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` with parentRefs and rules", None);
        return None;
    };
    let id = Arc::new(RouteId {
        kind,
        namespace: Arc::clone(&object.namespace),
        name: Arc::clone(&object.name),
    });
    let mut map = reader.mapping(spec)?;
    let parents = parents::read(reader, &mut map, &object.namespace);
    let hosts = match kind {
        RouteKind::Tcp => Some(Vec::new()),
        _ => hosts::read(reader, &mut map, kind),
    };
    let rules = read_rules(reader, &mut map, &id);
    let advice = "name the parents in `parentRefs`: no Gateway takes routes by default";
    refuse(reader, &mut map, "useDefaultGateways", advice);
    map.finish(reader);
    Some(Route {
        id: RouteId::clone(&id),
        created: object.created.map(Into::into),
        parents: parents?,
        hosts: hosts?,
        rules: rules?,
    })
}

/// Reports a key of the standard that is not supported, with what to do instead.
fn refuse(reader: &mut YamlReader, map: &mut YamlMapping<'_>, key: &'static str, advice: &str) {
    let Some(value) = map.take_unsupported(key) else { return };
    let found = format!("`{key}`, which is not supported");
    let code = DiagnosticCode::Unsupported;
    let mark = value.node.mark;
    reader.report_with_code(code, mark, found, "what is supported", Some(advice.to_owned()));
}

fn read_rules(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    id: &Arc<RouteId>,
) -> Option<Vec<RuleDefinition>> {
    let written = match id.kind.is_of_requests() {
        true => map.take("rules"),
        false => map.require(reader, "rules"),
    };
    // The standard's default for requests: one rule that takes everything, and has no backend.
    let Some(value) = written else {
        return id.kind.is_of_requests().then(|| vec![default_rule(id)]);
    };
    let most = if id.kind.is_of_requests() { MAX_RULES } else { 1 };
    let items = reader.filled_list(value, most)?;
    let rules = items.into_iter().enumerate();
    // Every rule is read, so that all mistakes are told.
    let rules: Vec<_> = rules.map(|(index, item)| read_rule(reader, item, id, index)).collect();
    let rules: Vec<RuleDefinition> = rules.into_iter().collect::<Option<_>>()?;
    refuse_second_name(reader, value, &rules)?;
    refuse_hidden_expression(reader, value, &rules)?;
    let matches: usize = rules.iter().map(|rule| rule.matches.len()).sum();
    if matches > MAX_MATCHES_OF_ROUTE {
        let found = format!("{matches} matches in one route");
        reader.report(value.node.mark, found, format!("at most {MAX_MATCHES_OF_ROUTE}"), None);
        return None;
    }
    Some(rules)
}

fn refuse_second_name(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    rules: &[RuleDefinition],
) -> Option<()> {
    let names: Vec<&Arc<str>> = rules.iter().filter_map(|rule| rule.rule.name.as_ref()).collect();
    let Some(name) = repeated(&names) else { return Some(()) };
    let found = format!("two rules with the name {name}");
    let code = DiagnosticCode::Repeated;
    reader.report_with_code(code, value.node.mark, found, "each name once in a route", None);
    None
}

/// Prefixes come before regular expressions, so beside a match of everything none is ever asked. Other proxies have it
/// the other way round: whoever brings such a route means something else than it would do here.
fn refuse_hidden_expression(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    rules: &[RuleDefinition],
) -> Option<()> {
    let matches = || rules.iter().flat_map(|rule| &rule.matches);
    let hides = matches().any(|found| **found == everything(RouteKind::Http));
    let hidden = matches().find_map(|found| match &found.path {
        PathMatch::Pattern(expression) if hides => Some(expression),
        _ => None,
    });
    let Some(expression) = hidden else { return Some(()) };
    let found = format!(
        "the regular expression \"{}\" beside a match of every request, which comes first",
        expression.as_str()
    );
    let fix = "narrow that match to prefixes, methods or fields, or take it out: what no rule takes is answered 404";
    let (code, mark) = (DiagnosticCode::NoEffect, value.node.mark);
    reader.report_with_code(code, mark, found, "an expression that is asked", Some(fix.to_owned()));
    None
}

/// The first name that stands twice.
fn repeated<'n>(names: &[&'n Arc<str>]) -> Option<&'n Arc<str>> {
    let mut seen = std::collections::HashSet::new();
    names.iter().copied().find(|name| !seen.insert(*name))
}

fn default_rule(id: &Arc<RouteId>) -> RuleDefinition {
    RuleDefinition {
        matches: vec![Arc::new(everything(id.kind))],
        rule: Arc::new(empty_rule(id, 0)),
    }
}

/// The match of a rule that names none.
fn everything(kind: RouteKind) -> RouteMatch {
    let path = match kind {
        RouteKind::Grpc => PathMatch::Grpc { service: None, method: None },
        _ => PathMatch::Prefix("".into()),
    };
    RouteMatch { path, method: None, headers: Vec::new(), query: Vec::new() }
}

fn empty_rule(id: &Arc<RouteId>, index: usize) -> RouteRule {
    RouteRule {
        route: Arc::clone(id),
        label: id.to_string().into(),
        index,
        name: None,
        request_fields: FieldChanges::default(),
        response_fields: FieldChanges::default(),
        rewrite: None,
        redirect: None,
        mirrors: Vec::new(),
        cors: None,
        timeouts: RouteTimeouts::default(),
        retry: None,
        backends: Vec::new(),
    }
}

/// What every reader of a rule's parts has to know of the route.
#[derive(Clone, Copy)]
struct RuleContext<'r> {
    kind: RouteKind,
    namespace: &'r Arc<str>,
    /// The prefix of the rule's only match, where it has one match and that is by a prefix.
    only_prefix: Option<&'r Arc<str>>,
}

fn read_rule(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    id: &Arc<RouteId>,
    index: usize,
) -> Option<RuleDefinition> {
    let mut map = reader.mapping(value)?;
    let name = map.take("name").map(|v| reader.parsed(v, "a name", section_name));
    let matches = read_matches(reader, &mut map, id.kind);
    let context = RuleContext {
        kind: id.kind,
        namespace: &id.namespace,
        only_prefix: matches.as_deref().and_then(only_prefix),
    };
    let filters = match id.kind.is_of_requests() {
        true => filters::read(reader, &mut map, &context),
        false => Some(RuleFilters::default()),
    };
    let refs = match id.kind.is_of_requests() {
        true => map.take("backendRefs"),
        false => map.require(reader, "backendRefs"),
    };
    let backends = refs.map_or(Some(Vec::new()), |v| backends::read(reader, v, &context));
    let (timeouts, retry) = match id.kind {
        RouteKind::Http => timing::read(reader, &mut map),
        _ => (Some(RouteTimeouts::default()), Some(None)),
    };
    if id.kind.is_of_requests() {
        let advice = "consistentHash of a DestinationRule keeps callers at one endpoint";
        refuse(reader, &mut map, "sessionPersistence", advice);
    }
    map.finish(reader);
    let filters = filters?;
    if let (Some(refs), Some(_)) = (refs, &filters.redirect) {
        let fix = "take them out: a redirect is answered at once".to_owned();
        let found = "`backendRefs` beside RequestRedirect";
        let code = DiagnosticCode::NoEffect;
        reader.report_with_code(code, refs.node.mark, found, "one of the two", Some(fix));
        return None;
    }
    let rule = RouteRule {
        name: name.map_or(Some(None), |name| name.map(Some))?,
        request_fields: filters.request_fields,
        response_fields: filters.response_fields,
        rewrite: filters.rewrite,
        redirect: filters.redirect,
        mirrors: filters.mirrors,
        cors: filters.cors,
        timeouts: timeouts?,
        retry: retry?,
        backends: backends?,
        ..empty_rule(id, index)
    };
    Some(RuleDefinition { matches: matches?, rule: Arc::new(rule) })
}

/// The matches of a rule; none for routes of connections.
fn read_matches(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    kind: RouteKind,
) -> Option<Vec<Arc<RouteMatch>>> {
    if !kind.is_of_requests() {
        return Some(Vec::new());
    }
    let Some(value) = map.take("matches") else { return Some(vec![Arc::new(everything(kind))]) };
    let items = reader.filled_list(value, MAX_MATCHES)?;
    let read = |item| match kind {
        RouteKind::Grpc => grpc::read_match(reader, item),
        _ => matches::read_match(reader, item),
    };
    let matches: Vec<_> = items.into_iter().map(read).collect();
    matches.into_iter().map(|found| found.map(Arc::new)).collect()
}

fn only_prefix(matches: &[Arc<RouteMatch>]) -> Option<&Arc<str>> {
    match matches {
        [only] => match &only.path {
            PathMatch::Prefix(prefix) => Some(prefix),
            _ => None,
        },
        _ => None,
    }
}

/// The name of a rule or of a port: a DNS subdomain.
pub(super) fn section_name(text: &str) -> Result<Arc<str>, &'static str> {
    match super::object::is_dns_subdomain(text) {
        true => Ok(text.into()),
        false => Err("names are lower-case letters, digits, '-' and '.', at most 253"),
    }
}
