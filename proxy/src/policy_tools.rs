//! `postern-proxy policy …`: what helps to write a policy, and to change it without surprise.

pub mod recorded;
