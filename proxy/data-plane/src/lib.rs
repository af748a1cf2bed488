//! The data plane of Postern: the proxy that stands beside a workload.
//!
//! Four layers; each uses those above it in this list and nothing below (`tests/architecture/rooms.rs` checks it):
//!
//! * [`connection`]: sockets, TLS, who the peer is, and the registry of what is open
//! * [`http`]: one message at a time: the gate, headers, bodies, servers and clients of both versions
//! * [`traffic`]: the stories: inbound, outbound, and the sequence that each request passes
//! * [`control`]: what starts and changes the process: configuration, the controller's stream, certificates, keys, admin
//!
//! Below all of them stand [`clock`], [`labels`], [`limits`], [`ports`] and [`telemetry`].

pub mod clock;
pub mod connection;
pub mod control;
pub mod http;
pub mod labels;
pub mod limits;
pub mod ports;
pub mod telemetry;
pub mod traffic;
