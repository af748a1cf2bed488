//! What is added to a pod, and what is pointed at the proxy.
//!
//! | file | says |
//! |---|---|
//! | `containers` | our containers and volumes |
//! | `proxy_config` | the proxy's configuration |
//! | `probes`, `scrape` | what the kubelet and Prometheus ask through the proxy |

pub(crate) mod containers;
pub(crate) mod probes;
pub(crate) mod proxy_config;
pub(crate) mod scrape;
