//! Postern on Kubernetes: the injector, which puts a proxy and a cert agent beside every workload.
//!
//! | module | says |
//! |---|---|
//! | [`inject`] | what is added to a pod, as one pure function; and the same over a stream of YAML |
//! | [`cli`] | the command line of `postern-k8s` |

pub mod cli;
pub mod inject;
