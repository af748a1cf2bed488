//! The cert agent: makes a key, proves who the workload is, gets its certificate, renews it, and
//! serves it to the proxy.
//!
//! The rooms stand in one line, each knows those before it:
//!
//! | room | what it holds |
//! |---|---|
//! | [`renewal`] | identity and trust, and how they are kept fresh |
//! | [`serve`] | the sockets: Workload API, Envoy's secret discovery, admin, metrics |
//! | [`cli`] | the commands |

pub mod cli;
pub mod pem;
pub mod proto;
pub mod renewal;
pub mod serve;
