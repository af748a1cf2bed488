//! What is counted, under the names of the contract: every metric is declared once, in the list below, and the fields,
//! their registration and the reference page come from it. Labels are bounded enums; principals are capped, with an
//! `other` bucket. There is never a path, a host or an address among them.
//!
//! A new metric is an entry of the list and, where it has labels, a method in `counting.rs`.

mod counting;
mod declaration;
mod labels;
mod reading;

use process_metrics::ProcessMetrics;
use prometheus::{Gauge, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use crate::labels::Direction;
pub use declaration::MetricDeclaration;
use declaration::MetricKind;
use labels::LabelNames;
pub use labels::TrafficLabels;

/// Upper bounds of the request duration buckets, seconds.
const DURATION_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Writes the struct, the registration of its fields and the declarations from one list. An entry is a name, the field
/// and its type, the names of its labels; what it counts (the `HELP` line); when it changes.
macro_rules! metrics {
    ($(
        $name:literal $vis:vis $field:ident: $kind:ty [$($label:literal),*] $(buckets $buckets:ident)?;
            $help:literal, $changes:literal;
    )*) => {
        /// Every metric of the proxy.
        pub struct Metrics {
            registry: Registry,
            /// Principals and services that have labels of their own.
            names: LabelNames,
            $(#[doc = concat!($help, ".")] $vis $field: $kind,)*
        }

        impl Metrics {
            /// Every metric as it is declared, in the order of the reference page.
            pub const DECLARATIONS: &'static [MetricDeclaration] = &[$(metrics! {
                @declaration $name $kind [$($label),*] [$($buckets)?] $help, $changes
            },)*];

            fn registered(registry: Registry, names: LabelNames) -> prometheus::Result<Self> {
                Ok(Self {
                    $($field: <$kind>::registered(&registry, &metrics! {
                        @declaration $name $kind [$($label),*] [$($buckets)?] $help, $changes
                    })?,)*
                    registry,
                    names,
                })
            }
        }
    };
    (@declaration $name:literal $kind:ty [$($label:literal),*] [] $help:literal, $changes:literal) => {
        metrics! { @declaration $name $kind [$($label),*] [NO_BUCKETS] $help, $changes }
    };
    (@declaration $name:literal $kind:ty [$($label:literal),*] [$buckets:ident] $help:literal, $changes:literal) => {
        MetricDeclaration {
            name: $name,
            kind: <$kind as MetricKind>::KIND,
            labels: &[$($label),*],
            buckets: $buckets,
            help: $help,
            changes: $changes,
        }
    };
}

/// Buckets of what is no histogram.
const NO_BUCKETS: &[f64] = &[];

metrics! {
    // Traffic.
    "postern_requests_total" requests: IntCounterVec [
        "direction", "source_principal", "destination_principal", "destination_service",
        "response_code", "reason", "protocol", "mtls"
    ];
        "HTTP requests answered, refusals included",
        "An answer has ended, whole or cut off.";
    "postern_request_duration_seconds" request_duration: HistogramVec [
        "direction", "source_principal", "destination_principal", "destination_service"
    ] buckets DURATION_BUCKETS;
        "Time from a request's head to the end of its answer",
        "As `postern_requests_total`.";
    "postern_connections_total" connections: IntCounterVec [
        "direction", "source_principal", "destination_principal", "destination_service", "protocol", "mtls"
    ];
        "Connections accepted",
        "The protocol of a connection is known; one that ends before is in `postern_connections_closed_total` alone.";
    "postern_connections_open" connections_open: IntGaugeVec ["direction"];
        "Connections open now",
        "A connection is accepted, or has ended.";
    "postern_connections_closed_total" connections_closed: IntCounterVec ["direction", "reason"];
        "Connections ended, by reason",
        "A connection has ended or is turned away at accept; also a mesh connection of ours that is cut for its \
         certificates.";
    "postern_bytes_total" bytes: IntCounterVec ["direction", "flow"];
        "Bytes from (received) and to (sent) the client of a connection, as it sees them before TLS",
        "A connection has ended.";
    "postern_authorization_decisions_total" decisions: IntCounterVec ["decision", "policy", "rule"];
        "Decisions, by the policy and rule that took them",
        "A request or an opaque connection is judged; also for each policy that is watched only and would decide \
         otherwise.";
    "postern_tls_handshakes_total" handshakes: IntCounterVec ["side", "result"];
        "TLS handshakes, as server (inbound), as client (outbound) and with clients of a gateway (edge)",
        "A handshake has succeeded or failed.";

    // Certificates and trust.
    "postern_certificate_expiry_timestamp_seconds" pub certificate_expiry: Gauge [];
        "When the current certificate ends, Unix seconds; 0 while there is none",
        "A certificate comes into force.";
    "postern_certificate_renewals_total" renewals: IntCounterVec ["result"];
        "Certificates taken over from the source, by result",
        "The source hands over certificate, key and bundles: taken, or refused.";
    "postern_certificate_state" certificate_state: IntGaugeVec ["state"];
        "1 for the state our own certificate is in; all 0 while there is none",
        "Ten times a second, by the clock.";
    "postern_listener_certificate_expiry_timestamp_seconds" listener_certificate_expiry: IntGaugeVec ["certificate"];
        "When each certificate of a gateway's listeners ends, Unix seconds, by the name of its Secret; of the first 1,000",
        "A certificate comes into force, or is gone.";
    "postern_listener_certificate_updates_total" listener_certificate_updates: IntCounterVec ["result"];
        "Certificates of a gateway's listeners taken over, by result: a failure leaves the last good one of its name",
        "A Secret or a file has changed: its certificate is taken, or refused.";
    "postern_trust_updates_total" trust_updates: IntCounterVec ["what", "result"];
        "Trust bundles and revocation lists taken over from the source, by result: a failure of `bundle` is also our \
         own, refused with certificate and key",
        "The source hands over a set; each set counts once for bundles and once for revocation lists.";
    "postern_trust_stale" pub trust_stale: IntGauge [];
        "1 while a bundle, our own with certificate and key, or a revocation list was refused and the last good one is \
         in force",
        "The source hands over a set.";
    "postern_crl_overdue" pub crl_overdue: IntGauge [];
        "Revocation lists in force that are past their nextUpdate",
        "Ten times a second, by the clock.";
    "postern_reauthentications_total" reauthentications: IntCounterVec ["side", "result"];
        "Mesh connections re-authenticated in place before their certificates end, as server (inbound) and client \
         (outbound)",
        "An attempt has succeeded or failed.";

    // People who sign in.
    "postern_sign_in_total" sign_ins: IntCounterVec ["result"];
        "Sign-ins at a gateway: started, and how they ended",
        "Somebody is sent to the provider (started), or comes back: success, refused (by the provider), failed, \
         limited (too many from one address), unavailable (the provider or the store).";
    "postern_session_refresh_total" session_refreshes: IntCounterVec ["result"];
        "Sessions whose tokens were renewed at the provider, by result",
        "The provider has answered (success, refused) or not (unavailable), or another request or replica had done it \
         (shared).";
    "postern_logout_total" logouts: IntCounterVec ["kind"];
        "Sessions that ended before their time, by what ended them",
        "Somebody signs out (user); the provider says so (back_channel), or says so without proof \
         (back_channel_refused); a refresh is refused (refresh).";

    // What is done to requests.
    "postern_headers_dropped_total" headers_dropped: IntCounterVec ["direction"];
        "Header fields with an underscore in their name that were dropped (headersWithUnderscores: drop)",
        "The gate drops a field.";
    "postern_retries_total" retries: IntCounterVec ["reason", "result"];
        "Requests sent once more, by why the attempt before failed and by how the last one ended: success, failure, or \
         no_budget where too many were repeated",
        "The last attempt of a request that was sent more than once is answered or has failed.";
    "postern_retry_budget_ratio" pub retry_budget_ratio: Gauge [];
        "How much of its retry budget the service that has used most of it has used, 0 to 1",
        "Once a second.";
    "postern_endpoints" endpoints: IntGaugeVec ["state"];
        "Endpoints of the services in use, by what the balancer holds of them",
        "Once a second.";
    "postern_endpoint_ejections_total" ejections: IntCounterVec ["cause"];
        "Endpoints taken out of the balancing for a while, by cause",
        "An endpoint is ejected.";
    "postern_balancer_fallback_total" pub balancer_fallback: IntCounter [];
        "Requests sent to an endpoint that is ejected, because no other one is left",
        "A request is sent so.";
    "postern_route_requests_total" route_requests: IntCounterVec ["route"];
        "Requests that a route took, by kind, namespace, name and rule of the route",
        "A route is chosen.";
    "postern_mirror_total" mirrors: IntCounterVec ["result"];
        "Copies of requests for mirrors of routes, by what became of them",
        "A copy is answered, has failed, or is not sent.";
    "postern_dns_lookups_total" dns_lookups: IntCounterVec ["result"];
        "Look-ups of names of services, by result: `stale` is no answer, and the last good one in use",
        "The resolver has answered, or has not in time.";
    "postern_overflows_total" overflows: IntCounterVec ["direction"];
        "Requests and streams refused because every connection that may be opened to the app (inbound) or the service \
         (outbound) is full",
        "A request or stream is refused for that.";

    // Rate limits.
    "postern_rate_limit_decisions_total" rate_limit_decisions: IntCounterVec ["limit", "decision", "store"];
        "Requests that a limit let through or refused, by who has counted: local, redis, overflow (the bucket that callers \
         share for whom limits.rateLimitKeys has no room), fallback (this proxy in the store's place), or none",
        "A limit has decided a request.";
    "postern_rate_limit_store_up" pub rate_limit_store_up: IntGauge [];
        "1 while the store of rate limits answers; 0 while it is away, and without one",
        "The store has answered, or has not in time.";
    "postern_rate_limit_keys" pub rate_limit_keys: IntGauge [];
        "Callers that rate limits keep apart now",
        "Once a second.";

    // Descriptions of APIs.
    "postern_api_schema_total" api_schemas: IntCounterVec ["result", "action"];
        "Requests and answers compared with the description of their API, by result (ok, not_described, answer_ok, or the \
         reason) and by what became of them: allowed, detected, blocked",
        "A request or answer that an ApiSchema is about was compared.";
    "postern_api_documents_stale" pub api_documents_stale: IntGauge [];
        "Files with descriptions of APIs that were refused: the last good one is in force, if there was one",
        "A file that an ApiSchema names has changed.";
    // Messages.
    "postern_messages_total" messages: IntCounterVec ["protocol", "operation", "decision", "policy"];
        "Operations that clients asked of a broker, by decision and by the policy that took it; `default` where none did",
        "An operation is judged.";
    "postern_subscriptions_open" subscriptions_open: IntGaugeVec ["protocol"];
        "Subscriptions that are open at a broker through this proxy",
        "A subscription begins or ends, or its connection does.";
    "postern_message_errors_total" message_errors: IntCounterVec ["protocol", "reason"];
        "Connections to a broker that the proxy ended for what was said on them, by reason",
        "A client or broker breaks the protocol, speaks a version that is not known, or exceeds a limit.";
    // Callers that abuse.
    "postern_abuse_total" abuse: IntCounterVec ["policy", "action"];
        "What AbusePolicies did: detected (a caller would be blocked, if `mode` were block), would_refuse (a request of such \
         a caller), blocked (a block has begun), refused (a request of a blocked caller), ended (a block is over)",
        "A caller is found to abuse, one of its requests comes, its block ends.";
    "postern_abuse_blocked" pub abuse_blocked: IntGauge [];
        "Callers that are blocked now, or would be",
        "Once a second.";
    "postern_abuse_callers" pub abuse_callers: IntGauge [];
        "Callers whose answers AbusePolicies keep in mind now",
        "Once a second.";

    // Threats.
    "postern_threat_rules_total" threat_rules: IntCounterVec ["rule_group", "action"];
        "Matches of threat rules, by what the rule is about and what was done: noted (the score stayed below the threshold), \
         detected, blocked",
        "A request was looked through.";
    "postern_threat_inspections_total" threat_inspections: IntCounterVec ["result"];
        "Requests that a ThreatPolicy is about, by result: clean, detected, blocked, or the reason why it was not looked \
         through as a whole",
        "A request was looked through, or could not be.";
    "postern_threat_inspection_seconds" threat_inspection_seconds: HistogramVec [] buckets DURATION_BUCKETS;
        "Time that requests waited for the result of threat rules",
        "The result came, or was waited for too long.";
    "postern_threat_rule_set_updates_total" threat_rule_set_updates: IntCounterVec ["result"];
        "Rule sets read, by result",
        "A ThreatPolicy names another rule set, or its files have changed.";
    "postern_threat_rule_sets_stale" pub threat_rule_sets_stale: IntGauge [];
        "Rule sets whose newest version was refused: the last good one is in force, or none",
        "As `postern_threat_rule_set_updates_total`.";

    // Users who signed in.
    "postern_session_store_up" pub session_store_up: IntGauge [];
        "1 while the store of sessions answers, or is this proxy's memory; 0 while it is away, and where none is used",
        "Once a second.";
    "postern_session_revocations" pub session_revocations: IntGauge [];
        "Revocations of sessions that this proxy knows, at most 100,000",
        "Once a second.";
    "postern_session_revocations_full" pub session_revocations_full: IntGauge [];
        "1 while a revocation is forgotten that has not ended, because as many are known as may be",
        "Once a second.";

    // Policy and keys.
    "postern_config_updates_total" config_updates: IntCounterVec ["result"];
        "Policy and service updates, by result",
        "Resources have changed, in their directory or at the controller: taken, or refused.";
    "postern_token_key_updates_total" token_keys: IntCounterVec ["result"];
        "Keys of token issuers fetched or read, by result",
        "An issuer's keys are fetched, or a file of keys becomes unreadable.";
    "postern_token_exchange_total" token_exchange: IntCounterVec ["result"];
        "Users' tokens exchanged for tokens of the mesh, by result",
        "A request needs a token of the mesh: a new one, one that was got before (`cached`), or none (`refused`, `unavailable`).";
    "postern_introspection_total" introspections: IntCounterVec ["result", "cache"];
        "Tokens that their issuer was asked about, by result: active, inactive, refused (active, and not for us), \
         unavailable; and whether the answer was known (hit)",
        "A request with such a token is authenticated, or refused.";
    "postern_client_credentials_total" client_credentials: IntCounterVec ["result"];
        "Requests to hosts outside that get a token of the workload's own, by result",
        "A request leaves with a new token (`fetched`), one that was fetched before (`cached`), or not at all (`unavailable`).";
    "postern_app_metrics_total" app_metrics: IntCounterVec ["result"];
        "Times the app's own metrics were asked for, by result",
        "`/metrics` is scraped and `metrics.app` is set.";
    "postern_config_stale" pub config_stale: IntGauge [];
        "1 while the last update was refused and the last good state is in force",
        "As `postern_config_updates_total`; also 1 while there is no stream from the controller.";

    // Traces.
    "postern_trace_spans_exported_total" pub trace_spans_exported: IntCounter [];
        "Spans that the collector has taken",
        "The collector has answered a batch.";
    "postern_trace_spans_dropped_total" pub trace_spans_dropped: IntCounter [];
        "Spans lost because the collector was away, too slow, or refused them",
        "The oldest spans make room for others in a full queue (limits.traceQueue), or the collector refuses some for \
         good; also what is left at the end of the process.";
    "postern_trace_collector_up" pub trace_collector_up: IntGauge [];
        "1 while the collector takes spans; 0 before the first batch, while it is away, and without one",
        "A batch was sent, or could not be.";

    // The process.
    "postern_panics_total" pub panics: IntCounter [];
        "Panics of single tasks",
        "A task panics; it takes only its own connection with it.";
    "postern_log_lines_dropped_total" pub log_lines_dropped: IntCounter [];
        "Log lines lost because the output did not take them",
        "Ten times a second, for the lines lost since.";
    "postern_ready" pub ready: IntGauge [];
        "1 when certificate, policy and listeners are there",
        "Ten times a second, and when `/ready` is asked.";
}

impl Metrics {
    /// A fresh set, in which this many principals and services get labels of their own.
    ///
    /// # Errors
    /// [`prometheus::Error`] when two metrics have one name, which a test rules out.
    pub fn new(most_names: usize) -> prometheus::Result<Self> {
        let metrics = Self::registered(Registry::new(), LabelNames::at_most(most_names))?;
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
            metrics.threat_rule_set_updates.with_label_values(&[result]);
        }
        Ok(metrics)
    }
}

#[cfg(test)]
mod tests;
