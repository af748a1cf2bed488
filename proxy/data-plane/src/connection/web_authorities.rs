//! Who signs the web certificates of others: of token issuers, of a collector of spans, and of
//! services outside the mesh.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;

/// Where systems keep the certificates of the public authorities.
const SYSTEM_AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The largest file that is read, bytes: every authority of the web takes a quarter of a megabyte.
const MAX_FILE: u64 = 4 << 20;

/// Reads the authorities of a PEM file, or of the system where none is named.
///
/// # Errors
/// The file, and what is wrong with it.
pub(crate) fn read(file: Option<&Path>) -> Result<RootCertStore, String> {
    let file = self::file(file)?;
    let pem = read_pem(&file)?;
    identity::web_roots(&pem).map_err(|error| format!("{}: {error}", file.display()))
}

/// The file that is meant: the one that is named, or the system's.
///
/// # Errors
/// The system has none.
pub(crate) fn file(named: Option<&Path>) -> Result<PathBuf, &'static str> {
    let of_system = || SYSTEM_AUTHORITIES.iter().map(PathBuf::from).find(|file| file.is_file());
    let file = named.map(Path::to_owned).or_else(of_system);
    file.ok_or("this system has none in the usual places")
}

/// Reads a file of certificates or keys that somebody named: a regular one, of at most [`MAX_FILE`] bytes.
///
/// # Errors
/// The file, and what is wrong with it.
pub(crate) fn read_pem(file: &Path) -> Result<Vec<u8>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    // Asked before it is opened: to open a pipe waits for its writer.
    if !std::fs::metadata(file).map_err(|error| wrong(&error))?.is_file() {
        return Err(wrong(&"no regular file"));
    }
    let open = File::open(file).map_err(|error| wrong(&error))?;
    let mut bytes = Vec::new();
    let read = open.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| wrong(&error))?;
    match u64::try_from(read).is_ok_and(|read| read <= MAX_FILE) {
        true => Ok(bytes),
        false => Err(wrong(&"larger than 4 MiB")),
    }
}
