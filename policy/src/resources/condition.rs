//! The `when` conditions of a rule: a key, `values` and `notValues`.

use super::rules::{field, parse_port};
use crate::header_names::advice_on_removed_header;
use crate::pattern::{
    AccountPattern, AddressPattern, FieldPatterns, IdPattern, PatternError, TextPattern,
    TokenPattern, narrow,
};
use crate::rule::{ApiKeyField, Condition};
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue, nearest};

/// The keys, for messages.
const KEYS: &[&str] = &[
    "request.headers[name]",
    "source.ip",
    "remote.ip",
    "source.namespace",
    "source.principal",
    "source.trustDomain",
    "source.serviceAccount",
    "request.auth.principal",
    "request.auth.audiences",
    "request.auth.presenter",
    "request.auth.claims[name]",
    "request.auth.apiKey[client]",
    "destination.ip",
    "destination.port",
    "connection.sni",
];

/// Reads one item of `when`.
pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &str,
) -> Option<Condition> {
    let mut map = reader.mapping(value)?;
    let key = map.require(reader, "key").and_then(|key| Some((key, reader.text(key)?)));
    let condition = key.and_then(|(key, text)| read_keyed(reader, &mut map, key, text, namespace));
    if !map.has("values") && !map.has("notValues") {
        let fix = "a condition without values would always hold".to_owned();
        reader.report(value.node.mark, "no `values`", "`values` or `notValues`", Some(fix));
    }
    if condition.is_none() {
        map.take("values");
        map.take("notValues");
    }
    map.finish(reader);
    condition
}

fn read_keyed(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    key: YamlValue<'_>,
    text: &str,
    namespace: &str,
) -> Option<Condition> {
    let account = |text: &str| AccountPattern::parse(text, namespace);
    Some(match text {
        "source.ip" => Condition::SourceIp(pair(reader, map, AddressPattern::parse)),
        "remote.ip" => Condition::RemoteIp(pair(reader, map, AddressPattern::parse)),
        "source.namespace" => Condition::SourceNamespace(pair(reader, map, narrow::namespace)),
        "source.principal" => Condition::SourcePrincipal(pair(reader, map, IdPattern::parse)),
        "source.trustDomain" => {
            Condition::SourceTrustDomain(pair(reader, map, narrow::trust_domain))
        }
        "source.serviceAccount" => Condition::SourceServiceAccount(pair(reader, map, account)),
        "request.auth.principal" => {
            Condition::TokenPrincipal(pair(reader, map, TokenPattern::parse))
        }
        "request.auth.audiences" => {
            Condition::TokenAudiences(pair(reader, map, TextPattern::parse))
        }
        "request.auth.presenter" => {
            Condition::TokenPresenter(pair(reader, map, TextPattern::parse))
        }
        "destination.ip" => Condition::DestinationIp(pair(reader, map, AddressPattern::parse)),
        "destination.port" => Condition::DestinationPort(pair(reader, map, parse_port)),
        "connection.sni" => Condition::Sni(pair(reader, map, TextPattern::parse)),
        _ => {
            let texts = pair(reader, map, TextPattern::parse);
            return read_bracketed(reader, key, text, texts);
        }
    })
}

fn pair<T>(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    parse: impl Fn(&str) -> Result<T, PatternError>,
) -> FieldPatterns<T> {
    field(reader, map, "values", "notValues", parse)
}

/// `request.headers[name]`, `request.auth.claims[a][b]` and `request.auth.apiKey[part]`; everything else is unknown.
fn read_bracketed(
    reader: &mut YamlReader,
    key: YamlValue<'_>,
    text: &str,
    values: FieldPatterns<TextPattern>,
) -> Option<Condition> {
    let header = text.strip_prefix("request.headers").map(bracketed);
    let claim = text.strip_prefix("request.auth.claims").map(bracketed);
    if let Some(part) = text.strip_prefix("request.auth.apiKey").map(bracketed) {
        return read_api_key(reader, key, part, values);
    }
    match (header, claim) {
        (Some(Some(names)), _) if names.len() == 1 && pseudo_header(names[0]).is_some() => {
            let field = pseudo_header(names[0]).unwrap_or_default();
            let fix = format!("write it as `{field}` of an operation, under `to`");
            reader.report_value(key, "the name of a header field", Some(fix));
            None
        }
        (Some(Some(names)), _) if names.len() == 1 && is_token(names[0]) => {
            let name = names[0].to_ascii_lowercase();
            if let Some(advice) = advice_on_removed_header(&name) {
                let expected = "a header field that a request can still have";
                reader.report_value_with_code(
                    DiagnosticCode::NoEffect,
                    key,
                    expected,
                    Some(advice.to_owned()),
                );
                return None;
            }
            Some(Condition::Header(name.into(), values))
        }
        (_, Some(Some(names))) => {
            Some(Condition::TokenClaim(names.into_iter().map(Into::into).collect(), values))
        }
        (Some(_), _) => {
            reader.report_value(key, "request.headers[name] with one header name", None);
            None
        }
        (_, Some(_)) => {
            reader.report_value(
                key,
                "request.auth.claims[name], or [name][name] for a claim within",
                None,
            );
            None
        }
        _ => {
            unknown_key(reader, key, text);
            None
        }
    }
}

fn read_api_key(
    reader: &mut YamlReader,
    key: YamlValue<'_>,
    part: Option<Vec<&str>>,
    values: FieldPatterns<TextPattern>,
) -> Option<Condition> {
    let known = |name: &str| ApiKeyField::ALL.into_iter().find(|(word, _)| *word == name);
    match part.as_deref() {
        Some([name]) if let Some((_, field)) = known(name) => {
            Some(Condition::ApiKey(field, values))
        }
        _ => {
            let expected = "request.auth.apiKey[id], [client] or [scopes]";
            reader.report_value(key, expected, None);
            None
        }
    }
}

/// The field of an operation that says what a pseudo-header (RFC 9113 §8.3.1) says; `None` for other names.
fn pseudo_header(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        ":authority" => "hosts",
        ":method" => "methods",
        ":path" => "paths",
        _ => return None,
    })
}

/// Keys that other tools and older versions know, and the field that says it here.
const FIELDS: &[(&str, &str)] = &[
    ("request.host", "hosts"),
    ("request.method", "methods"),
    ("request.path", "paths"),
    ("request.url_path", "paths"),
    ("destination.host", "hosts"),
    ("source.user", "principals"),
    ("source.uid", "principals"),
];

fn unknown_key(reader: &mut YamlReader, key: YamlValue<'_>, text: &str) {
    let expected = format!("one of {}", KEYS.join(", "));
    if text.starts_with("experimental.") {
        let fix = "experimental.* keys are not supported".to_owned();
        return reader.report_value_with_code(
            DiagnosticCode::Unsupported,
            key,
            expected,
            Some(fix),
        );
    }
    let field = FIELDS.iter().find(|(known, _)| *known == text);
    let fix = match field {
        Some((_, field @ "principals")) => {
            Some(format!("write it as `{field}` of a source, under `from`"))
        }
        Some((_, field)) => Some(format!("write it as `{field}` of an operation, under `to`")),
        None => nearest(text, KEYS.iter().copied()).map(|name| format!("did you mean {name}?")),
    };
    reader.report_value(key, expected, fix);
}

/// The names in `[a][b]`; `None` when it is not that.
fn bracketed(text: &str) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(inner) = rest.strip_prefix('[') {
        let (name, tail) = inner.split_once(']')?;
        if name.is_empty() || name.contains('[') || names.len() >= 8 {
            return None;
        }
        names.push(name);
        rest = tail;
    }
    (rest.is_empty() && !names.is_empty()).then_some(names)
}

/// A field name (RFC 9110 §5.6.2).
fn is_token(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
