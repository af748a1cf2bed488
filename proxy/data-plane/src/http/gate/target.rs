//! Whom a request is for: the host and the target (RFC 9112 §3.2, RFC 9113 §8.3.1, S-11, S-14).

use http::header::{HOST, HeaderMap, HeaderValue};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Version, request::Parts};
use policy::HostName;

use super::GateSettings;
use super::fields::FieldSummary;
use super::refusal::GateRefusal;

/// The one host of a request: `Host`, the target's authority, or both when they agree; for a client of HTTP/1.0 that
/// names none, what it dialled. Leaves `Host` behind in the spelling that was judged.
pub(crate) fn host(
    parts: &mut Parts,
    fields: &FieldSummary,
    settings: &GateSettings<'_>,
) -> Result<HostName, GateRefusal> {
    if fields.host > 1 {
        return Err(GateRefusal::HOST_REPEATED);
    }
    if parts.uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS)
    {
        return Err(GateRefusal::SCHEME);
    }
    let read = |text: &str| {
        HostName::parse(text, settings.default_port).map_err(|_| GateRefusal::HOST_INVALID)
    };
    let written = parts.headers.get(HOST).map(HeaderValue::to_str).transpose();
    let written = written.map_err(|_| GateRefusal::HOST_INVALID)?;
    let header = written.map(read).transpose()?;
    let in_its_spelling = written.is_some() && written == header.as_ref().map(HostName::as_str);
    let host = match (header, parts.uri.authority()) {
        // Only HTTP/1.1 must say (RFC 9112 §3.2); the app is told what was judged.
        (None, None) if parts.version == Version::HTTP_10 => {
            let dialled = settings.dialled.ok_or(GateRefusal::HOST_MISSING)?;
            read(&dialled.to_string())?
        }
        (None, None) => return Err(GateRefusal::HOST_MISSING),
        // HTTP/2 needs no `Host`; HTTP/1 does, beside any target.
        (None, Some(authority)) if parts.version >= Version::HTTP_2 => read(authority.as_str())?,
        (None, Some(_)) => return Err(GateRefusal::HOST_MISSING),
        (Some(host), None) => host,
        (Some(host), Some(authority)) if read(authority.as_str())? == host => host,
        (Some(_), Some(_)) => return Err(GateRefusal::HOST_MISMATCH),
    };
    if !in_its_spelling {
        set_host(&mut parts.headers, &host)?;
    }
    Ok(host)
}

fn set_host(headers: &mut HeaderMap, host: &HostName) -> Result<(), GateRefusal> {
    let value = HeaderValue::from_str(host.as_str()).map_err(|_| GateRefusal::HOST_INVALID)?;
    headers.insert(HOST, value);
    Ok(())
}

/// A target is a path, a URI with a path, or, for OPTIONS alone, `*`. `GET admin` reads as an
/// authority without a path. Characters beyond ASCII belong percent-encoded (RFC 3986 §2.1).
pub(crate) fn check_form(parts: &Parts) -> Result<(), GateRefusal> {
    let uri = &parts.uri;
    let target = uri.path_and_query().ok_or(GateRefusal::TARGET)?.as_str();
    let authority_form = uri.authority().is_some() && uri.scheme().is_none();
    let asterisk = target == "*" && parts.method != Method::OPTIONS;
    if authority_form || asterisk || !target.is_ascii() { Err(GateRefusal::TARGET) } else { Ok(()) }
}

/// Takes path and query out of the request. A URI with nothing where the path would be has the path
/// `/` (RFC 9112 §3.2.1).
pub(crate) fn take(parts: &mut Parts) -> Result<PathAndQuery, GateRefusal> {
    let uri = std::mem::take(&mut parts.uri).into_parts();
    let target = uri.path_and_query.ok_or(GateRefusal::TARGET)?;
    // An empty one reads as `/` and is written as nothing.
    Ok(if target == "/" { PathAndQuery::from_static("/") } else { target })
}
