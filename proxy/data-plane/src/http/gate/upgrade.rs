//! Which change of protocol a request asks for, and whether we pass that on (RFC 9110 §7.8, S-08).

use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Version, request::Parts};

use super::super::headers::tokens;
use super::fields::FieldSummary;

/// What a request wants to become.
pub(crate) struct RequestedUpgrade {
    pub(crate) protocol: Option<HeaderValue>,
    pub(crate) close_unless_upgraded: bool,
}

/// Reads the request for an upgrade: one protocol on HTTP/1.1, announced in `Connection`. A list of protocols is not
/// passed on, since app and client could each pick another.
///
/// `h2c` never is: it would carry requests past the gate. It is ignored, as a server may.
pub(crate) fn wanted(parts: &Parts, fields: &FieldSummary) -> RequestedUpgrade {
    if fields.upgrade == 0 {
        return RequestedUpgrade { protocol: None, close_unless_upgraded: false };
    }
    let values = || parts.headers.get_all(UPGRADE).into_iter();
    // hyper and `raw` both go by any `Upgrade` line.
    let close_unless_upgraded = !values().all(|value| is_h2c(value.as_bytes()));
    let announced =
        || tokens(&parts.headers, CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    let single = fields.upgrade == 1 && parts.version == Version::HTTP_11;
    let protocol =
        values().next().filter(|value| single && may_pass(value.as_bytes()) && announced());
    RequestedUpgrade { protocol: protocol.cloned(), close_unless_upgraded }
}

/// Whether the value of an `Upgrade` line is `h2c` and nothing more.
pub(crate) fn is_h2c(value: &[u8]) -> bool {
    value.trim_ascii().eq_ignore_ascii_case(b"h2c")
}

/// `name` or `name/version`, other than HTTP itself and TLS in the middle of a connection
/// (RFC 2817).
fn may_pass(protocol: &[u8]) -> bool {
    let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._/+".contains(byte);
    let ours = [b"h2c".as_slice(), b"h2", b"http", b"tls"];
    !name.is_empty()
        && protocol.iter().all(token)
        && !ours.iter().any(|other| name.eq_ignore_ascii_case(other))
}
