//! How many connections and requests to a service there may be, and how long they last.

use std::time::Duration;

/// `connectionPool`. What is `None` is left to the proxy's own settings. Counts are of one proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionPool {
    /// How long a connection may take to be made (`tcp.connectTimeout`), at least 1 ms.
    pub connect_timeout: Option<Duration>,
    /// The most connections to one endpoint (`tcp.maxConnections`), at least 1.
    pub max_connections: Option<u32>,
    /// The longest that a connection lasts (`tcp.maxConnectionDuration`).
    pub max_connection_duration: Option<Duration>,
    /// How long an opaque connection may be silent (`tcp.idleTimeout`).
    pub idle_timeout: Option<Duration>,
    /// Probes of an idle connection (`tcp.tcpKeepalive`).
    pub keepalive: Option<TcpKeepalive>,
    /// What holds for HTTP.
    pub http: HttpPool,
}

/// `tcp.tcpKeepalive`: when a peer that has vanished is noticed (RFC 9293 §3.8.4). What is `None` is left as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// How long a connection is idle before the first probe.
    pub time: Option<Duration>,
    /// The pause between probes.
    pub interval: Option<Duration>,
    /// How many probes stay without an answer before the connection counts as broken.
    pub probes: Option<u32>,
}

/// `connectionPool.http`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpPool {
    /// The most requests under way to the service (`http2MaxRequests`), whatever their version; one more is answered 503.
    pub max_requests: Option<u32>,
    /// The most requests that wait for a connection (`http1MaxPendingRequests`), whatever their version.
    pub max_pending_requests: Option<u32>,
    /// The most requests of one connection (`maxRequestsPerConnection`). Default: no limit of this kind.
    pub max_requests_per_connection: Option<u32>,
    /// The most retries under way to the service (`maxRetries`). The retry budget holds beside it.
    pub max_retries: Option<u32>,
    /// How long a connection without requests is kept (`idleTimeout`).
    pub idle_timeout: Option<Duration>,
}
