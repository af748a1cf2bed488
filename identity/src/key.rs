//! The private key of an SVID: held in memory, wiped when dropped, never printed.

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

/// Why bytes are not a usable private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No private key block in the text, or an encrypted one.
    #[error(
        "no private key found: expected a `-----BEGIN PRIVATE KEY-----` block, not encrypted \
         (convert with `openssl pkcs8 -topk8 -nocrypt`)"
    )]
    NoKey,
    /// The key is of a kind that TLS 1.3 cannot sign with, or damaged.
    #[error("the private key cannot be used for TLS: {0}")]
    Unusable(String),
}

/// `AlgorithmIdentifier` of id-ecPublicKey on P-256 and on P-384 (RFC 5480 §2.1.1), DER.
const CURVES: [&[u8]; 2] = [
    b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
    b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22",
];
/// `AlgorithmIdentifier` of rsaEncryption (RFC 8017 §A.1), DER.
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// A PKCS#8 private key (Workload API §5.2: unencrypted PKCS#8, DER).
///
/// It is no `Clone` and no `Serialize`, its `Debug` shows nothing of it, and its bytes are wiped
/// when it is dropped.
pub struct SvidKey(Zeroizing<Vec<u8>>);

impl SvidKey {
    /// Takes PKCS#8 DER and checks that TLS can sign with it.
    ///
    /// # Errors
    /// [`KeyError::Unusable`] for a damaged key or an unknown algorithm.
    pub fn from_pkcs8_der(der: Vec<u8>) -> Result<Self, KeyError> {
        let key = Self(Zeroizing::new(der));
        key.signing_key()?;
        Ok(key)
    }

    /// Takes the first private key of a PEM text: PKCS#8, or what older tools and cert-manager write
    /// by default, SEC 1 for elliptic curves and PKCS#1 for RSA. Other blocks are passed over.
    ///
    /// # Errors
    /// [`KeyError`] when there is none, or it cannot be used.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        match PrivateKeyDer::from_pem_slice(pem).map_err(|_| KeyError::NoKey)? {
            PrivateKeyDer::Pkcs8(der) => Self::from_pkcs8_der(der.secret_pkcs8_der().to_vec()),
            // The curve stands outside of the key there, and may be left out inside: the right one is
            // the one that fits.
            PrivateKeyDer::Sec1(der) => CURVES
                .iter()
                .find_map(|curve| Self::wrapped(curve, der.secret_sec1_der()).ok())
                .ok_or_else(|| KeyError::Unusable("not a key of P-256 or P-384".into())),
            PrivateKeyDer::Pkcs1(der) => Self::wrapped(RSA, der.secret_pkcs1_der()),
            _ => Err(KeyError::NoKey),
        }
    }

    /// A key of an older form within PKCS#8 (RFC 5958 §2: version 0, algorithm, octet string).
    fn wrapped(algorithm: &[u8], key: &[u8]) -> Result<Self, KeyError> {
        let octets = Zeroizing::new(tlv(0x04, &[key]));
        Self::from_pkcs8_der(tlv(0x30, &[&[0x02, 0x01, 0x00], algorithm, &octets]))
    }

    /// The PKCS#8 bytes, for the one who must hand the key on (the Workload API).
    #[must_use]
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.0
    }

    /// The form that rustls signs with.
    pub(crate) fn signing_key(
        &self,
    ) -> Result<std::sync::Arc<dyn rustls::sign::SigningKey>, KeyError> {
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.0.as_slice()));
        rustls::crypto::aws_lc_rs::sign::any_supported_type(&der)
            .map_err(|e| KeyError::Unusable(e.to_string()))
    }
}

/// An ASN.1 element in DER: tag, length in the shortest form, content.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let bytes = length.to_be_bytes();
    let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    // Whole from the start: a buffer that grows would leave pieces of the key behind.
    let mut out = Vec::with_capacity(2 + bytes.len() + length);
    out.push(tag);
    match (length, u8::try_from(bytes.len()), bytes.last()) {
        (128.., Ok(count), _) => {
            out.push(0x80 | count);
            out.extend_from_slice(bytes);
        }
        (_, _, last) => out.push(last.copied().unwrap_or(0)),
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

impl std::fmt::Debug for SvidKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SvidKey(…)")
    }
}
