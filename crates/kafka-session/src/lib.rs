//! One connection of a client to a Kafka broker, without sockets: what the client asks for is judged, passed on or refused
//! as the protocol has it.
//!
//! Messages are walked along tables of their fields, never decoded into values of their own: a request
//! of which nothing was refused is forwarded as it came, one that is refused in part is cut, and the broker's answer gets
//! what the client waits for in place of the rest. Records are never looked into.

mod answer;
mod api;
mod context;
mod edit;
mod frame;
mod pending;
mod record;
mod reply;
mod request;
mod schema;
mod session;
mod sift;
mod wire;

pub use api::{ApiVersion, supported};
pub use session::KafkaSession;
