//! The filters a request passes, one file each; where they are called says in which order and why.

pub mod authorize;
pub mod client;
pub mod gate;
pub mod headers;
pub mod jwt;
pub mod review;
pub mod version;
