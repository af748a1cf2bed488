//! Where the authority keeps what it knows.
//!
//! | file | mode | holds |
//! |---|---|---|
//! | `root.pem` | 0644 | the root certificate |
//! | `root.key.pem` | 0600 | its key, encrypted; `run` never reads it and it may live elsewhere |
//! | `root.passphrase` | 0600 | only when `init` had to make one up |
//! | `intermediate.pem` | 0644 | the certificate that signs leaves |
//! | `intermediate.key.pem` | 0600 | its key |
//! | `bundle.pem` | 0644 | every root that peers shall trust: what agents are given |
//! | `next-root.pem`, `next-root.key.pem` | 0644, 0600 | the root that `root prepare` made |
//! | `former/` | 0700 | replaced intermediates with their keys, while leaves of theirs live |
//! | `retired/` | 0700 | the certificates of retired roots, for `log verify --root`; no program believes them |
//! | `trust-domain` | 0644 | only when the root names none |
//! | `tokens/` | 0700 | one file per join token, named by its hash |
//! | `credentials/` | 0700 | one file per agent that renews, with hashes only |
//! | `federation/` | 0700 | the last good bundle of each federated trust domain |
//! | `record/`, `leaves/`, `revocations/`, `rollover/` | 0700 | the rest of the shared state |
//! | `log/` | 0700 | the issuance log |
//! | `lock` | 0600 | held by the `run` that serves this directory |
//!
//! The state (from `tokens/` on) is elsewhere when `--state` says so. A mounted Secret as
//! cert-manager writes it (`tls.crt`, `tls.key`, `ca.crt`) is a directory without root key.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use identity::TrustDomain;

use crate::store::{files, pem};

/// The authority's directory.
#[derive(Debug, Clone)]
pub struct AuthorityDirectory {
    path: PathBuf,
    trust_domain: Option<TrustDomain>,
}

impl AuthorityDirectory {
    /// The directory at this path; nothing is read yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), trust_domain: None }
    }

    /// With this trust domain, when the certificates name none.
    #[must_use]
    pub fn with_trust_domain(mut self, trust_domain: Option<TrustDomain>) -> Self {
        self.trust_domain = trust_domain;
        self
    }

    /// The trust domain it was given, now or at `init`; none: the certificates say it.
    ///
    /// # Errors
    /// A `trust-domain` file that holds no name.
    pub fn trust_domain(&self) -> anyhow::Result<Option<TrustDomain>> {
        if self.trust_domain.is_some() {
            return Ok(self.trust_domain.clone());
        }
        let path = self.trust_domain_file();
        match files::read(&path) {
            Ok(content) => {
                let text = String::from_utf8_lossy(pem::text(&content)).trim().to_owned();
                let name = TrustDomain::parse(&text).with_context(|| path.display().to_string())?;
                Ok(Some(name))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Where `init` keeps the trust domain of a root that names none.
    #[must_use]
    pub fn trust_domain_file(&self) -> PathBuf {
        self.path.join("trust-domain")
    }

    /// Whether this is a mounted Secret as cert-manager writes it: `tls.crt`, `tls.key`, `ca.crt`.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.path.join("tls.crt").exists() && !self.path.join("intermediate.pem").exists()
    }

    fn either(&self, ours: &str, secrets: &str) -> PathBuf {
        self.path.join(if self.is_secret() { secrets } else { ours })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The root certificate.
    #[must_use]
    pub fn root_certificate(&self) -> PathBuf {
        self.path.join("root.pem")
    }

    /// The root's encrypted key.
    #[must_use]
    pub fn root_key(&self) -> PathBuf {
        self.path.join("root.key.pem")
    }

    /// The passphrase that `init` made up.
    #[must_use]
    pub fn passphrase(&self) -> PathBuf {
        self.path.join("root.passphrase")
    }

    /// The intermediate certificate.
    #[must_use]
    pub fn intermediate_certificate(&self) -> PathBuf {
        self.either("intermediate.pem", "tls.crt")
    }

    /// The intermediate's key.
    #[must_use]
    pub fn intermediate_key(&self) -> PathBuf {
        self.either("intermediate.key.pem", "tls.key")
    }

    /// The published roots.
    #[must_use]
    pub fn bundle(&self) -> PathBuf {
        self.either("bundle.pem", "ca.crt")
    }

    /// The root that `root prepare` made, until `root activate`.
    #[must_use]
    pub fn next_root_certificate(&self) -> PathBuf {
        self.path.join("next-root.pem")
    }

    /// Its encrypted key.
    #[must_use]
    pub fn next_root_key(&self) -> PathBuf {
        self.path.join("next-root.key.pem")
    }

    /// Intermediates that were replaced, while leaves of theirs live: they sign revocation lists.
    #[must_use]
    pub fn former(&self) -> PathBuf {
        self.path.join("former")
    }

    /// The certificate of a root that was retired, by its id.
    #[must_use]
    pub fn retired(&self, id: &str) -> PathBuf {
        self.path.join("retired").join(format!("{id}.pem"))
    }

    /// The join tokens.
    #[must_use]
    pub fn tokens(&self) -> PathBuf {
        self.path.join("tokens")
    }

    /// The renewal credentials.
    #[must_use]
    pub fn credentials(&self) -> PathBuf {
        self.path.join("credentials")
    }

    /// The bundles of other trust domains, as they were received last.
    #[must_use]
    pub fn federation(&self) -> PathBuf {
        self.path.join("federation")
    }

    /// Takes the directory for one serving process, or for all that share their state; the lock ends with the value (or
    /// the process).
    ///
    /// A second `run` without `--state` is a mistake more often than a wish; replicas say so.
    ///
    /// # Errors
    /// When another process serves it, or the lock file cannot be opened.
    pub fn lock(&self, shared: bool) -> anyhow::Result<File> {
        let path = self.path.join("lock");
        let file = files::lock_file(&path).context("did `init` run?")?;
        match if shared { file.try_lock_shared() } else { file.try_lock() } {
            Ok(()) => Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => {
                bail!(
                    "another postern-authority serves {}; stop it, or give both the same --state",
                    self.path.display()
                )
            }
            Err(std::fs::TryLockError::Error(error)) => {
                Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())).into())
            }
        }
    }
}
