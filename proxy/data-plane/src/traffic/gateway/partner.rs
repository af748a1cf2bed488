//! Clients that show a certificate of an authority of their own: whom the mesh takes them for.

use identity::{SpiffeId, TrustBundle, TrustBundles, TrustDomain};
use policy::client_traffic::CertificateNames;

use super::ConnectionRefusal;
use crate::connection::edge_tls::ClientCertificate;
use crate::connection::registry::{Peer, RegisteredConnection};
use crate::labels::CloseReason;
use crate::traffic::edge::EdgeListener;

/// The trust domains whose identities are the mesh's.
pub(super) struct MeshDomains<'m> {
    /// The proxy's own.
    pub(super) own: &'m TrustDomain,
    /// By which identities are verified at the moment; `None`: there are no credentials yet.
    pub(super) bundles: Option<&'m TrustBundles>,
}

impl MeshDomains<'_> {
    fn contain(&self, id: &SpiffeId) -> bool {
        let bundles = self.bundles.into_iter().flat_map(TrustBundles::iter);
        let mut domains = bundles.map(TrustBundle::trust_domain).chain([self.own]);
        domains.any(|domain| domain.as_str() == id.trust_domain())
    }
}

/// Tells the connection who its client is, where a ClientTrafficPolicy maps the verified certificate to a principal; any
/// other certificate makes nobody of it. Nobody is somebody for longer than the certificate is valid, so the connection
/// ends with it; `now` is in Unix seconds. `mesh` is asked now: with whom the mesh is
/// federated may not have been known when the policy was read.
///
/// # Errors
/// The certificate has names of several principals, or of one whose trust domain is the mesh's own or has a bundle: rules
/// about that domain are not about this client, so nothing is decided by them.
pub(super) fn introduce(
    connection: &RegisteredConnection,
    listener: &EdgeListener,
    certificate: &ClientCertificate,
    mesh: &MeshDomains<'_>,
    now: u64,
) -> Result<(), ConnectionRefusal> {
    let Some(mappings) = &listener.clients.client_certificates else { return Ok(()) };
    let read = &certificate.read;
    let names = CertificateNames { dns: &read.dns_names, uris: &read.uris, emails: &read.emails };
    let principal = mappings.principal_of(&names).map_err(|error| {
        ConnectionRefusal::new(CloseReason::Handshake, "bad_certificate", error)
    })?;
    if let Some(id) = principal {
        if mesh.contain(id) {
            let error =
                format!("a partner's certificate is mapped to {id}, of a domain of the mesh");
            return Err(ConnectionRefusal::new(CloseReason::Handshake, "bad_certificate", error));
        }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn s24_trust_domain_confusion_domains_that_have_a_bundle_now_are_the_meshs() {
        let domain = |name| TrustDomain::parse(name).unwrap();
        let own = domain("cluster.local");
        let bundle = TrustBundle::from_der(domain("other.example"), Vec::new()).unwrap();
        let bundles = TrustBundles::new([bundle]);
        for (row, bundles, principal, expect) in [
            ("its own", None, "cluster.local/ns/shop/sa/cart", true),
            ("a federated one", Some(&bundles), "other.example/ns/shop/sa/cart", true),
            ("one that is not federated yet", None, "other.example/ns/shop/sa/cart", false),
            ("a partner's", Some(&bundles), "partner.example/acme", false),
            ("a longer name", Some(&bundles), "other.example.evil/acme", false),
        ] {
            let id = SpiffeId::parse(&format!("spiffe://{principal}")).unwrap();
            assert_eq!(MeshDomains { own: &own, bundles }.contain(&id), expect, "{row}");
        }
    }
}
