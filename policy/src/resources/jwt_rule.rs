//! One item of a RequestAuthentication's `jwtRules`.

use std::sync::Arc;
use std::time::Duration;

use identity::TrustDomain;

use super::inline_keys;
use crate::token::{ClaimHeader, JwtRule, KeySource, TokenPlace};
use crate::yaml::{YamlMapping, YamlReader, YamlValue, parse_duration};

/// The most items of each list of a rule.
const MAX_ITEMS: usize = 32;
/// The longest issuer, audience or name, in bytes.
const MAX_TEXT: usize = 2048;
/// What a trust domain's own issuer and keys are named by.
const SPIFFE: &str = "spiffe://";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads a rule. `None` after a diagnostic.
pub(super) fn read(reader: &mut YamlReader, value: YamlValue<'_>, id: Arc<str>) -> Option<JwtRule> {
    let mut map = reader.mapping(value)?;
    let issuer = map.require(reader, "issuer").and_then(|v| Some((v, bounded(reader, v)?)));
    let audiences = texts(reader, map.take("audiences"));
    let keys = read_keys(reader, &mut map, issuer);
    let timeout = map
        .take("timeout")
        .map_or(Some(DEFAULT_TIMEOUT), |v| reader.parsed(v, "a time from 100ms to 30s", timeout));
    let places = match &keys {
        Some(KeySource::MeshBundle(_)) => place_of_the_mesh(reader, &mut map),
        _ => read_places(reader, &mut map),
    };
    let forward = map.take("forwardOriginalToken").map_or(Some(false), |v| reader.boolean(v));
    let payload_header = map.take("outputPayloadToHeader").map(|v| made_header(reader, v));
    let claim_headers = map.take("outputClaimToHeaders").map(|v| read_claim_headers(reader, v));
    let space_delimited = texts(reader, map.take("spaceDelimitedClaims"));
    map.finish(reader);
    Some(JwtRule {
        id,
        issuer: issuer?.1.into(),
        audiences: audiences?,
        keys: keys?,
        timeout: timeout?,
        places: places?,
        forward: forward?,
        payload_header: payload_header.map_or(Some(None), |header| header.map(Some))?,
        claim_headers: claim_headers.unwrap_or_default(),
        space_delimited: space_delimited?,
    })
}

pub(super) fn bounded<'n>(reader: &mut YamlReader, value: YamlValue<'n>) -> Option<&'n str> {
    let text = reader.text(value)?;
    if text.len() > MAX_TEXT {
        reader.report_value(value, format_args!("at most {MAX_TEXT} bytes"), None);
        return None;
    }
    Some(text)
}

/// A list of texts; none when it is absent.
pub(super) fn texts(
    reader: &mut YamlReader,
    value: Option<YamlValue<'_>>,
) -> Option<Vec<Box<str>>> {
    let Some(value) = value else { return Some(Vec::new()) };
    let items = reader.filled_list(value, MAX_ITEMS)?;
    items.into_iter().map(|item| bounded(reader, item).map(Into::into)).collect()
}

pub(super) fn timeout(text: &str) -> Result<Duration, &'static str> {
    let bounds = Duration::from_millis(100)..=Duration::from_secs(30);
    parse_duration(text).filter(|time| bounds.contains(time)).ok_or("such as 5s")
}

/// `jwks` or `jwksUri`, not both; without either the issuer's own discovery document names the keys.
fn read_keys(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    issuer: Option<(YamlValue<'_>, &str)>,
) -> Option<KeySource> {
    let uri = map.take("jwksUri");
    match (map.take("jwks"), uri) {
        (Some(inline), None) => {
            let text = reader.parsed(inline, "a JSON Web Key Set (RFC 7517)", inline_keys::read)?;
            Some(KeySource::Inline(text))
        }
        (None, Some(uri)) => reader.parsed(uri, "where the keys are", key_uri),
        (Some(_), Some(second)) => {
            let fix = Some("remove one".to_owned());
            reader.report(second.node.mark, "`jwks` and `jwksUri`", "one source of keys", fix);
            None
        }
        (None, None) => {
            let (value, issuer) = issuer?;
            if issuer.starts_with(SPIFFE) {
                return reader.parsed(value, "the own trust domain", mesh_bundle);
            }
            if let Err(advice) = https(issuer).and_then(|()| no_query(issuer)) {
                let expected = "an https issuer, whose discovery document names its keys";
                let fix = format!("{advice}; or write `jwks` or `jwksUri`");
                reader.report_value(value, expected, Some(fix));
                return None;
            }
            Some(KeySource::Discovery(issuer.into()))
        }
    }
}

/// The keys of a trust domain, which nobody has to fetch: they come with the proxy's own identity. Whether it is the own
/// one is known to the proxy.
fn mesh_bundle(text: &str) -> Result<KeySource, &'static str> {
    let domain = text.strip_prefix(SPIFFE).ok_or("write spiffe:// before it")?;
    TrustDomain::parse(domain)
        .map(KeySource::MeshBundle)
        .map_err(|_| "write spiffe:// and the trust domain, without a path")
}

fn key_uri(text: &str) -> Result<KeySource, &'static str> {
    if text.starts_with(SPIFFE) {
        return mesh_bundle(text);
    }
    if let Some(path) = text.strip_prefix("file://") {
        let plain = path.starts_with('/') && !path.contains(['%', '?', '#']);
        let direct =
            path.split('/').skip(1).all(|part| !part.is_empty() && part != "." && part != "..");
        return match plain && direct {
            true => Ok(KeySource::File(path.into())),
            false => Err("write file:///absolute/path, without '..', '%', '?' and '#'"),
        };
    }
    https(text).map(|()| KeySource::Uri(text.into()))
}

/// An `https` address with a host, without user information and fragment (RFC 9110 §4.2.2, §4.2.4).
pub(super) fn https(text: &str) -> Result<(), &'static str> {
    let rest = text
        .strip_prefix("https://")
        .ok_or("write https://…; over plain http anyone on the way could put in keys of his own")?;
    let host = rest.split(['/', '?']).next().unwrap_or("");
    let visible = text.bytes().all(|b| b.is_ascii_graphic());
    if !visible || text.len() > MAX_TEXT || text.contains('#') {
        return Err("write an address of visible ASCII characters, without a fragment");
    }
    if host.contains('@') {
        return Err("remove the user information before '@'");
    }
    crate::HostName::parse(host, Some(443)).map(|_| ()).map_err(|_| "write a host after https://")
}

/// An issuer that is discovered has no query (OpenID Connect Discovery 1.0 §3).
pub(super) fn no_query(issuer: &str) -> Result<(), &'static str> {
    if issuer.contains('?') { Err("an issuer has no query") } else { Ok(()) }
}

/// A token of the mesh stands in `Authorization: Bearer` alone: from elsewhere it would leave the mesh unseen.
fn place_of_the_mesh(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
) -> Option<Vec<TokenPlace>> {
    let mut elsewhere = false;
    for name in ["fromHeaders", "fromParams", "fromCookies"] {
        if let Some(value) = map.take(name) {
            let expected = "no other place: tokens of the mesh stand in `Authorization: Bearer`";
            let fix = Some(format!("remove `{name}`"));
            reader.report(value.node.mark, format!("`{name}`"), expected, fix);
            elsewhere = true;
        }
    }
    (!elsewhere).then(|| vec![TokenPlace::of_the_mesh()])
}

/// `fromHeaders`, `fromParams`, `fromCookies`; the defaults when there is none of them.
fn read_places(reader: &mut YamlReader, map: &mut YamlMapping<'_>) -> Option<Vec<TokenPlace>> {
    let headers = map.take("fromHeaders");
    let parameters = texts(reader, map.take("fromParams"))?;
    let cookies = map.take("fromCookies");
    let mut places = match headers {
        Some(value) => read_header_places(reader, value)?,
        None => Vec::new(),
    };
    places.extend(parameters.into_iter().map(TokenPlace::Parameter));
    if let Some(value) = cookies {
        for item in reader.filled_list(value, MAX_ITEMS)? {
            let name = reader.parsed(item, "a cookie's name", |text| token(text).map(Box::from))?;
            places.push(TokenPlace::Cookie(name));
        }
    }
    if places.is_empty() {
        places = TokenPlace::defaults();
    }
    Some(places)
}

pub(super) fn read_header_places(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
) -> Option<Vec<TokenPlace>> {
    let mut places = Vec::new();
    for item in reader.filled_list(value, MAX_ITEMS)? {
        let mut map = reader.mapping(item)?;
        let name = map.require(reader, "name").and_then(|v| header_name(reader, v));
        let prefix = match map.take("prefix") {
            Some(value) if value.is_empty_text() => Some(""),
            Some(value) => bounded(reader, value),
            None => Some(""),
        };
        map.finish(reader);
        places.push(TokenPlace::Header { name: name?, prefix: prefix?.into() });
    }
    Some(places)
}

pub(super) fn read_claim_headers(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
) -> Vec<ClaimHeader> {
    let items = reader.filled_list(value, MAX_ITEMS).unwrap_or_default();
    let mut made: Vec<ClaimHeader> = Vec::new();
    for item in items {
        let Some(mut map) = reader.mapping(item) else { continue };
        let header = map.require(reader, "header").and_then(|v| Some((v, made_header(reader, v)?)));
        let claim =
            map.require(reader, "claim").and_then(|v| reader.parsed(v, "a claim", claim_path));
        map.finish(reader);
        let (Some((place, header)), Some(claim)) = (header, claim) else { continue };
        if made.iter().any(|other| other.header == header) {
            reader.report_value(place, "each header once", None);
            continue;
        }
        made.push(ClaimHeader { header, claim });
    }
    made
}

/// `a`, or `a.b` for a claim within a claim.
fn claim_path(text: &str) -> Result<Vec<Box<str>>, &'static str> {
    let parts: Vec<Box<str>> = text.split('.').map(Into::into).collect();
    match parts.len() <= 8 && parts.iter().all(|part| !part.is_empty()) {
        true => Ok(parts),
        false => Err("write a claim's name, or a.b for a claim within a claim"),
    }
}

fn header_name(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Box<str>> {
    reader.parsed(value, "a header's name", |text| {
        token(text).map(|name| Box::from(name.to_ascii_lowercase()))
    })
}

/// A header that we may make: not one that frames, routes or authenticates, and none of the proxy's own (S-16).
fn made_header(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Box<str>> {
    const TAKEN: &[&str] = &[
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "dpop",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-real-ip",
        "true-client-ip",
    ];
    const TAKEN_PREFIXES: &[&str] = &["x-postern-", "x-forwarded-", "x-envoy-", "proxy-", "sec-"];
    let name = header_name(reader, value)?;
    let taken =
        TAKEN.contains(&&*name) || TAKEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    if taken || name.contains('_') {
        let fix = "choose a name of your own, such as x-jwt-subject".to_owned();
        reader.report_value(value, "a header that means nothing else, without '_'", Some(fix));
        return None;
    }
    Some(name)
}

/// A token in the sense of RFC 9110 §5.6.2: names of headers and cookies.
fn token(text: &str) -> Result<&str, &'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    match !text.is_empty() && text.len() <= 128 && text.bytes().all(plain) {
        true => Ok(text),
        false => Err("write letters, digits and '-', at most 128"),
    }
}
