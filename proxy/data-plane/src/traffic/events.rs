//! Connections to a broker whose protocol is understood: every operation is judged by itself. A pure session of the
//! protocol says what a client asks for and what may pass ([`message_access::Session`]); here its bytes are moved
//! (`events/pump.rs`), and its questions answered (`events/judge.rs`).

mod outgoing;
mod pump;
mod review;
mod upkeep;
