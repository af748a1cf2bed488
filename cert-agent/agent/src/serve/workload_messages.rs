//! The messages of the Workload API, built from what is held.

use std::collections::HashMap;

use rustls_pki_types::CertificateDer;

use crate::proto::workload::{JwtBundlesResponse, X509BundlesResponse, X509svid, X509svidResponse};
use crate::renewal::bundle_set::{BundleSet, DomainBundle};
use crate::renewal::served_state::CurrentIdentity;

/// §5.2.1: certificates concatenated, the key as unencrypted PKCS#8, our own domain's bundle always
/// with it; foreign bundles and revocation lists beside it.
#[must_use]
pub fn svid_message(held: &CurrentIdentity, trust: &BundleSet) -> X509svidResponse {
    let svid = X509svid {
        spiffe_id: held.svid.id().to_string(),
        x509_svid: concatenated(held.svid.chain()),
        x509_svid_key: held.key.pkcs8_der().to_vec(),
        bundle: concatenated(trust.own.roots.roots()),
        hint: String::new(),
    };
    X509svidResponse {
        svids: vec![svid],
        crl: trust.crls().cloned().collect(),
        federated_bundles: trust.federated.values().filter_map(roots_entry).collect(),
    }
}

/// §5.2.2: bundles by the SPIFFE id of their trust domain.
#[must_use]
pub fn bundles_message(_held: &CurrentIdentity, trust: &BundleSet) -> X509BundlesResponse {
    X509BundlesResponse {
        crl: trust.crls().cloned().collect(),
        bundles: trust.domains().filter_map(roots_entry).collect(),
    }
}

/// §6.2.2: JWK sets by the SPIFFE id of their trust domain; an empty set where no token is believed.
#[must_use]
pub fn jwt_bundles_message(_held: &CurrentIdentity, trust: &BundleSet) -> JwtBundlesResponse {
    let entry = |domain: &DomainBundle| (trust_domain_id(domain), domain.jwks.clone());
    JwtBundlesResponse { bundles: trust.domains().map(entry).collect::<HashMap<_, _>>() }
}

/// A domain without trusted roots has no entry: its certificates are untrusted (§4.6).
fn roots_entry(domain: &DomainBundle) -> Option<(String, Vec<u8>)> {
    let roots = domain.roots.roots();
    (!roots.is_empty()).then(|| (trust_domain_id(domain), concatenated(roots)))
}

/// The SPIFFE id of a trust domain (SPIFFE-ID §2).
#[must_use]
pub fn trust_domain_id(domain: &DomainBundle) -> String {
    format!("spiffe://{}", domain.trust_domain())
}

fn concatenated(certificates: &[CertificateDer<'_>]) -> Vec<u8> {
    certificates.iter().flat_map(|certificate| certificate.iter().copied()).collect()
}
