//! What is counted, under the names of the contract. Labels are bounded enums; principals are
//! capped, with an `other` bucket. There is never a path, a host or an address among them.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use process_metrics::ProcessMetrics;
use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::connection::credentials::CertificateState;
use crate::connection::reauth::ReauthRefusal;
use crate::control::credentials::TrustPart;
use crate::telemetry::{CloseReason, Direction, Protocol, mtls_label};

/// Upper bounds of the request duration buckets, seconds.
const DURATION_BUCKETS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// What the names of [`ProcessMetrics`] begin with, in every client library.
const PROCESS: &str = "process_";

/// The labels of one kind of traffic, resolved once a connection or route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrafficLabels {
    /// Towards or from our app.
    pub direction: Direction,
    /// Who calls, `none` when nobody proved it.
    pub source_principal: Arc<str>,
    /// Who is called.
    pub destination_principal: Arc<str>,
    /// The service called, or `unknown`.
    pub destination_service: Arc<str>,
    /// What the bytes are.
    pub protocol: Protocol,
    /// Whether the mesh side is mutual TLS.
    pub mtls: bool,
}

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

    /// The text exposition format of everything, in front of what our app says of itself. One answer has each series once, so
    /// the `process_*` are the app's where it has some.
    #[must_use]
    pub fn render(&self, app: &[u8]) -> Vec<u8> {
        let mut families = self.registry.gather();
        if app.split(|b| *b == b'\n').any(|line| line.starts_with(PROCESS.as_bytes())) {
            families.retain(|family| !family.name().starts_with(PROCESS));
        }
        let mut out = Vec::new();
        // Encoding to memory fails only for an invalid metric, which `new` refuses.
        let _ = TextEncoder::new().encode(&families, &mut out);
        out.extend_from_slice(app);
        out
    }

    /// The duration histogram of this traffic.
    #[must_use]
    pub fn request_duration(&self, labels: &TrafficLabels) -> Histogram {
        self.request_duration.with_label_values(&self.traffic(labels))
    }

    /// The counter of one outcome of requests of this traffic.
    #[must_use]
    pub fn requests(&self, labels: &TrafficLabels, status: u16, reason: &str) -> IntCounter {
        let [direction, source, destination, service] = self.traffic(labels);
        let mut digits = [0; 3];
        let status = three_digits(status, &mut digits);
        let (protocol, mtls) = (labels.protocol.as_str(), mtls_label(labels.mtls));
        self.requests.with_label_values(&[
            direction,
            source,
            destination,
            service,
            status,
            reason,
            protocol,
            mtls,
        ])
    }

    /// Counts a connection whose nature is known now.
    pub fn connection(&self, labels: &TrafficLabels) {
        let [direction, source, destination, service] = self.traffic(labels);
        let (protocol, mtls) = (labels.protocol.as_str(), mtls_label(labels.mtls));
        self.connections
            .with_label_values(&[direction, source, destination, service, protocol, mtls])
            .inc();
    }

    /// Open connections in one direction.
    #[must_use]
    pub fn open(&self, direction: Direction) -> IntGauge {
        self.connections_open.with_label_values(&[direction.as_str()])
    }

    /// Counts the end of a connection and its bytes.
    pub fn closed(&self, direction: Direction, reason: CloseReason, (received, sent): (u64, u64)) {
        let direction = direction.as_str();
        self.connections_closed.with_label_values(&[direction, reason.as_str()]).inc();
        self.bytes.with_label_values(&[direction, "received"]).inc_by(received);
        self.bytes.with_label_values(&[direction, "sent"]).inc_by(sent);
    }

    /// The counter of decisions by one rule; `default` stands for no policy.
    #[must_use]
    pub fn decision(&self, decision: &str, policy: Option<&str>, rule: Option<u32>) -> IntCounter {
        let rule = rule.map(|r| r.to_string());
        let rule = rule.as_deref().unwrap_or("");
        self.decisions.with_label_values(&[decision, policy.unwrap_or("default"), rule])
    }

    /// Counts a handshake: `side` is `server` or `client`.
    pub fn handshake(&self, side: &str, result: &str) {
        self.handshakes.with_label_values(&[side, result]).inc();
    }

    /// Counts a take-over of certificates.
    pub fn renewal(&self, success: bool) {
        self.renewals.with_label_values(&[if success { "success" } else { "failure" }]).inc();
    }

    /// Says how far into its life our certificate is.
    pub fn certificate_state(&self, state: Option<CertificateState>) {
        for one in CertificateState::ALL {
            let gauge = self.certificate_state.with_label_values(&[one.as_str()]);
            gauge.set(i64::from(state == Some(one)));
        }
    }

    /// Counts a take-over of what is trusted of others.
    pub fn trust_update(&self, what: TrustPart, success: bool) {
        let result = if success { "success" } else { "failure" };
        self.trust_updates.with_label_values(&[what.as_str(), result]).inc();
    }

    /// Counts a try to re-authenticate a connection in place: `side` is `server` or `client`.
    pub fn reauthentication(&self, side: &str, refusal: Option<ReauthRefusal>) {
        let result = refusal.map_or("ok", ReauthRefusal::as_str);
        self.reauthentications.with_label_values(&[side, result]).inc();
    }

    /// Counts header fields that were dropped for an underscore in their name.
    pub fn dropped(&self, direction: Direction, fields: u32) {
        let counter = self.headers_dropped.with_label_values(&[direction.as_str()]);
        counter.inc_by(u64::from(fields));
    }

    /// Counts a request that is sent once more.
    pub fn retry(&self, reason: &'static str) {
        self.retries.with_label_values(&[reason]).inc();
    }

    /// Counts a request or stream that found every connection full: to the app (inbound) or a service.
    pub fn overflow(&self, direction: Direction) {
        self.overflows.with_label_values(&[direction.as_str()]).inc();
    }

    /// Counts an update of the resources, and says whether the state in force is stale now.
    pub fn config_update(&self, success: bool) {
        self.config_updates.with_label_values(&[if success { "success" } else { "failure" }]).inc();
        self.config_stale.set(i64::from(!success));
    }

    /// Keys of a token issuer were fetched, or not.
    pub fn token_keys_update(&self, success: bool) {
        self.token_keys.with_label_values(&[if success { "success" } else { "failure" }]).inc();
    }

    /// The app's own metrics were asked for: `success`, or why they are missing.
    pub(crate) fn app_metrics(&self, result: &str) {
        self.app_metrics.with_label_values(&[result]).inc();
    }

    fn traffic<'a>(&self, labels: &'a TrafficLabels) -> [&'a str; 4] {
        let mut names = self.names.lock();
        let mut capped = |name: &'a Arc<str>| -> &'a str {
            if names.contains(name) {
                return name;
            }
            if names.len() >= self.most_names {
                return "other";
            }
            names.insert(name.clone());
            name
        };
        [
            labels.direction.as_str(),
            capped(&labels.source_principal),
            capped(&labels.destination_principal),
            capped(&labels.destination_service),
        ]
    }
}

fn three_digits(status: u16, out: &mut [u8; 3]) -> &str {
    for (place, divisor) in [100, 10, 1].into_iter().enumerate() {
        out[place] = b'0' + u8::try_from(status / divisor % 10).unwrap_or(0);
    }
    std::str::from_utf8(out).unwrap_or("000")
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn labels(source: &str) -> TrafficLabels {
        TrafficLabels {
            direction: Direction::Inbound,
            source_principal: source.into(),
            destination_principal: "cluster.local/ns/shop/sa/cart".into(),
            destination_service: "cart.shop.svc.cluster.local".into(),
            protocol: Protocol::Http1,
            mtls: true,
        }
    }

    /// One answer has each series once.
    #[test]
    fn the_process_is_told_unless_the_app_tells_its_own() {
        let metrics = Metrics::new(10).unwrap();
        let told = |app: &str| String::from_utf8(metrics.render(app.as_bytes())).unwrap();
        let alone = told("process1 1\n");
        for name in ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "threads"] {
            let series = format!("\nprocess_{name} ");
            assert_eq!(alone.matches(&series).count(), 1, "{name}: {alone}");
        }
        let both = told("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 7\n");
        assert_eq!(both.matches("\nprocess_").count(), 1, "{both}");
        assert!(both.contains("\nprocess_cpu_seconds_total 7\n"), "{both}");
        assert!(both.contains("\npostern_ready "), "{both}");
    }

    #[test]
    fn a_request_shows_under_its_labels() {
        let metrics = Metrics::new(10).unwrap();
        metrics
            .requests(&labels("cluster.local/ns/shop/sa/frontend"), 403, "no_matching_allow")
            .inc();
        let text = String::from_utf8(metrics.render(b"")).unwrap();
        let line = text.lines().find(|l| l.starts_with("postern_requests_total{")).unwrap();
        for part in [
            "direction=\"inbound\"",
            "source_principal=\"cluster.local/ns/shop/sa/frontend\"",
            "response_code=\"403\"",
            "reason=\"no_matching_allow\"",
            "mtls=\"mutual_tls\"",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }

    #[test]
    fn s48_principals_are_capped() {
        let metrics = Metrics::new(100).unwrap();
        for n in 0..100 + 500 {
            metrics.requests(&labels(&format!("td/ns/a/sa/{n}")), 200, "ok").inc();
        }
        let text = String::from_utf8(metrics.render(b"")).unwrap();
        let series = text.lines().filter(|l| l.starts_with("postern_requests_total{")).count();
        assert!(series <= 100 + 1, "{series}");
        assert!(text.contains("source_principal=\"other\""));
    }
}
