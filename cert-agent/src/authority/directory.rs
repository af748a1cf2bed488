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
//! | `tokens/` | 0700 | one file per join token, named by its hash |
//! | `credentials/` | 0700 | one file per agent that renews, with hashes only |
//! | `federation/` | 0700 | the last good bundle of each federated trust domain |
//! | `lock` | 0600 | held by the `run` that serves this directory |

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::files;

/// The authority's directory.
#[derive(Debug, Clone)]
pub struct Directory(PathBuf);

impl Directory {
    /// The directory at this path; nothing is read yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The root certificate.
    #[must_use]
    pub fn root_certificate(&self) -> PathBuf {
        self.0.join("root.pem")
    }

    /// The root's encrypted key.
    #[must_use]
    pub fn root_key(&self) -> PathBuf {
        self.0.join("root.key.pem")
    }

    /// The passphrase that `init` made up.
    #[must_use]
    pub fn passphrase(&self) -> PathBuf {
        self.0.join("root.passphrase")
    }

    /// The intermediate certificate.
    #[must_use]
    pub fn intermediate_certificate(&self) -> PathBuf {
        self.0.join("intermediate.pem")
    }

    /// The intermediate's key.
    #[must_use]
    pub fn intermediate_key(&self) -> PathBuf {
        self.0.join("intermediate.key.pem")
    }

    /// The published roots.
    #[must_use]
    pub fn bundle(&self) -> PathBuf {
        self.0.join("bundle.pem")
    }

    /// The join tokens.
    #[must_use]
    pub fn tokens(&self) -> PathBuf {
        self.0.join("tokens")
    }

    /// The renewal credentials.
    #[must_use]
    pub fn credentials(&self) -> PathBuf {
        self.0.join("credentials")
    }

    /// The bundles of other trust domains, as they were received last.
    #[must_use]
    pub fn federation(&self) -> PathBuf {
        self.0.join("federation")
    }

    /// Takes the directory for one serving process, or for all that share their state; the lock ends with the value (or the process).
    ///
    /// A second `run` without `--state` is a mistake more often than a wish; replicas say so.
    ///
    /// # Errors
    /// When another process serves it, or the lock file cannot be opened.
    pub fn lock(&self, shared: bool) -> anyhow::Result<File> {
        let path = self.0.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(files::OWNER_ONLY)
            .open(&path)
            .with_context(|| format!("cannot open {}; did `init` run?", path.display()))?;
        match if shared { file.try_lock_shared() } else { file.try_lock() } {
            Ok(()) => Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => {
                bail!(
                    "another postern-authority serves {}; stop it, or give both the same --state",
                    self.0.display()
                )
            }
            Err(std::fs::TryLockError::Error(error)) => {
                Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())).into())
            }
        }
    }
}
