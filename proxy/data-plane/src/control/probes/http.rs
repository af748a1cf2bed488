//! A `GET`, as the kubelet sends one: redirects within the app are followed, TLS is not verified.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, HeaderValue, LOCATION, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::connection::net::{BoxedIo, YieldingIo};
use crate::control::config::{Config, HttpProbe};

use super::{ProbeOutcome, connect, tls};

/// As many redirects as the kubelet follows.
const MAX_REDIRECTS: usize = 10;

/// Sends the request, and follows redirects as long as they stay with the same host; one that leads elsewhere is a
/// success, as it is to the kubelet.
pub(super) async fn get(
    config: &Config,
    local: SocketAddr,
    probe: &HttpProbe,
    user_agent: Option<&HeaderValue>,
) -> Result<ProbeOutcome, String> {
    let mut path = probe.path.clone();
    for _ in 0..=MAX_REDIRECTS {
        let request = request(probe, &path, local, user_agent);
        let host = request.headers().get(HOST).cloned();
        let answer = send(open(config, local, probe).await?, request).await?;
        match answer.status().as_u16() {
            200..=299 => return Ok(ProbeOutcome::Good),
            300..=399 => match within(&answer, host.as_ref()) {
                Some(next) => path = next,
                None => return Ok(ProbeOutcome::Good),
            },
            status => return Ok(ProbeOutcome::Status(status)),
        }
    }
    Err(format!("more than {MAX_REDIRECTS} redirects"))
}

fn request(
    probe: &HttpProbe,
    path: &PathAndQuery,
    local: SocketAddr,
    user_agent: Option<&HeaderValue>,
) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = Uri::from(path.clone());
    let headers = request.headers_mut();
    let host = SocketAddr::new(local.ip().to_canonical(), probe.port).to_string();
    if let Ok(host) = HeaderValue::from_str(&host) {
        headers.insert(HOST, host);
    }
    if let Some(user_agent) = user_agent {
        headers.insert(USER_AGENT, user_agent.clone());
    }
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    for name in probe.headers.keys() {
        headers.remove(name);
    }
    for (name, value) in &probe.headers {
        headers.append(name.clone(), value.clone());
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    request
}

async fn open(config: &Config, local: SocketAddr, probe: &HttpProbe) -> Result<BoxedIo, String> {
    let stream = connect(config, local, probe.port).await?;
    match probe.tls {
        true => tls::open(stream).await,
        false => Ok(Box::new(stream)),
    }
}

/// Sends one request over a connection that is its alone.
pub(crate) async fn send(
    io: BoxedIo,
    request: Request<Empty<Bytes>>,
) -> Result<Response<Incoming>, String> {
    let failed = |error: hyper::Error| format!("no good answer: {error}");
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(YieldingIo::new(io))).await.map_err(failed)?;
    tokio::spawn(async move {
        // Its error also reaches the request on the connection.
        let _ = connection.await;
    });
    sender.send_request(request).await.map_err(failed)
}

/// The target of a redirect, when it stays with the same host.
fn within(answer: &Response<Incoming>, host: Option<&HeaderValue>) -> Option<PathAndQuery> {
    let location: Uri = answer.headers().get(LOCATION)?.to_str().ok()?.parse().ok()?;
    let same = location.authority().is_none_or(|authority| {
        host.is_some_and(|host| host.as_bytes() == authority.as_str().as_bytes())
    });
    let path = location.path_and_query().filter(|path| path.as_str().starts_with('/'));
    path.filter(|_| same).cloned()
}
