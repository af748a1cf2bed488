//! The rules of an AuthorizationPolicy: `from`, `to` and their fields.

use super::condition;
use crate::pattern::{
    AccountPattern, AddressPattern, FieldPatterns, HostPattern, IdPattern, PathPattern,
    PatternError, TokenPattern, narrow,
};
use crate::rule::{Operation, Rule, Source};
use crate::yaml::{YamlMapping, YamlReader, YamlValue};

/// The most rules of a policy (Istio's limit).
pub(super) const MAX_RULES: usize = 512;
/// The most sources, operations or conditions of a rule.
const MAX_PARTS: usize = 512;
/// The most values of a field.
pub(super) const MAX_VALUES: usize = 1024;
/// The most values of `serviceAccounts` (Istio's limit).
const MAX_SERVICE_ACCOUNTS: usize = 16;

/// Reads `rules`. An empty list matches nothing, as an absent one does.
pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &str,
) -> Option<Vec<Rule>> {
    let items = reader.list(value)?;
    if items.len() > MAX_RULES {
        reader.report(
            value.node.mark,
            format!("{} rules", items.len()),
            "at most 512",
            Some("split the policy".into()),
        );
        return None;
    }
    Some(items.into_iter().filter_map(|item| read_rule(reader, item, namespace)).collect())
}

fn read_rule(reader: &mut YamlReader, value: YamlValue<'_>, namespace: &str) -> Option<Rule> {
    let mut map = reader.mapping(value)?;
    let from = parts(reader, map.take("from"), |reader, v| read_source(reader, v, namespace));
    let to = parts(reader, map.take("to"), read_operation);
    let when = parts(reader, map.take("when"), |reader, v| condition::read(reader, v, namespace));
    map.finish(reader);
    Some(Rule { mark: value.node.mark, from: from?, to: to?, when: when?.into_iter().collect() })
}

/// The items of an optional list that must not be empty when it is there.
pub(super) fn parts<T>(
    reader: &mut YamlReader,
    value: Option<YamlValue<'_>>,
    read: impl Fn(&mut YamlReader, YamlValue<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let Some(value) = value else { return Some(Vec::new()) };
    let items = reader.filled_list(value, MAX_PARTS)?;
    Some(items.into_iter().filter_map(|item| read(reader, item)).collect())
}

/// `source:` of an item of `from`.
pub(super) fn read_source(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &str,
) -> Option<Source> {
    let mut item = reader.mapping(value)?;
    let source = item.require(reader, "source");
    item.finish(reader);
    let mut map = non_empty_mapping(reader, source?)?;
    let account = |text: &str| AccountPattern::parse(text, namespace);
    let source = Source {
        principals: field(reader, &mut map, "principals", "notPrincipals", IdPattern::parse),
        request_principals: field(
            reader,
            &mut map,
            "requestPrincipals",
            "notRequestPrincipals",
            TokenPattern::parse,
        ),
        namespaces: field(reader, &mut map, "namespaces", "notNamespaces", narrow::namespace),
        service_accounts: field(reader, &mut map, "serviceAccounts", "notServiceAccounts", account),
        trust_domains: field(
            reader,
            &mut map,
            "trustDomains",
            "notTrustDomains",
            narrow::trust_domain,
        ),
        ip_blocks: field(reader, &mut map, "ipBlocks", "notIpBlocks", AddressPattern::parse),
        remote_ip_blocks: field(
            reader,
            &mut map,
            "remoteIpBlocks",
            "notRemoteIpBlocks",
            AddressPattern::parse,
        ),
    };
    refuse_mixed_accounts(reader, value, &source);
    map.finish(reader);
    Some(source)
}

/// `serviceAccounts` already says the namespace and the identity: beside them it is one too many (as in Istio).
fn refuse_mixed_accounts(reader: &mut YamlReader, value: YamlValue<'_>, source: &Source) {
    let accounts = &source.service_accounts;
    for list in [&accounts.any_of, &accounts.none_of] {
        if list.len() > MAX_SERVICE_ACCOUNTS {
            let found = format!("{} service accounts", list.len());
            reader.report(
                value.node.mark,
                found,
                "at most 16",
                Some("use principals, or several sources".into()),
            );
        }
    }
    let others = !source.principals.is_empty() || !source.namespaces.is_empty();
    if others && !accounts.is_empty() {
        reader.report(
            value.node.mark,
            "service accounts beside principals or namespaces",
            "one of them in a source",
            Some("write two sources, or one of the fields".into()),
        );
    }
}

/// `operation:` of an item of `to`.
fn read_operation(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Operation> {
    let mut item = reader.mapping(value)?;
    let operation = item.require(reader, "operation");
    item.finish(reader);
    let mut map = non_empty_mapping(reader, operation?)?;
    let operation = Operation {
        hosts: field(reader, &mut map, "hosts", "notHosts", HostPattern::parse),
        ports: field(reader, &mut map, "ports", "notPorts", parse_port),
        methods: field(reader, &mut map, "methods", "notMethods", narrow::method),
        paths: field(reader, &mut map, "paths", "notPaths", PathPattern::parse),
    };
    map.finish(reader);
    Some(operation)
}

/// A mapping with at least one key: an empty source or operation would restrict nothing, which nobody writes on
/// purpose.
pub(super) fn non_empty_mapping<'n>(
    reader: &mut YamlReader,
    value: YamlValue<'n>,
) -> Option<YamlMapping<'n>> {
    let map = reader.mapping(value)?;
    if map.is_empty() {
        let found = format!("an empty `{}`", value.name);
        reader.report(
            value.node.mark,
            found,
            "at least one field",
            Some("remove the list to match all".into()),
        );
        return None;
    }
    Some(map)
}

/// Whether a policy could name this path.
///
/// # Errors
/// What is wrong with it as a pattern, and what to write.
pub fn check_path_pattern(text: &str) -> Result<(), String> {
    PathPattern::parse(text).map(drop).map_err(|error| error.to_string())
}

/// Whether a policy could name this method.
///
/// # Errors
/// What is wrong with it as a pattern, and what to write.
pub fn check_method_pattern(text: &str) -> Result<(), String> {
    narrow::method(text).map(drop).map_err(|error| error.to_string())
}

/// A port as policies write it: a number in quotes.
pub(super) fn parse_port(text: &str) -> Result<u16, PatternError> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    match text.parse() {
        Ok(port) if plain => Ok(port),
        _ => Err("write a port from 1 to 65535, as \"8080\"".into()),
    }
}

/// Reads a field and its negation.
pub(super) fn field<T>(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    key: &'static str,
    not_key: &'static str,
    parse: impl Fn(&str) -> Result<T, PatternError>,
) -> FieldPatterns<T> {
    let any_of = map.take(key).map(|v| values(reader, v, &parse)).unwrap_or_default();
    let none_of = map.take(not_key).map(|v| values(reader, v, &parse)).unwrap_or_default();
    FieldPatterns { any_of, none_of }
}

fn values<T>(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    parse: &impl Fn(&str) -> Result<T, PatternError>,
) -> Vec<T> {
    let items = reader.filled_list(value, MAX_VALUES).unwrap_or_default();
    items
        .into_iter()
        .filter_map(|item| reader.parsed(item, "a value that can match", parse))
        .collect()
}
