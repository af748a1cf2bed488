//! `loadBalancer`.

use std::sync::Arc;
use std::time::Duration;

use super::settings::{duration, refuse_keys};
use crate::traffic_policy::{BalancingAlgorithm, HashKey, LoadBalancing};
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};

/// The longest name of a header, cookie or parameter, in bytes.
const MAX_NAME: usize = 256;

const ALGORITHMS: &[(&str, BalancingAlgorithm)] = &[
    ("LEAST_REQUEST", BalancingAlgorithm::LeastRequest),
    ("ROUND_ROBIN", BalancingAlgorithm::RoundRobin),
    ("RANDOM", BalancingAlgorithm::Random),
];

pub(super) fn read(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<LoadBalancing> {
    let mut map = reader.mapping(value)?;
    let simple = map.take("simple");
    let algorithm = simple.and_then(|v| read_algorithm(reader, v));
    let hash = map.take("consistentHash");
    if let Some(hash) = hash.filter(|_| simple.is_some()) {
        reader.report(hash.node.mark, "`consistentHash` beside `simple`", "one of the two", None);
    }
    let hash_key = hash.and_then(|v| read_hash(reader, v));
    let warmup = map.take("warmup").and_then(|v| read_warmup(reader, v));
    let locality = map.take("localityLbSetting").and_then(|v| read_locality(reader, v));
    refuse_keys(
        reader,
        &mut map,
        &[("warmupDurationSecs", "write `warmup: {duration: …}`, as Istio has it now")],
    );
    map.finish(reader);
    Some(LoadBalancing {
        algorithm: algorithm.unwrap_or_default(),
        hash_key,
        warmup,
        prefer_zone: locality.unwrap_or(true),
    })
}

fn read_algorithm(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<BalancingAlgorithm> {
    let instead = match value.scalar()? {
        "LEAST_CONN" => "write LEAST_REQUEST, the name of it that is not deprecated",
        "UNSPECIFIED" => "take the line out: without it the less loaded of two endpoints is taken",
        "PASSTHROUGH" => {
            "write `resolution: NONE` in the ServiceEntry: then the address that the app dialled is called"
        }
        _ => return reader.choice(value, ALGORITHMS),
    };
    let expected = "one of LEAST_REQUEST, ROUND_ROBIN, RANDOM";
    let code = DiagnosticCode::Unsupported;
    reader.report_value_with_code(code, value, expected, Some(instead.to_owned()));
    None
}

fn read_warmup(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Duration> {
    let mut map = reader.mapping(value)?;
    let bounds = Duration::from_secs(1)..=Duration::from_secs(3600);
    let duration = map.require(reader, "duration").and_then(|v| duration(reader, v, bounds));
    let refused = [
        ("minimumPercent", "take it out: the share begins with a tenth"),
        ("aggression", "take it out: the share grows evenly"),
    ];
    refuse_keys(reader, &mut map, &refused);
    map.finish(reader);
    duration
}

/// Whether the own zone is preferred.
fn read_locality(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<bool> {
    let mut map = reader.mapping(value)?;
    let enabled = map.take("enabled").map(|v| reader.boolean(v));
    let fix = "take it out: the own zone is preferred while it has an endpoint in health and its fair share of capacity";
    let keys = [("distribute", fix), ("failover", fix), ("failoverPriority", fix)];
    refuse_keys(reader, &mut map, &keys);
    map.finish(reader);
    enabled.unwrap_or(Some(true))
}

const RENDEZVOUS: &str =
    "take it out: endpoints are found by rendezvous hashing, which has no table to size";

fn read_hash(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<HashKey> {
    let mut map = reader.mapping(value)?;
    let keys = [
        map.take("httpHeaderName").map(|v| read_header(reader, v)),
        map.take("httpCookie").map(|v| read_cookie(reader, v)),
        map.take("httpQueryParameterName").map(|v| read_parameter(reader, v)),
        map.take("useSourceIp").map(|v| read_source(reader, v)),
    ];
    let refused =
        [("ringHash", RENDEZVOUS), ("maglev", RENDEZVOUS), ("minimumRingSize", RENDEZVOUS)];
    refuse_keys(reader, &mut map, &refused);
    map.finish(reader);
    let mut written = keys.into_iter().flatten();
    let first = written.next();
    if first.is_none() || written.next().is_some() {
        let expected = "one of httpHeaderName, httpCookie, httpQueryParameterName, useSourceIp";
        let found = if first.is_none() { "nothing to hash" } else { "more than one thing to hash" };
        reader.report(value.node.mark, found, expected, None);
    }
    first.flatten()
}

fn read_header(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<HashKey> {
    let name = reader.parsed(value, "the name of a header", |text| match is_token(text) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("names of headers are letters, digits and '-'"),
    })?;
    Some(HashKey::Header(name.into()))
}

fn read_parameter(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<HashKey> {
    let name = reader.parsed(value, "the name of a parameter", |text| {
        let plain = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'&' | b'=' | b'#'));
        match plain && text.len() <= MAX_NAME {
            true => Ok(Arc::from(text)),
            false => Err("write it as it stands in the query, percent-encoded"),
        }
    })?;
    Some(HashKey::QueryParameter(name))
}

fn read_source(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<HashKey> {
    if !reader.boolean(value)? {
        let fix = "take the line out".to_owned();
        reader.report_value_with_code(DiagnosticCode::NoEffect, value, "true", Some(fix));
        return None;
    }
    Some(HashKey::SourceAddress)
}

fn read_cookie(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<HashKey> {
    let mut map: YamlMapping<'_> = reader.mapping(value)?;
    let name = map.require(reader, "name").and_then(|v| {
        reader.parsed(v, "the name of a cookie", |text| {
            is_token(text).then(|| Arc::from(text)).ok_or("a token, as RFC 6265 §4.1.1 has it")
        })
    });
    let path = map.take("path").map(|v| {
        reader.parsed(v, "a path", |text| match is_cookie_path(text) {
            true => Ok(Arc::from(text)),
            false => Err("begin with '/', without ';', blanks and control characters"),
        })
    });
    let most = Duration::from_secs(365 * 86_400);
    let ttl = map.take("ttl").map(|v| duration(reader, v, Duration::ZERO..=most));
    map.finish(reader);
    Some(HashKey::Cookie {
        name: name?,
        path: path.map_or(Some(None), |path| path.map(Some))?,
        ttl: ttl.map_or(Some(None), |ttl| ttl.map(Some))?,
    })
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(fits)
}

/// What can stand in an attribute of Set-Cookie (RFC 6265 §4.1.1), and means a path (§5.2.4).
fn is_cookie_path(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_graphic() && b != b';';
    text.starts_with('/') && text.len() <= MAX_NAME && text.bytes().all(fits)
}
