//! Why a ThreatPolicy refuses a request, and what its caller is told.

use http::StatusCode;

use crate::http::body::decoded::UnreadableBody;

/// Why a ThreatPolicy refuses a request. Which rules found something is said to the log alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ThreatRefusal {
    /// The rules found an attack in it.
    #[error("its rules found an attack")]
    Detected,
    /// Its body is longer than what is looked through.
    #[error("the body has more bytes than body.inspectBytes")]
    TooLarge,
    /// Its body cannot be looked through.
    #[error("the body cannot be looked through: {0}")]
    Unreadable(UnreadableBody),
    /// It cannot be taken apart as its content type says, or in more than one way.
    #[error("the body is not what its content type says, or can be read in more than one way")]
    Malformed,
    /// It has more arguments, cookies, values or levels than are taken apart.
    #[error("there are more arguments, cookies, values or levels than are taken apart")]
    TooMany,
    /// As many requests are being looked through as may be.
    #[error(
        "as many requests are being looked through as limits.inspectionQueue and limits.inspectionMemory take"
    )]
    Overloaded,
    /// The result did not come within the policy's `timeout`, or the body, where that refuses nothing, not within
    /// `limits.inspectionBodyTimeout`.
    #[error("the rules took longer than timeout, or the body than limits.inspectionBodyTimeout")]
    TimedOut,
    /// There are no rules: the set could never be read.
    #[error("there are no rules, or looking through it failed")]
    Unavailable,
}

impl ThreatRefusal {
    /// The stable reason.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Detected => "threat_detected",
            Self::TooLarge | Self::TooMany | Self::Unreadable(UnreadableBody::Bomb) => {
                "body_too_large_to_inspect"
            }
            Self::Malformed | Self::Unreadable(_) => "body_not_inspectable",
            Self::Overloaded => "inspection_overloaded",
            Self::TimedOut => "inspection_timeout",
            Self::Unavailable => "inspection_unavailable",
        }
    }

    /// The status for the caller.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Detected => StatusCode::FORBIDDEN,
            Self::TooLarge | Self::TooMany | Self::Unreadable(UnreadableBody::Bomb) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Malformed | Self::Unreadable(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Overloaded | Self::TimedOut | Self::Unavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// Whether the caller is told which content codings are undone (RFC 9110 §12.5.3).
    #[must_use]
    pub fn is_about_coding(self) -> bool {
        matches!(self, Self::Unreadable(UnreadableBody::Coding | UnreadableBody::Malformed))
    }
}
