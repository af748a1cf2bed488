//! Header fields that belong to one hop, and those that speak for a caller.
//!
//! Order matters to whoever calls these: hop-by-hop fields go first, because `Connection` may name
//! any field; then what an untrusted hop claims is taken away; only then are our own fields set
//! (S-16).

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use http::Method;
use http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST,
    HeaderMap, HeaderName, HeaderValue, ORIGIN, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use identity::SpiffeId;
use policy::header_names::folded;

use super::field_set::FieldSet;

/// The stable reason for a refusal, told to the caller.
pub const REASON_HEADER: HeaderName = HeaderName::from_static("x-postern-reason");

/// Who called, in Envoy's form. Set by the inbound proxy alone.
pub const FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// Every field of our own begins so, on requests, answers and trailers.
pub const OWN_PREFIX: &str = "x-postern-";

/// Fields of one hop beside `Connection` itself (RFC 9110 §7.6.1; the proxy ones by RFC 2616
/// §13.5.1, and `http2-settings` by RFC 7540 §3.2.1).
const HOP_BY_HOP: [HeaderName; 6] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("http2-settings"),
    TRANSFER_ENCODING,
];

/// Fields by which a proxy speaks for the client behind it.
const SPEAKS_FOR_CLIENT: [HeaderName; 6] = [
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("x-envoy-external-address"),
    HeaderName::from_static("x-envoy-internal"),
];

/// Whether the mesh reads, sets or takes away this field itself, so that another spelling of it would bypass the mesh:
/// what frames and addresses a message, the fields of one hop, and those that speak for a client. `name` is in lower
/// case.
pub fn is_of_the_mesh(name: &str) -> bool {
    const PREFIXES: [&str; 3] = [OWN_PREFIX, "x-forwarded-", "proxy-"];
    const OTHERS: [HeaderName; 7] =
        [CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, UPGRADE];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || OTHERS.iter().chain(&HOP_BY_HOP).chain(&SPEAKS_FOR_CLIENT).any(|ours| ours == name)
}

/// Removes what concerns only the connection a message came on, requests and answers alike.
///
/// Gone are `Connection` and every field it names, `Keep-Alive`, `Proxy-Connection`,
/// `Proxy-Authenticate`, `Proxy-Authorization`, `Transfer-Encoding`, `Upgrade` and `HTTP2-Settings`.
/// `TE` stays as `trailers` when it asked for them, as gRPC needs. `Host` and `Content-Length`
/// stay even when named: they are not the sender's to take away.
///
/// An upgrade is read before this call and put back after it: [`set_upgrade`].
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let fields = FieldSet::of(headers);
    if !fields.has_any(FieldSet::HOP_BY_HOP) {
        return;
    }
    if fields.has_any(FieldSet::CONNECTION) {
        for name in named_by_connection(headers) {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    if fields.has_any(FieldSet::UPGRADE) {
        headers.remove(UPGRADE);
    }
    if fields.has_any(FieldSet::TRANSFER_ENCODING.union(FieldSet::OTHER_HOP_BY_HOP)) {
        for name in &HOP_BY_HOP {
            headers.remove(name);
        }
    }
    if fields.has_any(FieldSet::TE) {
        let trailers = tokens(headers, TE).any(|token| token.eq_ignore_ascii_case("trailers"));
        headers.remove(TE);
        if trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
    }
}

/// The fields `Connection` names, but for those that have a meaning of their own there and those
/// that frame and address the message. Usually empty, and then nothing is allocated.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    const KEPT: [&str; 6] = ["close", "keep-alive", "upgrade", "te", "host", "content-length"];
    tokens(headers, CONNECTION)
        .filter(|token| !KEPT.iter().any(|kept| token.eq_ignore_ascii_case(kept)))
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .collect()
}

/// The members of a comma-separated field over all its lines (RFC 9110 §5.6.1), without blanks.
/// Lines that are not plain text have none.
pub fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// Asks the next HTTP/1.1 hop for this upgrade (RFC 9110 §7.8).
pub fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Leaves of the hop-by-hop fields of a `101 Switching Protocols` only the switch itself.
pub fn keep_upgrade_only(headers: &mut HeaderMap) {
    let protocol = headers.get(UPGRADE).cloned();
    strip_hop_by_hop(headers);
    if let Some(protocol) = protocol {
        set_upgrade(headers, protocol);
    }
}

/// How far the peer is trusted about the client behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderTrust {
    /// An authenticated peer that the configuration lists, such as the gateway; and whoever calls a gateway, which says
    /// itself who the client is once it knows whom its listener believes.
    Listed,
    /// Everyone else: the app, any other peer of the mesh, the outside.
    Other,
}

/// Fields by which a proxy tells how a request came or was addressed before it, beside `x-forwarded-…`: apps believe them.
const SPEAKS_OF_ARRIVAL: [&str; 5] =
    ["x-original-url", "x-rewrite-url", "x-client-ip", "x-cluster-client-ip", "x-original-host"];

/// Removes every field by which somebody speaks for the client behind it, or of how its request came: whoever calls this
/// says it anew.
pub fn strip_client_claims(headers: &mut HeaderMap) {
    let claims: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            name.as_str().starts_with("x-forwarded-")
                || SPEAKS_FOR_CLIENT.contains(name)
                || SPEAKS_OF_ARRIVAL.contains(&name.as_str())
        })
        .cloned()
        .collect();
    for name in claims {
        headers.remove(name);
    }
}

/// Who sends an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerOrigin {
    /// A proxy of ours, which has proved the service's identity over `postern/1`.
    Postern,
    /// Everyone else: an app, any other server.
    Other,
}

/// Removes from an answer what only a proxy of ours may say: `x-forwarded-client-cert` and every `x-postern-` field,
/// also in spellings with `_`, which careless readers take for the same. The refusal reason of such a proxy stays,
/// once. `TE` goes too: it is a request's.
pub fn strip_claims(headers: &mut HeaderMap, speaker: AnswerOrigin) {
    let fields = FieldSet::of(headers);
    if fields.has_any(FieldSet::TE) {
        headers.remove(TE);
    }
    if !fields.has_any(FieldSet::CLAIM) {
        return;
    }
    let reason = headers.remove(REASON_HEADER).filter(|_| speaker == AnswerOrigin::Postern);
    let claims: Vec<HeaderName> =
        headers.keys().filter(|name| is_claim(name.as_str())).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
    if let Some(reason) = reason {
        headers.insert(REASON_HEADER, reason);
    }
}

/// Whether only a proxy of ours may say it; `name` is in lower case.
pub(crate) fn is_claim(name: &str) -> bool {
    let same = |ours: &str| {
        let begin = name.as_bytes().get(..ours.len()).unwrap_or_default();
        let spelled = begin.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte });
        spelled.eq(ours.bytes())
    };
    same(OWN_PREFIX)
        || name.len() == FORWARDED_CLIENT_CERT.as_str().len()
            && same(FORWARDED_CLIENT_CERT.as_str())
}

/// Removes claims about who is calling (S-16): always `x-forwarded-client-cert` and every
/// `x-postern-` field, and from a sender that is not listed also `x-forwarded-for` and its like.
pub fn strip_forwarded_identity(headers: &mut HeaderMap, sender: SenderTrust) {
    let fields = FieldSet::of(headers);
    if fields.has_any(FieldSet::EXACT_CLAIM) {
        headers.remove(FORWARDED_CLIENT_CERT);
        let ours: Vec<HeaderName> =
            headers.keys().filter(|name| name.as_str().starts_with(OWN_PREFIX)).cloned().collect();
        for name in ours {
            headers.remove(name);
        }
    }
    if sender == SenderTrust::Other && fields.has_any(FieldSet::SPEAKS_FOR_CLIENT) {
        for name in &SPEAKS_FOR_CLIENT {
            headers.remove(name);
        }
    }
}

/// The value of `x-forwarded-client-cert` for one connection, made once and set on each request.
#[derive(Debug, Clone)]
pub struct ForwardedClientCert(HeaderValue);

impl ForwardedClientCert {
    /// `By` is our own identity, `Hash` the SHA-256 of the peer's leaf certificate (DER), `URI` the
    /// identity it proved.
    #[must_use]
    pub fn new(by: &SpiffeId, leaf_sha256: &[u8; 32], peer: &SpiffeId) -> Self {
        Self(element(by.as_str(), leaf_sha256, peer.as_str()))
    }

    /// Sets the field, in place of any that is there.
    pub fn set(&self, headers: &mut HeaderMap) {
        headers.insert(FORWARDED_CLIENT_CERT, self.0.clone());
    }
}

/// One element in Envoy's form: `By=…;Hash=…;URI=…`.
fn element(by: &str, leaf_sha256: &[u8; 32], peer: &str) -> HeaderValue {
    let mut text = String::with_capacity(16 + 64 + by.len() + peer.len());
    text.push_str("By=");
    push_encoded(&mut text, by);
    text.push_str(";Hash=");
    HEXLOWER.encode_append(leaf_sha256, &mut text);
    text.push_str(";URI=");
    push_encoded(&mut text, peer);
    // Only visible ASCII was written, so this cannot fail; an empty field claims nothing.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// Writes text that came from a certificate so that it stays one value: everything but the
/// characters of a SPIFFE id is percent-encoded, which leaves no `;`, `,`, quote, blank or line end
/// (S-10).
fn push_encoded(text: &mut String, raw: &str) {
    for byte in raw.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'/' | b':' => {
                text.push(char::from(byte));
            }
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
}

/// Whose trailers these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrailerKind {
    /// gRPC: metadata of any name an app chose, but for the names that are never trailers.
    Grpc,
    /// Any other message: only names known to be made for trailers.
    Http,
}

impl TrailerKind {
    /// The kind of message that has these header fields.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        if is_grpc(headers) { Self::Grpc } else { Self::Http }
    }
}

/// Drops trailers that could be taken for header fields (S-07, S-11; RFC 9110 §6.5.1).
pub fn filter_trailers(trailers: &mut HeaderMap, of: TrailerKind) {
    let dropped: Vec<HeaderName> =
        trailers.keys().filter(|name| !may_trail(name.as_str(), of)).cloned().collect();
    for name in dropped {
        trailers.remove(name);
    }
}

fn may_trail(name: &str, of: TrailerKind) -> bool {
    match of {
        TrailerKind::Grpc => !never_trails(name) && !is_claim(name),
        TrailerKind::Http => {
            name.starts_with("grpc-")
                || matches!(
                    name,
                    "content-digest"
                        | "repr-digest"
                        | "digest"
                        | "etag"
                        | "server-timing"
                        | "x-checksum"
                )
        }
    }
}

/// Fields that frame, route, authenticate or steer a message: as trailers they come too late for
/// whoever checks and in time for whoever is careless.
fn never_trails(name: &str) -> bool {
    let name = &*folded(name);
    const PREFIXES: [&str; 6] =
        [OWN_PREFIX, "x-forwarded-", "proxy-", "access-control-", "sec-", "if-"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || matches!(
            name,
            "authorization"
                | "cache-control"
                | "connection"
                | "content-encoding"
                | "content-length"
                | "content-range"
                | "content-type"
                | "cookie"
                | "expect"
                | "forwarded"
                | "host"
                | "keep-alive"
                | "location"
                | "max-forwards"
                | "range"
                | "set-cookie"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
                | "vary"
                | "www-authenticate"
                | "x-real-ip"
        )
}

/// Whether it is a CORS preflight (Fetch §3.2.2): a browser sends it without token or key (§4.8).
#[must_use]
pub fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && parts.headers.contains_key(ORIGIN)
        && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Whether the request is gRPC, by its content type, in any case (RFC 9110 §8.3.1).
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    has_type(headers, b"application/grpc")
}

/// Whether it is gRPC itself, which needs HTTP/2; gRPC-Web is content with HTTP/1.1.
#[must_use]
pub fn is_native_grpc(headers: &HeaderMap) -> bool {
    is_grpc(headers) && !has_type(headers, b"application/grpc-web")
}

fn has_type(headers: &HeaderMap, prefix: &[u8]) -> bool {
    let begins = |value: &[u8]| {
        value.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
    };
    headers.get(CONTENT_TYPE).is_some_and(|value| begins(value.as_bytes()))
}

#[cfg(test)]
mod tests;
