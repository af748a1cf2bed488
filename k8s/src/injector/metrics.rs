//! What the injector counts, and the small pages beside the webhook: `/ready`, `/live`, `/metrics`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{IntCounterVec, Opts, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::certificate::Serving;

/// Connections at a time; probes and scrapers are few.
const MAX_CONNECTIONS: usize = 64;
/// A connection that takes longer is over.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(30);

/// The counters.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reviews: IntCounterVec,
}

impl Metrics {
    /// A fresh set.
    ///
    /// # Errors
    /// When two metrics have one name, which a test rules out.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let options = Opts::new(
            "postern_injector_reviews_total",
            "Admission reviews: injected, unchanged, refused, or why there was no answer",
        );
        let reviews = IntCounterVec::new(options, &["result"])?;
        registry.register(Box::new(reviews.clone()))?;
        Ok(Self { registry, reviews })
    }

    /// Counts a review.
    pub(super) fn review(&self, result: &str) {
        self.reviews.with_label_values(&[result]).inc();
    }

    fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

/// What the pages show.
#[derive(Debug, Clone)]
pub struct Pages {
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The certificate.
    pub serving: watch::Receiver<Option<Arc<Serving>>>,
    /// Whether the API server knows how to verify it.
    pub bundle_written: watch::Receiver<bool>,
}

impl Pages {
    /// Serves them for ever.
    pub async fn serve(self, listener: TcpListener) {
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        while let Ok(permit) = permits.clone().acquire_owned().await {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let pages = self.clone();
            tokio::spawn(async move {
                let _permit = permit;
                let service = service_fn(|request: Request<Incoming>| {
                    let answer = pages.answer(request.uri().path());
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(Duration::from_secs(5))
                    .serve_connection(TokioIo::new(stream), service);
                // A prober that breaks off is nobody's fault.
                let _ = tokio::time::timeout(CONNECTION_DEADLINE, connection).await;
            });
        }
    }

    fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        let (status, body) = match path {
            "/live" => (StatusCode::OK, "live\n".to_owned()),
            "/ready" => match self.unready() {
                None => (StatusCode::OK, "ready\n".to_owned()),
                Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
            },
            "/metrics" => (StatusCode::OK, self.metrics.render()),
            _ => (StatusCode::NOT_FOUND, "GET /ready /live or /metrics\n".to_owned()),
        };
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status;
        response
    }

    fn unready(&self) -> Option<&'static str> {
        if self.serving.borrow().is_none() {
            return Some("no certificate yet");
        }
        (!*self.bundle_written.borrow()).then_some("the CA bundle is not written yet")
    }
}
