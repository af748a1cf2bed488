//! `connectionPool`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::settings::{count, duration, refuse_keys};
use crate::traffic_policy::{ConnectionPool, HttpPool};
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
        http: HttpPool::default(),
    };
    refuse_keys(reader, &mut map, UNSUPPORTED_TCP);
    map.finish(reader);
    Some(pool)
}

fn read_http(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<HttpPool> {
    let mut map = reader.mapping(value)?;
    let pool = HttpPool {
        max_requests: map.take("http2MaxRequests").and_then(|v| count(reader, v, COUNT)),
        max_retries: map.take("maxRetries").and_then(|v| count(reader, v, COUNT)),
        idle_timeout: map.take("idleTimeout").and_then(|v| duration(reader, v, SECOND..=DAY)),
    };
    refuse_keys(reader, &mut map, UNSUPPORTED_HTTP);
    map.finish(reader);
    Some(pool)
}

const UNSUPPORTED_TCP: &[(&str, &str)] = &[
    (
        "maxConnectionDuration",
        "take it out: a connection of the mesh ends with its certificates, or proves itself again",
    ),
    (
        "idleTimeout",
        "take it out: a silent connection is kept while both ends live; see limits.tcpKeepalive",
    ),
    ("tcpKeepalive", "set limits.tcpKeepalive of the proxy"),
];

const UNSUPPORTED_HTTP: &[(&str, &str)] = &[
    (
        "http1MaxPendingRequests",
        "take it out: a request that finds every connection full is refused at once; http2MaxRequests limits how many are under way",
    ),
    (
        "maxRequestsPerConnection",
        "take it out: a proxy that ends says so on its connections, and no request is lost with them",
    ),
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
