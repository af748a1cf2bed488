//! One item of `limits` or `concurrency`.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::{StoreRules, limit_of};
use crate::pattern::{HostPattern, PathPattern, narrow};
use crate::rate_limit::{LimitKey, LimitMatch, LimitMeasure, LimitStore, RateLimit, RequestLimit};
use crate::resources::route::read_header_matches;
use crate::resources::rules::field;
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue, parse_duration};

/// The longest name of a limit, and of a claim.
const MAX_NAME: usize = 63;
const MAX_CLAIM: usize = 256;
/// The most requests in any time, and at once.
const MAX_REQUESTS: u64 = 1_000_000_000;
const MAX_BURST: u64 = 1_000_000;
const LONGEST: Duration = Duration::from_secs(86_400);
/// The longest time until a bucket is full again: what is kept for longer is a quota of a billing system, not a limit.
const LONGEST_REFILL: u128 = 30 * 86_400;

/// What rates and concurrency limits have in common.
pub(super) struct LimitHead {
    pub(super) name: Arc<str>,
    pub(super) keys: Vec<LimitKey>,
    pub(super) matches: LimitMatch,
}

pub(super) fn read_rate(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    policy: &str,
    rules: StoreRules,
) -> Option<RequestLimit> {
    let mut map = reader.mapping(value)?;
    let head = read_head(reader, &mut map);
    let requests = map.require(reader, "requests").and_then(|v| count(reader, v, MAX_REQUESTS));
    let per = map.require(reader, "per").and_then(|v| {
        reader.parsed(v, "a duration from 1s to 1d", |text| {
            let within = |d: &Duration| (Duration::from_secs(1)..=LONGEST).contains(d);
            parse_duration(text).filter(within).ok_or("such as 1s, 1m, 1h or 1d")
        })
    });
    let burst = map.take("burst").map(|v| count(reader, v, MAX_BURST));
    let store = map.take("store").map_or(Some(LimitStore::Local), |v| {
        reader.choice(v, &[("local", LimitStore::Local), ("redis", LimitStore::Redis)])
    });
    map.finish(reader);
    let (requests, per) = (requests?, per?);
    let rate = RateLimit {
        requests,
        per,
        burst: burst.unwrap_or(Some(requests))?,
        store: store?,
        on_store_failure: rules.on_failure,
        replicas: rules.replicas,
    };
    check_rate(reader, value, &rate)?;
    Some(limit_of(policy, head?, LimitMeasure::Rate(rate)))
}

pub(super) fn read_concurrency(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    policy: &str,
) -> Option<RequestLimit> {
    let mut map = reader.mapping(value)?;
    let head = read_head(reader, &mut map);
    let requests = map.require(reader, "requests").and_then(|v| count(reader, v, MAX_BURST));
    map.finish(reader);
    let measure = LimitMeasure::Concurrency { requests: requests? };
    Some(limit_of(policy, head?, measure))
}

fn count(reader: &mut YamlReader, value: YamlValue<'_>, most: u64) -> Option<NonZeroU32> {
    let number = reader.integer(value, 1..=most)?;
    NonZeroU32::new(u32::try_from(number).ok()?)
}

/// A bucket counts in nanoseconds, so what comes every microsecond is counted to a thousandth.
fn check_rate(reader: &mut YamlReader, value: YamlValue<'_>, rate: &RateLimit) -> Option<()> {
    let (requests, burst) = (u128::from(rate.requests.get()), u128::from(rate.burst.get()));
    if requests > rate.per.as_micros() {
        let found = format!("{requests} requests in {:?}", rate.per);
        let expected = "at most 1000000 in a second";
        reader.report(value.node.mark, found, expected, None);
        return None;
    }
    if burst * rate.per.as_secs().max(1) as u128 > LONGEST_REFILL * requests {
        let found = format!("a burst of {burst} that takes more than 30 days to come back");
        let fix = "write a smaller `burst`, or more `requests`".to_owned();
        reader.report(value.node.mark, found, "at most 30 days", Some(fix));
        return None;
    }
    Some(())
}

fn read_head(reader: &mut YamlReader, map: &mut YamlMapping<'_>) -> Option<LimitHead> {
    let name = map.require(reader, "name");
    let name = name.and_then(|v| reader.parsed(v, "a limit's name", limit_name));
    let claim = map.take("claim");
    let keys = map.require(reader, "key").and_then(|v| read_keys(reader, v, claim));
    let matches = map.take("match").map_or(Some(LimitMatch::default()), |v| read_match(reader, v));
    Some(LimitHead { name: name?, keys: keys?, matches: matches? })
}

/// It stands in a header as text in quotes, and in metrics.
fn limit_name(text: &str) -> Result<Arc<str>, &'static str> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    match text.len() <= MAX_NAME && text.bytes().all(fits) {
        true => Ok(text.into()),
        false => Err("names are letters, digits, '-', '_' and '.', at most 63"),
    }
}

/// A key before its claim is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyWord {
    Principal,
    Claim,
    ApiKey,
    ClientAddress,
    Route,
}

const KEYS: &[(&str, KeyWord)] = &[
    ("principal", KeyWord::Principal),
    ("claim", KeyWord::Claim),
    ("apiKey", KeyWord::ApiKey),
    ("clientAddress", KeyWord::ClientAddress),
    ("route", KeyWord::Route),
];

/// `key`: one word, or a list of them.
fn read_keys(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    claim: Option<YamlValue<'_>>,
) -> Option<Vec<LimitKey>> {
    let items = match value.is_list() {
        true => reader.filled_list(value, KEYS.len())?,
        false => vec![value],
    };
    let words: Vec<_> = items.into_iter().map(|item| reader.choice(item, KEYS)).collect();
    let words: Vec<KeyWord> = words.into_iter().collect::<Option<_>>()?;
    if (1..words.len()).any(|at| words[..at].contains(&words[at])) {
        let code = DiagnosticCode::Repeated;
        let found = "a word twice in `key`";
        reader.report_with_code(code, value.node.mark, found, "each word once", None);
        return None;
    }
    let claim = read_claim(reader, value, claim, words.contains(&KeyWord::Claim))?;
    let key = |word| match word {
        KeyWord::Principal => Some(LimitKey::Principal),
        KeyWord::Claim => claim.clone().map(LimitKey::Claim),
        KeyWord::ApiKey => Some(LimitKey::ApiKey),
        KeyWord::ClientAddress => Some(LimitKey::ClientAddress),
        KeyWord::Route => Some(LimitKey::Route),
    };
    words.into_iter().map(key).collect()
}

/// `claim` stands beside `key: claim`, and nowhere else.
pub(in crate::resources) fn read_claim(
    reader: &mut YamlReader,
    key: YamlValue<'_>,
    claim: Option<YamlValue<'_>>,
    is_keyed: bool,
) -> Option<Option<Box<str>>> {
    match (claim, is_keyed) {
        (None, false) => Some(None),
        (Some(claim), true) => {
            let name = |text: &str| match text.len() <= MAX_CLAIM {
                true => Ok(text.into()),
                false => Err("at most 256 characters"),
            };
            reader.parsed(claim, "the name of a claim", name).map(Some)
        }
        (None, true) => {
            let fix = "name the claim, such as claim: sub".to_owned();
            let code = DiagnosticCode::MissingKey;
            let mark = key.node.mark;
            let expected = "the key `claim`";
            reader.report_with_code(code, mark, "key: claim without `claim`", expected, Some(fix));
            None
        }
        (Some(claim), false) => {
            let code = DiagnosticCode::NoEffect;
            let fix = "write key: claim, or take the line out".to_owned();
            reader.report_value_with_code(code, claim, "`claim` beside key: claim", Some(fix));
            None
        }
    }
}

/// `match`: methods, paths and hosts as an AuthorizationPolicy writes them, headers as a route does.
fn read_match(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<LimitMatch> {
    let mut map = reader.mapping(value)?;
    if map.is_empty() {
        let fix = "take the line out: without it a limit is about all requests".to_owned();
        reader.report(value.node.mark, "an empty `match`", "at least one field", Some(fix));
        return None;
    }
    let before = reader.diagnostic_count();
    let methods = field(reader, &mut map, "methods", "notMethods", narrow::method);
    let hosts = field(reader, &mut map, "hosts", "notHosts", HostPattern::parse);
    let paths = field(reader, &mut map, "paths", "notPaths", PathPattern::parse);
    let headers = read_header_matches(reader, &mut map);
    map.finish(reader);
    (reader.diagnostic_count() == before)
        .then(|| Some(LimitMatch { methods, hosts, paths, headers: headers? }))?
}
