//! `--metrics ADDR`: `/metrics` for Prometheus, `/ready` and `/live` for probes, over plain HTTP.
//! Nothing in it is secret, and it is off unless asked for.
//!
//! The numbers live in what the agent holds anyway; each scrape writes them down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use process_metrics::ProcessMetrics;
use prometheus::{GaugeVec, IntCounterVec, Opts, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::renewal::freshness;
use crate::renewal::rotation::ClockReading;
use crate::renewal::served_state::{RenewalStatus, ServedState, StateView};
use crate::serve::sds::DiscoveryCounts;
use program::page::{self, Method, Page, PageRequest, StatusCode, text};

/// The server.
#[derive(Debug)]
pub struct MetricsServer {
    listener: TcpListener,
    numbers: MetricsSources,
}

/// Where the numbers are.
#[derive(Debug, Clone)]
pub struct MetricsSources {
    /// What is held, and how it goes.
    pub view: StateView,
    /// How secret discovery goes.
    pub secrets: Arc<DiscoveryCounts>,
}

impl MetricsServer {
    /// Listens.
    ///
    /// # Errors
    /// When the address is taken, with its name.
    pub async fn bind(address: SocketAddr, numbers: MetricsSources) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen at {address}; choose another --metrics"))?;
        Ok(Self { listener, numbers })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The operating system's.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`.
    pub async fn serve(self, stop: CancellationToken) {
        let numbers = self.numbers;
        page::serve(self.listener, move |request| numbers.answer(request), stop).await;
    }
}

impl MetricsSources {
    fn answer(&self, request: &PageRequest) -> Page {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned());
        }
        let now = ClockReading::now().unix();
        match request.path() {
            "/live" => text(StatusCode::OK, "live\n".to_owned()),
            "/ready" => {
                let state = self.view.freshness(now);
                let code =
                    if state.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                text(code, format!("{}\n", state.name()))
            }
            "/metrics" => match self.page(now) {
                Ok(page) => text(StatusCode::OK, page),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            },
            _ => text(StatusCode::NOT_FOUND, "/metrics, /ready or /live\n".to_owned()),
        }
    }

    /// The numbers at this time (Unix seconds), in the text format of Prometheus.
    ///
    /// # Errors
    /// The library's, for names that it does not allow.
    pub fn page(&self, now: u64) -> prometheus::Result<String> {
        let page = ScrapeRegistry::default();
        let holding = self.view.holding.borrow().clone();
        let status = self.view.status.borrow().clone();
        self.certificate(&page, &holding, &status, now)?;
        bundles(&page, &holding, &status.bundles)?;
        self.secret_discovery(&page)?;
        page.0.register(Box::new(ProcessMetrics::new()?))?;
        TextEncoder::new().encode_to_string(&page.0.gather())
    }

    fn certificate(
        &self,
        page: &ScrapeRegistry,
        holding: &ServedState,
        status: &RenewalStatus,
        now: u64,
    ) -> prometheus::Result<()> {
        let not_after = holding.identity.as_ref().map_or(0, |held| held.svid.not_after());
        page.gauge(
            "postern_certificate_expiry_timestamp_seconds",
            "When the certificate held expires, Unix seconds; 0 without one.",
            &[],
            &[(&[], seconds(not_after))],
        )?;
        let state = self.view.freshness(now);
        let states = freshness::ALL.map(|each| ([each.name()], f64::from(each == state)));
        let states = states.each_ref().map(|(labels, value)| (labels.as_slice(), *value));
        page.gauge(
            "postern_certificate_state",
            "1 for the state the certificate is in: absent, fresh, stale (renewal overdue), expired.",
            &["state"],
            &states,
        )?;
        page.counter(
            "postern_certificate_renewals_total",
            "Attempts to get a certificate, by their result.",
            &["result"],
            &[(&["success"], status.renewals), (&["failure"], status.failures)],
        )?;
        if let Some(skew) = status.skew {
            page.gauge(
                "postern_clock_skew_seconds",
                "This machine's clock minus the authority's, as last measured.",
                &[],
                &[(&[], skew.seconds())],
            )?;
        }
        Ok(())
    }

    fn secret_discovery(&self, page: &ScrapeRegistry) -> prometheus::Result<()> {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        page.counter(
            "postern_sds_responses_total",
            "Responses of the secret discovery service: sent, and what clients said of them.",
            &["result"],
            &[
                (&["sent"], load(&self.secrets.sent)),
                (&["accepted"], load(&self.secrets.accepted)),
                (&["rejected"], load(&self.secrets.rejected)),
            ],
        )
    }
}

fn bundles(
    page: &ScrapeRegistry,
    holding: &ServedState,
    status: &crate::renewal::served_state::BundleStatus,
) -> prometheus::Result<()> {
    page.gauge(
        "postern_bundle_domains",
        "Trust domains whose bundles are held, our own among them.",
        &[],
        &[(&[], small(holding.trust.federated.len() + 1))],
    )?;
    page.gauge(
        "postern_bundle_roots",
        "Roots of our own trust domain.",
        &[],
        &[(&[], small(holding.trust.own.roots.roots().len()))],
    )?;
    page.gauge(
        "postern_bundle_stream_live",
        "1 while the authority's stream of bundles stands.",
        &[],
        &[(&[], f64::from(status.live))],
    )?;
    page.gauge(
        "postern_bundle_heard_timestamp_seconds",
        "When the authority last spoke on that stream, Unix seconds; 0 for never.",
        &[],
        &[(&[], seconds(status.heard_at))],
    )?;
    page.counter(
        "postern_bundle_updates_total",
        "Messages about bundles, or parts of them: taken as a change, refused; and streams that failed.",
        &["result"],
        &[
            (&["changed"], status.updates),
            (&["refused"], status.refused),
            (&["stream_failed"], status.failures),
        ],
    )
}

/// One scrape.
#[derive(Debug, Default)]
struct ScrapeRegistry(Registry);

impl ScrapeRegistry {
    fn gauge(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: &[(&[&str], f64)],
    ) -> prometheus::Result<()> {
        let gauge = GaugeVec::new(Opts::new(name, help), labels)?;
        for (labels, value) in values {
            gauge.get_metric_with_label_values(labels)?.set(*value);
        }
        self.0.register(Box::new(gauge))
    }

    fn counter(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: &[(&[&str], u64)],
    ) -> prometheus::Result<()> {
        let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
        for (labels, value) in values {
            counter.get_metric_with_label_values(labels)?.inc_by(*value);
        }
        self.0.register(Box::new(counter))
    }
}

/// Gauges are floating-point; Unix seconds fit for some hundred million years.
#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
fn seconds(unix: u64) -> f64 {
    unix as f64
}

#[allow(clippy::cast_precision_loss, reason = "a small number")]
fn small(count: usize) -> f64 {
    count as f64
}
