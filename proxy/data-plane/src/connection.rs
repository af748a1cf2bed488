//! Connections: sockets and their original destinations, TLS, the verified peer, and the registry of everything that is open.

pub mod credentials;
pub mod link;
pub mod net;
pub mod reauth;
pub mod registry;
pub mod sniff;
pub mod tls;
