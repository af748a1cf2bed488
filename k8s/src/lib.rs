//! Postern on Kubernetes: the injector, which puts a proxy and a cert agent beside every workload.
