//! One item of `exclusions`: a rule that does not count, and where.

use super::rule_id;
use crate::pattern::PathPattern;
use crate::threat::RuleExclusion;
use crate::yaml::{YamlReader, YamlValue};

/// The most exclusions of one policy: somebody who needs more wants other rules.
const MAX_EXCLUSIONS: usize = 256;
const MAX_PATHS: usize = 64;
const MAX_ARGUMENTS: usize = 64;
/// The longest name of an argument, bytes.
const MAX_NAME: usize = 256;

pub(super) fn read_all(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
) -> Option<Vec<RuleExclusion>> {
    let items = reader.filled_list(value, MAX_EXCLUSIONS)?;
    // Every one is read, so that all mistakes are told.
    let read: Vec<_> = items.into_iter().map(|item| read_one(reader, item)).collect();
    read.into_iter().collect()
}

fn read_one(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<RuleExclusion> {
    let mut map = reader.mapping(value)?;
    let rule = map.require(reader, "rule");
    let rule = rule.and_then(|v| rule_id(reader, v));
    let paths = map.take("paths").map(|v| {
        let expected = "a path, such as /search*";
        read_list(reader, v, MAX_PATHS, expected, PathPattern::parse)
    });
    let arguments = map.take("args").map(|v| {
        let expected = "the name of an argument, such as q";
        read_list(reader, v, MAX_ARGUMENTS, expected, argument)
    });
    map.finish(reader);
    Some(RuleExclusion {
        rule: rule?,
        paths: paths.unwrap_or_else(|| Some(Vec::new()))?,
        arguments: arguments.unwrap_or_else(|| Some(Vec::new()))?,
    })
}

fn read_list<T, E: std::fmt::Display>(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    most: usize,
    expected: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Option<Vec<T>> {
    let items = reader.filled_list(value, most)?;
    let read: Vec<_> =
        items.into_iter().map(|item| reader.parsed(item, expected, &parse)).collect();
    read.into_iter().collect()
}

fn argument(text: &str) -> Result<Box<str>, &'static str> {
    match (1..=MAX_NAME).contains(&text.len()) && !text.chars().any(char::is_control) {
        true => Ok(text.into()),
        false => Err("1 to 256 bytes without control characters"),
    }
}
