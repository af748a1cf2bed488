//! What the session says, read by the definitions of Kafka itself: requests and answers of every version that is
//! supported, of which everything, a part, or nothing is allowed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod administration;
mod advertised;
mod broken;
mod brokers;
mod case;
mod connection;
mod groups;
mod metadata;
mod mixed;
mod order;
mod topics;
mod transactions;
mod versions;
mod whole;
