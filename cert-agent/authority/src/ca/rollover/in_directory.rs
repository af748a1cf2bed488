//! The roots' keys in the authority's directory, or in a PKCS#11 token beside it.

use std::io;
use std::path::Path;

use anyhow::bail;
use rustls_pki_types::CertificateDer;

use super::{KeyMaterial, KeyMaterialStore};
use crate::ca::init::write_intermediate;
use crate::ca::root_source::RootSource;
use crate::ca::signers::{self, SignerFacts};
use crate::store::directory::AuthorityDirectory;
use crate::store::files::{self, OWNER_ONLY, READABLE};
use crate::store::pem;

/// The key material as files.
#[derive(Debug, Clone)]
pub struct InDirectory {
    /// Where the files are.
    pub directory: AuthorityDirectory,
    /// What opens the root's key.
    pub source: RootSource,
}

/// What a directory holds; a mounted Secret may be read, too.
///
/// # Errors
/// A missing or unreadable file.
pub fn material(directory: &AuthorityDirectory) -> anyhow::Result<KeyMaterial> {
    let bundle = signers::load_bundle(directory)?;
    Ok(KeyMaterial {
        trust_domain: bundle.trust_domain().clone(),
        published: bundle.roots().to_vec(),
        intermediates: pem::certificates(&directory.intermediate_certificate())?,
        root: signers::read_certificate(&directory.root_certificate()).ok(),
        next: existing(&directory.next_root_certificate())?,
    })
}

impl KeyMaterialStore for InDirectory {
    fn material(&self) -> anyhow::Result<KeyMaterial> {
        if self.directory.is_secret() {
            bail!(
                "{} is a mounted Secret; roll its root over where it is made: with --secret, --root-secret and \
                 --bundle-config-map where `init --into-secret` made it, else in three steps by hand: both roots in \
                 ca.crt, then the new tls.crt, then the new root alone",
                self.directory.path().display()
            );
        }
        material(&self.directory)
    }

    fn make_next(
        &self,
        found: &KeyMaterial,
        lifetime: u64,
        now: u64,
    ) -> anyhow::Result<CertificateDer<'static>> {
        let key = self.source.make(&self.directory.next_root_key())?;
        let is_of =
            |root| SignerFacts::read(root).is_ok_and(|facts| facts.check_key("", &key).is_ok());
        if found.published.iter().any(is_of) {
            bail!(
                "that key is the key of a published root already; give the new root another --pkcs11-key"
            );
        }
        let root = signers::self_signed_root(&found.trust_domain, &key, now, lifetime)?;
        files::replace(&self.directory.next_root_certificate(), root.pem().as_bytes(), READABLE)?;
        Ok(root.into())
    }

    fn publish(&self, roots: &[CertificateDer<'static>]) -> anyhow::Result<()> {
        Ok(files::replace(&self.directory.bundle(), pem::encode(roots).as_bytes(), READABLE)?)
    }

    fn sign_by_next(&self, found: &KeyMaterial, lifetime: u64, now: u64) -> anyhow::Result<()> {
        let next = signers::read_certificate(&self.directory.next_root_certificate())?;
        let key = self.source.open(&self.directory.next_root_key())?;
        let signer = signers::new_intermediate(&found.trust_domain, &next, key, now, lifetime)?;
        write_intermediate(&self.directory, &signer)
    }

    fn promote(&self) -> anyhow::Result<()> {
        let directory = &self.directory;
        let certificate = files::read(&directory.next_root_certificate())?;
        match files::read(&directory.next_root_key()) {
            Ok(key) => files::replace(&directory.root_key(), &key, OWNER_ONLY)?,
            // In a token, as the old one may have been not.
            Err(error) if error.kind() == io::ErrorKind::NotFound => remove(&directory.root_key())?,
            Err(error) => return Err(error.into()),
        }
        files::replace(&directory.root_certificate(), &certificate, READABLE)?;
        // The certificate last: as long as it is there, a repetition does all of this again.
        self.drop_next()
    }

    fn drop_next(&self) -> anyhow::Result<()> {
        remove(&self.directory.next_root_key())?;
        Ok(remove(&self.directory.next_root_certificate())?)
    }

    fn keep_retired(&self, root: &CertificateDer<'static>) -> anyhow::Result<()> {
        let path = self.directory.retired(&signers::root_id(root));
        if let Some(parent) = path.parent() {
            files::private_directory(parent)?;
        }
        let pem = pem::encode(std::slice::from_ref(root));
        Ok(files::replace(&path, pem.as_bytes(), READABLE)?)
    }

    fn where_retired(&self, id: &str) -> String {
        let path = self.directory.retired(id);
        format!("Logs of its time: `log verify FILE --dir … --root {}`.", path.display())
    }
}

fn existing(path: &Path) -> anyhow::Result<Option<CertificateDer<'static>>> {
    path.exists().then(|| signers::read_certificate(path)).transpose()
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => files::sync_directory(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
