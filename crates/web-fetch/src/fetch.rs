//! The story of a fetch: connect, ask, follow redirects, read.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, HOST, LOCATION, USER_AGENT};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::address::AddressPolicy;
use crate::dial::{self, Dial};
use crate::error::FetchError;
use crate::tls::WebTls;
use crate::url::WebUrl;

/// The largest document, bytes: a key set or a bundle of hundreds of keys is below a tenth of it.
const MAX_DOCUMENT: usize = 1 << 20;
/// Of an answer's head, bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Header fields of an answer.
const MAX_HEADERS: usize = 100;

/// What a caller decides about its fetches.
#[derive(Debug, Clone)]
pub struct FetchRules<'a, D> {
    /// How the server proves itself. A redirect changes nothing of it.
    pub tls: &'a WebTls,
    /// Which addresses may be called, those that redirects lead to included.
    pub addresses: AddressPolicy<'a>,
    /// Redirects in a row that are followed; with 0 each is an error.
    pub redirects: usize,
    /// From the look-up of a host to the end of its TLS handshake.
    pub connect_deadline: Duration,
    /// From the first look-up to the last byte, redirects included.
    pub deadline: Duration,
    /// The program's name for the server's log.
    pub user_agent: &'static str,
    /// Opens the sockets.
    pub dial: D,
}

/// A document that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebDocument {
    /// Its bytes, at most 1 MiB.
    pub body: Bytes,
    /// How long it may be kept (`Cache-Control`, RFC 9111 §5.2.2): zero where keeping it is forbidden, none where the
    /// answer says nothing.
    pub max_age: Option<Duration>,
}

/// Fetches a document. Nothing of it goes on after the answer or the deadline.
///
/// # Errors
/// [`FetchError`]; nothing of the answer is believed then.
pub async fn fetch<D: Dial>(
    url: &WebUrl,
    rules: &FetchRules<'_, D>,
) -> Result<WebDocument, FetchError> {
    tokio::time::timeout(rules.deadline, follow(url, rules))
        .await
        .unwrap_or(Err(FetchError::Timeout(rules.deadline)))
}

async fn follow<D: Dial>(
    url: &WebUrl,
    rules: &FetchRules<'_, D>,
) -> Result<WebDocument, FetchError> {
    let mut at = url.clone();
    for _ in 0..=rules.redirects {
        match get(&at, rules).await? {
            Answer::Document(document) => return Ok(document),
            Answer::Redirect(to) => at = to,
        }
    }
    Err(FetchError::Redirects { host: at.host_in_url(), limit: rules.redirects })
}

enum Answer {
    Document(WebDocument),
    Redirect(WebUrl),
}

async fn get<D: Dial>(url: &WebUrl, rules: &FetchRules<'_, D>) -> Result<Answer, FetchError> {
    let Answered { head, body } =
        ask(url, rules, request(url, rules), StatusCode::is_success).await?;
    match head.status {
        StatusCode::OK => {}
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => {
            let location = head.headers.get(LOCATION).and_then(|to| to.to_str().ok());
            return url.redirected(location.unwrap_or_default()).map(Answer::Redirect);
        }
        status => return Err(FetchError::Status { host: url.host_in_url(), status }),
    }
    Ok(Answer::Document(WebDocument { body, max_age: max_age(&head.headers) }))
}

/// The head of an answer, and its body where it was wanted.
pub(crate) struct Answered {
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
}

/// One request on a connection of its own, which ends with it, whatever the server does. `wanted`: of which statuses the
/// body is read.
pub(crate) async fn ask<D: Dial>(
    url: &WebUrl,
    rules: &FetchRules<'_, D>,
    request: Request<Full<Bytes>>,
    wanted: fn(&StatusCode) -> bool,
) -> Result<Answered, FetchError> {
    let failed = |error| FetchError::Http { host: url.host_in_url(), error };
    let stream = tokio::time::timeout(rules.connect_deadline, connect(url, rules)).await;
    let limit = rules.connect_deadline;
    let stream = stream
        .unwrap_or_else(|_| Err(FetchError::ConnectTimeout { host: url.host_in_url(), limit }))?;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        read(url, response, wanted).await
    };
    let (mut connection, mut exchange) = (pin!(connection), pin!(exchange));
    let mut alive = true;
    loop {
        tokio::select! {
            biased;
            answer = &mut exchange => return answer,
            ended = &mut connection, if alive => {
                alive = false;
                ended.map_err(failed)?;
            }
        }
    }
}

async fn connect<D: Dial>(
    url: &WebUrl,
    rules: &FetchRules<'_, D>,
) -> Result<TlsStream<TcpStream>, FetchError> {
    let stream = dial::connect(url, &rules.addresses, &rules.dial).await?;
    // One small request; without it the kernel may hold its second half back.
    let _ = stream.set_nodelay(true);
    let name = ServerName::try_from(url.host().to_owned());
    let name = name.map_err(|_| url.broken("the host is no DNS name or IP address"))?;
    let connected = TlsConnector::from(rules.tls.0.clone()).connect(name, stream).await;
    connected.map_err(|error| FetchError::Tls { host: url.host_in_url(), error })
}

/// A GET; what any request says of itself.
pub(crate) fn request<D>(url: &WebUrl, rules: &FetchRules<'_, D>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    // Both came out of a valid URL; an empty request would be answered with an error.
    *request.uri_mut() = url.path().parse().unwrap_or_default();
    let headers = request.headers_mut();
    if let Ok(host) = url.authority().parse() {
        headers.insert(HOST, host);
    }
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(rules.user_agent));
    request
}

async fn read(
    url: &WebUrl,
    response: Response<Incoming>,
    wanted: fn(&StatusCode) -> bool,
) -> Result<Answered, FetchError> {
    let (head, incoming) = response.into_parts();
    if !wanted(&head.status) {
        return Ok(Answered { head, body: Bytes::new() });
    }
    if head.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(FetchError::Encoded(url.host_in_url()));
    }
    let body = read_body(url, incoming).await?;
    Ok(Answered { head, body })
}

async fn read_body(url: &WebUrl, mut incoming: Incoming) -> Result<Bytes, FetchError> {
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| FetchError::Body { host: url.host_in_url(), error })?;
        let data = frame.into_data().unwrap_or_default();
        if body.len() + data.len() > MAX_DOCUMENT {
            return Err(FetchError::TooLarge(url.host_in_url()));
        }
        body.extend_from_slice(&data);
    }
    Ok(body.freeze())
}

/// `max-age` of an answer; what forbids keeping it counts as 0.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut found = None;
    for line in headers.get_all(CACHE_CONTROL) {
        for directive in line.to_str().unwrap_or("").split(',') {
            let directive = directive.trim().to_ascii_lowercase();
            if directive == "no-store" || directive == "no-cache" {
                return Some(Duration::ZERO);
            }
            let seconds = directive
                .strip_prefix("max-age=")
                .and_then(|age| age.trim_matches('"').parse().ok());
            found = found.or(seconds.map(Duration::from_secs));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn f31_how_long_keys_may_be_kept() {
        for (lines, expect) in [
            (&[][..], None),
            (&["max-age=600"], Some(600)),
            (&["public, Max-Age=60, must-revalidate"], Some(60)),
            (&["max-age=\"60\""], Some(60)),
            (&["max-age=600, no-store"], Some(0)),
            (&["public", "no-cache"], Some(0)),
            (&["max-age=x"], None),
            (&["s-maxage=9"], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CACHE_CONTROL, HeaderValue::from_str(line).unwrap());
            }
            assert_eq!(max_age(&headers), expect.map(Duration::from_secs), "{lines:?}");
        }
    }
}
