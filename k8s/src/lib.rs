//! Postern on Kubernetes: the injector, which puts a proxy and a cert agent beside every workload, and the controller,
//! which tells each proxy what is its own.

#[cfg(feature = "cluster")]
pub mod cli;
#[cfg(feature = "cluster")]
pub mod controller;
#[cfg(feature = "cluster")]
pub mod crd;
pub mod inject;
#[cfg(feature = "cluster")]
pub mod injector;
pub mod status_pages;
pub mod workload_api;
