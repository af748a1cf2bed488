//! The gate: what an HTTP request must look like before anything else is asked about it.
//!
//! The HTTP library parses, the gate decides (SECURITY-CASES §1 rule 1, §4). A request that two
//! readers could understand differently is refused; what is left has one spelling: one host, one
//! path, one framing field, no fields of another hop. The table of §4 is the test of this module.
//!
//! Three places see a request, each the first that can:
//!
//! | sees | refuses |
//! |---|---|
//! | [`raw`], bytes of an HTTP/1 connection | what the library repairs in silence: `Content-Length` beside `Transfer-Encoding` or repeated, a bare LF. It makes the library refuse with 400 and close, and hides an expectation from it |
//! | the library: hyper set up by [`configure_http1`], h2, both with [`HeadLimits::library_bytes`] | broken syntax (400), a head that is too long (431), a target that is too long (414) |
//! | [`admit`] | everything else |
//!
//! Answers have a gate of their own, [`answer`], behind the same look at their bytes; [`configure_client`] sets
//! hyper up for it.
//!
//! Documented as they are, and not refused: empty lines before a request (RFC 9112 §2.2 wants them
//! ignored); an unknown method such as `get`, which no rule for `GET` matches; a fragment in the
//! target, which hyper drops before policy and forwarding alike; spaces and extensions after a
//! chunk size, which hyper limits to 16 KiB and never passes on.

pub mod answer;
mod fields;
pub mod raw;
mod refusal;
mod target;
mod underscores;
mod upgrade;

use std::net::SocketAddr;

use crate::limits::Limits;
use http::header::{CONTENT_LENGTH, EXPECT, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{Method, Version, request::Parts};
use policy::{CanonicalPath, HeaderNames, HostName, PathNormalization};

use super::field_set::FieldSet;
use super::headers;
use fields::FieldSummary;
pub use refusal::GateRefusal;
pub use underscores::UnderscorePolicy;

/// Most header fields of a request, cookies counted one by one; more are 431.
pub const MAX_FIELDS: usize = 128;
/// Most bytes of all header fields, each counted as name + value + 32 (RFC 9113 §6.5.2), so that the limit is the same
/// on HTTP/1.1 and HTTP/2; more are 431.
pub const MAX_FIELD_BYTES: usize = 64 * 1024;
/// Longest method name in bytes: the registered ones have at most 17 (501, RFC 9110 §9.1).
pub const MAX_METHOD_BYTES: usize = 32;

/// How large the head of a request may be; more is 431. The same on HTTP/1.1 and HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Header fields, cookies counted one by one.
    pub fields: usize,
    /// Bytes of all header fields, each counted as name + value + 32.
    pub bytes: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { fields: MAX_FIELDS, bytes: MAX_FIELD_BYTES }
    }
}

impl HeadLimits {
    /// Those of the configuration.
    #[must_use]
    pub fn of(limits: &Limits) -> Self {
        let fields = usize::try_from(limits.header_fields).unwrap_or(usize::MAX);
        Self { fields, bytes: limits.header_bytes.bytes() }
    }

    /// What the library is given: a little more, so that a request just over the limit is refused
    /// by the gate, with a reason, and only gross ones by the library, without.
    #[must_use]
    pub fn library_bytes(self) -> usize {
        self.bytes + self.bytes / 8
    }

    /// Whether fields are within the limits.
    #[must_use]
    pub fn within_limits(self, headers: &HeaderMap) -> bool {
        self.summary_within_limits(&FieldSummary::read(headers))
    }

    fn summary_within_limits(self, fields: &FieldSummary) -> bool {
        fields.count <= self.fields && fields.bytes <= self.bytes
    }

    fn library_fields(self) -> usize {
        self.fields + self.fields / 8
    }
}

/// Sets an HTTP/1 server up the way the gate relies on. Deadlines and the timer are the caller's.
pub fn configure_http1(builder: &mut hyper::server::conn::http1::Builder, limits: HeadLimits) {
    let head = limits.library_bytes();
    builder
        .max_headers(limits.library_fields())
        .max_header_size(head)
        // A head that never ends is refused when this buffer is full; 400 KiB by default.
        .max_buf_size(head + 8 * 1024)
        // These are the defaults; the gate would be wrong without them.
        .allow_multiple_spaces_in_request_line_delimiters(false)
        .ignore_invalid_headers(false)
        .half_close(false);
}

/// Sets an HTTP/1 client up the way the gate for answers relies on.
pub fn configure_client(builder: &mut hyper::client::conn::http1::Builder, limits: HeadLimits) {
    let head = limits.library_bytes();
    builder
        .max_headers(limits.library_fields())
        .max_header_size(head)
        // What is read ahead of an answer that nobody takes; 400 KiB by default.
        .max_buf_size(head + 8 * 1024)
        // These are the defaults; the gate would be wrong without them.
        .allow_spaces_after_header_name_in_responses(false)
        .allow_obsolete_multiline_headers_in_responses(false)
        .ignore_invalid_headers_in_responses(false)
        .http09_responses(false);
}

/// What the gate needs to know about the listener it stands at.
#[derive(Clone, Copy)]
pub struct GateSettings<'a> {
    /// The port of a host that names none: 80, or 443 where the client speaks TLS itself.
    pub default_port: Option<u16>,
    /// The address that the client dialled: the host of a request of HTTP/1.0 that names none. `None` where it is not
    /// known; such a request is then refused.
    pub dialled: Option<SocketAddr>,
    /// How far paths are normalised.
    pub normalization: PathNormalization,
    /// How large the head may be.
    pub head: HeadLimits,
    /// The headers that rules name: what an app may take for one of them is refused (S-15). `None`
    /// where no rule is at hand.
    pub named: Option<&'a HeaderNames>,
    /// What becomes of the other fields with an underscore in their name.
    pub underscores: UnderscorePolicy,
}

/// A request the gate let in. Its headers are clean; its target is taken out of it until
/// [`AdmittedRequest::set_target`] puts the judged one back.
#[derive(Debug)]
pub struct AdmittedRequest {
    target: PathAndQuery,
    host: HostName,
    normalization: PathNormalization,
    /// The protocol to change to, when the request asks for one we pass on. The request's
    /// `Connection` and `Upgrade` say the same.
    pub upgrade: Option<HeaderValue>,
    /// Whether the answer, unless it is 101, has to end the connection (HTTP/1.1): bytes after a
    /// request for an upgrade that was not granted belong to nobody (S-08).
    pub close_unless_upgraded: bool,
    /// Fields that were dropped for an underscore in their name ([`UnderscorePolicy::Drop`]).
    pub dropped: u32,
}

/// Lets a request in or says why not.
///
/// Afterwards `parts.headers` has exactly one `Host` in its one spelling, whatever the protocol, at most one
/// `Content-Length`, no `Transfer-Encoding`, and no field of another hop. `parts.uri` is `/` until
/// [`AdmittedRequest::set_target`].
///
/// # Errors
/// [`GateRefusal`], with the status to answer and the reason for log, metric and `x-postern-reason`.
pub fn admit(
    parts: &mut Parts,
    settings: &GateSettings<'_>,
) -> Result<AdmittedRequest, GateRefusal> {
    check_method(&parts.method)?;
    target::check_form(parts)?;
    let fields = read_fields(&mut parts.headers, settings.head)?;
    check_framing(parts, &fields)?;
    check_expectation(&mut parts.headers, &fields)?;
    let host = target::host(parts, &fields, settings)?;
    let target = target::take(parts)?;
    let dropped = underscores::check(&mut parts.headers, &fields, settings)?;
    // Last, because `Connection` can name any field, and nothing above may come to miss one.
    let wanted = upgrade::wanted(parts, &fields);
    if fields.kinds.has_any(FieldSet::HOP_BY_HOP) {
        headers::strip_hop_by_hop(&mut parts.headers);
    }
    let upgrade = wanted.protocol;
    if let Some(protocol) = &upgrade {
        headers::set_upgrade(&mut parts.headers, protocol.clone());
    }
    Ok(AdmittedRequest {
        target,
        host,
        normalization: settings.normalization,
        upgrade,
        close_unless_upgraded: wanted.close_unless_upgraded,
        dropped,
    })
}

/// Judges the names of a request again, by rules that came into force after it was let in.
///
/// # Errors
/// A name that an app may take for one that a rule names.
pub fn refuse_other_spellings(headers: &HeaderMap, named: &HeaderNames) -> Result<(), GateRefusal> {
    let other = headers.keys().any(|name| named.have_another_spelling_of(name.as_str()));
    if other { Err(GateRefusal::UNDERSCORE) } else { Ok(()) }
}

impl AdmittedRequest {
    /// The host, in its one spelling.
    #[must_use]
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// The host, for whoever needs it after the request has gone.
    #[must_use]
    pub fn into_host(self) -> HostName {
        self.host
    }

    /// The path that is judged, routed by and sent on. `OPTIONS *` has the path `/`.
    ///
    /// Borrowed, so that the common request costs no allocation; call it once a request.
    ///
    /// # Errors
    /// A reason that begins with `path_`, when no strict reader would take the path.
    pub fn path(&self) -> Result<CanonicalPath<'_>, GateRefusal> {
        let path = if self.is_asterisk() { "/" } else { self.target.as_str() };
        CanonicalPath::parse(path, self.normalization).map_err(GateRefusal::path)
    }

    /// Puts the judged target into the request: what was allowed is what is sent.
    ///
    /// # Errors
    /// `invalid_target` when the normalised path is no target; no input is known that does it.
    pub fn set_target(
        &self,
        path: &CanonicalPath<'_>,
        parts: &mut Parts,
    ) -> Result<(), GateRefusal> {
        let target = if path.is_rewritten() && !self.is_asterisk() {
            PathAndQuery::from_maybe_shared(path.forward().into_owned())
                .map_err(|_| GateRefusal::TARGET)?
        } else {
            self.target.clone()
        };
        parts.uri = target.into();
        Ok(())
    }

    fn is_asterisk(&self) -> bool {
        self.target.as_str() == "*"
    }
}

fn check_method(method: &Method) -> Result<(), GateRefusal> {
    if *method == Method::CONNECT {
        return Err(GateRefusal::CONNECT);
    }
    if method.as_str().len() > MAX_METHOD_BYTES {
        return Err(GateRefusal::UNKNOWN_METHOD);
    }
    Ok(())
}

/// One pass over the fields. Values of HTTP/2 may have blanks at their ends, which RFC 9113 §8.2.1
/// forbids and careless readers trim: they are trimmed here, before anything is read from them.
fn read_fields(headers: &mut HeaderMap, limits: HeadLimits) -> Result<FieldSummary, GateRefusal> {
    let fields = FieldSummary::read(headers);
    if !limits.summary_within_limits(&fields) {
        return Err(GateRefusal::HEADERS_TOO_LARGE);
    }
    if fields.edge_blanks {
        fields::trim(headers);
    }
    Ok(fields)
}

/// Exactly one way to tell where the request ends (RFC 9112 §6.3, S-06).
fn check_framing(parts: &mut Parts, fields: &FieldSummary) -> Result<(), GateRefusal> {
    if fields.transfer_encoding > 0 {
        let chunked = parts.headers.get(TRANSFER_ENCODING);
        let chunked =
            chunked.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
        let alone = fields.transfer_encoding == 1 && fields.content_length == 0;
        if !chunked || !alone || parts.version != Version::HTTP_11 {
            return Err(GateRefusal::TRANSFER_ENCODING);
        }
    }
    match fields.content_length {
        0 => Ok(()),
        1 => canonical_length(&mut parts.headers),
        _ => Err(GateRefusal::CONTENT_LENGTH),
    }
}

/// `Content-Length` in its one spelling: `0002` is sent on as `2`.
fn canonical_length(headers: &mut HeaderMap) -> Result<(), GateRefusal> {
    let digits = headers.get(CONTENT_LENGTH).map(HeaderValue::as_bytes).unwrap_or_default();
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).map_err(|_| GateRefusal::CONTENT_LENGTH)?;
    let length: u64 = match text.parse() {
        Ok(length) if plain => length,
        _ => return Err(GateRefusal::CONTENT_LENGTH),
    };
    if digits.len() > 1 && digits.starts_with(b"0") {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    Ok(())
}

/// Only `100-continue` exists (RFC 9110 §10.1.1). It is the app's to answer, and goes on in its one spelling.
fn check_expectation(headers: &mut HeaderMap, fields: &FieldSummary) -> Result<(), GateRefusal> {
    if fields.expect == 0 {
        return Ok(());
    }
    let known = headers
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if fields.expect > 1 || !known {
        return Err(GateRefusal::EXPECTATION);
    }
    headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
    Ok(())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wire_tests;
