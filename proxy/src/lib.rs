//! Scaffold.
pub mod config;
