//! What a client asks of a message broker, in words that NATS, MQTT and Kafka share: an [`AccessRequest`] names an
//! [`Operation`] and what it is about; a [`TopicPattern`] says whether a policy covers it. A [`Session`] is one connection
//! in the protocol of the broker, without sockets: bytes in, a question to its [`Judge`] for each operation, bytes out.
//!
//! Pure: no sockets, no clock. A crate a protocol implements [`Session`]; the data plane moves the bytes, and asks the
//! policy in the session's name.

mod pattern;
mod request;
mod session;

pub use pattern::{NamePattern, PatternProblem, TopicPattern};
pub use request::{AccessRequest, MessageProtocol, Operation};
pub use session::{Dismissal, Judge, Moment, Output, Session, SessionEnd, SessionSettings};
