//! A certificate that a listener shows, with its key: checked once, when it is taken.

use std::sync::Arc;

use identity::{WebCertificate, WebCertificateError, check_web_intermediate};
use rustls::SignatureAlgorithm;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroize as _;

use crate::labels::CertificateState;

/// The most certificates of a chain, the leaf included: those of the web have three or four.
const MAX_CHAIN: usize = 8;

/// Why a certificate and its key are not taken. The message names the certificate, and never shows its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It could not be read at all.
    #[error("certificate {name}: {reason}")]
    Unreadable {
        /// The certificate's name.
        name: Arc<str>,
        /// Why not.
        reason: String,
    },
    /// The chain is no PEM text with certificates, or too long.
    #[error("certificate {name}: {reason}")]
    Chain {
        /// The certificate's name.
        name: Arc<str>,
        /// What is wrong with the text.
        reason: String,
    },
    /// One of the certificates is not taken.
    #[error("certificate {name}, number {index} of its chain (0 is its own): {reason}")]
    Certificate {
        /// The certificate's name.
        name: Arc<str>,
        /// Its place in the chain.
        index: usize,
        /// The rule that it breaks.
        reason: WebCertificateError,
    },
    /// There is no private key, or one that cannot sign.
    #[error(
        "certificate {name}: no private key that can be used: {reason}; expected PEM, not encrypted, ECDSA, RSA of \
         2048 bits at least, or Ed25519"
    )]
    Key {
        /// The certificate's name.
        name: Arc<str>,
        /// What is wrong with it.
        reason: String,
    },
    /// The key belongs to another certificate.
    #[error(
        "certificate {name}: its private key is not the key of the certificate with the subject {subject:?} and the \
         serial number {serial}"
    )]
    OtherKey {
        /// The certificate's name.
        name: Arc<str>,
        /// Whom the certificate is about.
        subject: String,
        /// The certificate's number.
        serial: String,
    },
}

/// A certificate chain with its key, under the name of the object that it comes from (`shop/shop-cert`).
pub struct ListenerCertificate {
    name: Arc<str>,
    leaf: WebCertificate,
    sha256: [u8; 32],
    certified: Arc<CertifiedKey>,
}

impl ListenerCertificate {
    /// Takes a chain, leaf first, and the key of the leaf: PKCS#8, SEC 1 or PKCS#1, not encrypted. Whether it is valid
    /// now is not asked: that is [`Self::state`].
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn parse(name: &str, chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, CertificateError> {
        let name: Arc<str> = name.into();
        let chain = read_chain(&name, chain_pem)?;
        let leaf = read_leaf(&name, &chain)?;
        let key = read_key(&name, key_pem)?;
        let sha256 = sha256(chain.first().map_or(&[], |leaf| leaf));
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|_| CertificateError::OtherKey {
            name: name.clone(),
            subject: leaf.subject.clone(),
            serial: leaf.serial_hex.clone(),
        })?;
        Ok(Self { name, leaf, sha256, certified: Arc::new(certified) })
    }

    /// The name of the object that it comes from.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What its own certificate says: names, validity, number.
    #[must_use]
    pub fn leaf(&self) -> &WebCertificate {
        &self.leaf
    }

    /// SHA-256 of its own certificate in DER.
    #[must_use]
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Which part of its lifetime it is in at this Unix second.
    #[must_use]
    pub fn state(&self, now: u64) -> CertificateState {
        CertificateState::of(self.leaf.not_before, self.leaf.not_after, now)
    }

    /// Whether a client with the clock of `now` (Unix seconds) takes it for valid.
    #[must_use]
    pub fn is_valid(&self, now: u64) -> bool {
        (self.leaf.not_before..=self.leaf.not_after).contains(&now)
    }

    /// The kind of its key: `ecdsa`, `rsa` or `ed25519`.
    #[must_use]
    pub fn key_kind(&self) -> &'static str {
        match self.certified.key.algorithm() {
            SignatureAlgorithm::RSA => "rsa",
            SignatureAlgorithm::ED25519 => "ed25519",
            _ => "ecdsa",
        }
    }

    /// What rustls signs handshakes with.
    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

impl std::fmt::Debug for ListenerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListenerCertificate")
            .field("name", &self.name)
            .field("serial", &self.leaf.serial_hex)
            .finish_non_exhaustive()
    }
}

fn read_chain(
    name: &Arc<str>,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let wrong = |reason: String| CertificateError::Chain { name: name.clone(), reason };
    let chain = CertificateDer::pem_slice_iter(pem)
        .take(MAX_CHAIN + 1)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(identity::pem::damage(&error)))?;
    match chain.len() {
        0 => Err(wrong("no PEM certificate: expected `-----BEGIN CERTIFICATE-----` blocks".into())),
        1..=MAX_CHAIN => Ok(chain),
        _ => Err(wrong(format!("a chain of more than {MAX_CHAIN} certificates"))),
    }
}

/// Reads the leaf, and judges what stands behind it.
fn read_leaf(
    name: &Arc<str>,
    chain: &[CertificateDer<'static>],
) -> Result<WebCertificate, CertificateError> {
    let refused =
        |index| move |reason| CertificateError::Certificate { name: name.clone(), index, reason };
    for (index, intermediate) in chain.iter().enumerate().skip(1) {
        check_web_intermediate(intermediate).map_err(refused(index))?;
    }
    let none = CertificateDer::from(Vec::new());
    WebCertificate::read_server(chain.first().unwrap_or(&none)).map_err(refused(0))
}

fn read_key(
    name: &Arc<str>,
    pem: &[u8],
) -> Result<Arc<dyn rustls::sign::SigningKey>, CertificateError> {
    let wrong = |reason: String| CertificateError::Key { name: name.clone(), reason };
    let mut der =
        PrivateKeyDer::from_pem_slice(pem).map_err(|error| wrong(identity::pem::damage(&error)))?;
    // The message of the library names no byte of the key.
    let key = any_supported_type(&der).map_err(|error| wrong(error.to_string()));
    der.zeroize();
    key
}

/// SHA-256 of a certificate in DER.
pub(super) fn sha256(der: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

#[cfg(test)]
mod tests;
