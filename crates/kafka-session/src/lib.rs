//! One connection of a client to a Kafka broker, without sockets: what the client asks for is judged, passed on or refused
//! as the protocol has it.
