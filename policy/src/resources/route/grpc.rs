//! `matches` of a GRPCRoute.

use super::matches::{self, MatchType};
use super::path;
use crate::route::{PathMatch, RouteMatch, TextMatch};
use crate::yaml::{DiagnosticCode, YamlReader, YamlValue};

/// The longest name, in bytes, as the standard has it.
const MAX_NAME: usize = 1024;

/// Reads one match.
pub(super) fn read_match(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<RouteMatch> {
    let mut map = reader.mapping(value)?;
    let any = PathMatch::Grpc { service: None, method: None };
    let path = map.take("method").map_or(Some(any), |v| read_method(reader, v));
    let headers = matches::read_headers(reader, &mut map);
    map.finish(reader);
    Some(RouteMatch { path: path?, method: None, headers: headers?, query: Vec::new() })
}

/// Service and method; what is left out may be any.
fn read_method(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<PathMatch> {
    let mut map = reader.mapping(value)?;
    let kind = matches::read_type(reader, &mut map);
    let service = map.take("service").map(|v| read_name(reader, v, kind, is_service));
    let method = map.take("method").map(|v| read_name(reader, v, kind, is_part));
    map.finish(reader);
    if service.is_none() && method.is_none() {
        let (found, expected) = ("a `method` that names nothing", "`service`, `method` or both");
        reader.report_with_code(DiagnosticCode::NoEffect, value.node.mark, found, expected, None);
        return None;
    }
    Some(PathMatch::Grpc {
        service: service.map_or(Some(None), |service| service.map(Some))?,
        method: method.map_or(Some(None), |method| method.map(Some))?,
    })
}

fn read_name(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    kind: Option<MatchType>,
    is_name: impl Fn(&str) -> bool,
) -> Option<TextMatch> {
    let kind = kind?;
    reader.parsed(value, "a name of a gRPC service or method", |text| match kind {
        MatchType::Exact if text.len() <= MAX_NAME && is_name(text) => {
            Ok(TextMatch::Exact(text.into()))
        }
        MatchType::Exact => {
            Err("names are letters, digits and '_', with dots between those of a service"
                .to_owned())
        }
        MatchType::Expression => path::expression(text).map(TextMatch::Pattern),
    })
}

/// A service with its package: names with dots between them.
fn is_service(name: &str) -> bool {
    name.strip_prefix('.').unwrap_or(name).split('.').all(is_part)
}

fn is_part(part: &str) -> bool {
    let begins = part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
