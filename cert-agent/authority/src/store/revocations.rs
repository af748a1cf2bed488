//! Which certificates are revoked before their end: entries of the store, one a serial number, and
//! the word that they changed. `postern-authority revoke` writes them; every replica reads them and
//! signs the lists ([`crate::ca::crl`]).

use std::io;

use anyhow::bail;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::store::record::{self, FullRecord, LiveLeaf};
use crate::store::secret::SecretHash;
use crate::store::{self, EntryKey, Store};

/// The kind of the entries, one a serial number.
const SERIALS: &str = "revocations";
/// The kind of the entries that say "everything of this identity that was signed until then".
const IDENTITIES: &str = "revoked-identities";
/// Revoked certificates at a time; a list with so many is below 1 MiB.
pub const MAX_REVOKED: usize = 20_000;
/// No leaf lives longer, seconds: what is kept of a serial number whose end nobody knows.
const LONGEST_LEAF: u64 = 86_400;

/// One revoked certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevokedCertificate {
    /// Lower-case hexadecimal digits.
    pub serial: String,
    /// Whose it was; empty when the record does not know it.
    pub identity: String,
    /// When it ends by itself and is forgotten, Unix seconds.
    pub not_after: u64,
    /// Unix seconds.
    pub revoked: u64,
}

/// What is written about an identity, so that a replica adds what it has not recorded yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevokedIdentity {
    /// Whose certificates.
    pub identity: String,
    /// Only those that went to this agent, when it is said.
    pub instance: Option<String>,
    /// Those signed until then, Unix seconds.
    pub revoked: u64,
}

/// Reads a serial number as people write it: hexadecimal digits, with or without `:`.
///
/// # Errors
/// What to write instead.
pub fn parse_serial(text: &str) -> anyhow::Result<String> {
    let digits: String = text.chars().filter(|c| *c != ':').collect::<String>().to_lowercase();
    let fits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !fits || digits.is_empty() || digits.len() > 40 {
        bail!("`{text:.60}` is no serial number; write its hexadecimal digits, such as 4f:1a:…");
    }
    Ok(if digits.len() % 2 == 1 { format!("0{digits}") } else { digits })
}

/// Revokes one certificate.
///
/// # Errors
/// The store's, or [`MAX_REVOKED`] reached.
pub fn revoke_serial(
    store: &dyn Store,
    serial: &str,
    now: u64,
) -> anyhow::Result<RevokedCertificate> {
    let all = FullRecord::read(store, now)?;
    let known = all.leaves.iter().find_map(|(identity, leaves)| {
        let leaf = leaves.iter().find(|leaf| leaf.serial == serial)?;
        Some((identity.clone(), leaf.not_after))
    });
    let (identity, not_after) = known.unwrap_or((String::new(), now + LONGEST_LEAF));
    let revoked =
        RevokedCertificate { serial: serial.to_owned(), identity, not_after, revoked: now };
    write(store, std::slice::from_ref(&revoked))?;
    Ok(revoked)
}

/// Revokes every live certificate of an identity, or of one agent of it, that was signed until now,
/// those included that a replica has not recorded yet.
///
/// # Errors
/// The store's, or [`MAX_REVOKED`] reached.
pub fn revoke_identity(
    store: &dyn Store,
    identity: &str,
    instance: Option<&str>,
    now: u64,
) -> anyhow::Result<Vec<RevokedCertificate>> {
    let all = FullRecord::read(store, now)?;
    let leaves = all.leaves.get(identity).map(Vec::as_slice).unwrap_or_default();
    let revoked: Vec<_> = leaves
        .iter()
        .filter(|leaf| is_of(leaf, instance))
        .map(|l| entry(l, identity, now))
        .collect();
    let word = RevokedIdentity {
        identity: identity.to_owned(),
        instance: instance.map(str::to_owned),
        revoked: now,
    };
    let name = SecretHash::of(&format!("{identity} {}", instance.unwrap_or_default()));
    store::put(store, &EntryKey::new(IDENTITIES, name.as_str())?, &serde_json::to_vec(&word)?)?;
    write(store, &revoked)?;
    Ok(revoked)
}

fn is_of(leaf: &LiveLeaf, instance: Option<&str>) -> bool {
    instance.is_none_or(|instance| leaf.instance == instance)
}

fn entry(leaf: &LiveLeaf, identity: &str, now: u64) -> RevokedCertificate {
    let (serial, identity) = (leaf.serial.clone(), identity.to_owned());
    RevokedCertificate { serial, identity, not_after: leaf.not_after, revoked: now }
}

/// Adds what a replica signed in the seconds before an identity was revoked and had not recorded.
/// `own` answers the replica's live leaves of an identity. True when something was added.
///
/// # Errors
/// The store's.
pub fn complete(
    store: &dyn Store,
    identities: &[RevokedIdentity],
    known: &[RevokedCertificate],
    lifetime: u64,
    own: impl Fn(&str) -> Vec<LiveLeaf>,
) -> anyhow::Result<bool> {
    let mut missing = Vec::new();
    for word in identities {
        for leaf in own(&word.identity) {
            // A leaf ends its lifetime after its signature, or earlier.
            let signed_after = leaf.not_after > word.revoked.saturating_add(lifetime);
            let listed = known.iter().any(|revoked| revoked.serial == leaf.serial);
            if !signed_after && !listed && is_of(&leaf, word.instance.as_deref()) {
                missing.push(entry(&leaf, &word.identity, word.revoked));
            }
        }
    }
    if !missing.is_empty() {
        write(store, &missing)?;
    }
    Ok(!missing.is_empty())
}

fn write(store: &dyn Store, revoked: &[RevokedCertificate]) -> anyhow::Result<()> {
    let kept = store.list(SERIALS)?.len();
    if kept + revoked.len() > MAX_REVOKED {
        bail!(
            "{kept} certificates are revoked, {MAX_REVOKED} can be; roll the root over instead: `root prepare`"
        );
    }
    for one in revoked {
        store.create(&EntryKey::new(SERIALS, &one.serial)?, &serde_json::to_vec(one)?)?;
    }
    bump(store)?;
    Ok(())
}

/// Says that the revocations changed.
fn bump(store: &dyn Store) -> io::Result<()> {
    store::update::<io::Error>(store, &generation_key()?, |old| {
        let old: u64 = old.and_then(|v| serde_json::from_slice(v).ok()).unwrap_or(0);
        Ok(Some(Zeroizing::new((old + 1).to_string().into_bytes())))
    })?;
    Ok(())
}

fn generation_key() -> io::Result<EntryKey> {
    EntryKey::new("state", "revocations")
}

/// Grows with every change of the revocations: one small read tells that there is nothing new.
///
/// # Errors
/// The store's.
pub fn generation(store: &dyn Store) -> io::Result<u64> {
    Ok(record::read_json(store, &generation_key()?)?.unwrap_or(0))
}

/// Every revoked certificate that has not ended.
///
/// # Errors
/// The store's, and an entry that cannot be read: what was revoked must not be forgotten silently.
pub fn list(store: &dyn Store, now: u64) -> anyhow::Result<Vec<RevokedCertificate>> {
    let mut listed: Vec<RevokedCertificate> = read_all(store, SERIALS)?;
    listed.retain(|revoked| revoked.not_after > now);
    Ok(listed)
}

/// Every identity that was revoked within the longest life of a leaf.
///
/// # Errors
/// As [`list`].
pub fn identities(store: &dyn Store, now: u64) -> anyhow::Result<Vec<RevokedIdentity>> {
    let mut listed: Vec<RevokedIdentity> = read_all(store, IDENTITIES)?;
    listed.retain(|word| word.revoked.saturating_add(LONGEST_LEAF) > now);
    Ok(listed)
}

fn read_all<T: serde::de::DeserializeOwned>(
    store: &dyn Store,
    kind: &str,
) -> anyhow::Result<Vec<T>> {
    let mut all = Vec::new();
    for (key, entry) in store.list(kind)? {
        match serde_json::from_slice(&entry.value) {
            Ok(value) => all.push(value),
            Err(error) => {
                bail!("the state's entry {key} cannot be read: {error}; restore it or remove it")
            }
        }
    }
    Ok(all)
}

/// Forgets what has ended by itself.
///
/// # Errors
/// The store's.
pub fn remove_expired(store: &dyn Store, now: u64) -> io::Result<()> {
    for (key, entry) in store.list(SERIALS)? {
        let revoked = serde_json::from_slice::<RevokedCertificate>(&entry.value);
        if revoked.is_ok_and(|revoked| now >= revoked.not_after) {
            store.remove(&key, &entry.version)?;
        }
    }
    for (key, entry) in store.list(IDENTITIES)? {
        let word = serde_json::from_slice::<RevokedIdentity>(&entry.value);
        if word.is_ok_and(|word| now >= word.revoked.saturating_add(LONGEST_LEAF)) {
            store.remove(&key, &entry.version)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::store::directory_store::DirectoryStore;

    const NOW: u64 = 1_800_000_000;
    const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

    fn leaf(serial: &str, not_after: u64) -> LiveLeaf {
        let (root, instance) = ("root".to_owned(), "one".to_owned());
        LiveLeaf { serial: serial.to_owned(), not_after, root, instance }
    }

    #[test]
    fn a_serial_number_as_people_write_it() {
        assert_eq!(parse_serial("4F:1A:02").unwrap(), "4f1a02");
        assert_eq!(parse_serial("f1a02").unwrap(), "0f1a02");
        for wrong in ["", ":", "xyz", "../x", &"a".repeat(42)] {
            assert!(parse_serial(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn s28_revocation_of_an_identity_reaches_what_is_not_recorded_yet() {
        let dir = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(dir.path());
        assert!(revoke_identity(&store, CART, None, NOW).unwrap().is_empty());
        let words = identities(&store, NOW).unwrap();
        let own = |id: &str| {
            if id == CART { vec![leaf("01", NOW + 60), leaf("02", NOW + 3601)] } else { vec![] }
        };
        assert!(complete(&store, &words, &list(&store, NOW).unwrap(), 3600, own).unwrap());
        let listed = list(&store, NOW).unwrap();
        assert_eq!(listed.len(), 1, "02 was signed after the revocation");
        assert_eq!((listed[0].serial.as_str(), listed[0].identity.as_str()), ("01", CART));
        assert!(!complete(&store, &words, &listed, 3600, own).unwrap(), "once");
        assert!(list(&store, NOW + 60).unwrap().is_empty(), "it has ended by itself");
        remove_expired(&store, NOW + 60).unwrap();
        assert!(store.list(SERIALS).unwrap().is_empty());
        assert_eq!(identities(&store, NOW + 60).unwrap().len(), 1);
        remove_expired(&store, NOW + LONGEST_LEAF).unwrap();
        assert!(store.list(IDENTITIES).unwrap().is_empty());
    }

    #[test]
    fn s28_revocation_by_serial_number_of_an_unknown_certificate_is_kept_for_a_day() {
        let dir = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(dir.path());
        let before = generation(&store).unwrap();
        revoke_serial(&store, "4f1a", NOW).unwrap();
        assert!(generation(&store).unwrap() > before);
        assert_eq!(list(&store, NOW + 86_399).unwrap().len(), 1);
        store.create(&EntryKey::new(SERIALS, "garbage").unwrap(), b"{").unwrap();
        assert!(list(&store, NOW).unwrap_err().to_string().contains("revocations/garbage"));
    }
}
