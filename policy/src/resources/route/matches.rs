//! `matches` of an HTTPRoute.

use std::sync::Arc;

use super::{path, repeated};
use crate::header_names::advice_on_removed_header;
use crate::route::{HeaderMatch, PathMatch, QueryMatch, RouteMatch, TextMatch};
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};

/// The most conditions on fields, and on parameters, of one match, as the standard has it.
const MAX_CONDITIONS: usize = 16;
/// The longest value of a field, and of a parameter, in bytes, as the standard has it.
const MAX_FIELD_VALUE: usize = 4096;
const MAX_PARAMETER_VALUE: usize = 1024;
/// The longest name, in bytes, as the standard has it.
const MAX_NAME: usize = 256;

/// The methods that the standard names.
pub(super) const METHODS: &[(&str, &str)] = &[
    ("GET", "GET"),
    ("HEAD", "HEAD"),
    ("POST", "POST"),
    ("PUT", "PUT"),
    ("DELETE", "DELETE"),
    ("CONNECT", "CONNECT"),
    ("OPTIONS", "OPTIONS"),
    ("TRACE", "TRACE"),
    ("PATCH", "PATCH"),
];

/// Reads one match.
pub(super) fn read_match(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<RouteMatch> {
    let mut map = reader.mapping(value)?;
    let everything = || Some(PathMatch::Prefix("".into()));
    let path = map.take("path").map_or_else(everything, |v| path::read_match(reader, v));
    let method = map.take("method").map(|v| reader.choice(v, METHODS));
    let headers = read_headers(reader, &mut map);
    let query = map.take("queryParams").map_or(Some(Vec::new()), |v| read_query(reader, v));
    map.finish(reader);
    Some(RouteMatch {
        path: path?,
        method: method.map_or(Some(None), |method| method.map(|method| Some(method.into())))?,
        headers: headers?,
        query: query?,
    })
}

/// Reads `headers` of a match, of HTTP or gRPC.
pub(in crate::resources) fn read_headers(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
) -> Option<Vec<HeaderMatch>> {
    let Some(value) = map.take("headers") else { return Some(Vec::new()) };
    let items = reader.filled_list(value, MAX_CONDITIONS)?;
    let read = |item| {
        let (name, value) = read_condition(reader, item, field_name, of_field)?;
        refuse_removed(reader, item, &name)?;
        Some(HeaderMatch { name, value })
    };
    let headers: Vec<_> = items.into_iter().map(read).collect();
    let headers: Vec<HeaderMatch> = headers.into_iter().collect::<Option<_>>()?;
    once(reader, value, headers.iter().map(|header| &header.name))?;
    Some(headers)
}

fn read_query(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Vec<QueryMatch>> {
    let items = reader.filled_list(value, MAX_CONDITIONS)?;
    let read = |item| {
        let (name, value) = read_condition(reader, item, parameter_name, of_parameter)?;
        Some(QueryMatch { name, value })
    };
    let query: Vec<_> = items.into_iter().map(read).collect();
    let query: Vec<QueryMatch> = query.into_iter().collect::<Option<_>>()?;
    once(reader, value, query.iter().map(|parameter| &parameter.name))?;
    Some(query)
}

/// A field that is taken off every request before a route is asked.
fn refuse_removed(reader: &mut YamlReader, item: YamlValue<'_>, name: &str) -> Option<()> {
    let Some(advice) = advice_on_removed_header(name) else { return Some(()) };
    let found = format!("a condition on the field {name}, which never matches");
    let (code, mark) = (DiagnosticCode::NoEffect, item.node.mark);
    reader.report_with_code(code, mark, found, "a field that requests have", Some(advice.into()));
    None
}

/// Two conditions on one name: the standard has the second passed over, which its writer does not expect.
fn once<'n>(
    reader: &mut YamlReader,
    list: YamlValue<'_>,
    names: impl Iterator<Item = &'n Arc<str>>,
) -> Option<()> {
    let names: Vec<_> = names.collect();
    let Some(name) = repeated(&names) else { return Some(()) };
    let found = format!("the name {name} again in `{}`", list.name);
    let fix = "write one condition; a regular expression may tell several values".to_owned();
    let (code, mark) = (DiagnosticCode::Repeated, list.node.mark);
    reader.report_with_code(code, mark, found, "each name once", Some(fix));
    None
}

/// How a text is compared.
#[derive(Debug, Clone, Copy)]
pub(super) enum MatchType {
    Exact,
    Expression,
}

const TYPES: &[(&str, MatchType)] =
    &[("Exact", MatchType::Exact), ("RegularExpression", MatchType::Expression)];

/// Reads `type`. Default: exact.
pub(super) fn read_type(reader: &mut YamlReader, map: &mut YamlMapping<'_>) -> Option<MatchType> {
    map.take("type").map_or(Some(MatchType::Exact), |v| reader.choice(v, TYPES))
}

/// Reads `type`, `name` and `value`.
fn read_condition(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    name_of: impl Fn(&str) -> Result<Arc<str>, &'static str>,
    exact: impl Fn(&str) -> Result<TextMatch, String>,
) -> Option<(Arc<str>, TextMatch)> {
    let mut map = reader.mapping(value)?;
    let kind = read_type(reader, &mut map);
    let name = map.require(reader, "name").and_then(|v| reader.parsed(v, "a name", name_of));
    let text = map.require(reader, "value");
    let value = kind.zip(text).and_then(|(kind, text)| match kind {
        MatchType::Exact => reader.parsed(text, "a value", exact),
        MatchType::Expression => {
            let expected = "a regular expression for the whole value";
            reader.parsed(text, expected, path::expression).map(TextMatch::Pattern)
        }
    });
    map.finish(reader);
    name.zip(value)
}

/// A value as a field can have it.
fn of_field(text: &str) -> Result<TextMatch, String> {
    let inner = |b: u8| b.is_ascii_graphic() || b == b' ' || b == b'\t';
    let can_be = text.trim_matches([' ', '\t']) == text && text.bytes().all(inner);
    match can_be && text.len() <= MAX_FIELD_VALUE {
        true => Ok(TextMatch::Exact(text.into())),
        false => Err(format!(
            "values are printable ASCII, at most {MAX_FIELD_VALUE} characters, without blanks at an end"
        )),
    }
}

/// A value as a parameter can have it.
fn of_parameter(text: &str) -> Result<TextMatch, String> {
    match text.len() <= MAX_PARAMETER_VALUE {
        true => Ok(TextMatch::Exact(text.into())),
        false => Err(format!("values are at most {MAX_PARAMETER_VALUE} characters")),
    }
}

/// The name of a field (RFC 9110 §5.1), in lower case.
///
/// # Errors
/// What to write.
pub(super) fn field_name(text: &str) -> Result<Arc<str>, &'static str> {
    let is_token_byte = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    match text.len() <= MAX_NAME && text.bytes().all(is_token_byte) {
        true => Ok(text.to_ascii_lowercase().into()),
        false => Err("names of fields are letters, digits and '-', at most 256"),
    }
}

/// The name of a parameter, as it is after decoding.
fn parameter_name(text: &str) -> Result<Arc<str>, &'static str> {
    match text.len() <= MAX_NAME {
        true => Ok(text.into()),
        false => Err("names are at most 256 characters"),
    }
}
