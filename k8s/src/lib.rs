//! Postern on Kubernetes: the injector, which puts a proxy and a cert agent beside every workload, and the controller, which
//! tells each proxy what is its own.

pub mod cli;
pub mod controller;
pub mod crd;
pub mod inject;
pub mod injector;
