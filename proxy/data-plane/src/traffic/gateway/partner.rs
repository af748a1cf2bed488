//! Clients that show a certificate of an authority of their own: whom the mesh takes them for.

use policy::client_traffic::CertificateNames;

use super::ConnectionRefusal;
use crate::connection::edge_tls::ClientCertificate;
use crate::connection::registry::{Peer, RegisteredConnection};
use crate::labels::CloseReason;
use crate::traffic::edge::EdgeListener;

/// Tells the connection who its client is, where a ClientTrafficPolicy maps the verified certificate to a principal; any
/// other certificate makes nobody of it. Nobody is somebody for longer than the certificate is valid, so the connection
/// ends with it; `now` is in Unix seconds.
///
/// # Errors
/// The certificate has names of several principals.
pub(super) fn introduce(
    connection: &RegisteredConnection,
    listener: &EdgeListener,
    certificate: &ClientCertificate,
    now: u64,
) -> Result<(), ConnectionRefusal> {
    let Some(mappings) = &listener.clients.client_certificates else { return Ok(()) };
    let read = &certificate.read;
    let names = CertificateNames { dns: &read.dns_names, uris: &read.uris, emails: &read.emails };
    let principal = mappings.principal_of(&names).map_err(|error| {
        ConnectionRefusal::new(CloseReason::Handshake, "bad_certificate", error)
    })?;
    if let Some(id) = principal {
        connection.bound_by_client_certificate(now, certificate.read.not_after);
        connection.set_peer(Peer {
            id: id.clone(),
            not_after: certificate.read.not_after,
            leaf_sha256: certificate.sha256,
            sni: None,
        });
    }
    Ok(())
}
