//! Why the gate refuses, and with which status.

use http::StatusCode;
use policy::PathError;

/// A refused request. Reasons are stable: they are label values and the text of `x-postern-reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateRefusal {
    /// The status to answer.
    pub status: StatusCode,
    /// The reason, in snake case.
    pub reason: &'static str,
    /// Whether an HTTP/1 connection ends with the answer, because it is not certain where the
    /// refused request ends.
    pub close: bool,
}

impl GateRefusal {
    /// `Transfer-Encoding` is other than one plain `chunked` on HTTP/1.1, or stands beside a
    /// `Content-Length` (RFC 9112 §6.1, §6.3).
    pub const TRANSFER_ENCODING: Self = bad("invalid_transfer_encoding").closing();
    /// `Content-Length` is repeated or is no number (RFC 9112 §6.3).
    pub const CONTENT_LENGTH: Self = bad("invalid_content_length").closing();
    /// CONNECT: only the mesh hop opens tunnels, and its streams do not come here.
    pub const CONNECT: Self = bad("connect_refused").closing();
    /// The method has a name longer than any.
    pub const UNKNOWN_METHOD: Self = refuse(StatusCode::NOT_IMPLEMENTED, "unknown_method");
    /// More than 128 fields, or more than 64 KiB of them.
    pub const HEADERS_TOO_LARGE: Self =
        refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large");
    /// An expectation other than `100-continue`.
    pub const EXPECTATION: Self = refuse(StatusCode::EXPECTATION_FAILED, "unknown_expectation");
    /// Neither `Host` nor `:authority` (RFC 9112 §3.2).
    pub const HOST_MISSING: Self = bad("host_missing");
    /// More than one `Host` (RFC 9112 §3.2).
    pub const HOST_REPEATED: Self = bad("host_repeated");
    /// The host is not one: user information, a percent escape, a bad port, non-ASCII.
    pub const HOST_INVALID: Self = bad("invalid_host");
    /// `Host` names another host than the target does.
    pub const HOST_MISMATCH: Self = bad("host_mismatch");
    /// The target is neither a path nor a URI with one; `*` is for OPTIONS alone (RFC 9112 §3.2).
    pub const TARGET: Self = bad("invalid_target");
    /// The scheme is neither `http` nor `https`, in lower case.
    pub const SCHEME: Self = bad("unknown_scheme");
    /// An app may take the field for another one that a rule or the mesh names (`x_user` for
    /// `x-user`), or it has an underscore and those are refused.
    pub const UNDERSCORE: Self = bad("underscore_in_header_name");

    /// No strict reader would take the path; the reason says what is wrong with it.
    #[must_use]
    pub fn path(error: PathError) -> Self {
        bad(error.as_str())
    }

    const fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}

const fn bad(reason: &'static str) -> GateRefusal {
    refuse(StatusCode::BAD_REQUEST, reason)
}

const fn refuse(status: StatusCode, reason: &'static str) -> GateRefusal {
    GateRefusal { status, reason, close: false }
}
