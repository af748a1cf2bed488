//! The data plane.

pub mod filter;
pub mod redirect;
