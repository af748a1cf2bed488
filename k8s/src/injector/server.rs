//! The webhook's socket: HTTPS, everything with a limit and a deadline (SECURITY-CASES S-33).

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::certificate::ServingCertificate;
use super::connection_counts::ConnectionCounts;
use super::metrics::Metrics;
use super::namespaces::NamespaceCache;
use crate::inject::review::AdmissionReview;
use crate::inject::{InjectionSettings, NamespaceFacts};

/// The largest review: a pod has a few KiB, an object at most 1.5 MiB, and no pod comes near it.
pub const MAX_BODY: usize = 1 << 20;
/// Connections at a time; the API servers keep a few.
const MAX_CONNECTIONS: usize = 768;
/// A connection that is older takes no further review; the API server opens another when it needs one.
const MAX_AGE: Duration = Duration::from_secs(300);
/// Reviews at a time; each holds its body. More wait, within their deadline.
const MAX_REVIEWS: usize = 64;
/// From accept to a finished handshake.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// From a review's head to its answer; the API server waits 10 s by default.
const REVIEW_DEADLINE: Duration = Duration::from_secs(8);
/// From a request's first byte to the end of its header.
const HEADER_DEADLINE: Duration = Duration::from_secs(5);
/// After an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a review is answered from.
#[derive(Debug)]
pub struct Webhook {
    settings: InjectionSettings,
    namespaces: Option<NamespaceCache>,
    metrics: Arc<Metrics>,
    reviews: Semaphore,
}

impl Webhook {
    /// Answers by these settings. Without `namespaces` every namespace is taken to have no
    /// annotations.
    #[must_use]
    pub fn new(
        settings: InjectionSettings,
        namespaces: Option<NamespaceCache>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { settings, namespaces, metrics, reviews: Semaphore::new(MAX_REVIEWS) }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() != "/inject" {
            return text(StatusCode::NOT_FOUND, "POST /inject");
        }
        if request.method() != Method::POST {
            return text(StatusCode::METHOD_NOT_ALLOWED, "POST /inject");
        }
        let answered = tokio::time::timeout(REVIEW_DEADLINE, self.review(request)).await;
        let (result, response) = answered.unwrap_or_else(|_| {
            ("timeout", text(StatusCode::SERVICE_UNAVAILABLE, "the review took too long"))
        });
        self.metrics.review(result);
        response
    }

    async fn review(&self, request: Request<Incoming>) -> (&'static str, Response<Full<Bytes>>) {
        let Ok(_turn) = self.reviews.acquire().await else {
            return ("error", text(StatusCode::SERVICE_UNAVAILABLE, "ending"));
        };
        let body = match Limited::new(request.into_body(), MAX_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let message = "the review is larger than 1 MiB";
                return ("too_large", text(StatusCode::PAYLOAD_TOO_LARGE, message));
            }
            Err(_) => return ("broken", text(StatusCode::BAD_REQUEST, "the body broke off")),
        };
        let review = match AdmissionReview::read(&body) {
            Ok(review) => review,
            Err(error) => return ("malformed", text(StatusCode::BAD_REQUEST, &error)),
        };
        let facts = match self.facts(&review).await {
            Ok(facts) => facts,
            Err(error) => {
                let message = format!("{error:#}");
                tracing::warn!(error = message, "review not answered");
                return ("error", text(StatusCode::SERVICE_UNAVAILABLE, &message));
            }
        };
        let answer = review.answer(&facts, &self.settings, &secret());
        (answer.verdict.as_str(), json(&answer.body))
    }

    async fn facts(&self, review: &AdmissionReview) -> anyhow::Result<NamespaceFacts> {
        match (review.namespace(), &self.namespaces) {
            (Some(name), Some(namespaces)) => namespaces.facts(name).await,
            _ => Ok(NamespaceFacts::default()),
        }
    }
}

/// The secret part of a pod's handler addresses: 128 random bits.
fn secret() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Serves for ever. While there is no certificate, connections are closed.
pub async fn serve(
    listener: TcpListener,
    serving: watch::Receiver<Option<Arc<ServingCertificate>>>,
    webhook: Arc<Webhook>,
) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let counts = Arc::new(ConnectionCounts::default());
    while let Ok(permit) = connections.clone().acquire_owned().await {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // The certificate of this moment: a new one needs no restart (F-37).
        let Some(current) = serving.borrow().clone() else { continue };
        let Some(slot) = counts.admit(address.ip()) else {
            tracing::debug!(%address, "too many connections of one address; closed");
            continue;
        };
        let webhook = webhook.clone();
        tokio::spawn(async move {
            let _held = (permit, slot);
            connection(stream, &current, webhook).await;
        });
    }
}

async fn connection(stream: TcpStream, serving: &ServingCertificate, webhook: Arc<Webhook>) {
    let accepted = TlsAcceptor::from(serving.tls.clone()).accept(stream);
    let stream = match tokio::time::timeout(HANDSHAKE_DEADLINE, accepted).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "handshake failed"),
        Err(_) => return tracing::debug!("no handshake in time"),
    };
    let service = service_fn(|request| {
        let webhook = webhook.clone();
        async move { Ok::<_, Infallible>(webhook.answer(request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(u32::try_from(MAX_REVIEWS).unwrap_or(1))
        .max_header_list_size(16 * 1024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    if tokio::time::timeout(MAX_AGE, connection.as_mut()).await.is_ok() {
        return;
    }
    connection.as_mut().graceful_shutdown();
    // Reviews under way have their own deadline; a slower connection is closed.
    let _ = tokio::time::timeout(REVIEW_DEADLINE, connection).await;
}

fn json(body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn text(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{message}\n")));
    *response.status_mut() = status;
    response
}
