//! The commands of `postern-proxy` that move no bytes. The data plane itself is the crate `data_plane`.
//!
//! * [`check`]: every mistake of a configuration and its resources at once
//! * [`explain`]: decisions without traffic, by the code that decides live traffic
//! * [`policy_tools`]: lint policies, suggest them from recorded traffic, compare two sets
//! * [`redirect`]: the nftables rules that bring a pod's traffic to the proxy
//! * [`api_key`]: makes API keys
//! * [`session_key`]: makes the keys of sessions
//! * [`await_ready`]: waits until the proxy beside us is ready

pub mod api_key;
pub mod await_ready;
pub mod check;
pub mod explain;
pub mod policy_tools;
pub mod redirect;
pub mod session_key;
