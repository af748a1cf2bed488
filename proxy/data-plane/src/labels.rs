//! The words by which connections are told apart: direction, protocol, and why one ended. What all layers, the log and the
//! metrics call them.

use message_access::MessageProtocol;

/// Which way a connection goes, seen from the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards our app.
    Inbound,
    /// From our app.
    Outbound,
}

impl Direction {
    /// The label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// What the bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Protocol {
    /// Not known yet, or never found out.
    Unknown = 0,
    /// HTTP/1.
    Http1 = 1,
    /// HTTP/2.
    Http2 = 2,
    /// HTTP/2 between two Postern proxies.
    Postern = 3,
    /// Opaque bytes.
    Tcp = 4,
    /// NATS, with a decision for each operation.
    Nats = 5,
    /// MQTT, likewise.
    Mqtt = 6,
    /// Kafka, likewise.
    Kafka = 7,
}

impl Protocol {
    /// The label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
            Self::Postern => "postern/1",
            Self::Tcp => "tcp",
            Self::Nats => "nats",
            Self::Mqtt => "mqtt",
            Self::Kafka => "kafka",
        }
    }

    /// Whether the connection is judged as a whole and cannot be drained: opaque bytes, and the protocols of brokers,
    /// where operations are judged beside that.
    #[must_use]
    pub fn is_stream(self) -> bool {
        self == Self::Tcp || self.messages().is_some()
    }

    /// The protocol of a broker that it is.
    #[must_use]
    pub fn messages(self) -> Option<MessageProtocol> {
        match self {
            Self::Nats => Some(MessageProtocol::Nats),
            Self::Mqtt => Some(MessageProtocol::Mqtt),
            Self::Kafka => Some(MessageProtocol::Kafka),
            _ => None,
        }
    }

    /// The protocol of a stored code; [`Self::Unknown`] for any other number.
    #[must_use]
    pub fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Http1,
            2 => Self::Http2,
            3 => Self::Postern,
            4 => Self::Tcp,
            5 => Self::Nats,
            6 => Self::Mqtt,
            7 => Self::Kafka,
            _ => Self::Unknown,
        }
    }
}

impl From<MessageProtocol> for Protocol {
    fn from(protocol: MessageProtocol) -> Self {
        match protocol {
            MessageProtocol::Nats => Self::Nats,
            MessageProtocol::Mqtt => Self::Mqtt,
            MessageProtocol::Kafka => Self::Kafka,
        }
    }
}

/// How far into its life a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateState {
    /// Valid, and not due for replacement.
    Fresh,
    /// Valid, but the next one should have come: less than a quarter of its life is left, and
    /// renewal begins at half (cert-manager: at a third).
    Stale,
    /// Not valid any more: nothing is taken from peers or sent to them.
    Expired,
}

impl CertificateState {
    /// All of them, for a metric that says which one it is.
    pub const ALL: [Self; 3] = [Self::Fresh, Self::Stale, Self::Expired];

    /// The metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Expired => "expired",
        }
    }
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CloseReason {
    /// Either side finished.
    Done = 1,
    /// Our policy refused it, at once or after a change.
    Policy = 2,
    /// A certificate of either side is about to end.
    CertificateExpiry = 3,
    /// Nothing was under way for too long.
    Idle = 4,
    /// A request head was begun and not finished in time.
    HeaderTimeout = 5,
    /// The proxy is ending.
    Drain = 6,
    /// The grace period is over.
    DrainDeadline = 7,
    /// The TLS handshake failed or took too long.
    Handshake = 8,
    /// Plaintext, or an undecided protocol, where it is not allowed.
    Refused = 9,
    /// The other end, app or service, could not be reached.
    Upstream = 10,
    /// Bytes were lost: a reset or a broken connection.
    Error = 11,
    /// A limit was reached.
    Limit = 12,
    /// A certificate of either side has ended, under something that was not drained by then.
    CertificateEnded = 13,
    /// The peer's certificate is on a revocation list.
    PeerRevoked = 14,
    /// The peer's certificate leads to no root that is trusted any more.
    PeerDistrusted = 15,
    /// The client took none of an answer for too long.
    ReaderStalled = 16,
    /// File descriptors are running out: a new client, or one that was silent for longest, made room.
    Descriptors = 17,
    /// Another process of the proxy has taken over: what is under way finishes, and the client learns of the end with
    /// its next answer.
    HandedOver = 18,
}

impl CloseReason {
    /// The label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Policy => "policy",
            Self::CertificateExpiry => "certificate_expiry",
            Self::Idle => "idle",
            Self::HeaderTimeout => "header_timeout",
            Self::Drain => "drain",
            Self::DrainDeadline => "drain_deadline",
            Self::Handshake => "handshake",
            Self::Refused => "refused",
            Self::Upstream => "upstream",
            Self::Error => "error",
            Self::Limit => "limit",
            Self::CertificateEnded => "certificate_ended",
            Self::PeerRevoked => "peer_revoked",
            Self::PeerDistrusted => "peer_distrusted",
            Self::ReaderStalled => "reader_stalled",
            Self::Descriptors => "descriptors",
            Self::HandedOver => "handed_over",
        }
    }

    /// Whether what is under way may finish first.
    #[must_use]
    pub fn is_graceful(self) -> bool {
        matches!(
            self,
            Self::CertificateExpiry | Self::Idle | Self::Drain | Self::HandedOver | Self::Done
        )
    }

    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Done,
        Self::Policy,
        Self::CertificateExpiry,
        Self::Idle,
        Self::HeaderTimeout,
        Self::Drain,
        Self::DrainDeadline,
        Self::Handshake,
        Self::Refused,
        Self::Upstream,
        Self::Error,
        Self::Limit,
        Self::CertificateEnded,
        Self::PeerRevoked,
        Self::PeerDistrusted,
        Self::ReaderStalled,
        Self::Descriptors,
        Self::HandedOver,
    ];

    /// The reason of a stored code; `None` for 0 and unknown numbers.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == code)
    }
}

/// Whether a connection was protected.
#[must_use]
pub fn mtls_label(protected: bool) -> &'static str {
    if protected { "mutual_tls" } else { "none" }
}
