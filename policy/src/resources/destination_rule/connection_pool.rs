//! `connectionPool`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::settings::{count, duration, refuse_keys};
use crate::traffic_policy::{ConnectionPool, HttpPool, TcpKeepalive};
use crate::yaml::{YamlReader, YamlValue};

/// What a signed number of 32 bits holds, as Istio has these fields. Zero is its "not set", and no limit.
const COUNT: RangeInclusive<u32> = 1..=2_147_483_647;
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn read(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<ConnectionPool> {
    let mut map = reader.mapping(value)?;
    let tcp = map.take("tcp").and_then(|v| read_tcp(reader, v)).unwrap_or_default();
    let http = map.take("http").and_then(|v| read_http(reader, v)).unwrap_or_default();
    map.finish(reader);
    Some(ConnectionPool { http, ..tcp })
}

fn read_tcp(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<ConnectionPool> {
    let mut map = reader.mapping(value)?;
    let connect = Duration::from_millis(1)..=Duration::from_secs(300);
    let pool = ConnectionPool {
        connect_timeout: map.take("connectTimeout").and_then(|v| duration(reader, v, connect)),
        max_connections: map.take("maxConnections").and_then(|v| count(reader, v, COUNT)),
        max_connection_duration: map
            .take("maxConnectionDuration")
            .and_then(|v| duration(reader, v, SECOND..=30 * DAY)),
        idle_timeout: map.take("idleTimeout").and_then(|v| duration(reader, v, SECOND..=DAY)),
        keepalive: map.take("tcpKeepalive").and_then(|v| read_keepalive(reader, v)),
        http: HttpPool::default(),
    };
    map.finish(reader);
    Some(pool)
}

/// The bounds are those of Linux (`tcp(7)`: TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT).
fn read_keepalive(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<TcpKeepalive> {
    let mut map = reader.mapping(value)?;
    let bounds = || SECOND..=Duration::from_secs(32_400);
    let keepalive = TcpKeepalive {
        time: map.take("time").and_then(|v| duration(reader, v, bounds())),
        interval: map.take("interval").and_then(|v| duration(reader, v, bounds())),
        probes: map.take("probes").and_then(|v| count(reader, v, 1..=127)),
    };
    map.finish(reader);
    Some(keepalive)
}

fn read_http(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<HttpPool> {
    let mut map = reader.mapping(value)?;
    let per_connection = map.take("maxRequestsPerConnection");
    let pool = HttpPool {
        max_requests: map.take("http2MaxRequests").and_then(|v| count(reader, v, COUNT)),
        max_pending_requests: map
            .take("http1MaxPendingRequests")
            .and_then(|v| count(reader, v, COUNT)),
        // Zero is Istio's word for "as many as come".
        max_requests_per_connection: per_connection
            .and_then(|v| count(reader, v, 0..=*COUNT.end()))
            .filter(|most| *most != 0),
        max_retries: map.take("maxRetries").and_then(|v| count(reader, v, COUNT)),
        idle_timeout: map.take("idleTimeout").and_then(|v| duration(reader, v, SECOND..=DAY)),
    };
    refuse_keys(reader, &mut map, UNSUPPORTED_HTTP);
    map.finish(reader);
    Some(pool)
}

const UNSUPPORTED_HTTP: &[(&str, &str)] = &[
    (
        "h2UpgradePolicy",
        "take it out: between proxies requests share HTTP/2 connections anyway, and an app gets what its port declares (appProtocol)",
    ),
    (
        "useClientProtocol",
        "take it out: a request keeps its version between proxies, and an app gets what its port declares",
    ),
    ("maxConcurrentStreams", "set limits.concurrentStreams of the proxy that serves"),
];
