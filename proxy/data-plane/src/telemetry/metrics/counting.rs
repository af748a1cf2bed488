//! The methods by which the rest of the proxy updates its metrics, and the page that shows them.

use std::collections::BTreeMap;
use std::sync::Arc;

use message_access::{MessageProtocol, Operation};
use prometheus::core::Collector as _;
use prometheus::{Encoder as _, Histogram, IntCounter, IntGauge, TextEncoder};

use super::{Metrics, TrafficLabels};
use crate::labels::CertificateState;
use crate::labels::{CloseReason, Direction, mtls_label};

/// What the names of [`ProcessMetrics`](process_metrics::ProcessMetrics) begin with, in every client library.
const PROCESS: &str = "process_";
/// Certificates of listeners that have a series of their own: a page of metrics has room for more, a dashboard has not.
const MAX_LISTENER_CERTIFICATES: usize = 1000;

impl Metrics {
    /// The text exposition format of everything, in front of the app's own metrics. One answer has each series once, so
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
        self.request_duration.with_label_values(&self.names.of(labels))
    }

    /// The counter of one outcome of requests of this traffic.
    #[must_use]
    pub fn requests(&self, labels: &TrafficLabels, status: u16, reason: &str) -> IntCounter {
        let [direction, source, destination, service] = self.names.of(labels);
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

    /// The counter of connections whose nature is known.
    #[must_use]
    pub fn connections(&self, labels: &TrafficLabels) -> IntCounter {
        let [direction, source, destination, service] = self.names.of(labels);
        let (protocol, mtls) = (labels.protocol.as_str(), mtls_label(labels.mtls));
        let values = [direction, source, destination, service, protocol, mtls];
        self.connections.with_label_values(&values)
    }

    /// Open connections in one direction.
    #[must_use]
    pub fn open(&self, direction: Direction) -> IntGauge {
        self.connections_open.with_label_values(&[direction.as_str()])
    }

    /// Counts the end of a connection and its bytes.
    pub fn closed(&self, direction: Direction, reason: CloseReason, (received, sent): (u64, u64)) {
        self.ends(direction, reason).inc();
        let [from_client, to_client] = self.bytes(direction);
        from_client.inc_by(received);
        to_client.inc_by(sent);
    }

    /// The counter of connections that ended for this reason.
    #[must_use]
    pub fn ends(&self, direction: Direction, reason: CloseReason) -> IntCounter {
        self.connections_closed.with_label_values(&[direction.as_str(), reason.as_str()])
    }

    /// The counters of bytes from clients and to them.
    #[must_use]
    pub fn bytes(&self, direction: Direction) -> [IntCounter; 2] {
        ["received", "sent"].map(|flow| self.bytes.with_label_values(&[direction.as_str(), flow]))
    }

    /// The counter of decisions by one rule; `default` stands for no policy.
    #[must_use]
    pub fn decision(&self, decision: &str, policy: Option<&str>, rule: Option<u32>) -> IntCounter {
        let rule = rule.map(|r| r.to_string());
        let rule = rule.as_deref().unwrap_or("");
        self.decisions.with_label_values(&[decision, policy.unwrap_or("default"), rule])
    }

    /// The counter of operations at a broker that one policy decided; `default` stands for none.
    #[must_use]
    pub fn messages(
        &self,
        protocol: MessageProtocol,
        operation: Operation,
        decision: &'static str,
        policy: Option<&str>,
    ) -> IntCounter {
        let policy = policy.unwrap_or("default");
        let values = [protocol.as_str(), operation.as_str(), decision, policy];
        self.messages.with_label_values(&values)
    }

    /// Subscriptions open at brokers of this protocol.
    #[must_use]
    pub fn subscriptions_open(&self, protocol: MessageProtocol) -> IntGauge {
        self.subscriptions_open.with_label_values(&[protocol.as_str()])
    }

    /// Counts a connection to a broker that ended for what was said on it.
    pub fn message_error(&self, protocol: MessageProtocol, reason: &'static str) {
        self.message_errors.with_label_values(&[protocol.as_str(), reason]).inc();
    }

    /// Counts a token that its issuer was asked about.
    pub fn introspection(&self, result: &str, cache: &str) {
        self.introspections.with_label_values(&[result, cache]).inc();
    }

    /// Counts a handshake: `side` is `server`, `client` or `edge`.
    pub fn handshake(&self, side: &str, result: &str) {
        self.handshakes.with_label_values(&[side, result]).inc();
    }

    /// Tells when the certificates of listeners end, each by its name, in place of those that were told before.
    pub fn listener_certificates<'a>(&self, ends: impl IntoIterator<Item = (&'a str, u64)>) {
        let ends: BTreeMap<_, _> = ends.into_iter().take(MAX_LISTENER_CERTIFICATES).collect();
        for told in self.listener_certificate_expiry.collect() {
            let names = told.get_metric().iter().flat_map(|metric| metric.get_label());
            for gone in names.map(|label| label.value()).filter(|name| !ends.contains_key(name)) {
                // It is there: it was told.
                let _ = self.listener_certificate_expiry.remove_label_values(&[gone]);
            }
        }
        for (name, end) in ends {
            let end = i64::try_from(end).unwrap_or(i64::MAX);
            self.listener_certificate_expiry.with_label_values(&[name]).set(end);
        }
    }

    /// Counts certificates of listeners that were taken over, and those that were refused.
    pub fn listener_certificate_updates(&self, taken: usize, refused: usize) {
        for (result, count) in [("success", taken), ("failure", refused)] {
            let counter = self.listener_certificate_updates.with_label_values(&[result]);
            counter.inc_by(u64::try_from(count).unwrap_or(0));
        }
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

    /// Counts a take-over of what is trusted of others: `what` is `bundle` or `crl`.
    pub fn trust_update(&self, what: &'static str, success: bool) {
        let result = if success { "success" } else { "failure" };
        self.trust_updates.with_label_values(&[what, result]).inc();
    }

    /// Counts a try to re-authenticate a connection in place: `side` is `server` or `client`,
    /// `refusal` the reason of a failure.
    pub fn reauthentication(&self, side: &str, refusal: Option<&'static str>) {
        let result = refusal.unwrap_or("ok");
        self.reauthentications.with_label_values(&[side, result]).inc();
    }

    /// Counts header fields that were dropped for an underscore in their name.
    pub fn dropped(&self, direction: Direction, fields: u32) {
        let counter = self.headers_dropped.with_label_values(&[direction.as_str()]);
        counter.inc_by(u64::from(fields));
    }

    /// Counts a request that was sent more than once: why, and how its last attempt ended.
    pub fn retry(&self, reason: &'static str, result: &'static str) {
        self.retries.with_label_values(&[reason, result]).inc();
    }

    /// How many endpoints of the services in use are in this state.
    pub fn endpoints(&self, state: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.endpoints.with_label_values(&[state]).set(count);
    }

    /// Counts an endpoint that is ejected.
    pub fn ejection(&self, cause: &str) {
        self.ejections.with_label_values(&[cause]).inc();
    }

    /// The counter of requests that one rule of a route took.
    #[must_use]
    pub fn route_requests(&self, route: &Arc<str>) -> IntCounter {
        self.route_requests.with_label_values(&[self.names.capped(route)])
    }

    /// The counter of what one limit decided: `allow` or `deny`, by whom.
    #[must_use]
    pub fn rate_limit_decision(
        &self,
        limit: &Arc<str>,
        decision: &'static str,
        store: &'static str,
    ) -> IntCounter {
        let limit = self.names.capped(limit);
        self.rate_limit_decisions.with_label_values(&[limit, decision, store])
    }

    /// Counts a request or answer that was compared with the description of its API.
    pub fn api_schema(&self, result: &'static str, action: &'static str) {
        self.api_schemas.with_label_values(&[result, action]).inc();
    }

    /// Counts what an AbusePolicy did.
    pub fn abuse(&self, policy: &Arc<str>, action: &'static str) {
        self.abuse.with_label_values(&[self.names.capped(policy), action]).inc();
    }

    /// Counts a match of a threat rule.
    pub(crate) fn threat_rule(&self, group: &'static str, action: &'static str) {
        self.threat_rules.with_label_values(&[group, action]).inc();
    }

    /// Counts a request that a ThreatPolicy is about.
    pub(crate) fn threat_result(&self, result: &'static str) {
        self.threat_inspections.with_label_values(&[result]).inc();
    }

    /// How long a request waited for the result of threat rules.
    pub(crate) fn threat_inspection(&self, took: std::time::Duration) {
        let none: [&str; 0] = [];
        self.threat_inspection_seconds.with_label_values(&none).observe(took.as_secs_f64());
    }

    /// A rule set was read, or not.
    pub(crate) fn threat_rule_set_update(&self, success: bool) {
        let result = if success { "success" } else { "failure" };
        self.threat_rule_set_updates.with_label_values(&[result]).inc();
    }

    /// Counts a copy of a request for a mirror.
    pub fn mirror(&self, result: &'static str) {
        self.mirrors.with_label_values(&[result]).inc();
    }

    /// Counts a look-up of a name.
    pub fn dns_lookup(&self, result: &'static str) {
        self.dns_lookups.with_label_values(&[result]).inc();
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

    /// Counts a sign-in that has begun, or how one ended.
    pub fn sign_in(&self, result: &'static str) {
        self.sign_ins.with_label_values(&[result]).inc();
    }

    /// Counts how the renewal of a session's tokens ended.
    pub fn session_refresh(&self, result: &'static str) {
        self.session_refreshes.with_label_values(&[result]).inc();
    }

    /// Counts a session that ended before its time, by what ended it.
    pub fn logout(&self, kind: &'static str) {
        self.logouts.with_label_values(&[kind]).inc();
    }

    /// A request to a host outside needed a token of the workload's own.
    pub(crate) fn client_credentials(&self, result: &'static str) {
        self.client_credentials.with_label_values(&[result]).inc();
    }

    /// A request needed a token of the mesh.
    pub(crate) fn token_exchange(&self, result: &'static str) {
        self.token_exchange.with_label_values(&[result]).inc();
    }

    /// The app's own metrics were asked for: `success`, or why they are missing.
    pub(crate) fn app_metrics(&self, result: &str) {
        self.app_metrics.with_label_values(&[result]).inc();
    }
}

fn three_digits(status: u16, out: &mut [u8; 3]) -> &str {
    for (place, divisor) in [100, 10, 1].into_iter().enumerate() {
        out[place] = b'0' + u8::try_from(status / divisor % 10).unwrap_or(0);
    }
    std::str::from_utf8(out).unwrap_or("000")
}
