//! The store in a directory: `DIR/<kind>/<name>`, one file an entry, mode 0600.
//!
//! A value is written beside its file, synced and renamed, so readers need no lock and a crash
//! leaves the old value or the new one. A change holds an advisory lock (flock) on one of a few
//! lock files, chosen by the key, so that of changes to one version one succeeds, across threads
//! and processes, while changes to other entries go on. The version is a hash of the value: an
//! entry that became what it was before is the entry it was before.
//!
//! Processes on several machines may share the directory only by a file system whose locks and
//! renames hold between machines (NFS 4, CephFS).

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use aws_lc_rs::digest;
use zeroize::Zeroizing;

use crate::store::{self, EntryKey, EntryVersion, Store, StoreEntry, files, secret};

/// Lock files: as many changes can go on at a time.
const LOCKS: u8 = 64;

/// The store in a directory.
#[derive(Debug, Clone)]
pub struct DirectoryStore {
    directory: PathBuf,
}

impl DirectoryStore {
    /// The store in this directory; nothing is read or made yet.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    fn path(&self, key: &EntryKey) -> PathBuf {
        self.directory.join(key.kind()).join(key.name())
    }

    /// Nobody else changes this entry until the answer is dropped.
    fn lock(&self, key: &EntryKey) -> io::Result<File> {
        let locks = self.directory.join(".locks");
        files::private_directory(&locks)?;
        let hash = digest::digest(&digest::SHA256, key.to_string().as_bytes());
        let number = hash.as_ref().first().map_or(0, |byte| byte % LOCKS);
        let path = locks.join(number.to_string());
        let file = files::lock_file(&path)?;
        file.lock().map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
        Ok(file)
    }

    fn write(&self, key: &EntryKey, value: &[u8]) -> io::Result<()> {
        files::private_directory(&self.directory.join(key.kind()))?;
        files::replace(&self.path(key), value, files::OWNER_ONLY)
    }

    /// Whether the entry has this version; the caller holds the lock.
    fn is_at(&self, key: &EntryKey, version: &EntryVersion) -> io::Result<bool> {
        Ok(self.get(key)?.is_some_and(|entry| entry.version == *version))
    }
}

impl Store for DirectoryStore {
    fn get(&self, key: &EntryKey) -> io::Result<Option<StoreEntry>> {
        match files::read(&self.path(key)) {
            Ok(value) => {
                let hash = digest::digest(&digest::SHA256, &value);
                let version = EntryVersion(secret::hex(hash.as_ref()));
                Ok(Some(StoreEntry { value: Zeroizing::new(value), version }))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self, key: &EntryKey, value: &[u8]) -> io::Result<bool> {
        let _lock = self.lock(key)?;
        if self.path(key).symlink_metadata().is_ok() {
            return Ok(false);
        }
        self.write(key, value)?;
        Ok(true)
    }

    fn replace(&self, key: &EntryKey, value: &[u8], version: &EntryVersion) -> io::Result<bool> {
        let _lock = self.lock(key)?;
        if !self.is_at(key, version)? {
            return Ok(false);
        }
        self.write(key, value)?;
        Ok(true)
    }

    fn remove(&self, key: &EntryKey, version: &EntryVersion) -> io::Result<bool> {
        let _lock = self.lock(key)?;
        if !self.is_at(key, version)? {
            return Ok(false);
        }
        let path = self.path(key);
        fs::remove_file(&path)?;
        files::sync_directory(&path)?;
        Ok(true)
    }

    fn list(&self, kind: &str) -> io::Result<Vec<(EntryKey, StoreEntry)>> {
        let entries = match fs::read_dir(self.directory.join(kind)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut listed = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            // Passes over the temporary file of a value that is being written.
            let Some(name) = name.to_str().filter(|name| store::is_part(name)) else { continue };
            let key = EntryKey::new(kind, name)?;
            if let Some(entry) = self.get(&key)? {
                listed.push((key, entry));
            }
        }
        listed.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(listed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::sync::Barrier;

    use super::*;

    fn key(name: &str) -> EntryKey {
        EntryKey::new("things", name).unwrap()
    }

    #[test]
    fn an_entry_is_made_changed_and_removed_by_its_version() {
        let dir = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(dir.path());
        assert!(store.get(&key("a")).unwrap().is_none());
        assert!(store.create(&key("a"), b"one").unwrap());
        assert!(!store.create(&key("a"), b"two").unwrap());
        let one = store.get(&key("a")).unwrap().unwrap();
        assert_eq!(one.value.as_slice(), b"one");
        assert!(store.replace(&key("a"), b"two", &one.version).unwrap());
        assert!(!store.replace(&key("a"), b"three", &one.version).unwrap());
        assert!(!store.remove(&key("a"), &one.version).unwrap());
        let two = store.get(&key("a")).unwrap().unwrap();
        assert!(store.remove(&key("a"), &two.version).unwrap());
        assert!(!store.remove(&key("a"), &two.version).unwrap());
        assert!(store.list("things").unwrap().is_empty());
    }

    #[test]
    fn entries_are_listed_by_kind_and_unfinished_writes_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(dir.path());
        assert!(store.list("things").unwrap().is_empty());
        for name in ["b", "a"] {
            assert!(store.create(&key(name), b"x").unwrap());
        }
        fs::write(dir.path().join("things/a.0123.new"), "torn").unwrap();
        let names: Vec<_> = store
            .list("things")
            .unwrap()
            .into_iter()
            .map(|(key, _)| key.name().to_owned())
            .collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn of_many_changes_to_one_version_one_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..5 {
            let key = key(&format!("round-{round}"));
            // Two stores on one directory: two processes would do the same.
            let stores = [DirectoryStore::new(dir.path()), DirectoryStore::new(dir.path())];
            assert!(stores[0].create(&key, b"begin").unwrap());
            let version = stores[0].get(&key).unwrap().unwrap().version;
            let barrier = Barrier::new(20);
            let good = std::thread::scope(|scope| {
                let tries: Vec<_> = (0..20)
                    .map(|n| {
                        let (store, key, version) = (&stores[n % 2], &key, &version);
                        let barrier = &barrier;
                        scope.spawn(move || {
                            barrier.wait();
                            store.replace(key, format!("by {n}").as_bytes(), version).unwrap()
                        })
                    })
                    .collect();
                tries.into_iter().map(|t| t.join().unwrap()).filter(|good| *good).count()
            });
            assert_eq!(good, 1);
        }
    }

    #[test]
    fn a_key_cannot_leave_the_directory() {
        for (kind, name) in
            [("", "a"), ("a", ""), ("..", "a"), ("a", "../b"), ("a", "A"), ("a/b", "c")]
        {
            assert!(EntryKey::new(kind, name).is_err(), "{kind} {name}");
        }
        assert!(EntryKey::new("a", &"x".repeat(101)).is_err());
    }

    #[test]
    fn updates_from_two_sides_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let add = |_| {
            let store = DirectoryStore::new(dir.path());
            for _ in 0..20 {
                let written = store::update::<io::Error>(&store, &key("sum"), |old| {
                    let old: u64 =
                        old.map_or(0, |v| std::str::from_utf8(v).unwrap().parse().unwrap());
                    Ok(Some(Zeroizing::new((old + 1).to_string().into_bytes())))
                });
                assert!(written.unwrap());
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|n| scope.spawn(move || add(n))).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        let sum = DirectoryStore::new(dir.path()).get(&key("sum")).unwrap().unwrap();
        assert_eq!(sum.value.as_slice(), b"60");
    }
}
