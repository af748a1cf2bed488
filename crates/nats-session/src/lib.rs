//! One connection of a client to a NATS broker, without sockets: what the client asks for is judged, passed on or refused
//! as the protocol has it.
//!
//! [`NatsSession`] is the connection: control lines are read strictly and payloads stream through unread, but for the
//! headers that name subjects (`headers`) and for requests of JetStream's API (`jetstream`), which are read whole.

mod broker_line;
mod client_line;
mod connect;
mod feed;
mod headers;
mod info;
mod jetstream;
mod json;
mod line;
mod open;
mod refusal;
mod replies;
mod session;
mod subject;

pub use session::NatsSession;
