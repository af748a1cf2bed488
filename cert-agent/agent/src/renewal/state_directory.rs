//! What the agent keeps over a restart: the renewal credential and whose it is. Never a key.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use identity::SpiffeId;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// A credential is below 128 bytes and an id below 2,048.
const MAX_FILE: u64 = 16 * 1024;

/// A renewal credential and the identity that it renews.
#[derive(Clone, PartialEq, Eq)]
pub struct RenewalCredential {
    /// Whose certificates it gets.
    pub identity: SpiffeId,
    /// The secret.
    pub secret: Zeroizing<String>,
}

impl std::fmt::Debug for RenewalCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RenewalCredential")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// The file's form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct StoredCredential {
    identity: String,
    renewal_credential: String,
}

impl Drop for StoredCredential {
    fn drop(&mut self) {
        self.renewal_credential.zeroize();
    }
}

/// The agent's state directory, taken by this process.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    /// A credential has a single holder; the lock ends with the process.
    _lock: File,
}

impl StateDirectory {
    /// Makes the directory if need be (mode 0700) and takes it.
    ///
    /// # Errors
    /// When another agent has it, or the operating system's error.
    pub fn take(path: &Path) -> anyhow::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make the state directory {}", path.display()))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .with_context(|| lock_path.display().to_string())?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!(
                "another agent uses {}; each agent needs a --state-dir of its own",
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| lock_path.display().to_string())
            }
        }
    }

    /// The credential of an earlier life; none when there is none.
    ///
    /// # Errors
    /// A file that is not ours, that others may read, or the operating system's error.
    pub fn load(&self) -> anyhow::Result<Option<RenewalCredential>> {
        let path = self.file();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            bail!(
                "{}: others may read it; `chmod 600` it, or remove it and join anew",
                path.display()
            );
        }
        let mut content = Zeroizing::new(Vec::new());
        file.take(MAX_FILE).read_to_end(&mut content)?;
        let damaged =
            || format!("{}: not a renewal credential; remove it and join anew", path.display());
        let stored: StoredCredential = serde_json::from_slice(&content).with_context(damaged)?;
        let identity = SpiffeId::parse(&stored.identity).with_context(damaged)?;
        Ok(Some(RenewalCredential {
            identity,
            secret: Zeroizing::new(stored.renewal_credential.clone()),
        }))
    }

    /// Replaces the credential in one step, mode 0600: a crash leaves the old or the new one, both
    /// still good.
    ///
    /// # Errors
    /// The operating system's.
    pub fn store(&self, credential: &RenewalCredential) -> io::Result<()> {
        let stored = StoredCredential {
            identity: credential.identity.to_string(),
            renewal_credential: credential.secret.to_string(),
        };
        let content = Zeroizing::new(serde_json::to_vec(&stored)?);
        let temporary = self.path.join("renewal-credential.json.new");
        // Left by a crash; opening it again would keep its mode, whatever that is.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&content)?;
        file.sync_all()?;
        fs::rename(&temporary, self.file())?;
        File::open(&self.path)?.sync_all()
    }

    fn file(&self) -> PathBuf {
        self.path.join("renewal-credential.json")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn credential(secret: &str) -> RenewalCredential {
        RenewalCredential {
            identity: SpiffeId::parse("spiffe://cluster.local/ns/shop/sa/cart").unwrap(),
            secret: Zeroizing::new(secret.to_owned()),
        }
    }

    #[test]
    fn s36_local_secrets_and_rights_of_the_credential() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let state = StateDirectory::take(&path).unwrap();
        assert_eq!(state.load().unwrap(), None);
        state.store(&credential("one")).unwrap();
        state.store(&credential("two")).unwrap();
        assert_eq!(state.load().unwrap(), Some(credential("two")));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&state.file()), 0o600);
        assert!(!format!("{:?}", credential("canary")).contains("canary"));

        fs::set_permissions(state.file(), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(state.load().unwrap_err().to_string().contains("others may read it"));
    }

    #[test]
    fn a_directory_has_one_agent() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDirectory::take(dir.path()).unwrap();
        assert!(StateDirectory::take(dir.path()).is_err());
        drop(state);
        assert!(StateDirectory::take(dir.path()).is_ok());
    }

    #[test]
    fn f06_a_half_written_file_never_counts() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDirectory::take(dir.path()).unwrap();
        state.store(&credential("one")).unwrap();
        fs::write(dir.path().join("renewal-credential.json.new"), b"{\"identity\":").unwrap();
        assert_eq!(state.load().unwrap(), Some(credential("one")));
        state.store(&credential("two")).unwrap();
        assert_eq!(state.load().unwrap(), Some(credential("two")));
        fs::write(state.file(), b"{}").unwrap();
        assert!(state.load().is_err());
    }
}
