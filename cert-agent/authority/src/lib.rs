//! The authority: attests callers and signs short-lived certificates.
//!
//! The story of one request is [`serve::issue::Authority::issue`]: proof of possession, attestation, rate, signature.
//! The rooms stand in one line, each knows those before it:
//!
//! | room | what it holds |
//! |---|---|
//! | [`store`] | files, secrets, entries that replicas share, the cluster's objects |
//! | [`ca`] | what signs: roots, intermediates, leaves, tokens, revocation lists |
//! | [`attest`] | who asks: evidence, the registry, join tokens, renewal credentials |
//! | [`publish`] | what peers are verified with: our bundle, and those of federated trust domains |
//! | [`serve`] | the sockets, the story of a request, what runs between requests |
//! | [`cli`] | the commands |

pub mod attest;
pub mod ca;
pub mod cli;
pub mod clock;
pub mod duration;
pub mod publish;
pub mod serve;
pub mod store;
