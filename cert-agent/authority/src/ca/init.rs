//! `postern-authority init`: makes the root, the intermediate and the bundle.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use identity::TrustDomain;
use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::ca::crl;
use crate::ca::root_source::{RootKey, RootSource, read_secret_line, store_key};
use crate::ca::signers::{self, NewSigner, SignerFacts};
use crate::store::directory::AuthorityDirectory;
use crate::store::files::{self, OWNER_ONLY, READABLE};
use crate::store::{pem, secret};

/// What `init` shall make.
#[derive(Debug, Clone)]
pub struct InitSettings<'a> {
    /// The name.
    pub trust_domain: TrustDomain,
    /// What encrypts the root key; none makes one up.
    pub passphrase_file: Option<&'a Path>,
    /// A root that exists: its certificate and its key.
    pub from_root: Option<(&'a Path, &'a Path)>,
    /// The root key is in a token, not in a file.
    pub pkcs11: Option<RootSource>,
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
/// When there is an authority already, and when the disk refuses. What was half made is named so
/// that a person can remove it; nothing is ever overwritten.
pub fn init(
    directory: &AuthorityDirectory,
    wanted: &InitSettings<'_>,
    now: u64,
) -> anyhow::Result<()> {
    refuse_to_overwrite(directory)?;
    files::private_directory(directory.path())?;
    let (root, key) = root(directory, wanted, now)?;
    let root_pem = files::read(&directory.root_certificate())?;
    let lifetime = wanted.intermediate_lifetime.as_secs();
    let intermediate = signers::new_intermediate(&wanted.trust_domain, &root, key, now, lifetime)?;
    write_intermediate(directory, &intermediate)?;
    files::private_directory(&directory.tokens())?;
    files::private_directory(&directory.credentials())?;
    files::write_new(&directory.bundle(), &root_pem, READABLE)?;
    Ok(())
}

/// Makes the root, or takes the one that exists; its certificate and key are in the directory then.
fn root(
    directory: &AuthorityDirectory,
    wanted: &InitSettings<'_>,
    now: u64,
) -> anyhow::Result<(CertificateDer<'static>, RootKey)> {
    if let (Some(source), None) = (&wanted.pkcs11, wanted.from_root) {
        let key = source.make(&directory.root_key())?;
        let lifetime = wanted.root_lifetime.as_secs();
        let root = signers::self_signed_root(&wanted.trust_domain, &key, now, lifetime)?;
        files::write_new(&directory.root_certificate(), root.pem().as_bytes(), READABLE)?;
        return Ok((root.der().clone(), key));
    }
    // What can be wrong with what was given comes before anything is written.
    let given = wanted.from_root.map(|from| given_root(from, wanted)).transpose()?;
    let passphrase = match wanted.passphrase_file {
        Some(path) => read_secret_line(path, 8)?,
        None => Zeroizing::new(secret::random_secret().as_bytes().to_vec()),
    };
    let (pem, key) = match given {
        Some(given) => given,
        None => {
            let made =
                signers::new_root(&wanted.trust_domain, now, wanted.root_lifetime.as_secs())?;
            (made.certificate.pem(), made.key)
        }
    };
    if wanted.passphrase_file.is_none() {
        files::write_new(&directory.passphrase(), &passphrase, OWNER_ONLY)?;
    }
    store_key(&key, &passphrase, &directory.root_key())?;
    files::write_new(&directory.root_certificate(), pem.as_bytes(), READABLE)?;
    let root = signers::read_certificate(&directory.root_certificate())?;
    if SignerFacts::read(&root)?.trust_domain.is_none() {
        let name = format!("{}\n", wanted.trust_domain);
        files::write_new(&directory.trust_domain_file(), name.as_bytes(), READABLE)?;
    }
    Ok((root, RootKey::File(key)))
}

/// The user's own root: a CA's certificate and its key, of this trust domain or of none.
fn given_root(
    (certificate, key): (&Path, &Path),
    wanted: &InitSettings<'_>,
) -> anyhow::Result<(String, KeyPair)> {
    let root = signers::read_certificate(certificate)?;
    let key = pem::private_key(key)?;
    let facts = SignerFacts::read(&root)?;
    facts.check_key("root", &key)?;
    facts.check_signs("root")?;
    if let Some(named) = facts.trust_domain.filter(|named| *named != wanted.trust_domain) {
        bail!(
            "{}: the root is of trust domain {named}; give `--trust-domain {named}`",
            certificate.display()
        );
    }
    Ok((pem::encode(std::slice::from_ref(&root)), key))
}

/// `postern-authority renew-intermediate`: a new intermediate under the same root. A running
/// authority takes it up by itself; leaves of the old one stay good, because they carry it in their
/// chain.
///
/// # Errors
/// A wrong passphrase, an expired root, or the disk.
pub fn renew_intermediate(
    directory: &AuthorityDirectory,
    source: &RootSource,
    lifetime: Duration,
    now: u64,
) -> anyhow::Result<()> {
    let bundle = signers::load_bundle(directory)?;
    let root_key = source.open(&directory.root_key())?;
    let root = signers::read_certificate(&directory.root_certificate())?;
    let signer =
        signers::new_intermediate(bundle.trust_domain(), &root, root_key, now, lifetime.as_secs())?;
    write_intermediate(directory, &signer)
}

/// The key first: between the two renames a running authority finds a pair that does not fit, and
/// keeps what it has. A copy of the old pair stays to sign its revocation list.
pub(super) fn write_intermediate(
    directory: &AuthorityDirectory,
    signer: &NewSigner,
) -> anyhow::Result<()> {
    crl::keep_former(directory)?;
    let key = Zeroizing::new(signer.key.serialize_pem());
    files::replace(&directory.intermediate_key(), key.as_bytes(), OWNER_ONLY)?;
    let certificate = signer.certificate.pem();
    files::replace(&directory.intermediate_certificate(), certificate.as_bytes(), READABLE)?;
    Ok(())
}

fn refuse_to_overwrite(directory: &AuthorityDirectory) -> anyhow::Result<()> {
    let found: Vec<_> = [
        directory.bundle(),
        directory.root_certificate(),
        directory.root_key(),
        directory.intermediate_certificate(),
        directory.intermediate_key(),
        directory.passphrase(),
        directory.trust_domain_file(),
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
