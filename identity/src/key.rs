//! The private key of an SVID: held in memory, wiped when dropped, never printed.

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

/// Why bytes are not a usable private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No `PRIVATE KEY` block in the text. SVID keys are unencrypted PKCS#8.
    #[error(
        "no PKCS#8 private key found: expected a `-----BEGIN PRIVATE KEY-----` block \
         (convert with `openssl pkcs8 -topk8 -nocrypt`)"
    )]
    NoKey,
    /// The key is of a kind that TLS 1.3 cannot sign with, or damaged.
    #[error("the private key cannot be used for TLS: {0}")]
    Unusable(String),
}

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

    /// Takes the first PKCS#8 block of a PEM text; other blocks are passed over.
    ///
    /// # Errors
    /// [`KeyError`] when there is none, or it cannot be used.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| KeyError::NoKey)?;
        Self::from_pkcs8_der(der.secret_pkcs8_der().to_vec())
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

impl std::fmt::Debug for SvidKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SvidKey(…)")
    }
}
