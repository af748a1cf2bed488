//! Random secrets and the hashes we keep of them.

use aws_lc_rs::{constant_time, digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

/// The SHA-256 of a secret: what the authority keeps instead of the secret.
///
/// A secret of 256 random bits needs no salt and no slow hash: it cannot be guessed from its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHash(String);

impl SecretHash {
    /// Of the secret as it travels.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(hex(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref()))
    }

    /// 64 lower-case hexadecimal digits: fit for a file name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the hash that was kept, in a time that does not depend on where they differ.
    #[must_use]
    pub fn matches(&self, kept: &str) -> bool {
        constant_time::verify_slices_are_equal(self.0.as_bytes(), kept.as_bytes()).is_ok()
    }
}

/// A new secret of 256 bits, in URL-safe base64 (43 characters).
#[must_use]
pub fn random_secret() -> Zeroizing<String> {
    let bytes = Zeroizing::new(random::<32>());
    Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

/// Random bytes as hexadecimal digits, for names that are not secret.
#[must_use]
pub fn random_hex<const N: usize>() -> String {
    hex(&random::<N>())
}

/// Random bytes.
///
/// The library's generator fails only when the kernel gives no randomness at all; then nothing that
/// needs a secret may go on, and we wait for the kernel.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    while rand::fill(&mut bytes).is_err() {
        std::thread::yield_now();
    }
    bytes
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// A serial number as people compare it: bytes separated by `:`.
#[must_use]
pub fn serial(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.chunks(1).map(hex).collect();
    digits.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_matches_its_own_secret_only() {
        let (one, two) = (random_secret(), random_secret());
        assert_eq!(one.len(), 43);
        assert!(SecretHash::of(&one).matches(SecretHash::of(&one).as_str()));
        assert!(!SecretHash::of(&one).matches(SecretHash::of(&two).as_str()));
        assert!(!SecretHash::of(&one).matches(""));
    }
}
