//! What is applied to a cluster: rendered by the real kubectl and Helm, checked against the schemas of three Kubernetes
//! versions, and its command lines read by the programs themselves. Needs no namespaces and no cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
mod examples;
mod kept;
mod monitoring;
mod rendered;
mod rights;
mod schemas;
