//! Whether the certificate of a Secret is one that a listener can show: what its proxies would say of it.

use policy::core_group::Secret;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroize as _;

/// The most certificates of a chain, the leaf included.
const MAX_CHAIN: usize = 8;

/// Checks a certificate and its key.
///
/// # Errors
/// What is wrong, without a word of the key.
pub fn check(secret: &Secret) -> Result<(), String> {
    let certificate = secret.certificate.as_ref().ok_or("it has no tls.crt")?;
    let key = secret.key.as_ref().ok_or("it has no tls.key")?;
    let chain = read_chain(certificate)?;
    let mut key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| format!("tls.key: {}", identity::pem::damage(&error)))?;
    let signing = any_supported_type(&key).map_err(|error| format!("tls.key: {error}"));
    key.zeroize();
    let matching = CertifiedKey::new(chain, signing?).keys_match();
    matching.map_err(|_| "tls.key is the key of another certificate".to_owned())
}

fn read_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain =
        CertificateDer::pem_slice_iter(pem).take(MAX_CHAIN + 1).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("tls.crt: {}", identity::pem::damage(&error)))?;
    if chain.len() > MAX_CHAIN {
        return Err(format!("tls.crt: more than {MAX_CHAIN} certificates"));
    }
    let (leaf, intermediates) = chain.split_first().ok_or("tls.crt: no PEM certificate")?;
    identity::WebCertificate::read_server(leaf).map_err(|error| format!("tls.crt: {error}"))?;
    for intermediate in intermediates {
        identity::check_web_intermediate(intermediate)
            .map_err(|error| format!("tls.crt: {error}"))?;
    }
    Ok(chain)
}

/// Checks certificates of authorities (PEM).
///
/// # Errors
/// What is wrong.
pub fn check_authorities(pem: &[u8]) -> Result<(), String> {
    identity::authorities(pem).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
