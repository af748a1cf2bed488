//! Paths of matches, rewrites and redirects, in the spelling in which requests are compared.

use std::sync::Arc;

use super::{RuleContext, hosts};
use crate::path::literal;
use crate::route::{PathChange, PathMatch, RegularExpression, UrlRewrite};
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};

/// The longest path, in bytes, as the standard has it.
const MAX_PATH: usize = 1024;

#[derive(Clone, Copy)]
enum PathType {
    Exact,
    Prefix,
    Expression,
}

const TYPES: &[(&str, PathType)] = &[
    ("Exact", PathType::Exact),
    ("PathPrefix", PathType::Prefix),
    ("RegularExpression", PathType::Expression),
];

/// Reads `path` of a match. Default: everything below `/`.
pub(super) fn read_match(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<PathMatch> {
    let mut map = reader.mapping(value)?;
    let kind = map.take("type").map_or(Some(PathType::Prefix), |v| reader.choice(v, TYPES));
    let value = map.take("value");
    let path = kind.and_then(|kind| match value {
        Some(value) => read_value(reader, value, kind),
        None => of_type("/", kind).ok(),
    });
    map.finish(reader);
    path
}

fn read_value(reader: &mut YamlReader, value: YamlValue<'_>, kind: PathType) -> Option<PathMatch> {
    let expected = match kind {
        PathType::Exact | PathType::Prefix => "a path as requests have it",
        PathType::Expression => "a regular expression for the whole path",
    };
    reader.parsed(value, expected, |text| of_type(text, kind))
}

fn of_type(text: &str, kind: PathType) -> Result<PathMatch, String> {
    Ok(match kind {
        PathType::Exact => PathMatch::Exact(canonical(text)?.into()),
        PathType::Prefix => PathMatch::Prefix(without_last_slash(&canonical(text)?)),
        PathType::Expression => PathMatch::Pattern(expression(text)?),
    })
}

/// An expression for a whole text.
///
/// # Errors
/// What is wrong with it.
pub(super) fn expression(text: &str) -> Result<RegularExpression, String> {
    if text.len() > MAX_PATH {
        return Err(format!("at most {MAX_PATH} characters"));
    }
    RegularExpression::parse(text)
}

fn without_last_slash(path: &str) -> Arc<str> {
    path.strip_suffix('/').unwrap_or(path).into()
}

/// A path in its one spelling.
fn canonical(text: &str) -> Result<String, String> {
    if text.len() > MAX_PATH {
        return Err(format!("at most {MAX_PATH} characters"));
    }
    if !text.starts_with('/') {
        return Err("a path begins with /".to_owned());
    }
    if text.contains(['?', '#']) {
        return Err(
            "a path holds no ? and no #: conditions on a query are `queryParams`".to_owned()
        );
    }
    let path = literal::canonical(text).map_err(|error| error.to_string())?;
    if path.contains("//") {
        return Err("doubled slashes are merged before a route is asked; write one".to_owned());
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("dot segments are resolved before a route is asked; write the path".to_owned());
    }
    if path.contains("%2F") {
        return Err("an escaped slash is read in two ways; match a path above it".to_owned());
    }
    Ok(path)
}

/// Reads a URLRewrite.
pub(super) fn read_rewrite(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    context: &RuleContext<'_>,
) -> Option<UrlRewrite> {
    let mut map = reader.mapping(value)?;
    let hostname = map.take("hostname").map(|v| reader.parsed(v, "a host", hosts::precise));
    let path = map.take("path").map(|v| read_change(reader, v, context));
    let says_nothing = map.is_empty();
    map.finish(reader);
    if says_nothing {
        let (found, expected) = ("a URLRewrite that rewrites nothing", "`hostname` or `path`");
        reader.report_with_code(DiagnosticCode::NoEffect, value.node.mark, found, expected, None);
        return None;
    }
    Some(UrlRewrite {
        hostname: hostname.map_or(Some(None), |host| host.map(Some))?,
        path: path.map_or(Some(None), |path| path.map(Some))?,
    })
}

#[derive(Clone, Copy)]
enum ChangeType {
    Full,
    Prefix,
}

const CHANGES: &[(&str, ChangeType)] =
    &[("ReplaceFullPath", ChangeType::Full), ("ReplacePrefixMatch", ChangeType::Prefix)];

/// Reads `path` of a rewrite or redirect.
pub(super) fn read_change(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    context: &RuleContext<'_>,
) -> Option<PathChange> {
    let mut map = reader.mapping(value)?;
    let kind = map.require(reader, "type").and_then(|v| reader.choice(v, CHANGES));
    let change = kind.and_then(|kind| match kind {
        ChangeType::Full => read_full(reader, &mut map),
        ChangeType::Prefix => read_prefix(reader, &mut map, value, context),
    });
    if kind.is_some() {
        map.finish(reader);
    }
    change
}

fn read_full(reader: &mut YamlReader, map: &mut YamlMapping<'_>) -> Option<PathChange> {
    let value = map.require(reader, "replaceFullPath")?;
    let path = reader.parsed(value, "a path", canonical)?;
    Some(PathChange::ReplaceFullPath(path.into()))
}

fn read_prefix(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    change: YamlValue<'_>,
    context: &RuleContext<'_>,
) -> Option<PathChange> {
    let value = map.require(reader, "replacePrefixMatch")?;
    let replacement = match value.is_empty_text() {
        true => Arc::from(""),
        false => without_last_slash(&reader.parsed(value, "a path, or \"\"", canonical)?),
    };
    let Some(prefix) = context.only_prefix else {
        let found = "ReplacePrefixMatch in a rule that has not one match by PathPrefix";
        let fix = "give each prefix a rule of its own".to_owned();
        let mark = change.node.mark;
        reader.report(mark, found, "exactly one match, of type PathPrefix", Some(fix));
        return None;
    };
    Some(PathChange::ReplacePrefixMatch { prefix: Arc::clone(prefix), replacement })
}
