//! `session`: how long somebody stays signed in, and where that is kept.

use std::sync::Arc;
use std::time::Duration;

use super::{patterns, refuse_twice};
use crate::gateway::ObjectName;
use crate::resources::provider_client;
use crate::sign_in::{SessionPlace, SessionSettings};
use crate::yaml::{YamlReader, YamlValue, parse_duration};

const DEFAULT_TTL: Duration = Duration::from_secs(8 * 3600);
const DEFAULT_IDLE: Duration = Duration::from_secs(3600);
/// The longest session: 30 days.
const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
/// The most claims that are kept; a cookie holds them.
const MAX_CLAIMS: usize = 32;
/// The longest name of a claim, in bytes.
const MAX_CLAIM: usize = 128;
/// The most cookies of one session: browsers keep 20 KiB of a host at least (RFC 6265 §6.1).
const MAX_COOKIES: u8 = 5;
/// The longest suffix, in bytes.
const MAX_SUFFIX: usize = 32;
const SUBJECT: &str = "sub";
const PLACES: &[(&str, SessionPlace)] =
    &[("cookie", SessionPlace::Cookie), ("redis", SessionPlace::Redis)];

/// The settings, and the Secret with the keys.
pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<(SessionSettings, ObjectName)> {
    let mut map = reader.mapping(value)?;
    let keys = map.require(reader, "keysSecretRef");
    let keys = keys.and_then(|v| provider_client::secret_ref(reader, v, namespace));
    let ttl = map.take("ttl").map(|v| reader.parsed(v, "a time of at most 30d", time));
    let ttl = ttl.unwrap_or(Some(DEFAULT_TTL));
    let idle = read_idle(reader, map.take("idle"), ttl);
    let store = map.take("store").map(|v| reader.choice(v, PLACES));
    let claims = map.take("claims").map(|v| read_claims(reader, v));
    let most = map.take("maxCookies").map(|v| reader.integer(v, 1..=u64::from(MAX_COOKIES)));
    let suffix = map.take("cookieSuffix").filter(|v| !v.is_empty_text());
    let suffix = suffix.map(|v| reader.parsed(v, "the end of a cookie's name", cookie_suffix));
    map.finish(reader);
    let settings = SessionSettings {
        ttl: ttl?,
        idle: idle?,
        store: store.unwrap_or_else(|| Some(SessionPlace::default()))?,
        claims: claims.unwrap_or_else(|| Some(default_claims()))?,
        max_cookies: most
            .map_or(Some(MAX_COOKIES), |most| most.and_then(|n| u8::try_from(n).ok()))?,
        cookie_suffix: suffix.unwrap_or_else(|| Some("".into()))?,
    };
    Some((settings, keys?))
}

fn default_claims() -> Vec<Box<str>> {
    [SUBJECT, "email", "groups"].map(Box::from).to_vec()
}

/// At most the whole session; where it is not written, an hour or the whole session.
fn read_idle(
    reader: &mut YamlReader,
    value: Option<YamlValue<'_>>,
    ttl: Option<Duration>,
) -> Option<Duration> {
    let Some(value) = value else { return ttl.map(|ttl| ttl.min(DEFAULT_IDLE)) };
    let idle = reader.parsed(value, "a time of at most `ttl`", time)?;
    if ttl.is_some_and(|ttl| idle > ttl) {
        reader.report_value(value, "a time of at most `ttl`", None);
        return None;
    }
    Some(idle)
}

fn time(text: &str) -> Result<Duration, &'static str> {
    let bounds = Duration::from_secs(1)..=MAX_TTL;
    parse_duration(text).filter(|time| bounds.contains(time)).ok_or("from 1s to 30d, such as 8h")
}

fn read_claims(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Vec<Box<str>>> {
    let mut claims = patterns(reader, value, MAX_CLAIMS, "the name of a claim", claim_name)?;
    refuse_twice(reader, value, &claims);
    // Who it is, is always kept.
    if !claims.iter().any(|claim| **claim == *SUBJECT) {
        claims.insert(0, SUBJECT.into());
    }
    Some(claims)
}

fn claim_name(text: &str) -> Result<Box<str>, &'static str> {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    match visible && text.len() <= MAX_CLAIM {
        true => Ok(text.into()),
        false => Err("visible ASCII characters, at most 128"),
    }
}

fn cookie_suffix(text: &str) -> Result<Box<str>, &'static str> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let dash_at_end = text.starts_with('-') || text.ends_with('-');
    match text.len() <= MAX_SUFFIX && !dash_at_end && text.bytes().all(plain) {
        true => Ok(text.into()),
        false => Err("lower-case letters, digits and, between them, '-', at most 32"),
    }
}
