//! Every limit and deadline of the proxy, each whole in one place: name, meaning, unit, default, bounds and why that
//! number.
//!
//! There is no "unlimited": a limit is moved within its bounds, never switched off (ARCHITECTURE, invariant 5).

mod limit_value;

use std::time::Duration;

use policy::yaml::{YamlReader, YamlValue};

pub use limit_value::{ByteSize, LimitValue};

/// One line of the reference page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitReference {
    /// The key under `limits`.
    pub key: &'static str,
    /// What it limits.
    pub meaning: &'static str,
    /// `duration`, `size` or `count`.
    pub unit: &'static str,
    /// The default, as the file would write it.
    pub default: String,
    /// The least value taken.
    pub least: String,
    /// The greatest value taken.
    pub most: String,
    /// Why the default is what it is.
    pub reason: &'static str,
}

/// Writes the struct, its defaults, its reader and its reference page from one list.
macro_rules! limits {
    ($($key:literal $field:ident: $kind:ty = $default:expr, $least:expr, $most:expr; $meaning:literal, $reason:literal;)*) => {
        /// Every limit, in force for the whole process.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Limits {
            $(#[doc = $meaning] pub $field: $kind,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl Limits {
            /// The reference page: every limit in the order it is documented.
            pub fn reference() -> Vec<LimitReference> {
                vec![$(LimitReference {
                    key: $key,
                    meaning: $meaning,
                    unit: <$kind as LimitValue>::UNIT,
                    default: <$kind as LimitValue>::show($default),
                    least: <$kind as LimitValue>::show($least),
                    most: <$kind as LimitValue>::show($most),
                    reason: $reason,
                },)*]
            }
        }

        fn read_each(reader: &mut YamlReader, value: Option<YamlValue<'_>>) -> Limits {
            let mut limits = Limits::default();
            let Some(mut map) = value.and_then(|value| reader.mapping(value)) else { return limits };
            $(
                let written = map.take($key).and_then(|value| <$kind as LimitValue>::read(reader, value, $least..=$most));
                limits.$field = written.unwrap_or(limits.$field);
            )*
            map.finish(reader);
            limits
        }
    };
}

/// Reads the section `limits`; what is not written keeps its default.
pub(super) fn read(reader: &mut YamlReader, value: Option<YamlValue<'_>>) -> Limits {
    let limits = read_each(reader, value);
    if let Some(value) = value.filter(|_| limits.drain_delay > limits.drain_timeout) {
        let (delay, timeout) = (limits.drain_delay.show(), limits.drain_timeout.show());
        reader.report(
            value.node.mark,
            format!("`drainDelay` {delay} beyond `drainTimeout` {timeout}"),
            "a delay within the timeout: both begin at SIGTERM",
            Some("write both; what is in flight gets the time between them".into()),
        );
    }
    for (key, buffer) in
        [("streamBuffer", limits.stream_buffer), ("opaqueBuffer", limits.opaque_buffer)]
    {
        if let Some(value) = value.filter(|_| limits.window(buffer).is_none()) {
            let (streams, buffer) = (limits.concurrent_streams.show(), buffer.show());
            reader.report(
                value.node.mark,
                format!("`concurrentStreams` {streams} times `{key}` {buffer}"),
                "at most 2 GiB together: an HTTP/2 connection has no larger window",
                Some("write a smaller one of the two".into()),
            );
        }
    }
    limits
}

limits! {
    // Connections.
    "connections" connections: u32 = 20_000, 1, 1_000_000;
        "Open downstream connections, both directions together, and streams of other proxies that are as good as one; more are closed at accept, streams refused with `connection_limit`.",
        "About 16 KiB each idle: 320 MiB at the limit, less than an app that serves as many needs.";
    "clientConnections" client_connections: u32 = 2_000, 1, 1_000_000;
        "Open connections of one client's address (IPv6: its /64) at a gateway, where no ClientTrafficPolicy says `connectionsPerAddress`; more are closed at accept. Proxies in front that a policy lists in `clientAddress` are not counted.",
        "A tenth of `connections`: no single address keeps the others out.";
    "handshakes" handshakes: u32 = 256, 1, 65_536;
        "TLS handshakes running at once; more wait in the accept queue.",
        "A handshake costs about 0.3 ms of CPU: 256 keep two cores busy for 40 ms, well within every deadline.";
    "acceptBacklog" accept_backlog: u32 = 1024, 16, 65_535;
        "Connections the kernel queues for each listener and worker.",
        "One second of a burst; the kernel caps it by net.core.somaxconn.";
    "handshakeTimeout" handshake_timeout: Duration = Duration::from_secs(10), Duration::from_millis(100), Duration::from_secs(60);
        "From accept to a finished TLS handshake.",
        "A peer needs two round trips; ten seconds forgive a slow network and end a stalled one (P-08).";
    "detectionTimeout" detection_timeout: Duration = Duration::from_millis(100), Duration::from_millis(1), Duration::from_secs(10);
        "How long a client may stay silent on a port of undeclared protocol before it is treated as one that waits for the server.",
        "Server-first protocols lose this once a connection; clients that speak first do so within a few milliseconds.";
    "sniffTimeout" sniff_timeout: Duration = Duration::from_secs(10), Duration::from_millis(100), Duration::from_secs(60);
        "From the first byte to a known protocol.",
        "A ClientHello in single bytes must end some time (P-08, S-20).";
    "idleTimeout" idle_timeout: Duration = Duration::from_secs(15 * 60), Duration::from_secs(1), Duration::from_secs(24 * 3600);
        "An HTTP connection that had a request, and has none in flight, is closed after this; one that never had has `headerTimeout`.",
        "Longer than the usual keep-alive of clients, short enough to free what nobody uses (P-08).";
    "tcpKeepalive" tcp_keepalive: Duration = Duration::from_secs(15), Duration::from_secs(1), Duration::from_secs(3600);
        "TCP keep-alive: idle time before the first probe, and a third of it between probes.",
        "With two probes a dead peer is found within 30 s (F-15); opaque connections have no other idle limit.";

    // Requests.
    "headerTimeout" header_timeout: Duration = Duration::from_secs(10), Duration::from_millis(100), Duration::from_secs(60);
        "From a request's first byte to the end of its header; for the first request of an inbound connection, from the moment its protocol is known, and at a gateway's port in the clear from accept.",
        "A header fits a few packets; slow-header attacks end here (P-08).";
    "headerBytes" header_bytes: ByteSize = ByteSize(64 << 10), ByteSize(4 << 10), ByteSize(256 << 10);
        "Decoded bytes of a header block, on every protocol alike; more is 431 for a request and 502 for an answer.",
        "What the large meshes take, so that no request works elsewhere and fails here (S-02).";
    "headerFields" header_fields: u32 = 128, 16, 1024;
        "Fields of a header block, on every protocol alike; more is 431 for a request and 502 for an answer.",
        "Browsers and chains of proxies stay below 100 (S-02).";
    "bodyStallTimeout" body_stall_timeout: Duration = Duration::from_secs(60), Duration::from_millis(100), Duration::from_secs(3600);
        "A body of announced length that makes no progress for this long is cut off, and the reader of any answer; a body without a length may rest for `idleTimeout`.",
        "Long polls and slow disks recover within it; a held buffer must not live for ever (P-08, S-05).";
    "inspectionBodyTimeout" inspection_body_timeout: Duration = Duration::from_secs(30), Duration::from_millis(100), Duration::from_secs(600);
        "The part of a request's body that is inspected before the request is forwarded must have come within this time; else 504.",
        "128 KiB at 35 kbit/s; a body that drips holds a worker's memory no longer (S-49).";
    "inspectionThreads" inspection_threads: u32 = 2, 1, 256;
        "Threads beside the workers that look through requests for ThreatPolicies, and compare long bodies for ApiSchemas; they begin with the first one.",
        "As many as a sidecar has workers: what looks into requests takes no more of the machine than what carries them.";
    "inspectionQueue" inspection_queue: u32 = 256, 1, 65_536;
        "Requests that wait for such a thread; beyond it they are answered 503 `inspection_overloaded`.",
        "Two threads are through with them within the 50 ms that a request waits.";
    "inspectionMemory" inspection_memory: ByteSize = ByteSize(64 << 20), ByteSize(1 << 20), ByteSize(2 << 30);
        "Bytes of bodies that are held to be looked through, of all requests together; beyond it they are answered 503 `inspection_overloaded`.",
        "Five hundred bodies of 128 KiB; a flood of slow uploads takes no more (S-49).";
    "responseTimeout" response_timeout: Duration = Duration::from_secs(300), Duration::from_millis(100), Duration::from_secs(24 * 3600);
        "From a sent request to the first byte of its response.",
        "Slow reports finish, a hung app is noticed; routes set tighter ones.";
    "streamBuffer" stream_buffer: ByteSize = ByteSize(64 << 10), ByteSize(16 << 10), ByteSize(16 << 20);
        "Bytes buffered for one request or answer (HTTP/2: the stream window).",
        "One round trip of 0.5 ms at 1 Gbit/s; slow readers cost no more than this (S-05).";
    "opaqueBuffer" opaque_buffer: ByteSize = ByteSize(256 << 10), ByteSize(16 << 10), ByteSize(16 << 20);
        "Bytes that a proxy may send ahead of what has been read of one direction of an opaque connection (the window of its HTTP/2 stream).",
        "One round trip of 2 ms at 1 Gbit/s, and few window updates for bulk; a reader that rests costs no more than this (S-05).";
    "concurrentStreams" concurrent_streams: u32 = 100, 1, 10_000;
        "HTTP/2 streams open at once on one connection, a peer's and ours; our own proxies open another connection then.",
        "What RFC 9113 recommends as the least; floods of resets never run more (S-01). Times `streamBuffer`, or `opaqueBuffer` for byte streams, it is the window of the connection, at most 2 GiB: 6400 KiB and 25 MiB, so that streams that nobody reads hold up nothing else (S-05).";
    "pendingResets" pending_resets: u32 = 20, 1, 1024;
        "HTTP/2 streams a peer may have reset before we got to them, and streams of one connection that it may make us reset by breaking the protocol; more closes the connection.",
        "Honest clients reset a few and break nothing; a flood hits it within one packet (S-01).";

    // Messages.
    "natsMessageBytes" nats_message_bytes: ByteSize = ByteSize(1 << 20), ByteSize(1 << 10), ByteSize(64 << 20);
        "Bytes of the headers and the payload of a NATS message; a longer one ends the connection.",
        "What NATS servers take by default (`max_payload`).";
    "mqttPacketBytes" mqtt_packet_bytes: ByteSize = ByteSize(1 << 20), ByteSize(1 << 10), ByteSize(256 << 20);
        "Bytes of an MQTT packet, from either side; a longer one ends the connection.",
        "The protocol allows 256 MiB, and devices send a few KiB: what the large brokers take by default.";
    "kafkaRequestBytes" kafka_request_bytes: ByteSize = ByteSize(16 << 20), ByteSize(64 << 10), ByteSize(128 << 20);
        "Bytes of a Kafka request; a longer one ends the connection.",
        "Clients send batches of 1 MiB by default, a few of them in a request.";
    "eventsInFlight" events_in_flight: u32 = 1024, 1, 65_536;
        "Requests of one client at a broker that wait for their answer; beyond it no more of the client is read.",
        "Clients pipeline five (Kafka) or some hundreds; what is remembered of each is small.";
    "eventSubscriptions" event_subscriptions: u32 = 10_000, 1, 1_000_000;
        "Subscriptions that one connection to a broker may have open; one more ends it.",
        "Every subject of a large service; each is judged again when policy changes.";
    "eventGreetingTimeout" event_greeting_timeout: Duration = Duration::from_secs(10), Duration::from_millis(100), Duration::from_secs(60);
        "From the moment a connection to a broker is let in until the client has introduced itself as its protocol asks.",
        "As for the first request of HTTP: a round trip or two, on a slow network.";
    "eventMemory" event_memory: ByteSize = ByteSize(128 << 20), ByteSize(1 << 20), ByteSize(2 << 30);
        "Bytes of messages that are held because they are not whole yet or not written, of all connections to brokers together, \
         beyond 128 KiB of each; a connection that needs more is closed.",
        "Eight of the longest Kafka requests at once, or a hundred usual ones; a flood of beginnings takes no more (S-49).";

    // Upstream.
    "connectTimeout" connect_timeout: Duration = Duration::from_secs(1), Duration::from_millis(10), Duration::from_secs(60);
        "To reach another proxy or service.",
        "Three lost SYNs would take 7 s; a healthy peer answers in milliseconds (F-13).";
    "endpointWait" endpoint_wait: Duration = Duration::from_secs(2), Duration::ZERO, Duration::from_secs(30);
        "When the last endpoint of a service has gone a moment ago, a request waits this long for another one to be known.",
        "Word of a rollout takes a moment to reach every caller; a service that stays away fails fast again.";
    "endpointRest" endpoint_rest: Duration = Duration::from_secs(5), Duration::ZERO, Duration::from_secs(60);
        "An endpoint that could not be reached, or whose app could not, is passed over for this long while there are others.",
        "A pod that ends is off the list before; one that restarts is back by then.";
    "appConnectTimeout" app_connect_timeout: Duration = Duration::from_millis(300), Duration::from_millis(10), Duration::from_secs(60);
        "To reach the app beside us.",
        "The same machine answers or refuses at once (F-13).";
    "appIdleTimeout" app_idle_timeout: Duration = Duration::from_secs(3), Duration::from_millis(100), Duration::from_secs(3600);
        "An idle HTTP/1.1 connection to the app is kept this long.",
        "Shorter than the keep-alive of common servers (Node.js: 5 s), so that it never meets their close.";
    "poolIdleTimeout" pool_idle_timeout: Duration = Duration::from_secs(90), Duration::from_millis(100), Duration::from_secs(3600);
        "An idle connection to another proxy or service is kept this long.",
        "Bursts a minute apart reuse their connection; both ends of a mesh connection announce their close.";
    "poolConnections" pool_connections: u32 = 100, 1, 10_000;
        "Idle HTTP/1.1 connections a worker keeps to one destination; more are closed after their answer.",
        "HTTP/1.1 needs one for each request in flight; bursts above it pay for a connection.";
    "poolDestinations" pool_destinations: u32 = 1024, 16, 65_536;
        "Destinations a worker keeps connections to; beyond it a destination is connected to anew each time.",
        "More than one workload calls; scans of the network must not fill memory.";
    "meshConnections" mesh_connections: u32 = 128, 1, 1024;
        "Multiplexed connections a worker keeps to one proxy for requests, as many for byte streams, and as many to an app that speaks HTTP/2. One is opened when the others are full; beyond the last a request or stream is refused at once (`upstream_overflow`, `app_overflow`).",
        "12,800 requests and as many streams of one worker to one endpoint: a pool of database connections or WebSockets is not noticed, a runaway client is. It protects the endpoint; `connections` protects this proxy.";
    "pingInterval" ping_interval: Duration = Duration::from_secs(10), Duration::from_millis(100), Duration::from_secs(3600);
        "HTTP/2 PING on connections with streams in flight.",
        "With `pingTimeout` a dead peer is found within 13 s (F-15).";
    "pingTimeout" ping_timeout: Duration = Duration::from_secs(3), Duration::from_millis(50), Duration::from_secs(60);
        "How long a PING may stay unanswered.",
        "Hundreds of round trips within one region.";
    "dnsTimeout" dns_timeout: Duration = Duration::from_secs(2), Duration::from_millis(50), Duration::from_secs(30);
        "To look up a service's name.",
        "One retry of the resolver fits; the last good answer is used meanwhile (F-25).";

    // The process.
    "drainDelay" drain_delay: Duration = Duration::from_secs(5), Duration::ZERO, Duration::from_secs(300);
        "After SIGTERM new inbound connections are still taken for this long; at most `drainTimeout`.",
        "Endpoints need a few seconds to disappear from every caller (F-17).";
    "drainTimeout" drain_timeout: Duration = Duration::from_secs(30), Duration::ZERO, Duration::from_secs(3600);
        "What is still in flight this long after SIGTERM is cut off.",
        "Kubernetes' own grace period (P-08).";
    "upgradeTimeout" upgrade_timeout: Duration = Duration::from_secs(60), Duration::from_secs(1), Duration::from_secs(600);
        "How long the new process of an in-place upgrade may take to be ready; later it ends and the running one goes on.",
        "A certificate and the resources are there within seconds; an agent or a controller that restarts is waited for.";
    "identityTimeout" identity_timeout: Duration = Duration::from_secs(10), Duration::from_millis(100), Duration::from_secs(60);
        "For one answer of the Workload API, and the longest pause between attempts.",
        "The agent answers from memory; a longer silence is a fault worth a log line (F-03).";
    "resourcePoll" resource_poll: Duration = Duration::from_secs(2), Duration::from_millis(100), Duration::from_secs(60);
        "How often files of resources, certificates and token keys are read, beside being watched.",
        "Watches miss events; a change is seen within 5 s whatever happens (F-11).";
    "adminConnections" admin_connections: u32 = 32, 1, 1024;
        "Connections to the admin, metrics and readiness endpoints, each; beyond it the oldest gives way.",
        "A scraper, a kubelet and a person; whoever holds more places keeps nobody out.";
    "adminTimeout" admin_timeout: Duration = Duration::from_secs(10), Duration::from_millis(100), Duration::from_secs(60);
        "From an admin, metrics or readiness connection's first byte to the end of its answer.",
        "Answers come from memory.";
    "appMetricsTimeout" app_metrics_timeout: Duration = Duration::from_secs(5), Duration::from_millis(100), Duration::from_secs(60);
        "For the app's own metrics, from the dial to the last byte; later, ours go out alone.",
        "Half of Prometheus' usual limit of ten seconds for a scrape.";
    "appMetricsBytes" app_metrics_bytes: ByteSize = ByteSize(4 << 20), ByteSize(64 << 10), ByteSize(64 << 20);
        "Bytes of the app's own metrics; of a longer answer nothing is passed on.",
        "Twenty thousand series; half an answer would be no metrics at all.";
    "recentDecisions" recent_decisions: u32 = 1024, 0, 65_536;
        "Decisions kept for `GET /decisions`; fewer where they have more than 1 KiB on the average.",
        "The last seconds of a busy proxy in about 256 KiB, and never more than 1 MiB.";
    "recentDetections" recent_detections: u32 = 256, 0, 65_536;
        "Detections of ThreatPolicies kept for `GET /detections`; fewer where they have more than 1 KiB on the average.",
        "An attack of minutes in 256 KiB: a scanner makes hundreds of them a second, and the log has them all.";
    "traceQueue" trace_queue: u32 = 2048, 64, 65_536;
        "Finished spans that wait for the collector; beyond it the oldest are dropped and counted.",
        "Four batches: a collector may be away for seconds on a busy proxy, and 2 MiB are never exceeded by ordinary spans.";
    "traceBatch" trace_batch: u32 = 512, 1, 2048;
        "Spans that are sent at once, at most `traceQueue`.",
        "What OpenTelemetry's own exporters send; well below the 4 MiB that a gRPC server takes.";
    "traceDelay" trace_delay: Duration = Duration::from_secs(5), Duration::from_millis(100), Duration::from_secs(60);
        "How long a finished span waits for a batch to become full.",
        "What OpenTelemetry's own exporters wait: a trace is whole within seconds.";
    "traceTimeout" trace_timeout: Duration = Duration::from_secs(10), Duration::from_millis(100), Duration::from_secs(60);
        "For a connection to the collector, and for its answer to a batch.",
        "What OpenTelemetry's own exporters wait; a collector that needs longer is away.";
    "rateLimitKeys" rate_limit_keys: u32 = 100_000, 1_000, 10_000_000;
        "Callers that rate limits keep apart, over all of them; beyond it new ones share one bucket of their limit.",
        "Every caller of a busy edge in 8 MiB; a flood of addresses takes no more, and no known caller's bucket.";
    "abuseCallers" abuse_callers: u32 = 100_000, 1_000, 10_000_000;
        "Callers whose answers AbusePolicies keep in mind, over all of them; beyond it the one with the least against it is forgotten.",
        "Every caller of a busy edge in 32 MiB; a flood of addresses takes no more, and ends no block.";
    "metricPrincipals" metric_principals: u32 = 256, 1, 10_000;
        "Different principals with series of their own; the rest are counted as `other`.",
        "Every caller of a service, and no way to fill the metrics store from outside (S-48).";
    "explainLine" explain_line: ByteSize = ByteSize(1 << 20), ByteSize(1 << 10), ByteSize(16 << 20);
        "Bytes of one line `explain` reads.",
        "A request with the largest header block, written as JSON, fits many times.";
}

/// The largest window of an HTTP/2 connection (RFC 9113 §6.9.1).
const LARGEST_WINDOW: u32 = u32::MAX >> 1;

/// The streams at once that clients expect before they are told.
const EXPECTED_STREAMS: u32 = 100;

/// Streams of one HTTP/2 connection that we have reset, remembered for a second each: what is still
/// under way for them then is no error of the peer, who cannot know yet.
pub const REMEMBERED_RESETS: usize = 1024;

impl Limits {
    /// The window of an HTTP/2 connection, bytes: what all its streams of this window may leave unread together, so
    /// that none takes the room of another.
    #[must_use]
    pub fn connection_window(&self, stream: ByteSize) -> u32 {
        self.window(stream).unwrap_or(LARGEST_WINDOW)
    }

    fn window(&self, stream: ByteSize) -> Option<u32> {
        let window = self.concurrent_streams.checked_mul(stream.0)?;
        (window <= LARGEST_WINDOW).then_some(window)
    }

    /// Streams of one HTTP/2 connection that we reset because the peer broke the protocol on them
    /// (CVE-2025-8671, "MadeYouReset"), or refuse for being too many: `pendingResets`, and what a
    /// client may have opened before it heard of fewer `concurrentStreams` than the 100 it may
    /// expect (RFC 9113 §6.5.2).
    pub fn stream_errors(&self) -> usize {
        let early = EXPECTED_STREAMS.saturating_sub(self.concurrent_streams);
        usize::try_from(self.pending_resets.saturating_add(early)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_finite_named_once_and_within_its_bounds() {
        let reference = Limits::reference();
        let mut keys: Vec<_> = reference.iter().map(|limit| limit.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), reference.len());
        let file: String =
            reference.iter().map(|limit| format!("{}: {}\n", limit.key, limit.default)).collect();
        assert_eq!(read_text(&file), (Limits::default(), String::new()));
        for limit in reference {
            assert!(limit.meaning.ends_with('.') && limit.reason.ends_with('.'), "{}", limit.key);
        }
    }

    #[test]
    fn bounds_and_units() {
        for (file, expect) in [
            ("connectTimeout: 2s", ""),
            (
                "connectTimeout: 0s",
                "f:1:17: found the text \"0s\" for `connectTimeout`; expected a duration from 10ms to 1m",
            ),
            (
                "connectTimeout: 2",
                "f:1:17: found the number 2 for `connectTimeout`; expected a duration from 10ms to 1m; write a whole number and a unit: 250ms, 10s, 15m, 1h",
            ),
            (
                "headerBytes: 1GiB",
                "f:1:14: found the text \"1GiB\" for `headerBytes`; expected a size from 4KiB to 256KiB",
            ),
            (
                "headerFields: 4000",
                "f:1:15: found the number 4000 for `headerFields`; expected a whole number from 16 to 1024",
            ),
            ("drainDelay: 2s\ndrainTimeout: 2s", ""),
            (
                "drainTimeout: 2s",
                "f:1:1: found `drainDelay` 5s beyond `drainTimeout` 2s; expected a delay within the timeout",
            ),
            ("concurrentStreams: 127\nstreamBuffer: 16MiB", ""),
            (
                "concurrentStreams: 128\nstreamBuffer: 16MiB",
                "f:1:1: found `concurrentStreams` 128 times `streamBuffer` 16MiB; expected at most 2 GiB together",
            ),
            (
                "concurrentStreams: 128\nopaqueBuffer: 16MiB",
                "f:1:1: found `concurrentStreams` 128 times `opaqueBuffer` 16MiB; expected at most 2 GiB together",
            ),
            ("headerField: 40", "f:1:1: found the unknown key `headerField` in `limits`"),
        ] {
            let (_, found) = read_text(file);
            assert!(
                found.starts_with(expect) && found.is_empty() == expect.is_empty(),
                "{file}: {found}"
            );
        }
    }

    fn read_text(text: &str) -> (Limits, String) {
        let file: std::sync::Arc<str> = "f".into();
        let mut mistakes = Vec::new();
        let documents = policy::yaml::read(&file, text.as_bytes(), &mut mistakes);
        let mut reader = YamlReader::new(file);
        let root = documents.first().and_then(|document| document.root.as_ref());
        let limits = read(&mut reader, root.map(|node| YamlValue { node, name: "limits" }));
        mistakes.extend(reader.into_diagnostics());
        (limits, mistakes.iter().map(ToString::to_string).collect())
    }
}
