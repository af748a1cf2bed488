//! The proxy's ports, and the address by which the interception rules tell its connections apart.

use std::net::Ipv4Addr;

/// Where the proxy takes inbound connections that were redirected.
pub const INBOUND_PORT: u16 = 15006;
/// Where the proxy takes outbound connections that were redirected.
pub const OUTBOUND_PORT: u16 = 15001;
/// Admin interface of the proxy: loopback only, refused from outside.
pub const ADMIN_PORT: u16 = 15000;
/// Metrics of the proxy: reached directly, never redirected.
pub const METRICS_PORT: u16 = 15020;
/// Readiness and liveness of the proxy: reached directly, never redirected.
pub const READINESS_PORT: u16 = 15021;

// What is said of a listener's port, without a proxy's configuration, is said of the ports above.
const _: () = assert!(matches!(
    policy::PROXY_PORTS,
    [ADMIN_PORT, OUTBOUND_PORT, INBOUND_PORT, METRICS_PORT, READINESS_PORT]
));

/// Source address of the proxy's inbound forwards to an IPv4 app. A connection of the proxy from
/// here (or from `::1`) to the pod's own address has been checked and is left alone.
pub const INBOUND_SOURCE_V4: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);
