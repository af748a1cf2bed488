//! The trust bundle file: the operator's word on whom to trust first, and again when the authority
//! can no longer be reached with what it said itself, as after a roll-over that ended while this
//! machine was away.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use identity::{SpiffeId, TrustBundle, TrustDomain};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A bundle file of 64 roots is below this.
const MAX_BUNDLE: u64 = 1024 * 1024;
/// What editors of another world put at the beginning of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The file, and what of it was taken already.
#[derive(Debug, Clone)]
pub struct BundleFile {
    path: PathBuf,
    taken: TrustBundle,
}

impl BundleFile {
    /// Reads it for the first time. Without a name the roots must say themselves whose they are
    /// (X509-SVID §3.2: a signer's URI SAN).
    ///
    /// # Errors
    /// A file that cannot be read or used, with its name.
    pub fn open(path: &Path, named: Option<TrustDomain>) -> anyhow::Result<Self> {
        Ok(Self { path: path.to_owned(), taken: load(path, named)? })
    }

    /// The roots it held when they were last taken.
    #[must_use]
    pub fn taken(&self) -> &TrustBundle {
        &self.taken
    }

    /// Roots that were put there since; none when the file is the same, or cannot be read or used
    /// (F-09: what is known stays). A file that did not change brings no retired root back.
    #[must_use]
    pub fn newer(&self) -> Option<TrustBundle> {
        match load(&self.path, Some(self.taken.trust_domain().clone())) {
            Ok(roots) => (roots.roots() != self.taken.roots()).then_some(roots),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the trust bundle file is left alone");
                None
            }
        }
    }

    /// These roots of it proved right.
    pub fn take(&mut self, roots: TrustBundle) {
        self.taken = roots;
    }
}

fn load(path: &Path, named: Option<TrustDomain>) -> anyhow::Result<TrustBundle> {
    let at = || path.display().to_string();
    let size =
        std::fs::metadata(path).with_context(at).context("cannot read the trust bundle")?.len();
    if size > MAX_BUNDLE {
        bail!("{}: larger than 1 MiB; is it a trust bundle?", path.display());
    }
    let text = std::fs::read(path).with_context(at)?;
    let pem = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    let trust_domain = match named {
        Some(named) => named,
        None => {
            let first = CertificateDer::from_pem_slice(pem).map_err(|error| {
                anyhow!(
                    "{}: not a PEM certificate ({}); give what `postern-authority bundle` prints",
                    path.display(),
                    identity::pem::damage(&error)
                )
            })?;
            trust_domain_of(&first).ok_or_else(|| {
                anyhow!(
                    "{}: the root names no trust domain; say it with --trust-domain",
                    path.display()
                )
            })?
        }
    };
    TrustBundle::from_pem(trust_domain, pem).with_context(at)
}

fn trust_domain_of(root: &CertificateDer<'_>) -> Option<TrustDomain> {
    let (_, root) = X509Certificate::from_der(root).ok()?;
    let names = root.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => {
            SpiffeId::parse(uri).ok().and_then(|id| TrustDomain::parse(id.trust_domain()).ok())
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::fs;

    use super::*;

    fn root() -> String {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        let uri = "spiffe://cluster.local".try_into().unwrap();
        params.subject_alt_names = vec![rcgen::SanType::URI(uri)];
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn f38_files_as_people_and_programs_write_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bundle.pem");
        let pem = root().replace("\r\n", "\n");
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let check = |name: &str, text: String, expect: Result<usize, &str>| {
            fs::write(&path, text).unwrap();
            let seen = BundleFile::open(&path, None);
            match (seen, expect) {
                (Ok(seen), Ok(roots)) => {
                    assert_eq!(seen.taken().roots().len(), roots, "{name}");
                    assert_eq!(seen.taken().trust_domain().as_str(), "cluster.local", "{name}");
                }
                (Err(error), Err(words)) => {
                    let error = format!("{error:#}");
                    assert!(
                        error.contains(words) && error.contains("bundle.pem"),
                        "{name}: {error}"
                    );
                }
                (seen, _) => panic!("{name}: {seen:?}"),
            }
        };
        check("as it is", pem.clone(), Ok(1));
        check("blank lines around it", format!("\n\n{pem}\n\n"), Ok(1));
        check("no line end at the end", pem.trim_end().to_owned(), Ok(1));
        check("CRLF", pem.replace('\n', "\r\n"), Ok(1));
        check("a byte order mark", format!("\u{feff}{pem}"), Ok(1));
        check("words before it", format!("Issuer: CN=root\n{pem}"), Ok(1));
        check("two roots", format!("{pem}{}", root()), Ok(2));
        check("a key among the roots is passed over", format!("{key}{pem}"), Ok(1));
        check("empty", String::new(), Err("not a PEM certificate"));
        check("a key alone", key, Err("not a PEM certificate"));
        check("cut off", pem[..pem.len() / 2].to_owned(), Err("not a PEM certificate"));
    }

    #[test]
    fn f09_bundle_unreadable_file_keeps_what_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bundle.pem");
        let first = root();
        fs::write(&path, &first).unwrap();
        let mut file = BundleFile::open(&path, None).unwrap();
        assert!(file.newer().is_none(), "the same file says nothing new");
        fs::write(&path, "garbage").unwrap();
        assert!(file.newer().is_none());
        fs::remove_file(&path).unwrap();
        assert!(file.newer().is_none());
        fs::write(&path, root()).unwrap();
        let newer = file.newer().expect("another root");
        file.take(newer);
        assert!(file.newer().is_none());
    }
}
