//! A certificate for a host of the web, and the CA that it is believed by.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Certificate, key, and the CA's certificate in PEM.
pub(crate) fn web_certificate(names: &[&str]) -> (rcgen::Certificate, KeyPair, String) {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate whose issuer has the name of its subject for self-signed.
    params.distinguished_name.push(DnType::CommonName, "a CA of the web");
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    (leaf, key, ca.pem())
}
