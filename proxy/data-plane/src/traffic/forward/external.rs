//! A service outside the mesh as a backend: where it is, and how it is called.

mod endpoints;

use std::net::SocketAddr;
use std::sync::Arc;

use policy::Protocol as Declared;
use policy::traffic_policy::UpstreamTls;

use super::backend;
use super::service_match::ServiceMatch;
use crate::http::error::RequestError;
use crate::labels::Protocol;
use crate::traffic::egress::{EgressDialer, EgressKey, ExternalService, ShownCertificate, begun};
use crate::traffic::worker::Worker;

/// Finds where a service outside the mesh is. `dialled`: the address that the app dialled, where the service was found by
/// it. `shown`: the certificate for servers that ask for one.
///
/// # Errors
/// [`RequestError::NoEndpoint`]; [`RequestError::UnknownDestination`] when its name leads to an address of this machine.
pub(crate) async fn resolve(
    worker: &Arc<Worker>,
    found: &ServiceMatch,
    protocol: Protocol,
    dialled: Option<SocketAddr>,
    shown: Option<&ShownCertificate>,
) -> Result<Arc<ExternalService>, RequestError> {
    let policy = &worker.backends.policy(worker, found);
    let located = endpoints::locate(worker, found, dialled).await?;
    let declared = found.port.protocol;
    let declared = spoken(declared, protocol, policy.tls.as_ref()).unwrap_or(declared);
    let endpoints = located.addresses.iter().map(|address| {
        let host = &found.service.host;
        let key = EgressKey::new(*address, host, declared, policy.tls.as_ref());
        worker.egress.destination(&worker.state, key.showing(shown), &policy.connection_pool)
    });
    let endpoints = endpoints.collect();
    let service = found.service.clone();
    let meter = worker.meter(backend::labels(worker, protocol, &service.host, None));
    Ok(Arc::new(ExternalService { service, meter, endpoints, stale_at: located.stale_at }))
}

/// What is spoken on a port that is declared so, within TLS where the proxy begins it. A port that is declared for TLS takes
/// TLS of the app's own, as bytes; requests go there where a policy says what TLS the proxy is to speak, and else nowhere
/// (`None`): they would leave in the clear.
pub(super) fn spoken(
    declared: Declared,
    protocol: Protocol,
    tls: Option<&Arc<UpstreamTls>>,
) -> Option<Declared> {
    match declared {
        Declared::Tls if protocol != Protocol::Tcp => {
            begun(Declared::Http, tls).map(|_| Declared::Http)
        }
        declared => Some(declared),
    }
}

/// Whether the proxy begins TLS with the service in its app's place.
pub(crate) fn begins_tls(worker: &Worker, found: &ServiceMatch) -> bool {
    begun(found.port.protocol, worker.backends.policy(worker, found).tls.as_ref()).is_some()
}

/// What a worker calls services outside the mesh with.
pub(crate) fn dialer(worker: &Worker) -> EgressDialer<'_> {
    EgressDialer { state: &worker.state, pool: &worker.egress }
}

#[cfg(test)]
mod tests {
    use policy::traffic_policy::{CaCertificates, UpstreamTlsMode};

    use super::*;

    #[test]
    fn requests_go_to_a_port_of_tls_within_tls_alone() {
        let tls = |mode| {
            let ca_certificates = CaCertificates::System;
            let subject_alt_names = [].into();
            Arc::new(UpstreamTls { mode, ca_certificates, sni: None, subject_alt_names })
        };
        let (simple, disabled) = (tls(UpstreamTlsMode::Simple), tls(UpstreamTlsMode::Disable));
        for (row, declared, protocol, tls, expect) in [
            ("with a policy", Declared::Tls, Protocol::Http1, Some(&simple), Some(Declared::Http)),
            ("without one", Declared::Tls, Protocol::Http1, None, None),
            ("one that begins none", Declared::Tls, Protocol::Http2, Some(&disabled), None),
            ("bytes pass", Declared::Tls, Protocol::Tcp, Some(&simple), Some(Declared::Tls)),
            ("another port", Declared::Http2, Protocol::Http1, None, Some(Declared::Http2)),
        ] {
            assert_eq!(spoken(declared, protocol, tls), expect, "{row}");
        }
    }
}
