//! How many connections and requests to a service there may be, and how long they last.

use std::time::Duration;

/// `connectionPool`. What is `None` is left to the proxy's own settings. Counts are of one proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionPool {
    /// How long a connection may take to be made (`tcp.connectTimeout`), at least 1 ms.
    pub connect_timeout: Option<Duration>,
    /// The most connections to one endpoint (`tcp.maxConnections`), at least 1.
    pub max_connections: Option<u32>,
    /// What holds for HTTP.
    pub http: HttpPool,
}

/// `connectionPool.http`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpPool {
    /// The most requests under way to the service (`http2MaxRequests`), whatever their version; one more is answered 503.
    pub max_requests: Option<u32>,
    /// The most retries under way to the service (`maxRetries`). The retry budget holds beside it.
    pub max_retries: Option<u32>,
    /// How long a connection without requests is kept (`idleTimeout`).
    pub idle_timeout: Option<Duration>,
}
