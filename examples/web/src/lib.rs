//! HTTP for the example programs: serve a handler, make an answer, fetch from another service.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

/// Every answer of an example is small and whole.
pub type Answer = Response<Full<Bytes>>;

/// How long a caller may take for the head of a request, and leave a connection without one: longer than proxies keep it.
const HEAD_TIME: Duration = Duration::from_secs(120);
/// The largest request or answer body an example reads, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// Serves HTTP/1.1 and plaintext HTTP/2 on `listener` until the program ends; upgrades are possible.
pub async fn serve<H, F>(listener: TcpListener, handler: H) -> std::io::Result<()>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    loop {
        let accepted = listener.accept().await;
        let accepted = accepted.and_then(|(stream, _)| stream.set_nodelay(true).map(|()| stream));
        let Ok(stream) = accepted else {
            // A caller that went away, or too many of them: whoever comes later is served all the same.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let handler = handler.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            // A caller that goes away in the middle is no news.
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
            let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        });
    }
}

/// An answer of plain text.
#[must_use]
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, "text/plain; charset=utf-8", body.into())
}

/// An answer of JSON.
#[must_use]
pub fn json(status: StatusCode, body: &serde_json::Value) -> Answer {
    answer(status, "application/json", Bytes::from(format!("{body}\n")))
}

/// An answer of another type.
#[must_use]
pub fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// The whole body of a request, or an error when it is larger than 1 MiB or breaks off.
pub async fn read_body(request: Request<Incoming>) -> anyhow::Result<Bytes> {
    collect(request.into_body()).await
}

async fn collect(body: Incoming) -> anyhow::Result<Bytes> {
    let whole = Limited::new(body, BODY_LIMIT)
        .collect()
        .await
        .map_err(|error| anyhow::anyhow!("reading a body: {error}"))?;
    Ok(whole.to_bytes())
}

/// The first value of this name in the query of a URL, decoded as forms are.
#[must_use]
pub fn query_value(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(found, _)| decoded(found) == name).map(|(_, value)| decoded(value))
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let escaped = after.get(..2).filter(|_| byte == b'%').and_then(hexadecimal);
        if escaped.is_some() {
            rest = after.get(2..).unwrap_or_default();
        }
        bytes.push(escaped.unwrap_or(if byte == b'+' { b' ' } else { byte }));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| plain)
}

/// A client for other services, with keep-alive connections.
#[derive(Clone)]
pub struct Fetcher {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Default for Fetcher {
    fn default() -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http() }
    }
}

impl Fetcher {
    /// Sends one request without a body and reads the whole answer.
    ///
    /// # Errors
    /// No whole answer of at most 1 MiB.
    pub async fn fetch(&self, method: Method, url: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        self.fetch_for(method, url, None).await
    }

    /// The same, for whom `authorization` speaks.
    ///
    /// # Errors
    /// As of [`Self::fetch`].
    pub async fn fetch_for(
        &self,
        method: Method,
        url: &str,
        authorization: Option<&HeaderValue>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        self.send_for(method, url, authorization, Bytes::new()).await
    }

    /// The same with a body.
    ///
    /// # Errors
    /// As of [`Self::fetch`].
    pub async fn send_for(
        &self,
        method: Method,
        url: &str,
        authorization: Option<&HeaderValue>,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let request = Request::builder().method(method).uri(url).body(Full::new(body))?;
        self.send(request, authorization).await
    }

    /// Posts JSON, for whom `authorization` speaks, and reads the whole answer.
    ///
    /// # Errors
    /// As of [`Self::fetch`].
    pub async fn post_json(
        &self,
        url: &str,
        what: &serde_json::Value,
        authorization: Option<&HeaderValue>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let request = Request::post(url).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Full::from(what.to_string()))?, authorization).await
    }

    async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        authorization: Option<&HeaderValue>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        if let Some(who) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, who.clone());
        }
        let (head, body) = self.client.request(request).await?.into_parts();
        Ok((head.status, collect(body).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_a_form_is() {
        for (row, query, expect) in [
            ("plain", "q=tea", Some("tea")),
            ("spaces", "a=b&q=green+tea%20pot", Some("green tea pot")),
            ("letters of others", "q=caf%C3%A9", Some("café")),
            ("a broken escape is itself", "q=100%&r=%zz", Some("100%")),
            ("empty", "q", Some("")),
            ("absent", "query=tea", None),
        ] {
            assert_eq!(query_value(query, "q").as_deref(), expect, "{row}");
        }
    }
}
