//! Where the root's key is: in an encrypted file, or in a PKCS#11 token.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm, SigningKey};
use zeroize::Zeroizing;

use crate::ca::root_key;
use crate::store::files::{self, OWNER_ONLY};
use crate::store::pem;

/// Where the root's key is.
#[derive(Debug, Clone)]
pub enum RootSource {
    /// In a file of the authority's directory, encrypted by the passphrase in this file.
    Passphrase(PathBuf),
    /// In hardware, or any other PKCS#11 token.
    Pkcs11(Pkcs11),
}

/// A key in a PKCS#11 token.
#[derive(Debug, Clone)]
pub struct Pkcs11 {
    /// The token's driver: a shared library.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The key pair's label (`CKA_LABEL`).
    pub key: String,
    /// A file whose first line is the user's PIN.
    pub pin_file: PathBuf,
}

/// The root's key, ready to sign.
pub enum RootKey {
    /// From a file.
    File(KeyPair),
    /// In a token.
    #[cfg(feature = "pkcs11")]
    Token(crate::ca::hsm::TokenKey),
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey")
    }
}

impl RootSource {
    /// Opens the key of an existing root; `encrypted` is its file, when it is in one.
    ///
    /// # Errors
    /// A wrong passphrase or PIN, a missing key, a token that does not answer.
    pub fn open(&self, encrypted: &Path) -> anyhow::Result<RootKey> {
        match self {
            Self::Passphrase(path) => {
                let passphrase = read_secret_line(path, 8)?;
                let der = root_key::decrypt(&files::read(encrypted)?, &passphrase)?;
                // A wrong passphrase opens the cipher once in 256 times; what comes out is no key.
                let key = KeyPair::try_from(der.as_slice())
                    .map_err(|_| root_key::RootKeyError::Passphrase)?;
                Ok(RootKey::File(key))
            }
            Self::Pkcs11(settings) => in_token(settings, false),
        }
    }

    /// Makes the key of a new root: in the file `encrypted`, which is replaced, or in the token,
    /// where a key of that label is used when there is one.
    ///
    /// # Errors
    /// As [`RootSource::open`].
    pub fn make(&self, encrypted: &Path) -> anyhow::Result<RootKey> {
        match self {
            Self::Passphrase(path) => {
                let passphrase = read_secret_line(path, 8)?;
                let key = KeyPair::generate().context("cannot make a key")?;
                store_key(&key, &passphrase, encrypted)?;
                Ok(RootKey::File(key))
            }
            Self::Pkcs11(settings) => in_token(settings, true),
        }
    }
}

/// Writes a key, encrypted.
///
/// # Errors
/// The disk.
pub fn store_key(key: &KeyPair, passphrase: &[u8], path: &Path) -> anyhow::Result<()> {
    let der = Zeroizing::new(key.serialize_der());
    let encrypted = root_key::encrypt(&der, passphrase)?;
    Ok(files::replace(path, encrypted.as_bytes(), OWNER_ONLY)?)
}

/// A passphrase or PIN file holds one line; the line's end and a byte order mark are not part of it
/// (openssl's `file:` reads the line so too).
///
/// # Errors
/// The disk, or fewer than `shortest` characters.
pub fn read_secret_line(path: &Path, shortest: usize) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let content = Zeroizing::new(files::read(path).context("cannot read the file with the passphrase or PIN; say with --passphrase-file (or --pkcs11-pin-file) where it is")?);
    let line = pem::text(&content).split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() < shortest {
        anyhow::bail!("{}: the first line has {shortest} characters at least", path.display());
    }
    Ok(Zeroizing::new(line.to_vec()))
}

#[cfg(feature = "pkcs11")]
fn in_token(settings: &Pkcs11, make: bool) -> anyhow::Result<RootKey> {
    crate::ca::hsm::TokenKey::open(settings, make).map(RootKey::Token)
}

#[cfg(not(feature = "pkcs11"))]
fn in_token(settings: &Pkcs11, _make: bool) -> anyhow::Result<RootKey> {
    anyhow::bail!(
        "this postern-authority was built without PKCS#11, so it cannot use {}; build it with `--features pkcs11`",
        settings.module.display()
    )
}

impl PublicKeyData for RootKey {
    fn der_bytes(&self) -> &[u8] {
        match self {
            Self::File(key) => key.der_bytes(),
            #[cfg(feature = "pkcs11")]
            Self::Token(key) => key.der_bytes(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self {
            Self::File(key) => key.algorithm(),
            #[cfg(feature = "pkcs11")]
            Self::Token(key) => key.algorithm(),
        }
    }
}

impl SigningKey for RootKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match self {
            Self::File(key) => key.sign(message),
            #[cfg(feature = "pkcs11")]
            Self::Token(key) => key.sign(message),
        }
    }
}
