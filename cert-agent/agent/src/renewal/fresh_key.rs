//! A new key and the request that proves we hold it.

use std::fmt;

use identity::SvidKey;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData};
use zeroize::Zeroize;

/// A P-256 key made for one certificate, and its PKCS#10 request. The key exists in this process's
/// memory only.
pub struct FreshKey {
    /// For the certificate to come.
    pub key: SvidKey,
    /// The request, DER. It names nobody: names come from the attestation.
    pub csr_der: Vec<u8>,
    /// The public half, `SubjectPublicKeyInfo` in DER: what the certificate must hold.
    pub spki_der: Vec<u8>,
}

impl fmt::Debug for FreshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FreshKey(…)")
    }
}

impl FreshKey {
    /// Makes one.
    ///
    /// # Errors
    /// When the cryptographic library fails, in words.
    pub fn make() -> Result<Self, String> {
        let mut pair =
            KeyPair::generate().map_err(|error| format!("cannot make a key: {error}"))?;
        let made = Self::of(&pair);
        // The library keeps a serialized copy that it does not wipe by itself.
        pair.zeroize();
        made
    }

    fn of(pair: &KeyPair) -> Result<Self, String> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let csr = params
            .serialize_request(pair)
            .map_err(|error| format!("cannot make a certificate request: {error}"))?;
        let key =
            SvidKey::from_pkcs8_der(pair.serialize_der()).map_err(|error| error.to_string())?;
        Ok(Self { key, csr_der: csr.der().to_vec(), spki_der: pair.subject_public_key_info() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn every_key_is_new_and_shows_nothing_of_itself() {
        let (one, two) = (FreshKey::make().unwrap(), FreshKey::make().unwrap());
        assert_ne!(one.key.pkcs8_der(), two.key.pkcs8_der());
        assert_eq!(format!("{one:?}"), "FreshKey(…)");
    }
}
