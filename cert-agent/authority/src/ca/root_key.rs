//! The root key at rest: PKCS#8 `EncryptedPrivateKeyInfo` (RFC 5958 §3) under PBES2 (RFC 8018
//! §6.2).
//!
//! The key derivation is PBKDF2 with HMAC-SHA-256 and 600,000 rounds (the figure OWASP gives for
//! it), the cipher AES-256-CBC: what `openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 600000` writes, so
//! that a person with the passphrase and openssl needs nothing of ours to get at the key.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use pkcs8::der::pem::PemLabel;
use pkcs8::der::{Decode, Encode, pem};
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{self, Parameters};
use pkcs8::{EncryptedPrivateKeyInfoOwned, EncryptedPrivateKeyInfoRef, LineEnding};
use zeroize::Zeroizing;

use crate::store::secret;

/// Rounds of PBKDF2.
const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).expect("not zero");
/// Above this many rounds a file is not worth the wait (about a minute).
const MAX_ROUNDS: u32 = 20_000_000;

/// Why a key could not be encrypted or decrypted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootKeyError {
    /// The file is not an encrypted key as we (or openssl) write it.
    #[error(
        "not an encrypted root key: {0}; expected PEM `ENCRYPTED PRIVATE KEY`, PBES2 with PBKDF2-HMAC-SHA-256 \
         and AES-256-CBC"
    )]
    Format(String),
    /// The passphrase does not open it.
    #[error("the passphrase does not open the root key; give the file that `init` used")]
    Passphrase,
    /// The cryptographic library refused.
    #[error("the cryptographic library failed to encrypt the root key")]
    Library,
}

/// Encrypts a PKCS#8 key; the answer is PEM.
///
/// # Errors
/// [`RootKeyError::Library`] or [`RootKeyError::Format`] when a library refuses, which no input
/// provokes.
pub fn encrypt(pkcs8_der: &[u8], passphrase: &[u8]) -> Result<String, RootKeyError> {
    let salt = secret::random::<16>();
    let iv = secret::random::<16>();
    let parameters = Parameters::generate_pbkdf2_sha256_aes256cbc(ROUNDS.get(), &salt, iv)
        .map_err(|_| RootKeyError::Library)?;
    let mut data = Zeroizing::new(pkcs8_der.to_vec());
    PaddedBlockEncryptingKey::cbc_pkcs7(cipher_key(passphrase, &salt, ROUNDS)?)
        .and_then(|key| {
            key.less_safe_encrypt(&mut *data, EncryptionContext::Iv128(FixedLength::from(iv)))
        })
        .map_err(|_| RootKeyError::Library)?;
    let info = EncryptedPrivateKeyInfoRef {
        encryption_algorithm: EncryptionScheme::Pbes2(parameters),
        encrypted_data: pkcs8::der::asn1::OctetStringRef::new(&data).map_err(format_error)?,
    };
    let der = info.to_der().map_err(format_error)?;
    pem::encode_string(EncryptedPrivateKeyInfoOwned::PEM_LABEL, LineEnding::LF, &der)
        .map_err(format_error)
}

/// Decrypts what [`encrypt`] wrote; the answer is the PKCS#8 key in DER.
///
/// # Errors
/// [`RootKeyError::Format`] for a file of another kind, [`RootKeyError::Passphrase`] for a wrong
/// passphrase.
pub fn decrypt(pem: &[u8], passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, RootKeyError> {
    let (label, der) = pem::decode_vec(pem).map_err(format_error)?;
    if label != EncryptedPrivateKeyInfoOwned::PEM_LABEL {
        return Err(RootKeyError::Format(format!("the PEM block is `{label}`")));
    }
    let info = EncryptedPrivateKeyInfoRef::from_der(&der).map_err(format_error)?;
    let (salt, rounds, iv) = parameters_of(&info.encryption_algorithm)?;
    let mut data = Zeroizing::new(info.encrypted_data.as_bytes().to_vec());
    let length = PaddedBlockDecryptingKey::cbc_pkcs7(cipher_key(passphrase, salt, rounds)?)
        .and_then(|key| {
            key.decrypt(&mut data, DecryptionContext::Iv128(FixedLength::from(iv)))
                .map(|plain| plain.len())
        })
        .map_err(|_| RootKeyError::Passphrase)?;
    data.truncate(length);
    Ok(data)
}

/// Salt, rounds and initialisation vector of the one scheme that we read.
fn parameters_of(scheme: &EncryptionScheme) -> Result<(&[u8], NonZeroU32, [u8; 16]), RootKeyError> {
    let unsupported = || RootKeyError::Format("another encryption scheme".to_owned());
    let EncryptionScheme::Pbes2(parameters) = scheme else { return Err(unsupported()) };
    let kdf = parameters.kdf.pbkdf2().ok_or_else(unsupported)?;
    let pbes2::EncryptionScheme::Aes256Cbc { iv } = parameters.encryption else {
        return Err(unsupported());
    };
    if kdf.prf != pbes2::Pbkdf2Prf::HmacWithSha256 {
        return Err(unsupported());
    }
    let rounds = NonZeroU32::new(kdf.iteration_count)
        .filter(|rounds| rounds.get() <= MAX_ROUNDS)
        .ok_or_else(|| RootKeyError::Format(format!("{} rounds", kdf.iteration_count)))?;
    Ok((kdf.salt.as_ref(), rounds, iv))
}

fn cipher_key(
    passphrase: &[u8],
    salt: &[u8],
    rounds: NonZeroU32,
) -> Result<UnboundCipherKey, RootKeyError> {
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, passphrase, key.as_mut_slice());
    UnboundCipherKey::new(&AES_256, key.as_slice()).map_err(|_| RootKeyError::Library)
}

fn format_error(error: impl std::fmt::Display) -> RootKeyError {
    RootKeyError::Format(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::process::Command;

    use super::*;

    fn key() -> Vec<u8> {
        rcgen::KeyPair::generate().unwrap().serialize_der()
    }

    #[test]
    fn a_key_comes_back_with_its_passphrase_only() {
        let key = key();
        let pem = encrypt(&key, b"open sesame").unwrap();
        assert_eq!(decrypt(pem.as_bytes(), b"open sesame").unwrap().as_slice(), key);
        // A wrong key leaves valid padding once in 256 times; what comes out is then no key.
        assert_ne!(
            decrypt(pem.as_bytes(), b"open barley").map(|k| k.to_vec()).unwrap_or_default(),
            key
        );
    }

    #[test]
    fn openssl_reads_it_and_we_read_openssl() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (dir.path().join("ours.pem"), dir.path().join("theirs.pem"));
        let key = key();
        std::fs::write(&ours, encrypt(&key, b"open sesame").unwrap()).unwrap();
        let output = Command::new("openssl")
            .args(["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256"])
            .args(["-iter", "10000", "-passin", "pass:open sesame", "-passout", "pass:again"])
            .arg("-in")
            .arg(&ours)
            .arg("-out")
            .arg(&theirs)
            .output()
            .expect("openssl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let back = decrypt(&std::fs::read(&theirs).unwrap(), b"again").unwrap();
        let (ours, theirs) = (
            rcgen::KeyPair::try_from(key.as_slice()).unwrap(),
            rcgen::KeyPair::try_from(back.as_slice()).unwrap(),
        );
        assert_eq!(ours.public_key_raw(), theirs.public_key_raw());
    }

    #[test]
    fn other_files_are_named_for_what_they_are() {
        let plain = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let error = decrypt(plain.as_bytes(), b"x").unwrap_err().to_string();
        assert!(error.contains("the PEM block is `PRIVATE KEY`"), "{error}");
        assert!(matches!(decrypt(b"", b"x"), Err(RootKeyError::Format(_))));
    }
}
