//! Certificates of other PKIs, such as the web's: what one says of its owner, and whether a server can rely on it.
//!
//! Reading says nothing of who has signed it: that is the verifier's.

mod distinguished_name;

use std::net::IpAddr;

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use crate::rsa;
use crate::svid::{MAX_CERTIFICATE, seconds};

/// The smallest RSA key that is taken, bits (RFC 9325 §4.5).
const MIN_RSA_BITS: usize = 2048;
/// The largest RSA key that is taken, bits: what the TLS library verifies too.
const MAX_RSA_BITS: usize = 8192;
/// Signatures over MD2, MD5 and SHA-1, which others can forge, and how they are called (RFC 3279 §2.2).
const WEAK_SIGNATURES: [(&str, &str); 5] = [
    ("1.2.840.113549.1.1.2", "MD2"),
    ("1.2.840.113549.1.1.4", "MD5"),
    ("1.2.840.113549.1.1.5", "SHA-1"),
    ("1.2.840.10040.4.3", "SHA-1"),
    ("1.2.840.10045.4.1", "SHA-1"),
];

/// Why a certificate is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebCertificateError {
    /// It has more than 16 KiB.
    #[error("the certificate has more than 16 KiB")]
    TooLarge,
    /// The bytes are no X.509 certificate, or one with a damaged or repeated extension.
    #[error("not a readable X.509 certificate: {0}")]
    Malformed(String),
    /// An RSA key that others can break, or that is expensive to use.
    #[error("its RSA key has {0} bits; from 2048 to 8192 are taken")]
    RsaSize(usize),
    /// An RSA key of the ROCA class (CVE-2017-15361).
    #[error(
        "its RSA key is of the ROCA class (CVE-2017-15361), which others can compute; make a new key elsewhere"
    )]
    WeakKey,
    /// A signature that others can forge.
    #[error("it is signed over {0}, which no client takes any more; let it be issued anew")]
    WeakSignature(&'static str),
    /// Extended key usage present without `serverAuth` (RFC 5280 §4.2.1.12).
    #[error("its extended key usage lacks serverAuth, so no client takes it for a server's")]
    NotForServers,
}

/// What a certificate of another PKI says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebCertificate {
    /// The DNS names among its subject alternative names, in lower case, as they stand there: `*.example.com` too.
    pub dns_names: Vec<String>,
    /// The addresses among them.
    pub ip_addresses: Vec<IpAddr>,
    /// The URIs among them.
    pub uris: Vec<String>,
    /// The mail addresses among them.
    pub emails: Vec<String>,
    /// The subject as RFC 4514 writes it, the most specific part first; empty where it has none.
    pub subject: String,
    /// First moment of validity, Unix seconds; 0 for times before 1970.
    pub not_before: u64,
    /// Last moment of validity, Unix seconds; 0 for times before 1970.
    pub not_after: u64,
    /// The serial number in lower-case hexadecimal, bytes separated by `:`.
    pub serial_hex: String,
}

impl WebCertificate {
    /// Reads a certificate. Its names are printable ASCII, so that none can be told two ways.
    ///
    /// # Errors
    /// [`WebCertificateError::TooLarge`] and [`WebCertificateError::Malformed`].
    pub fn read(certificate: &CertificateDer<'_>) -> Result<Self, WebCertificateError> {
        Self::of(&parsed(certificate)?)
    }

    /// As [`Self::read`], for a certificate that a server of ours is to show.
    ///
    /// # Errors
    /// [`WebCertificateError`]: besides, a key or a signature that cannot be relied on, and a purpose that is not a
    /// server's.
    pub fn read_server(certificate: &CertificateDer<'_>) -> Result<Self, WebCertificateError> {
        let parsed = parsed(certificate)?;
        check_key(&parsed)?;
        check_signature(&parsed)?;
        check_purpose(&parsed)?;
        Self::of(&parsed)
    }

    fn of(parsed: &X509Certificate<'_>) -> Result<Self, WebCertificateError> {
        let mut read = Self {
            dns_names: Vec::new(),
            ip_addresses: Vec::new(),
            uris: Vec::new(),
            emails: Vec::new(),
            subject: distinguished_name::text(parsed.subject())?,
            not_before: seconds(parsed.validity().not_before.timestamp()),
            not_after: seconds(parsed.validity().not_after.timestamp()),
            serial_hex: parsed.raw_serial_as_string(),
        };
        let names = parsed.subject_alternative_name().map_err(malformed)?;
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            read.take(name)?;
        }
        Ok(read)
    }

    /// Takes a name of the kinds that are known; others are passed over.
    fn take(&mut self, name: &GeneralName<'_>) -> Result<(), WebCertificateError> {
        match name {
            GeneralName::DNSName(name) => {
                self.dns_names.push(plain(name)?.to_ascii_lowercase());
            }
            GeneralName::URI(name) => self.uris.push(plain(name)?.to_owned()),
            GeneralName::RFC822Name(name) => self.emails.push(plain(name)?.to_owned()),
            GeneralName::IPAddress(bytes) => self.ip_addresses.push(address(bytes)?),
            GeneralName::Invalid(..) => return Err(malformed("a name that cannot be read")),
            _ => {}
        }
        Ok(())
    }
}

/// Whether a certificate behind a leaf is readable, and signed so that clients believe it.
///
/// # Errors
/// [`WebCertificateError`].
pub fn check_web_intermediate(certificate: &CertificateDer<'_>) -> Result<(), WebCertificateError> {
    let parsed = parsed(certificate)?;
    check_key(&parsed)?;
    check_signature(&parsed)
}

fn parsed<'a>(
    certificate: &'a CertificateDer<'_>,
) -> Result<X509Certificate<'a>, WebCertificateError> {
    if certificate.len() > MAX_CERTIFICATE {
        return Err(WebCertificateError::TooLarge);
    }
    match X509Certificate::from_der(certificate).map_err(malformed)? {
        ([], parsed) => Ok(parsed),
        _ => Err(malformed("bytes after its end")),
    }
}

fn check_key(certificate: &X509Certificate<'_>) -> Result<(), WebCertificateError> {
    let PublicKey::RSA(key) = certificate.public_key().parsed().map_err(malformed)? else {
        return Ok(());
    };
    match key.key_size() {
        bits if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) => {
            Err(WebCertificateError::RsaSize(bits))
        }
        _ if rsa::is_roca(key.modulus) => Err(WebCertificateError::WeakKey),
        _ => Ok(()),
    }
}

/// What a certificate says of itself under its own name is verified by nobody, so its signature does not matter.
fn check_signature(certificate: &X509Certificate<'_>) -> Result<(), WebCertificateError> {
    let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
    let weak = WEAK_SIGNATURES.iter().find(|(oid, _)| *oid == algorithm);
    match weak {
        Some((_, name)) if certificate.subject() != certificate.issuer() => {
            Err(WebCertificateError::WeakSignature(name))
        }
        _ => Ok(()),
    }
}

fn check_purpose(certificate: &X509Certificate<'_>) -> Result<(), WebCertificateError> {
    match certificate.extended_key_usage().map_err(malformed)? {
        Some(usage) if !(usage.value.server_auth || usage.value.any) => {
            Err(WebCertificateError::NotForServers)
        }
        _ => Ok(()),
    }
}

/// A name without blanks, control characters and letters beyond ASCII (RFC 5280 §4.2.1.6: IA5String).
fn plain(name: &str) -> Result<&str, WebCertificateError> {
    match !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(name),
        false => Err(malformed("a name with other characters than printable ASCII")),
    }
}

fn address(bytes: &[u8]) -> Result<IpAddr, WebCertificateError> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .map_err(|_| malformed("an address of neither 4 nor 16 bytes"))
}

fn malformed(error: impl std::fmt::Display) -> WebCertificateError {
    WebCertificateError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests;
