//! Certificates and keys from files that people and tools write (F-38): with or without a final
//! newline, with CRLF, with a byte order mark, with blocks of other kinds between.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use identity::pem::damage;
use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::KeyPair;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::store::files;

/// What some editors put before the text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Every certificate of a PEM file, in order; one at least. Blocks of other kinds are passed over.
///
/// # Errors
/// The path, and what is wrong with the file.
pub fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    certificates_in(&files::read(path)?, &path.display().to_string())
}

/// As [`certificates`], from what was read at `place`.
///
/// # Errors
/// The place, and what is wrong with the text.
pub fn certificates_in(
    content: &[u8],
    place: &str,
) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_slice_iter(text(content))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| anyhow!("{place}: not a PEM certificate: {}", damage(&error)))?;
    if found.is_empty() {
        bail!("{place}: not a PEM certificate: it holds no `-----BEGIN CERTIFICATE-----` block");
    }
    Ok(found)
}

/// The private key of a PEM file: PKCS#8, SEC 1 or PKCS#1, not encrypted.
///
/// # Errors
/// The path, and what is wrong with the file.
pub fn private_key(path: &Path) -> anyhow::Result<KeyPair> {
    private_key_in(&Zeroizing::new(files::read(path)?), &path.display().to_string())
}

/// As [`private_key`], from what was read at `place`.
///
/// # Errors
/// The place, and what is wrong with the text.
pub fn private_key_in(content: &[u8], place: &str) -> anyhow::Result<KeyPair> {
    if content.windows(21).any(|window| window == b"ENCRYPTED PRIVATE KEY") {
        bail!(
            "{place}: the private key is encrypted; decrypt it first, such as with `openssl pkey -in FILE`"
        );
    }
    let der = PrivateKeyDer::from_pem_slice(text(content))
        .map_err(|error| anyhow!("{place}: not a private key: {}", damage(&error)))?;
    KeyPair::try_from(&der).with_context(|| format!("{place}: not a private key"))
}

/// Certificates as PEM (RFC 7468 §5).
#[must_use]
pub fn encode(certificates: &[CertificateDer<'static>]) -> String {
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    let block = |certificate: &CertificateDer<'_>| {
        pem::encode_config(&Pem::new("CERTIFICATE", certificate.as_ref()), lines)
    };
    certificates.iter().map(block).collect()
}

/// Without a byte order mark.
#[must_use]
pub fn text(content: &[u8]) -> &[u8] {
    content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn f38_files_as_people_and_tools_write_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.pem");
        let root = rcgen::generate_simple_self_signed(["cluster.local".to_owned()]).unwrap();
        let (certificate, key) = (root.cert.pem(), root.signing_key.serialize_pem());
        let check = |name: &str, content: String, expect: Result<usize, &str>| {
            std::fs::write(&path, content).unwrap();
            match (certificates(&path), expect) {
                (Ok(found), Ok(count)) => {
                    assert_eq!(found.len(), count, "{name}");
                    assert_eq!(found[0].as_ref(), root.cert.der().as_ref(), "{name}");
                }
                (Err(error), Err(part)) => {
                    let error = error.to_string();
                    assert!(error.contains(part) && error.contains("file.pem"), "{name}: {error}");
                }
                (found, _) => panic!("{name}: {found:?}"),
            }
        };
        check("as written", certificate.clone(), Ok(1));
        check("no final newline", certificate.trim_end().to_owned(), Ok(1));
        check("many newlines", format!("\n\n{certificate}\n\n\n"), Ok(1));
        check("CRLF", certificate.replace("\r\n", "\n").replace('\n', "\r\n"), Ok(1));
        check("byte order mark", format!("\u{feff}{certificate}"), Ok(1));
        check("a key between", format!("{key}{certificate}{key}{certificate}"), Ok(2));
        check("text around", format!("subject: root\n{certificate}the end\n"), Ok(1));
        check("empty", String::new(), Err("no `-----BEGIN CERTIFICATE-----`"));
        check("a key only", key.clone(), Err("no `-----BEGIN CERTIFICATE-----`"));
        check("torn", certificate[..200].to_owned(), Err("not a PEM certificate"));

        let check_key = |name: &str, content: String, good: bool| {
            std::fs::write(&path, content).unwrap();
            match private_key(&path) {
                Ok(found) if good => {
                    assert_eq!(found.public_key_raw(), root.signing_key.public_key_raw(), "{name}");
                }
                Err(error) if !good => {
                    assert!(error.to_string().contains("file.pem"), "{name}: {error}");
                }
                found => panic!("{name}: {found:?}"),
            }
        };
        check_key("as written", key.clone(), true);
        check_key(
            "CRLF and byte order mark",
            format!("\u{feff}{}", key.replace('\n', "\r\n")),
            true,
        );
        check_key("no final newline", key.trim_end().to_owned(), true);
        check_key("after a certificate", format!("{certificate}{key}"), true);
        check_key("no key", certificate.clone(), false);
        check_key("encrypted", key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), false);
    }
}
