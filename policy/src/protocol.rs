//! What is spoken on a port, and the one place that reads it from what people write: the protocol of a ServiceEntry,
//! the `appProtocol` of a Service, the name of a port.

use message_access::MessageProtocol;

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// gRPC: HTTP/2 with trailers.
    Grpc,
    /// Opaque bytes.
    Tcp,
    /// TLS of the app's own, passed through.
    Tls,
    /// NATS. Each operation is judged where the server is; callers' proxies carry bytes.
    Nats,
    /// MQTT, likewise.
    Mqtt,
    /// Kafka, likewise.
    Kafka,
    /// Undeclared: ALPN or the first bytes tell.
    Auto,
}

/// The names of protocols, as Istio has them, those of message brokers, and our own `auto`.
///
/// What a proxy without a filter of its own cannot read (`mongo`, `mysql`, `redis`) is opaque. gRPC-Web is made for
/// HTTP/1.1 and has no trailers, so it is no gRPC. `udp` is none: the mesh carries TCP.
const NAMES: &[(&str, Protocol)] = &[
    ("http", Protocol::Http),
    ("http2", Protocol::Http2),
    ("grpc", Protocol::Grpc),
    ("grpc-web", Protocol::Http),
    ("tcp", Protocol::Tcp),
    ("tls", Protocol::Tls),
    ("https", Protocol::Tls),
    ("mongo", Protocol::Tcp),
    ("mysql", Protocol::Tcp),
    ("redis", Protocol::Tcp),
    ("nats", Protocol::Nats),
    ("mqtt", Protocol::Mqtt),
    ("kafka", Protocol::Kafka),
    ("auto", Protocol::Auto),
];

/// The values that Kubernetes itself defines for `appProtocol`
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#application-protocol>), and the one that was
/// common before them. A WebSocket begins as a request of HTTP/1.1.
const OF_KUBERNETES: &[(&str, Protocol)] = &[
    ("kubernetes.io/h2c", Protocol::Http2),
    ("kubernetes.io/ws", Protocol::Http),
    ("kubernetes.io/wss", Protocol::Tls),
    ("h2c", Protocol::Http2),
];

impl Protocol {
    /// The names that people are told to write.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    fn known() -> impl Iterator<Item = &'static (&'static str, Self)> {
        NAMES.iter().chain(OF_KUBERNETES)
    }

    /// Reads the name of a protocol or a value of Kubernetes, in any case. `None` for an unknown one.
    pub fn parse(name: &str) -> Option<Self> {
        let found = Self::known().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(found.1)
    }

    /// What a port speaks. `app_protocol` decides alone where it is written (`appProtocol` of a Service's port), else
    /// the first of the port's names that says something; [`Protocol::Auto`] where nothing does, and for an
    /// `app_protocol` that nobody here knows: its writer has said that it is not what the name may look like.
    pub fn of_port(app_protocol: Option<&str>, names: &[&str]) -> Self {
        if let Some(declared) = app_protocol.filter(|declared| !declared.is_empty()) {
            // Where Istio came first, it is often written like a name: `appProtocol: http-api`.
            return Self::from_name(declared);
        }
        let mut said = names.iter().map(|name| Self::from_name(name));
        said.find(|protocol| *protocol != Self::Auto).unwrap_or(Self::Auto)
    }

    /// `<protocol>` or `<protocol>-<suffix>`: `http-web`, `grpc`. The longest protocol that fits is meant, so
    /// `grpc-web-x` is gRPC-Web. A value of Kubernetes has no suffix.
    fn from_name(name: &str) -> Self {
        let fits = |known: &str| {
            name.get(..known.len()).is_some_and(|head| head.eq_ignore_ascii_case(known))
                && match name.get(known.len()..) {
                    Some("") => true,
                    Some(rest) => rest.starts_with('-') && !known.contains('/'),
                    None => false,
                }
        };
        let fitting = Self::known().filter(|(known, _)| fits(known));
        fitting.max_by_key(|(known, _)| known.len()).map_or(Self::Auto, |(_, protocol)| *protocol)
    }

    /// The name as configuration and logs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Http2 => "http2",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Nats => "nats",
            Self::Mqtt => "mqtt",
            Self::Kafka => "kafka",
            Self::Auto => "auto",
        }
    }

    /// True where requests are seen and judged one by one.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Http2 | Self::Grpc)
    }

    /// The protocol of a message broker, whose operations are judged one by one: never told by the first bytes.
    pub fn messages(self) -> Option<MessageProtocol> {
        match self {
            Self::Nats => Some(MessageProtocol::Nats),
            Self::Mqtt => Some(MessageProtocol::Mqtt),
            Self::Kafka => Some(MessageProtocol::Kafka),
            _ => None,
        }
    }

    /// True where a caller's proxy carries bytes without looking at them.
    pub fn is_opaque_to_callers(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls) || self.messages().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ports() {
        let check = |name: &str, expect: Protocol| {
            assert_eq!(Protocol::of_port(None, &[name]), expect, "{name}");
        };
        check("http", Protocol::Http);
        check("http-web", Protocol::Http);
        check("HTTP2", Protocol::Http2);
        check("http2-grpc", Protocol::Http2);
        check("h2c", Protocol::Http2);
        check("grpc", Protocol::Grpc);
        check("grpc-x", Protocol::Grpc);
        check("grpc-web", Protocol::Http);
        check("grpc-web-x", Protocol::Http);
        check("gRPC-Web", Protocol::Http);
        check("grpc-webhooks", Protocol::Grpc);
        check("tcp-db", Protocol::Tcp);
        check("mongo", Protocol::Tcp);
        check("mysql", Protocol::Tcp);
        check("redis-cache", Protocol::Tcp);
        check("nats", Protocol::Nats);
        check("nats-client", Protocol::Nats);
        check("mqtt", Protocol::Mqtt);
        check("Kafka-internal", Protocol::Kafka);
        check("tcp-kafka", Protocol::Tcp);
        check("mqtts", Protocol::Auto);
        check("tls", Protocol::Tls);
        check("https", Protocol::Tls);
        check("https-admin", Protocol::Tls);
        for unknown in ["", "udp", "udp-dns", "web", "httpx", "http_proxy", "-http", "-", "é-http"]
        {
            check(unknown, Protocol::Auto);
        }
    }

    #[test]
    fn an_app_protocol_wins_over_every_name() {
        let check = |declared: Option<&str>, names: &[&str], expect: Protocol| {
            assert_eq!(Protocol::of_port(declared, names), expect, "{declared:?} {names:?}");
        };
        check(Some("kubernetes.io/h2c"), &["http"], Protocol::Http2);
        check(Some("kubernetes.io/ws"), &["grpc"], Protocol::Http);
        check(Some("kubernetes.io/wss"), &["http"], Protocol::Tls);
        check(Some("kubernetes.io/WSS"), &[], Protocol::Tls);
        check(Some("HTTP"), &["tcp-x"], Protocol::Http);
        check(Some("grpc-web"), &["grpc"], Protocol::Http);
        check(Some("kubernetes.io/other"), &["http"], Protocol::Auto);
        check(Some("example.com/http"), &["http"], Protocol::Auto);
        check(Some("auto"), &["http"], Protocol::Auto);
        check(None, &["web", "grpc"], Protocol::Grpc);
        check(None, &["http", "grpc"], Protocol::Http);
        check(None, &[], Protocol::Auto);
        check(Some("kubernetes.io/ws-1"), &["http"], Protocol::Auto);
        check(Some("http-api"), &["tcp"], Protocol::Http);
        check(Some("udp"), &["http"], Protocol::Auto);
        check(Some(""), &["http"], Protocol::Http);
    }
}
