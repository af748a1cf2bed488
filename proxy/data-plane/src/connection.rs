//! Connections: sockets and their original destinations, TLS, the verified peer, and the registry of everything that is open.

pub mod client_hello;
pub mod credentials;
pub mod edge_tls;
pub mod mesh_connection;
pub mod net;
pub mod proxy_protocol;
pub mod reauth;
pub mod registry;
pub mod sniff;
pub mod tls;
pub(crate) mod web_authorities;
