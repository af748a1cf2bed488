//! What happens to a request or a byte stream once it may go: pools, connections, upgrades.
//!
//! [`app`] leads to our own app and demands a permit; [`mesh`] leads to other workloads and
//! demands an identity of them.

pub mod app;
pub mod body;
pub mod h2_client;
pub mod h2_connect;
mod h2_pool;
mod h2_send;
pub(crate) mod head;
pub mod http1;
pub(crate) mod interim;
pub(crate) mod keep_alive;
pub mod mesh;
pub mod opaque;
mod stall;
pub mod tunnel;
pub mod upgrade;

pub(crate) use h2_send::send_body;
