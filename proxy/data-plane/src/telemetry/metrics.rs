//! What is counted, under the names of the contract. Labels are bounded enums; principals are
//! capped, with an `other` bucket. There is never a path, a host or an address among them.

mod counting;
mod labels;

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use process_metrics::ProcessMetrics;
use prometheus::core::Collector;
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use crate::telemetry::Direction;
pub use labels::TrafficLabels;

/// Upper bounds of the request duration buckets, seconds.
const DURATION_BUCKETS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Every metric of the proxy.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    connections: IntCounterVec,
    connections_open: IntGaugeVec,
    connections_closed: IntCounterVec,
    bytes: IntCounterVec,
    decisions: IntCounterVec,
    handshakes: IntCounterVec,
    /// When the current certificate ends, Unix seconds; 0 while there is none.
    pub certificate_expiry: Gauge,
    renewals: IntCounterVec,
    reauthentications: IntCounterVec,
    certificate_state: IntGaugeVec,
    trust_updates: IntCounterVec,
    /// 1 while a bundle, our own with certificate and key, or a revocation list was refused and the last good one is in force.
    pub trust_stale: IntGauge,
    /// Revocation lists in force that are past their `nextUpdate`.
    pub crl_overdue: IntGauge,
    headers_dropped: IntCounterVec,
    retries: IntCounterVec,
    overflows: IntCounterVec,
    config_updates: IntCounterVec,
    token_keys: IntCounterVec,
    app_metrics: IntCounterVec,
    /// 1 while the last update was refused and the last good state is in force.
    pub config_stale: IntGauge,
    /// Panics of single tasks, each of which took only its own connection with it.
    pub panics: IntCounter,
    /// Log lines lost because the output did not take them.
    pub log_lines_dropped: IntCounter,
    /// 1 when the proxy is ready.
    pub ready: IntGauge,
    /// Principals and services that have labels of their own; later ones are `other`.
    names: Mutex<HashSet<Arc<str>>>,
    most_names: usize,
}

impl Metrics {
    /// A fresh set, in which this many principals and services get labels of their own.
    ///
    /// # Errors
    /// [`prometheus::Error`] when two metrics have one name, which a test rules out.
    pub fn new(most_names: usize) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let metrics = Self {
            requests: counters(
                &registry,
                "postern_requests_total",
                "HTTP requests answered, refusals included",
                &[
                    "direction",
                    "source_principal",
                    "destination_principal",
                    "destination_service",
                    "response_code",
                    "reason",
                    "protocol",
                    "mtls",
                ],
            )?,
            request_duration: keep(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        "postern_request_duration_seconds",
                        "Time from a request's head to the end of its answer",
                    )
                    .buckets(DURATION_BUCKETS.to_vec()),
                    &[
                        "direction",
                        "source_principal",
                        "destination_principal",
                        "destination_service",
                    ],
                )?,
            )?,
            connections: counters(
                &registry,
                "postern_connections_total",
                "Connections accepted",
                &[
                    "direction",
                    "source_principal",
                    "destination_principal",
                    "destination_service",
                    "protocol",
                    "mtls",
                ],
            )?,
            connections_open: keep(
                &registry,
                IntGaugeVec::new(
                    Opts::new("postern_connections_open", "Connections open now"),
                    &["direction"],
                )?,
            )?,
            connections_closed: counters(
                &registry,
                "postern_connections_closed_total",
                "Connections ended, by reason",
                &["direction", "reason"],
            )?,
            bytes: counters(
                &registry,
                "postern_bytes_total",
                "Bytes from (received) and to (sent) the client of a connection, as it sees them before TLS",
                &["direction", "flow"],
            )?,
            decisions: counters(
                &registry,
                "postern_authorization_decisions_total",
                "Decisions, by the policy and rule that took them",
                &["decision", "policy", "rule"],
            )?,
            handshakes: counters(
                &registry,
                "postern_tls_handshakes_total",
                "TLS handshakes, as server (inbound) and client (outbound)",
                &["side", "result"],
            )?,
            certificate_expiry: keep(
                &registry,
                Gauge::new(
                    "postern_certificate_expiry_timestamp_seconds",
                    "When the current certificate ends, Unix seconds; 0 while there is none",
                )?,
            )?,
            renewals: counters(
                &registry,
                "postern_certificate_renewals_total",
                "Certificates taken over from the source, by result",
                &["result"],
            )?,
            certificate_state: keep(
                &registry,
                IntGaugeVec::new(
                    Opts::new(
                        "postern_certificate_state",
                        "1 for the state our own certificate is in; all 0 while there is none",
                    ),
                    &["state"],
                )?,
            )?,
            trust_updates: counters(
                &registry,
                "postern_trust_updates_total",
                "Trust bundles and revocation lists taken over from the source, by result: a failure of `bundle` is also our own, refused with certificate and key",
                &["what", "result"],
            )?,
            trust_stale: keep(
                &registry,
                IntGauge::new(
                    "postern_trust_stale",
                    "1 while a bundle, our own with certificate and key, or a revocation list was refused and the last good one is in force",
                )?,
            )?,
            crl_overdue: keep(
                &registry,
                IntGauge::new(
                    "postern_crl_overdue",
                    "Revocation lists in force that are past their nextUpdate",
                )?,
            )?,
            reauthentications: counters(
                &registry,
                "postern_reauthentications_total",
                "Mesh connections re-authenticated in place before their certificates end, as server (inbound) and client (outbound)",
                &["side", "result"],
            )?,
            headers_dropped: counters(
                &registry,
                "postern_headers_dropped_total",
                "Header fields with an underscore in their name that were dropped (headersWithUnderscores: drop)",
                &["direction"],
            )?,
            retries: counters(
                &registry,
                "postern_request_retries_total",
                "Requests sent once more, to another endpoint where there was one, by why the try before was none",
                &["reason"],
            )?,
            overflows: counters(
                &registry,
                "postern_overflows_total",
                "Requests and streams refused because every connection that may be opened to the app (inbound) or the service (outbound) is full",
                &["direction"],
            )?,
            config_updates: counters(
                &registry,
                "postern_config_updates_total",
                "Policy and service updates, by result",
                &["result"],
            )?,
            token_keys: counters(
                &registry,
                "postern_token_key_updates_total",
                "Keys of token issuers fetched or read, by result",
                &["result"],
            )?,
            app_metrics: counters(
                &registry,
                "postern_app_metrics_total",
                "Times the app's own metrics were asked for, by result",
                &["result"],
            )?,
            config_stale: keep(
                &registry,
                IntGauge::new(
                    "postern_config_stale",
                    "1 while the last update was refused and the last good state is in force",
                )?,
            )?,
            panics: keep(
                &registry,
                IntCounter::new("postern_panics_total", "Panics of single tasks")?,
            )?,
            log_lines_dropped: keep(
                &registry,
                IntCounter::new(
                    "postern_log_lines_dropped_total",
                    "Log lines lost because the output did not take them",
                )?,
            )?,
            ready: keep(
                &registry,
                IntGauge::new(
                    "postern_ready",
                    "1 when certificate, policy and listeners are there",
                )?,
            )?,
            registry,
            names: Mutex::default(),
            most_names,
        };
        metrics.registry.register(Box::new(ProcessMetrics::new()?))?;
        metrics.certificate_state(None);
        for direction in [Direction::Inbound, Direction::Outbound] {
            metrics.dropped(direction, 0);
        }
        // Both results exist from the start, so that a rate over them is never absent.
        for result in ["success", "failure"] {
            metrics.renewals.with_label_values(&[result]);
            metrics.config_updates.with_label_values(&[result]);
            metrics.token_keys.with_label_values(&[result]);
        }
        Ok(metrics)
    }
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    keep(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

fn keep<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> prometheus::Result<C> {
    debug_assert!(metric.desc().iter().all(|desc| desc.fq_name.starts_with("postern_")));
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests;
