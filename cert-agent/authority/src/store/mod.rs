//! What replicas of an authority share: a small key-value store with compare-and-swap.
//!
//! Join tokens, renewal credentials, the issuance record, revocations and the roll-over of the
//! roots live in one. An implementation promises that of any number of changes to one version of
//! an entry, from any process, one succeeds, and that a change that was reported outlives a power
//! loss.

pub mod cluster_objects;
pub mod directory;
pub mod directory_store;
pub mod files;
pub mod kubernetes;
pub mod kubernetes_store;
pub mod live_value;
pub mod pem;
pub mod record;
pub mod revocations;
pub mod secret;

use std::fmt;
use std::io;

use zeroize::Zeroizing;

/// The longest kind or name, bytes: fits a file name and a Kubernetes object name.
const MAX_PART: usize = 100;

/// Which entry: a kind and a name, each of `[a-z0-9-]`, 1 to 100 bytes. A name of ours is never
/// secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey {
    kind: String,
    name: String,
}

/// A version of an entry, as the store that gave it writes it. Another store's means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryVersion(pub String);

/// An entry as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreEntry {
    /// What is kept; wiped when dropped.
    pub value: Zeroizing<Vec<u8>>,
    /// Of this value.
    pub version: EntryVersion,
}

/// A small key-value store with compare-and-swap; blocking (called from `spawn_blocking`).
pub trait Store: Send + Sync + fmt::Debug {
    /// The entry now; none when there is no such entry.
    ///
    /// # Errors
    /// The store's; never "not found".
    fn get(&self, key: &EntryKey) -> io::Result<Option<StoreEntry>>;

    /// Makes an entry. False: there is one already, and it stays as it is.
    ///
    /// # Errors
    /// The store's.
    fn create(&self, key: &EntryKey, value: &[u8]) -> io::Result<bool>;

    /// Changes the entry if it still has this version. False: it was changed or removed meanwhile.
    ///
    /// # Errors
    /// The store's.
    fn replace(&self, key: &EntryKey, value: &[u8], version: &EntryVersion) -> io::Result<bool>;

    /// Removes the entry if it still has this version. False: it was changed or removed meanwhile.
    ///
    /// # Errors
    /// The store's.
    fn remove(&self, key: &EntryKey, version: &EntryVersion) -> io::Result<bool>;

    /// Every entry of a kind, in order of the names. Reads them all: for commands and cleaning,
    /// never for a request.
    ///
    /// # Errors
    /// The store's.
    fn list(&self, kind: &str) -> io::Result<Vec<(EntryKey, StoreEntry)>>;
}

impl EntryKey {
    /// A key of these parts.
    ///
    /// # Errors
    /// `InvalidInput` when a part is empty, longer than 100 bytes, or holds anything but
    /// `[a-z0-9-]`.
    pub fn new(kind: &str, name: &str) -> io::Result<Self> {
        for part in [kind, name] {
            if !is_part(part) {
                let mistake = format!("`{part:.120}` cannot name an entry of the store");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, mistake));
            }
        }
        Ok(Self { kind: kind.to_owned(), name: name.to_owned() })
    }

    /// What sort of entry.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Which one of the sort.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl fmt::Debug for StoreEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreEntry").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Whether this may be a kind or a name.
#[must_use]
pub fn is_part(part: &str) -> bool {
    let fits = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=MAX_PART).contains(&part.len()) && part.bytes().all(fits)
}

/// Tries of [`update`] before it gives up: each failure means that another writer made progress.
const MAX_TRIES: usize = 100;

/// Reads, changes and writes an entry, again when another writer came between. `change` is given the value (none:
/// no such entry) and answers the new one, or none to leave everything as it is. True when
/// something was written.
///
/// # Errors
/// The store's, what `change` says, or too many others at the same entry.
pub fn update<E: From<io::Error>>(
    store: &dyn Store,
    key: &EntryKey,
    mut change: impl FnMut(Option<&[u8]>) -> Result<Option<Zeroizing<Vec<u8>>>, E>,
) -> Result<bool, E> {
    for _ in 0..MAX_TRIES {
        let entry = store.get(key)?;
        let Some(new) = change(entry.as_ref().map(|entry| entry.value.as_slice()))? else {
            return Ok(false);
        };
        let written = match &entry {
            Some(entry) => store.replace(key, &new, &entry.version)?,
            None => store.create(key, &new)?,
        };
        if written {
            return Ok(true);
        }
    }
    let message = format!("{key} is changed by others all the time; try again");
    Err(io::Error::new(io::ErrorKind::WouldBlock, message).into())
}

/// Writes an entry, whatever it was: for entries that one process alone writes.
///
/// # Errors
/// The store's.
pub fn put(store: &dyn Store, key: &EntryKey, value: &[u8]) -> io::Result<()> {
    update::<io::Error>(store, key, |_| Ok(Some(Zeroizing::new(value.to_vec())))).map(|_| ())
}

/// Removes an entry, whatever its version. False when there is none.
///
/// # Errors
/// The store's, or others that change it all the time.
pub fn delete(store: &dyn Store, key: &EntryKey) -> io::Result<bool> {
    for _ in 0..MAX_TRIES {
        let Some(entry) = store.get(key)? else { return Ok(false) };
        if store.remove(key, &entry.version)? {
            return Ok(true);
        }
    }
    let message = format!("{key} is changed by others all the time; try again");
    Err(io::Error::new(io::ErrorKind::WouldBlock, message))
}
