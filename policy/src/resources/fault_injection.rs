//! FaultInjection (`policy.postern.dev/v1alpha1`): calls that fail on purpose, for tests of apps.
//!
//! No fault is there by accident: an object names the Service whose calls fail, and each fault either what a request must
//! carry or how many requests it takes. It acts on the clients of its own namespace, and on nobody else's; see
//! `docs/traffic-policy.md`.

use std::sync::Arc;
use std::time::Duration;

use super::object::{ResourceObject, dns_label};
use crate::fault::{
    AbortStatus, FaultAbort, FaultDelay, FaultHeader, FaultPercentage, FaultRule, FaultValue,
};
use crate::route::RegularExpression;
use crate::service::CLUSTER_SUFFIX;
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue, parse_duration};

/// The most Services of one object.
const MAX_TARGETS: usize = 16;
/// The most headers of one object.
const MAX_HEADERS: usize = 16;
/// The longest name or value of a header, in bytes.
const MAX_HEADER: usize = 1024;

/// A FaultInjection.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultInjection {
    namespace: Arc<str>,
    hosts: Vec<Arc<str>>,
    rule: Arc<FaultRule>,
}

impl FaultInjection {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.rule.injection
    }

    /// The namespace whose clients it acts on.
    pub fn namespace(&self) -> &Arc<str> {
        &self.namespace
    }

    /// The hosts whose calls fail.
    pub fn hosts(&self) -> &[Arc<str>] {
        &self.hosts
    }

    /// What it does to them.
    pub fn rule(&self) -> &Arc<FaultRule> {
        &self.rule
    }
}

pub(super) fn read(reader: &mut YamlReader, object: &ResourceObject<'_>) -> Option<FaultInjection> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` with `targetRefs` and a fault", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let targets = map.require(reader, "targetRefs");
    let hosts = targets.and_then(|v| read_targets(reader, v, &object.namespace));
    let matched = map.take("match").map(|v| read_match(reader, v));
    let is_matched = matched.is_some();
    let delay = map.take("delay").map(|v| read_delay(reader, v, is_matched));
    let abort = map.take("abort").map(|v| read_abort(reader, v, is_matched));
    map.finish(reader);
    if delay.is_none() && abort.is_none() {
        let fix = "say what happens to a request, or take the object out".to_owned();
        let found = "a FaultInjection without a fault";
        let code = DiagnosticCode::NoEffect;
        reader.report_with_code(code, spec.node.mark, found, "`delay` or `abort`", Some(fix));
    }
    let rule = FaultRule {
        injection: object.full_name().into(),
        headers: matched.map_or(Some(Vec::new()), |headers| headers)?,
        delay: delay.map_or(Some(None), |delay| delay.map(Some))?,
        abort: abort.map_or(Some(None), |abort| abort.map(Some))?,
    };
    let namespace = Arc::clone(&object.namespace);
    Some(FaultInjection { namespace, hosts: hosts?, rule: Arc::new(rule) })
}

fn read_targets(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    own: &Arc<str>,
) -> Option<Vec<Arc<str>>> {
    let items = reader.filled_list(value, MAX_TARGETS)?;
    items.into_iter().map(|item| read_target(reader, item, own)).collect()
}

/// A Service of any namespace: only the calls of the object's own namespace fail.
fn read_target(reader: &mut YamlReader, value: YamlValue<'_>, own: &Arc<str>) -> Option<Arc<str>> {
    let mut map = reader.mapping(value)?;
    if let Some(group) = map.take("group").filter(|group| !group.is_empty_text()) {
        let code = DiagnosticCode::Unsupported;
        reader.report_value_with_code(code, group, "\"\", the group of kind Service", None);
    }
    if let Some(kind) = map.require(reader, "kind").filter(|kind| !kind.is_text("Service")) {
        let code = DiagnosticCode::Unsupported;
        reader.report_value_with_code(code, kind, "Service", None);
    }
    let name = map.require(reader, "name");
    let name = name.and_then(|v| reader.parsed(v, "a Service's name", dns_label));
    let namespace = map.take("namespace");
    let namespace = namespace.map(|v| reader.parsed(v, "a namespace", dns_label));
    map.finish(reader);
    let namespace = namespace.unwrap_or_else(|| Some(Arc::clone(own)))?;
    Some(format!("{}.{namespace}{CLUSTER_SUFFIX}", name?).into())
}

/// `match`: every header of it must be there.
fn read_match(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Vec<FaultHeader>> {
    let mut map = reader.mapping(value)?;
    let headers = map.require(reader, "headers");
    let headers = headers.and_then(|v| reader.filled_list(v, MAX_HEADERS));
    map.finish(reader);
    headers?.into_iter().map(|item| read_header(reader, item)).collect()
}

fn read_header(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<FaultHeader> {
    let mut map = reader.mapping(value)?;
    let name = map.require(reader, "name");
    let name = name.and_then(|v| reader.parsed(v, "the name of a header", header_name));
    let exact = map
        .take("value")
        .map(|v| reader.parsed(v, "the value of a header", header_value).map(FaultValue::Exact));
    let matching = map.take("regex").map(|v| {
        let read = reader.parsed(v, "a regular expression", expression);
        read.map(FaultValue::Matching)
    });
    map.finish(reader);
    if exact.is_some() == matching.is_some() {
        let found =
            if exact.is_some() { "`value` beside `regex`" } else { "a header of any value" };
        reader.report(value.node.mark, found, "`value` or `regex`", None);
    }
    Some(FaultHeader { name: name?, value: exact.or(matching)?? })
}

fn header_name(text: &str) -> Result<Arc<str>, &'static str> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    match text.len() <= MAX_HEADER && text.bytes().all(fits) {
        true => Ok(text.to_ascii_lowercase().into()),
        false => Err("names of headers are letters, digits, '-', '_' and '.'"),
    }
}

fn header_value(text: &str) -> Result<Arc<str>, &'static str> {
    let trimmed = text.trim_matches([' ', '\t']).len() == text.len();
    let plain = text.len() <= MAX_HEADER && !text.contains(char::is_control);
    match plain && trimmed {
        true => Ok(text.into()),
        false => Err("no control characters, and no blanks at an end"),
    }
}

fn expression(text: &str) -> Result<RegularExpression, String> {
    match text.len() <= MAX_HEADER {
        true => RegularExpression::parse(text),
        false => Err(format!("at most {MAX_HEADER} characters")),
    }
}

fn read_delay(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    is_matched: bool,
) -> Option<FaultDelay> {
    let mut map = reader.mapping(value)?;
    let percentage = read_percentage(reader, &mut map, is_matched);
    let duration = map.require(reader, "duration").and_then(|v| {
        reader.parsed(v, "a duration from 1ms to 5m", |text| {
            let within = |d: &Duration| !d.is_zero() && *d <= FaultDelay::MOST;
            parse_duration(text).filter(within).ok_or("such as 2s")
        })
    });
    map.finish(reader);
    Some(FaultDelay { percentage: percentage?, duration: duration? })
}

fn read_abort(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    is_matched: bool,
) -> Option<FaultAbort> {
    let mut map = reader.mapping(value)?;
    let percentage = read_percentage(reader, &mut map, is_matched);
    let http = map.take("httpStatus").map(|v| {
        let status = reader.integer(v, 400..=599)?;
        Some(AbortStatus::Http(u16::try_from(status).ok()?))
    });
    let grpc = map.take("grpcStatus").map(|v| {
        let status = reader.integer(v, 1..=16)?;
        Some(AbortStatus::Grpc(u8::try_from(status).ok()?))
    });
    map.finish(reader);
    if http.is_some() == grpc.is_some() {
        let found = if http.is_some() { "both statuses" } else { "an `abort` without a status" };
        reader.report(value.node.mark, found, "`httpStatus` or `grpcStatus`", None);
    }
    Some(FaultAbort { percentage: percentage?, status: http.or(grpc)?? })
}

/// Without `match`, how many requests it takes must be written: nobody breaks every call by leaving something out.
fn read_percentage(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    is_matched: bool,
) -> Option<FaultPercentage> {
    match map.take("percentage") {
        Some(value) => {
            let percent = reader.integer(value, 1..=100)?;
            u8::try_from(percent).ok().and_then(FaultPercentage::new)
        }
        None if is_matched => Some(FaultPercentage::ALWAYS),
        None => {
            let fix = "write how many requests it takes, or `match` them by a header".to_owned();
            let found = "a fault without `percentage`, in an object without `match`";
            let code = DiagnosticCode::MissingKey;
            reader.report_with_code(code, map.mark(), found, "the key `percentage`", Some(fix));
            None
        }
    }
}

#[cfg(test)]
mod tests;
