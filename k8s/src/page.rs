//! The small pages beside a program: `/ready` and `/live` for the kubelet, `/metrics` for Prometheus, and where
//! it is asked for `/status` for a person.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at a time; probes and scrapers are few.
const MAX_CONNECTIONS: usize = 64;
/// A connection that takes longer is over.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(30);
/// From a request's first byte to the end of its header.
const HEADER_DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of a request's header.
const MAX_HEADER: usize = 16 * 1024;
/// After an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Prometheus takes no answer that does not say what it is
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// What a program says of itself.
pub trait Pages: Clone + Send + Sync + 'static {
    /// Why it cannot do its work yet; `None` when it can.
    fn unready(&self) -> Option<String>;
    /// Its metrics, in Prometheus' text format.
    fn metrics(&self) -> String;
    /// What a person may want to know, as JSON; `None` where there is no such page.
    fn status(&self) -> Option<String> {
        None
    }
}

/// Serves the pages for ever, over HTTP/1.1 and to GET and HEAD alone.
pub async fn serve(listener: TcpListener, pages: impl Pages) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(permit) = permits.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let pages = pages.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(|request| {
                let answer = answer(&pages, request.method(), request.uri().path());
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_DEADLINE)
                .max_buf_size(MAX_HEADER)
                .serve_connection(TokioIo::new(stream), service);
            // A prober that breaks off is nobody's fault.
            let _ = tokio::time::timeout(CONNECTION_DEADLINE, connection).await;
        });
    }
}

fn answer(pages: &impl Pages, method: &Method, path: &str) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        let refused = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD\n".to_owned());
        return with(refused, ALLOW, "GET, HEAD");
    }
    match path {
        "/live" => page(StatusCode::OK, TEXT, "live\n".to_owned()),
        "/ready" => match pages.unready() {
            None => page(StatusCode::OK, TEXT, "ready\n".to_owned()),
            Some(why) => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("not ready: {why}\n")),
        },
        "/metrics" => page(StatusCode::OK, PROMETHEUS, pages.metrics()),
        "/status" if let Some(status) = pages.status() => page(StatusCode::OK, JSON, status),
        _ => page(StatusCode::NOT_FOUND, TEXT, "GET /ready, /live or /metrics\n".to_owned()),
    }
}

fn page(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    with(response, CONTENT_TYPE, kind)
}

fn with(
    mut response: Response<Full<Bytes>>,
    name: http::HeaderName,
    value: &'static str,
) -> Response<Full<Bytes>> {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[derive(Clone)]
    struct Fake(Option<&'static str>, bool);

    impl Pages for Fake {
        fn unready(&self) -> Option<String> {
            self.0.map(str::to_owned)
        }

        fn metrics(&self) -> String {
            "up 1\n".to_owned()
        }

        fn status(&self) -> Option<String> {
            self.1.then(|| "{}\n".to_owned())
        }
    }

    #[tokio::test]
    async fn every_page_says_what_it_is_and_nothing_takes_a_change() {
        let check = async |row: &str, pages: Fake, request: &str, expect: (u16, &str, &str)| {
            let (method, path) = request.split_once(' ').unwrap();
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = super::answer(&pages, &method, path);
            let kind = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(
                (status, &*kind, &*body),
                (expect.0, expect.1, expect.2.as_bytes()),
                "{row}"
            );
        };
        let (ready, with_status) = (Fake(None, false), Fake(None, true));
        let waiting = Fake(Some("no certificate yet"), false);
        let none = (404, TEXT, "GET /ready, /live or /metrics\n");
        let refused = (405, TEXT, "GET or HEAD\n");
        check("live", waiting.clone(), "GET /live", (200, TEXT, "live\n")).await;
        check("ready", ready.clone(), "GET /ready", (200, TEXT, "ready\n")).await;
        let why = (503, TEXT, "not ready: no certificate yet\n");
        check("not ready", waiting, "GET /ready", why).await;
        check("metrics", ready.clone(), "GET /metrics", (200, PROMETHEUS, "up 1\n")).await;
        check("head", ready.clone(), "HEAD /ready", (200, TEXT, "ready\n")).await;
        check("no status here", ready.clone(), "GET /status", none).await;
        check("status", with_status, "GET /status", (200, JSON, "{}\n")).await;
        check("elsewhere", ready.clone(), "GET /", none).await;
        check("a change", ready.clone(), "POST /ready", refused).await;
        check("a change elsewhere", ready, "DELETE /x", refused).await;
    }
}
