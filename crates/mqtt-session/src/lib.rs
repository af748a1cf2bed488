//! One connection of a client to a MQTT broker, 3.1.1 or 5, without sockets: what the client asks for is judged, passed on
//! or refused as the protocol has it.
//!
//! | asked | refused with, 3.1.1 | refused with, 5 |
//! |---|---|---|
//! | CONNECT under a client id | CONNACK 2, closed | CONNACK 0x85, closed |
//! | CONNECT with a will | CONNACK 5, closed | CONNACK 0x87, closed |
//! | PUBLISH, QoS 0 | closed | dropped |
//! | PUBLISH, QoS 1 | closed | PUBACK 0x87 |
//! | PUBLISH, QoS 2 | closed | PUBREC 0x87 |
//! | SUBSCRIBE, each filter | SUBACK 0x80 | SUBACK 0x87 |
//! | PUBLISH to the client | dropped, acknowledged to the broker | the same |
//! | what was open, after a change of policy | closed | DISCONNECT 0x87 |
//!
//! What is not changed is passed on as the bytes that came. Packets are read by the standards' words and strictly: a packet
//! that two readers could take for different things would be judged as one and understood as the other.

mod aliases;
mod codes;
mod compose;
mod frames;
mod packet;
mod packet_ids;
mod properties;
mod session;
mod subscriptions;
#[cfg(test)]
mod tests;
mod wire;

pub use session::MqttSession;
