//! `postern-authority init`: makes the root, the intermediate and the bundle.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use identity::TrustDomain;
use rcgen::KeyPair;
use zeroize::Zeroizing;

use super::ca::{self, NewSigner};
use super::directory::Directory;
use super::files::{self, OWNER_ONLY, READABLE};
use super::{root_key, secret};

/// What `init` shall make.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The name.
    pub trust_domain: TrustDomain,
    /// What encrypts the root key; none makes one up.
    pub passphrase_file: Option<&'a Path>,
    /// Of the root.
    pub root_lifetime: Duration,
    /// Of the intermediate.
    pub intermediate_lifetime: Duration,
}

/// Makes an authority in a directory that has none. `now` in Unix seconds.
///
/// The bundle is written last: a directory with `bundle.pem` is complete.
///
/// # Errors
/// When there is an authority already, and when the disk refuses. What was half made is named so that a person can
/// remove it; nothing is ever overwritten.
pub fn init(directory: &Directory, wanted: &Wanted<'_>, now: u64) -> anyhow::Result<()> {
    refuse_to_overwrite(directory)?;
    let passphrase = match wanted.passphrase_file {
        Some(path) => read_passphrase(path)?,
        None => Zeroizing::new(secret::random_secret().as_bytes().to_vec()),
    };
    files::private_directory(directory.path())?;
    let root = ca::new_root(&wanted.trust_domain, now, wanted.root_lifetime.as_secs())?;
    let encrypted = root_key::encrypt(&key_der(&root.key), &passphrase)?;
    if wanted.passphrase_file.is_none() {
        files::write_new(&directory.passphrase(), &passphrase, OWNER_ONLY)?;
    }
    files::write_new(&directory.root_key(), encrypted.as_bytes(), OWNER_ONLY)?;
    let root_pem = root.certificate.pem();
    files::write_new(&directory.root_certificate(), root_pem.as_bytes(), READABLE)?;
    let intermediate = ca::new_intermediate(
        &wanted.trust_domain,
        root.certificate.der(),
        root.key,
        now,
        wanted.intermediate_lifetime.as_secs(),
    )?;
    write_intermediate(directory, &intermediate)?;
    files::private_directory(&directory.tokens())?;
    files::private_directory(&directory.credentials())?;
    files::write_new(&directory.bundle(), root_pem.as_bytes(), READABLE)?;
    Ok(())
}

/// `postern-authority renew-intermediate`: a new intermediate under the same root. A running authority takes it up by
/// itself; leaves of the old one stay good, because they carry it in their chain.
///
/// # Errors
/// A wrong passphrase, an expired root, or the disk.
pub fn renew_intermediate(
    directory: &Directory,
    passphrase_file: Option<&Path>,
    lifetime: Duration,
    now: u64,
) -> anyhow::Result<()> {
    let bundle = ca::load_bundle(directory)?;
    let made_up = directory.passphrase();
    let passphrase = read_passphrase(passphrase_file.unwrap_or(&made_up))?;
    let der = root_key::decrypt(&files::read(&directory.root_key())?, &passphrase)?;
    // A wrong passphrase opens the cipher once in 256 times; what comes out is then no key.
    let root_key =
        KeyPair::try_from(der.as_slice()).map_err(|_| root_key::RootKeyError::Passphrase)?;
    let root = ca::read_certificate(&directory.root_certificate())?;
    let signer =
        ca::new_intermediate(bundle.trust_domain(), &root, root_key, now, lifetime.as_secs())?;
    write_intermediate(directory, &signer)
}

/// The key first: between the two renames a running authority finds a pair that does not fit, and keeps what it has.
fn write_intermediate(directory: &Directory, signer: &NewSigner) -> anyhow::Result<()> {
    let key = Zeroizing::new(signer.key.serialize_pem());
    files::replace(&directory.intermediate_key(), key.as_bytes(), OWNER_ONLY)?;
    let certificate = signer.certificate.pem();
    files::replace(&directory.intermediate_certificate(), certificate.as_bytes(), READABLE)?;
    Ok(())
}

fn refuse_to_overwrite(directory: &Directory) -> anyhow::Result<()> {
    let found: Vec<_> = [
        directory.bundle(),
        directory.root_certificate(),
        directory.root_key(),
        directory.intermediate_certificate(),
        directory.intermediate_key(),
        directory.passphrase(),
    ]
    .into_iter()
    .filter(|path| path.symlink_metadata().is_ok())
    .map(|path| path.display().to_string())
    .collect();
    if found.is_empty() {
        return Ok(());
    }
    bail!(
        "there is an authority already: {}; `init` overwrites nothing, choose another --dir",
        found.join(", ")
    )
}

/// A passphrase file holds one line; the line's end is not part of the passphrase (openssl's `file:` reads it so too).
fn read_passphrase(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let content = Zeroizing::new(files::read(path).context("cannot read the passphrase file")?);
    let line = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() < 8 {
        bail!("{}: a passphrase has 8 characters at least", path.display());
    }
    Ok(Zeroizing::new(line.to_vec()))
}

fn key_der(key: &KeyPair) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(key.serialize_der())
}
