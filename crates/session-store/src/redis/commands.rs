//! What is asked of the store: one key a command, or several of one slot, so that a Cluster takes it.

use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use redis_link::reply::Reply;
use redis_link::{Command, RedisLink, SettingsError, Slot, StoreError, StoreSettings};

use super::page::{self, Page};
use super::scripts;
use crate::key::StoreKey;
use crate::memory::LeaseToken;
use crate::revoked::Revocation;

/// What the store is for, in log lines.
const PURPOSE: &str = "sessions";

/// The connection, and what every key begins with.
#[derive(Debug)]
pub(crate) struct Commands {
    link: RedisLink,
    revoked: RevokedNames,
}

/// The keys of the revocations, which scripts take together: they have one slot.
#[derive(Debug)]
struct RevokedNames {
    slot: Slot,
    /// A hash: which set it is, and the number of its latest entry.
    set: Vec<u8>,
    /// A sorted set: entries by their numbers.
    order: Vec<u8>,
    /// A sorted set: entries by their ends.
    ends: Vec<u8>,
}

/// What a key is for: the same key in two of them is two things.
#[derive(Debug, Clone, Copy)]
enum Room {
    Session,
    Lease,
    Once,
}

impl Commands {
    pub(crate) fn start(settings: StoreSettings) -> Result<Self, SettingsError> {
        let revoked = RevokedNames::new(&settings.key_prefix);
        let probe = format!("{{{}:probe}}", settings.key_prefix);
        // A replica takes no SET, and some user may not.
        let probe: [&[u8]; 5] = [b"SET", probe.as_bytes(), b"", b"PX", b"1000"];
        let link = RedisLink::start(settings, PURPOSE, &Command::Plain(&probe))?;
        Ok(Self { link, revoked })
    }

    pub(crate) fn link(&self) -> &RedisLink {
        &self.link
    }

    pub(crate) async fn get(&self, id: &StoreKey) -> Result<Option<Bytes>, StoreError> {
        let key = self.key(Room::Session, id);
        let found = |reply| match reply {
            Reply::Bulk(bytes) => Some(Some(Bytes::from(bytes))),
            Reply::Nil => Some(None),
            _ => None,
        };
        self.link.ask(Slot::of(&key), Command::Plain(&[b"GET", &key]), found).await
    }

    pub(crate) async fn put(
        &self,
        id: &StoreKey,
        sealed: &[u8],
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let (key, ttl) = (self.key(Room::Session, id), millis(ttl));
        let words: [&[u8]; 5] = [b"SET", &key, sealed, b"PX", ttl.as_bytes()];
        let kept = |reply| matches!(reply, Reply::Okay).then_some(());
        self.link.ask(Slot::of(&key), Command::Plain(&words), kept).await
    }

    pub(crate) async fn remove(&self, id: &StoreKey) -> Result<(), StoreError> {
        let key = self.key(Room::Session, id);
        let removed = |reply| matches!(reply, Reply::Numbers(_)).then_some(());
        self.link.ask(Slot::of(&key), Command::Plain(&[b"DEL", &key]), removed).await
    }

    pub(crate) async fn once(&self, key: &StoreKey, ttl: Duration) -> Result<bool, StoreError> {
        self.set_new(&self.key(Room::Once, key), b"", ttl).await
    }

    pub(crate) async fn lease(
        &self,
        key: &StoreKey,
        token: &LeaseToken,
        term: Duration,
    ) -> Result<bool, StoreError> {
        self.set_new(&self.key(Room::Lease, key), token, term).await
    }

    pub(crate) async fn renew(
        &self,
        key: &StoreKey,
        token: &LeaseToken,
        term: Duration,
    ) -> Result<bool, StoreError> {
        let (key, term) = (self.key(Room::Lease, key), millis(term));
        let command = Command::Script {
            script: &scripts::RENEW,
            keys: &[&key],
            arguments: &[token, term.as_bytes()],
        };
        let held = |reply| match reply {
            Reply::Numbers(numbers) => numbers.first().map(|held| *held == 1),
            _ => None,
        };
        self.link.ask(Slot::of(&key), command, held).await
    }

    /// Nobody waits for it. With its text: nobody may have run it there yet.
    pub(crate) fn release(&self, key: &StoreKey, token: &LeaseToken) {
        let key = self.key(Room::Lease, key);
        let words: [&[u8]; 5] = [b"EVAL", scripts::RELEASE.as_bytes(), b"1", &key, token];
        self.link.tell(Slot::of(&key), Command::Plain(&words));
    }

    /// Whether there was none.
    async fn set_new(&self, key: &[u8], value: &[u8], ttl: Duration) -> Result<bool, StoreError> {
        let ttl = millis(ttl);
        let words: [&[u8]; 6] = [b"SET", key, value, b"NX", b"PX", ttl.as_bytes()];
        let set = |reply| match reply {
            Reply::Okay => Some(true),
            Reply::Nil => Some(false),
            _ => None,
        };
        self.link.ask(Slot::of(key), Command::Plain(&words), set).await
    }

    /// Adds these to the revocations of all proxies: at most [`page::MOST_ENTRIES`].
    pub(crate) async fn revoke(&self, revocations: &[Revocation]) -> Result<(), StoreError> {
        let entries: Vec<_> = revocations.iter().map(page::entry).collect();
        let mut arguments: Vec<&[u8]> = vec![scripts::MOST.as_bytes()];
        arguments.extend(entries.iter().map(<[u8; page::ENTRY_LENGTH]>::as_slice));
        let keys = self.revoked.keys();
        let command =
            Command::Script { script: &scripts::REVOKE, keys: &keys, arguments: &arguments };
        let added = |reply| matches!(reply, Reply::Numbers(_)).then_some(());
        self.link.ask(self.revoked.slot, command, added).await
    }

    /// The next revocations after this one. `name` becomes the name of the set where it has none.
    pub(crate) async fn revoked_after(&self, cursor: u64, name: &[u8]) -> Result<Page, StoreError> {
        let cursor = cursor.to_string();
        let most = page::MOST_ENTRIES.to_string();
        let arguments = [cursor.as_bytes(), most.as_bytes(), name];
        let keys = self.revoked.keys();
        let command = Command::Script {
            script: &scripts::READ,
            keys: keys.get(..2).unwrap_or_default(),
            arguments: &arguments,
        };
        let meaning = |reply| match reply {
            Reply::Bulk(bytes) => page::read(&bytes),
            _ => None,
        };
        self.link.ask(self.revoked.slot, command, meaning).await
    }

    /// The braces make of it what a Cluster hashes, whatever the prefix is.
    fn key(&self, room: Room, key: &StoreKey) -> Vec<u8> {
        let room = match room {
            Room::Session => "s",
            Room::Lease => "l",
            Room::Once => "o",
        };
        let (prefix, digits) = (&self.link.settings().key_prefix, HEXLOWER.encode(key.as_bytes()));
        format!("{{{prefix}:{room}:{digits}}}").into_bytes()
    }
}

impl RevokedNames {
    fn new(prefix: &str) -> Self {
        let set = format!("{{{prefix}:revoked}}");
        Self {
            slot: Slot::of(set.as_bytes()),
            order: format!("{set}:order").into_bytes(),
            ends: format!("{set}:ends").into_bytes(),
            set: set.into_bytes(),
        }
    }

    fn keys(&self) -> [&[u8]; 3] {
        [&self.set, &self.order, &self.ends]
    }
}

/// A time as Redis takes it: 1 ms to a year.
fn millis(time: Duration) -> String {
    const YEAR: u128 = 365 * 86_400_000;
    time.as_millis().clamp(1, YEAR).to_string()
}
