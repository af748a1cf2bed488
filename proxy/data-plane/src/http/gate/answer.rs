//! The gate for answers: what an app, or a server, may send to the client.
//!
//! As strict as the gate for requests, because two readers stand behind us too: what the next proxy and the
//! caller could understand differently is refused, and the app is named as the one to correct. What only we
//! may say of ourselves is taken out.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Request, StatusCode, Version, response::Parts};

use super::super::headers::{self, AnswerOrigin};
use super::HeadLimits;
use super::fields::{self, FieldSummary};

/// Why an answer cannot be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadAnswer {
    /// It can be read in two ways, or in none.
    Malformed(&'static str),
    /// Its head has more fields or bytes than [`HeadLimits`].
    TooLarge,
}

use BadAnswer::{Malformed, TooLarge};

/// What of a request its answer is judged by.
#[derive(Debug, Clone)]
pub struct AnsweredRequest {
    /// Only the head was asked for.
    pub head_only: bool,
    /// The protocol to change to.
    upgrade: Option<HeaderValue>,
}

impl AnsweredRequest {
    /// Of a request as it is sent.
    pub fn by<B>(request: &Request<B>) -> Self {
        let head_only = *request.method() == Method::HEAD;
        Self { head_only, upgrade: request.headers().get(UPGRADE).cloned() }
    }
}

/// Lets the head of an answer in or says why not.
///
/// Afterwards it has at most one `Content-Length`, in its one spelling and only where there may be one, no
/// `Transfer-Encoding` but one plain `chunked`, and nothing that only `speaker` could say.
///
/// # Errors
/// [`BadAnswer`]; nothing of the answer may be passed on then.
pub fn admit(
    parts: &mut Parts,
    asked: &AnsweredRequest,
    limits: HeadLimits,
    speaker: AnswerOrigin,
) -> Result<(), BadAnswer> {
    let fields = FieldSummary::read(&parts.headers);
    if !limits.summary_within_limits(&fields) {
        return Err(TooLarge);
    }
    if fields.edge_blanks {
        fields::trim(&mut parts.headers);
    }
    check_status(parts, asked)?;
    check_framing(parts, &fields)?;
    headers::strip_claims(&mut parts.headers, speaker);
    Ok(())
}

/// Takes out of an interim answer what is not for the caller; `false` when all of it is not.
pub fn admit_interim(headers: &mut HeaderMap, limits: HeadLimits) -> bool {
    let holds = limits.within_limits(headers);
    headers::strip_hop_by_hop(headers);
    headers::strip_claims(headers, AnswerOrigin::Other);
    headers.remove(CONTENT_LENGTH);
    holds
}

/// Whether no content follows an answer, whatever its fields say (RFC 9112 §6.3).
#[must_use]
pub fn has_no_content(status: StatusCode, asked: &AnsweredRequest) -> bool {
    asked.head_only || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Statuses end at 599 (RFC 9110 §15), and nobody changes to a protocol that was not asked for (§7.8).
fn check_status(parts: &Parts, asked: &AnsweredRequest) -> Result<(), BadAnswer> {
    match parts.status.as_u16() {
        101 if switches_as_asked(&parts.headers, asked) => Ok(()),
        101 => Err(Malformed("101 to what was not asked for")),
        200..=599 => Ok(()),
        _ => Err(Malformed("a status that does not exist")),
    }
}

fn switches_as_asked(headers: &HeaderMap, asked: &AnsweredRequest) -> bool {
    let Some(wanted) = &asked.upgrade else { return false };
    let mut lines = headers.get_all(UPGRADE).iter();
    let (first, second) = (lines.next(), lines.next());
    let same = first.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(wanted.as_bytes()));
    let mut options = headers::tokens(headers, CONNECTION);
    same && second.is_none() && options.any(|option| option.eq_ignore_ascii_case("upgrade"))
}

/// Exactly one way to tell where the answer ends (RFC 9112 §6.3), none at all where there is no content
/// (RFC 9110 §8.6).
fn check_framing(parts: &mut Parts, fields: &FieldSummary) -> Result<(), BadAnswer> {
    if fields.transfer_encoding > 0 {
        let coding = parts.headers.get(TRANSFER_ENCODING).map(HeaderValue::as_bytes);
        let chunked = coding.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        if !chunked || fields.transfer_encoding > 1 || parts.version != Version::HTTP_11 {
            return Err(Malformed("a transfer coding other than one plain `chunked`"));
        }
        if fields.content_length > 0 {
            return Err(Malformed("a length beside `chunked`"));
        }
    }
    match fields.content_length {
        0 => {}
        1 => super::canonical_length(&mut parts.headers)
            .map_err(|_| Malformed("a length that is no number"))?,
        _ => return Err(Malformed("more than one length")),
    }
    if matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::SWITCHING_PROTOCOLS) {
        let length = parts.headers.remove(CONTENT_LENGTH);
        if fields.transfer_encoding > 0 || length.is_some_and(|length| length != "0") {
            return Err(Malformed("content where there is none"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
