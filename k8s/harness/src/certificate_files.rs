//! Certificates in files, for the other processes of a benchmark.

use std::path::Path;
use std::sync::Arc;

use identity::{SvidKey, TrustBundle, TrustBundles, TrustDomain, X509Svid};
use k8s::controller::credentials::OwnCredentials;
use k8s::workload_api::X509Context;
use pem::Pem;
use rustls_pki_types::CertificateDer;

use crate::TestTrust;
use crate::trust::CONTROLLER;

/// Writes the controller's SVID and the root.
///
/// # Panics
/// The directory cannot be written.
pub fn write(trust: &TestTrust, directory: &Path) {
    let root = trust.root.as_ref().pem();
    std::fs::write(directory.join("bundle.pem"), root).unwrap();
    let (svid, key) = trust.svid(CONTROLLER);
    std::fs::write(directory.join("controller.der"), &svid.chain()[0]).unwrap();
    std::fs::write(directory.join("controller.key"), key.pkcs8_der()).unwrap();
}

/// The controller's credentials as [`write()`] wrote them.
///
/// # Panics
/// They are not there.
#[must_use]
pub fn read_credentials(directory: &Path) -> Arc<OwnCredentials> {
    let read = |name: &str| std::fs::read(directory.join(name)).unwrap();
    let svid = X509Svid::parse(vec![CertificateDer::from(read("controller.der"))]).unwrap();
    let key = SvidKey::from_pkcs8_der(read("controller.key")).unwrap();
    let domain = TrustDomain::parse("cluster.local").unwrap();
    let bundle = TrustBundle::from_pem(domain, &read("bundle.pem")).unwrap();
    let context = X509Context { svid, key, bundles: TrustBundles::new([bundle]) };
    Arc::new(OwnCredentials::new(&context).unwrap())
}

/// Writes an SVID as a proxy reads it from files.
///
/// # Panics
/// The directory cannot be written.
pub fn write_svid(trust: &TestTrust, directory: &Path, id: &str) {
    let (svid, key) = trust.svid(id);
    std::fs::write(directory.join("svid.pem"), pem("CERTIFICATE", &svid.chain()[0])).unwrap();
    std::fs::write(directory.join("key.pem"), pem("PRIVATE KEY", key.pkcs8_der())).unwrap();
}

fn pem(label: &str, der: &[u8]) -> String {
    pem::encode(&Pem::new(label, der))
}
