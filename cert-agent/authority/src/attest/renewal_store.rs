//! Renewal credentials: how an agent that joined once proves, for days and over restarts, that it
//! is still that one.
//!
//! A credential is a 256-bit secret for one identity with a single holder. Each use replaces it;
//! the one that was used stays good until its successor is used, so that an answer lost on the way
//! locks nobody out. The authority keeps hashes only, one entry of the store per holder
//! ("instance"), replaced by compare-and-swap, so that any replica may answer.

use std::io;
use std::sync::Arc;

use identity::SpiffeId;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::store::secret::{self, SecretHash};
use crate::store::{EntryKey, Store, StoreEntry};

/// What every credential begins with, so that a secret scanner knows one.
pub const PREFIX: &str = "prc_";
/// The instance's name: 32 hexadecimal digits, not secret.
const INSTANCE: usize = 32;
/// The kind of their entries.
const KIND: &str = "credentials";
/// Calls with one credential at a time; the store lets one of them win each round.
const MAX_TRIES: usize = 16;

/// The credentials of one authority.
#[derive(Debug)]
pub struct RenewalCredentials {
    store: Arc<dyn Store>,
    /// Seconds that a credential is good for when it is not used.
    lifetime: u64,
}

/// What is kept of one holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HolderRecord {
    identity: String,
    /// Hash of the credential handed out last.
    current: String,
    /// Hash of the one before it, until `current` is used.
    previous: Option<String>,
    joined: u64,
    expires: u64,
}

/// A holder that proved itself; nothing has changed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialHolder {
    /// Which of the agents of an identity this is. Not secret.
    pub instance: String,
    /// Whose certificates it may have.
    pub identity: SpiffeId,
    presented: SecretHash,
}

/// A holder as `instances` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedHolder {
    /// Its name.
    pub instance: String,
    /// Whose certificates it may have.
    pub identity: String,
    /// When it redeemed its join token, Unix seconds.
    pub joined: u64,
    /// When its credential ends unless it renews, Unix seconds.
    pub expires: u64,
}

/// Why a credential was refused.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// Unknown, replaced, revoked or expired: the caller is not told which.
    #[error("the renewal credential is not (or no longer) good; the agent needs a new join token")]
    NotGood,
    /// The store failed.
    #[error("the credential store failed: {0}")]
    Store(#[from] io::Error),
}

impl From<serde_json::Error> for CredentialError {
    fn from(error: serde_json::Error) -> Self {
        Self::Store(error.into())
    }
}

impl RenewalCredentials {
    /// The credentials kept in this store, each good for `lifetime` seconds from its issue.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, lifetime: u64) -> Self {
        Self { store, lifetime }
    }

    /// A new holder, after a join token. Answers its credential. `now` in Unix seconds.
    ///
    /// # Errors
    /// The store's.
    pub fn create(&self, identity: &SpiffeId, now: u64) -> io::Result<Zeroizing<String>> {
        let instance = secret::random_hex::<16>();
        let credential = new_credential(&instance);
        let record = HolderRecord {
            identity: identity.to_string(),
            current: SecretHash::of(&credential).as_str().to_owned(),
            previous: None,
            joined: now,
            expires: now.saturating_add(self.lifetime),
        };
        if !self.store.create(&key_of(&instance)?, &serde_json::to_vec(&record)?)? {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "the instance's name is taken",
            ));
        }
        Ok(credential)
    }

    /// Who holds this credential. Changes nothing.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn holder(&self, credential: &str, now: u64) -> Result<CredentialHolder, CredentialError> {
        let instance = instance_of(credential).ok_or(CredentialError::NotGood)?;
        let presented = SecretHash::of(credential);
        let entry = self.store.get(&key_of(instance)?)?.ok_or(CredentialError::NotGood)?;
        let record = record_of(&entry)?;
        if !record.is_good(&presented, now) {
            return Err(CredentialError::NotGood);
        }
        let identity = SpiffeId::parse(&record.identity).map_err(|_| CredentialError::NotGood)?;
        Ok(CredentialHolder { instance: instance.to_owned(), identity, presented })
    }

    /// Hands the holder its next credential; the presented one becomes the previous one.
    ///
    /// # Errors
    /// [`CredentialError`]: between [`RenewalCredentials::holder`] and now another call may have used the
    /// successor.
    pub fn replace(
        &self,
        holder: &CredentialHolder,
        now: u64,
    ) -> Result<Zeroizing<String>, CredentialError> {
        let key = key_of(&holder.instance)?;
        for _ in 0..MAX_TRIES {
            let entry = self.store.get(&key)?.ok_or(CredentialError::NotGood)?;
            let mut record = record_of(&entry)?;
            if !record.is_good(&holder.presented, now) {
                return Err(CredentialError::NotGood);
            }
            let credential = new_credential(&holder.instance);
            record.previous = Some(holder.presented.as_str().to_owned());
            SecretHash::of(&credential).as_str().clone_into(&mut record.current);
            record.expires = now.saturating_add(self.lifetime);
            if self.store.replace(&key, &serde_json::to_vec(&record)?, &entry.version)? {
                return Ok(credential);
            }
        }
        let busy = "many calls with one credential at a time";
        Err(io::Error::new(io::ErrorKind::WouldBlock, busy).into())
    }

    /// Every holder, by identity.
    ///
    /// # Errors
    /// The store's.
    pub fn list(&self) -> io::Result<Vec<ListedHolder>> {
        let mut listed = Vec::new();
        for (key, entry) in self.store.list(KIND)? {
            let HolderRecord { identity, joined, expires, .. } = record_of(&entry)?;
            listed.push(ListedHolder {
                instance: key.name().to_owned(),
                identity,
                joined,
                expires,
            });
        }
        listed.sort_by(|a, b| (&a.identity, &a.instance).cmp(&(&b.identity, &b.instance)));
        Ok(listed)
    }

    /// Ends a holder: its next renewal is refused. False when there is no such holder.
    ///
    /// # Errors
    /// The store's.
    pub fn revoke(&self, instance: &str) -> io::Result<bool> {
        if !is_instance(instance) {
            return Ok(false);
        }
        let key = key_of(instance)?;
        for _ in 0..MAX_TRIES {
            let Some(entry) = self.store.get(&key)? else { return Ok(false) };
            if self.store.remove(&key, &entry.version)? {
                return Ok(true);
            }
        }
        Err(io::Error::new(io::ErrorKind::WouldBlock, "the holder renews all the time; try again"))
    }

    /// Forgets the holders whose credentials have ended.
    ///
    /// # Errors
    /// The store's.
    pub fn remove_expired(&self, now: u64) -> io::Result<()> {
        for (key, entry) in self.store.list(KIND)? {
            if now >= record_of(&entry)?.expires {
                // False when it was renewed at this moment: then it has not ended.
                self.store.remove(&key, &entry.version)?;
            }
        }
        Ok(())
    }
}

impl HolderRecord {
    fn is_good(&self, presented: &SecretHash, now: u64) -> bool {
        let current = presented.matches(&self.current);
        let previous = self.previous.as_deref().is_some_and(|kept| presented.matches(kept));
        (current || previous) && now < self.expires
    }
}

fn key_of(instance: &str) -> io::Result<EntryKey> {
    EntryKey::new(KIND, instance)
}

/// An entry that is not ours is an error: it must not pass for "unknown".
fn record_of(entry: &StoreEntry) -> io::Result<HolderRecord> {
    Ok(serde_json::from_slice(&entry.value)?)
}

fn new_credential(instance: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("{PREFIX}{instance}{}", secret::random_secret().as_str()))
}

/// The instance inside a credential; checked, because it becomes a file name.
#[must_use]
pub fn instance_of(credential: &str) -> Option<&str> {
    let rest = credential.strip_prefix(PREFIX).filter(|rest| rest.len() <= 128)?;
    let (instance, _secret) = rest.split_at_checked(INSTANCE)?;
    is_instance(instance).then_some(instance)
}

fn is_instance(name: &str) -> bool {
    name.len() == INSTANCE && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::fs;

    use super::*;
    use crate::store::directory_store::DirectoryStore;

    const NOW: u64 = 1_800_000_000;
    const WEEK: u64 = 7 * 86_400;

    fn cart() -> SpiffeId {
        SpiffeId::parse("spiffe://cluster.local/ns/shop/sa/cart").unwrap()
    }

    fn credentials() -> (tempfile::TempDir, RenewalCredentials) {
        let dir = tempfile::tempdir().unwrap();
        let credentials = RenewalCredentials::new(Arc::new(DirectoryStore::new(dir.path())), WEEK);
        (dir, credentials)
    }

    fn renew(
        credentials: &RenewalCredentials,
        credential: &str,
        now: u64,
    ) -> Option<Zeroizing<String>> {
        let holder = credentials.holder(credential, now).ok()?;
        credentials.replace(&holder, now).ok()
    }

    #[test]
    fn each_use_replaces_the_credential() {
        let (_dir, credentials) = credentials();
        let first = credentials.create(&cart(), NOW).unwrap();
        let second = renew(&credentials, &first, NOW).unwrap();
        let third = renew(&credentials, &second, NOW).unwrap();
        assert_eq!(credentials.holder(&third, NOW).unwrap().identity, cart());
        assert!(renew(&credentials, &first, NOW).is_none(), "its successor was used");
    }

    #[test]
    fn the_previous_one_stays_good_until_the_new_one_is_used() {
        let (_dir, credentials) = credentials();
        let first = credentials.create(&cart(), NOW).unwrap();
        let lost = renew(&credentials, &first, NOW).unwrap();
        let second =
            renew(&credentials, &first, NOW).expect("the answer with `lost` never arrived");
        assert!(renew(&credentials, &lost, NOW).is_none(), "replaced before it was used");
        renew(&credentials, &second, NOW).unwrap();
        assert!(renew(&credentials, &first, NOW).is_none());
    }

    #[test]
    fn a_credential_ends_after_its_days_and_each_renewal_begins_them_anew() {
        let (_dir, credentials) = credentials();
        let first = credentials.create(&cart(), NOW).unwrap();
        let second = renew(&credentials, &first, NOW + WEEK - 1).unwrap();
        assert!(
            renew(&credentials, &first, NOW + WEEK + 1).is_some(),
            "the previous one lives on with it"
        );
        let third = renew(&credentials, &second, NOW + WEEK + 2);
        assert!(third.is_none(), "the previous one was used after it");
        assert!(renew(&credentials, &first, NOW + 3 * WEEK).is_none());
        credentials.remove_expired(NOW + 3 * WEEK).unwrap();
        assert!(credentials.list().unwrap().is_empty());
    }

    #[test]
    fn a_revoked_holder_is_refused_and_never_comes_back() {
        let (_dir, credentials) = credentials();
        let first = credentials.create(&cart(), NOW).unwrap();
        let holder = credentials.holder(&first, NOW).unwrap();
        assert!(credentials.revoke(&holder.instance).unwrap());
        assert!(!credentials.revoke(&holder.instance).unwrap());
        assert!(matches!(credentials.replace(&holder, NOW), Err(CredentialError::NotGood)));
        assert!(credentials.list().unwrap().is_empty());
    }

    #[test]
    fn what_is_not_a_good_credential_is_refused() {
        let (_dir, credentials) = credentials();
        let good = credentials.create(&cart(), NOW).unwrap();
        let other_secret = format!("{}{}", &good[..PREFIX.len() + INSTANCE], "A".repeat(43));
        let long = format!("{PREFIX}{}", "a".repeat(1_000_000));
        for credential in ["", "prc_", "prc_../../../etc/passwd", "pjt_x", &other_secret, &long] {
            let answer = credentials.holder(credential, NOW);
            assert!(matches!(answer, Err(CredentialError::NotGood)), "{credential:.40}");
        }
    }

    #[test]
    fn only_hashes_are_kept() {
        let (dir, credentials) = credentials();
        let credential = credentials.create(&cart(), NOW).unwrap();
        for entry in fs::read_dir(dir.path().join("credentials")).unwrap() {
            let content = fs::read_to_string(entry.unwrap().path()).unwrap();
            assert!(!content.contains(&credential[PREFIX.len() + INSTANCE..]));
        }
    }
}
