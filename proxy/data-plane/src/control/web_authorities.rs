//! Who signs the web certificates of others: of token issuers, and of a collector of spans.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;

/// Where systems keep the certificates of the public authorities.
const SYSTEM_AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Reads the authorities of a PEM file, or of the system where none is named.
///
/// # Errors
/// The file, and what is wrong with it.
pub(crate) fn read(file: Option<&Path>) -> Result<RootCertStore, String> {
    let file = match file {
        Some(file) => file.to_owned(),
        None => SYSTEM_AUTHORITIES
            .iter()
            .map(PathBuf::from)
            .find(|file| file.is_file())
            .ok_or("this system has none in the usual places")?,
    };
    let shown = file.display();
    let pem = std::fs::read(&file).map_err(|error| format!("{shown}: {error}"))?;
    identity::web_roots(&pem).map_err(|error| format!("{shown}: {error}"))
}
