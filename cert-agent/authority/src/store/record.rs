//! The issuance record: what tells `root retire` and `revoke` which leaves live, over all replicas.
//!
//! *Claim ahead*: before a replica signs under a root, its entry in the store says "may have live
//! leaves under this root until T". T lies some minutes ahead, so a leaf rarely needs a write.
//! *Detail behind*: each leaf is noted in memory and written within seconds. After a crash the claim
//! stands, and the detail lacks the last seconds: the record errs towards "still in use".

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::store::{self, EntryKey, Store, secret};

/// The kind of the entries with the claims, one a replica.
const CLAIMS: &str = "record";
/// The kind of the entries with the leaves, [`SHARDS`] a replica.
const LEAVES: &str = "leaves";
/// A replica's leaves are spread over this many entries, by identity, so that one certificate does
/// not rewrite them all.
const SHARDS: usize = 16;
/// Leaves in one entry: it stays below 1 MiB, what a Kubernetes Secret holds.
const MAX_LEAVES: usize = 4000;
/// The furthest that a claim lies ahead of what was signed, seconds.
const MAX_AHEAD: u64 = 600;
/// Entries of a replica whose leaves are all over are kept this long, seconds.
const KEPT: u64 = 86_400;

/// One live certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveLeaf {
    /// Lower-case hexadecimal digits.
    pub serial: String,
    /// Unix seconds.
    pub not_after: u64,
    /// The root it chains to, as [`crate::ca::signers::root_id`] names it.
    pub root: String,
    /// Which agent it went to.
    pub instance: String,
}

/// What a replica says of itself and its leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaClaims {
    /// Unix seconds.
    pub started: u64,
    /// When it wrote this, Unix seconds.
    pub seen: u64,
    /// The lifetime of its leaves, seconds.
    pub leaf_lifetime: u64,
    /// Root -> until when leaves under it may live, Unix seconds.
    pub roots: BTreeMap<String, u64>,
    /// The number of the revocation lists it serves.
    #[serde(default)]
    pub crl_number: u64,
    /// Lines in its issuance log.
    #[serde(default)]
    pub log_position: u64,
}

/// The leaves of one entry, by identity.
type RecordShard = BTreeMap<String, Vec<LiveLeaf>>;

/// The record of this replica.
#[derive(Debug)]
pub struct IssuanceRecord {
    store: Arc<dyn Store>,
    replica: String,
    /// Held for moments only: requests pass here.
    claims: Mutex<ClaimState>,
    /// One write of the claims at a time.
    writing: Mutex<()>,
    leaves: Mutex<PendingLeaves>,
}

#[derive(Debug)]
struct ClaimState {
    written: ReplicaClaims,
    /// Root -> the last end of a leaf that was asked for.
    used: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct PendingLeaves {
    shards: Vec<HashMap<String, Vec<LiveLeaf>>>,
    changed: [bool; SHARDS],
}

/// Everything that all replicas say.
#[derive(Debug, Clone, Default)]
pub struct FullRecord {
    /// By replica.
    pub claims: BTreeMap<String, ReplicaClaims>,
    /// By identity.
    pub leaves: BTreeMap<String, Vec<LiveLeaf>>,
}

impl IssuanceRecord {
    /// The record of a replica that starts now. Nothing is written before the first leaf.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, leaf_lifetime: u64, now: u64) -> Self {
        let written = ReplicaClaims {
            started: now,
            seen: now,
            leaf_lifetime,
            roots: BTreeMap::new(),
            crl_number: 0,
            log_position: 0,
        };
        let leaves = PendingLeaves {
            shards: (0..SHARDS).map(|_| HashMap::new()).collect(),
            changed: [false; SHARDS],
        };
        Self {
            store,
            replica: secret::random_hex::<8>(),
            claims: Mutex::new(ClaimState { written, used: BTreeMap::new() }),
            writing: Mutex::new(()),
            leaves: Mutex::new(leaves),
        }
    }

    /// This replica's name in the record.
    #[must_use]
    pub fn replica(&self) -> &str {
        &self.replica
    }

    /// To be asked before a leaf under `root` that ends at `not_after` is signed; never waits. False:
    /// [`IssuanceRecord::cover`] has to write first.
    #[must_use]
    pub fn covers(&self, root: &str, not_after: u64) -> bool {
        let mut claimed = self.claims.lock();
        let used = claimed.used.entry(root.to_owned()).or_default();
        *used = (*used).max(not_after);
        claimed.written.roots.get(root).is_some_and(|until| *until >= not_after)
    }

    /// Claims further ahead, unless another request did meanwhile. Blocks.
    ///
    /// # Errors
    /// The store's: then nothing may be signed.
    pub fn cover(&self, root: &str, not_after: u64, now: u64) -> io::Result<()> {
        let _one_at_a_time = self.writing.lock();
        if self.covers(root, not_after) {
            return Ok(());
        }
        let until = not_after.saturating_add(ahead(self.claims.lock().written.leaf_lifetime));
        self.claim(root, until, now)
    }

    /// Extends the claim before a request has to: when less than half of what it lies ahead is left.
    ///
    /// # Errors
    /// The store's.
    pub fn extend(&self, root: &str, now: u64) -> io::Result<()> {
        let _one_at_a_time = self.writing.lock();
        let (lifetime, until) = {
            let claimed = self.claims.lock();
            (claimed.written.leaf_lifetime, claimed.written.roots.get(root).copied())
        };
        let needed = now.saturating_add(lifetime);
        let soon = needed.saturating_add(ahead(lifetime) / 2);
        if until.is_none_or(|until| until >= soon) {
            return Ok(());
        }
        self.claim(root, needed.saturating_add(ahead(lifetime)), now)
    }

    /// The claim counts once it is written; the caller holds `writing`.
    fn claim(&self, root: &str, until: u64, now: u64) -> io::Result<()> {
        let mut new = self.claims.lock().written.clone();
        new.roots.insert(root.to_owned(), until);
        new.seen = now;
        self.write(&new)?;
        self.claims.lock().written = new;
        Ok(())
    }

    fn write(&self, claims: &ReplicaClaims) -> io::Result<()> {
        let key = EntryKey::new(CLAIMS, &self.replica)?;
        store::put(self.store.as_ref(), &key, &serde_json::to_vec(claims)?)
    }

    /// Notes a leaf that was signed; written by the next [`IssuanceRecord::flush`].
    pub fn note(&self, identity: &str, leaf: LiveLeaf) {
        let mut leaves = self.leaves.lock();
        let shard = shard_of(identity);
        leaves.changed[shard] = true;
        leaves.shards[shard].entry(identity.to_owned()).or_default().push(leaf);
    }

    /// The live leaves of an identity that this replica signed.
    #[must_use]
    pub fn leaves_of(&self, identity: &str, now: u64) -> Vec<LiveLeaf> {
        let leaves = self.leaves.lock();
        let found = leaves.shards[shard_of(identity)].get(identity);
        found.into_iter().flatten().filter(|leaf| leaf.not_after > now).cloned().collect()
    }

    /// Writes what changed since the last time, forgets leaves that are over, and takes back claims
    /// on roots that this replica no longer signs under. `current` is the root it signs under.
    ///
    /// # Errors
    /// The store's; what could not be written is tried again by the next call.
    pub fn flush(
        &self,
        current: &str,
        crl_number: u64,
        log_position: u64,
        now: u64,
    ) -> io::Result<()> {
        for shard in 0..SHARDS {
            self.flush_shard(shard, now)?;
        }
        let _one_at_a_time = self.writing.lock();
        let mut claimed = self.claims.lock();
        let mut new = claimed.written.clone();
        for (root, until) in &mut new.roots {
            if root != current {
                *until = (*until).min(claimed.used.get(root).copied().unwrap_or(0));
            }
        }
        new.roots.retain(|root, until| root == current || *until > now.saturating_sub(KEPT));
        (new.crl_number, new.log_position) = (crl_number, log_position);
        // A line more in the log alone is no reason to write; the time is, once in a while.
        let old = &claimed.written;
        let same = new.roots == old.roots && new.crl_number == old.crl_number;
        if new.roots.is_empty() || same && now < old.seen.saturating_add(MAX_AHEAD / 10) {
            return Ok(());
        }
        new.seen = now;
        // What is taken back counts before it is written: a request that needs it claims it again.
        claimed.written = new.clone();
        drop(claimed);
        self.write(&new)
    }

    fn flush_shard(&self, shard: usize, now: u64) -> io::Result<()> {
        let mut leaves = self.leaves.lock();
        if !std::mem::take(&mut leaves.changed[shard]) {
            return Ok(());
        }
        leaves.shards[shard].retain(|_, of_one| {
            of_one.retain(|leaf| leaf.not_after > now);
            !of_one.is_empty()
        });
        drop_surplus(&mut leaves.shards[shard]);
        let content: BTreeMap<_, _> = leaves.shards[shard].iter().collect();
        let content = serde_json::to_vec(&content)?;
        // The store may be slow; requests go on noting meanwhile.
        drop(leaves);
        let written = EntryKey::new(LEAVES, &format!("{}-{shard:x}", self.replica))
            .and_then(|key| store::put(self.store.as_ref(), &key, &content));
        if written.is_err() {
            self.leaves.lock().changed[shard] = true;
        }
        written
    }
}

/// Above the limit those that end first go: the issuance log still has them.
fn drop_surplus(shard: &mut HashMap<String, Vec<LiveLeaf>>) {
    let count: usize = shard.values().map(Vec::len).sum();
    if count <= MAX_LEAVES {
        return;
    }
    let mut ends: Vec<u64> = shard.values().flatten().map(|leaf| leaf.not_after).collect();
    ends.sort_unstable();
    let before = ends.get(count - MAX_LEAVES).copied().unwrap_or(u64::MAX);
    shard.retain(|_, of_one| {
        of_one.retain(|leaf| leaf.not_after >= before);
        !of_one.is_empty()
    });
    tracing::warn!(
        limit = MAX_LEAVES * SHARDS,
        "more live certificates than the record holds; `revoke --identity` may miss some, the issuance log has them"
    );
}

/// How far a claim lies ahead: a quarter of a lifetime, so that a short one does not delay a
/// retirement by minutes.
fn ahead(lifetime: u64) -> u64 {
    (lifetime / 4).clamp(1, MAX_AHEAD)
}

fn shard_of(identity: &str) -> usize {
    identity.bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)))
        % SHARDS
}

impl FullRecord {
    /// Reads what every replica wrote.
    ///
    /// # Errors
    /// The store's, and an entry that is not ours: it must not pass for "no leaf lives".
    pub fn read(store: &dyn Store, now: u64) -> io::Result<Self> {
        let mut all = Self::default();
        for (key, entry) in store.list(CLAIMS)? {
            let claims = serde_json::from_slice(&entry.value).map_err(|e| damaged(&key, &e))?;
            all.claims.insert(key.name().to_owned(), claims);
        }
        for (key, entry) in store.list(LEAVES)? {
            let shard: RecordShard =
                serde_json::from_slice(&entry.value).map_err(|e| damaged(&key, &e))?;
            for (identity, leaves) in shard {
                let live = leaves.into_iter().filter(|leaf| leaf.not_after > now);
                all.leaves.entry(identity).or_default().extend(live);
            }
        }
        all.leaves.retain(|_, leaves| !leaves.is_empty());
        Ok(all)
    }

    /// The longest lifetime that any replica gives its leaves, seconds; a day when none has ever
    /// said.
    #[must_use]
    pub fn longest_lifetime(&self) -> u64 {
        self.claims.values().map(|claims| claims.leaf_lifetime).max().unwrap_or(86_400)
    }

    /// Until when leaves under this root may live; none when no replica says so.
    #[must_use]
    pub fn in_use_until(&self, root: &str) -> Option<u64> {
        self.claims.values().filter_map(|claims| claims.roots.get(root)).copied().max()
    }

    /// The identities with live leaves under this root, and until when.
    #[must_use]
    pub fn users_of(&self, root: &str) -> BTreeMap<String, u64> {
        let mut users = BTreeMap::new();
        for (identity, leaves) in &self.leaves {
            let last = leaves.iter().filter(|leaf| leaf.root == root).map(|l| l.not_after).max();
            if let Some(last) = last {
                users.insert(identity.clone(), last);
            }
        }
        users
    }
}

/// Forgets replicas whose leaves have all been over for a day.
///
/// # Errors
/// The store's.
pub fn remove_expired(store: &dyn Store, now: u64) -> io::Result<()> {
    for (key, entry) in store.list(CLAIMS)? {
        let Ok(claims) = serde_json::from_slice::<ReplicaClaims>(&entry.value) else { continue };
        let last = claims.roots.values().copied().max().unwrap_or(0).max(claims.seen);
        if last.saturating_add(KEPT) < now && store.remove(&key, &entry.version)? {
            for shard in 0..SHARDS {
                store::delete(
                    store,
                    &EntryKey::new(LEAVES, &format!("{}-{shard:x}", key.name()))?,
                )?;
            }
        }
    }
    Ok(())
}

fn damaged(key: &EntryKey, error: &serde_json::Error) -> io::Error {
    let message =
        format!("the state's entry {key} cannot be read: {error}; restore it or remove it");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Reads one entry as JSON; none when there is no such entry.
///
/// # Errors
/// The store's, and an entry that is not ours.
pub fn read_json<T: serde::de::DeserializeOwned>(
    store: &dyn Store,
    key: &EntryKey,
) -> io::Result<Option<T>> {
    let Some(entry) = store.get(key)? else { return Ok(None) };
    serde_json::from_slice(&entry.value).map(Some).map_err(|e| damaged(key, &e))
}

/// A value as an entry holds it.
///
/// # Errors
/// Never for the types that we keep.
pub fn to_json(value: &impl Serialize) -> io::Result<Zeroizing<Vec<u8>>> {
    Ok(Zeroizing::new(serde_json::to_vec(value)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::store::directory_store::DirectoryStore;

    const NOW: u64 = 1_800_000_000;
    const HOUR: u64 = 3600;
    const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

    fn leaf(serial: &str, not_after: u64) -> LiveLeaf {
        let (root, instance) = ("old".to_owned(), "i".to_owned());
        LiveLeaf { serial: serial.to_owned(), not_after, root, instance }
    }

    fn store() -> (tempfile::TempDir, Arc<dyn Store>) {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(DirectoryStore::new(dir.path()));
        (dir, store)
    }

    fn until(store: &Arc<dyn Store>, root: &str) -> Option<u64> {
        FullRecord::read(store.as_ref(), NOW).unwrap().in_use_until(root)
    }

    #[test]
    fn a_claim_is_written_ahead_and_seldom() {
        let (_dir, store) = store();
        let record = IssuanceRecord::new(Arc::clone(&store), HOUR, NOW);
        record.cover("old", NOW + HOUR, NOW).unwrap();
        assert_eq!(until(&store, "old"), Some(NOW + HOUR + 600));
        record.cover("old", NOW + HOUR + 600, NOW + 600).unwrap();
        assert_eq!(until(&store, "old"), Some(NOW + HOUR + 600), "no write for ten minutes");
        record.cover("old", NOW + HOUR + 601, NOW + 601).unwrap();
        assert_eq!(until(&store, "old"), Some(NOW + HOUR + 1201));
        record.extend("old", NOW + 950).unwrap();
        assert_eq!(until(&store, "old"), Some(NOW + HOUR + 1550), "before a request has to");
    }

    #[test]
    fn a_crash_leaves_the_claim() {
        let (_dir, store) = store();
        {
            let record = IssuanceRecord::new(Arc::clone(&store), HOUR, NOW);
            record.cover("old", NOW + HOUR, NOW).unwrap();
            record.note(CART, leaf("01", NOW + HOUR));
        }
        let all = FullRecord::read(store.as_ref(), NOW).unwrap();
        assert_eq!(all.in_use_until("old"), Some(NOW + HOUR + 600));
        assert!(all.leaves.is_empty(), "the detail was behind");
    }

    #[test]
    fn leaves_are_written_behind_and_forgotten_when_over() {
        let (_dir, store) = store();
        let record = IssuanceRecord::new(Arc::clone(&store), HOUR, NOW);
        record.cover("old", NOW + HOUR, NOW).unwrap();
        record.note(CART, leaf("01", NOW + 10));
        record.note(CART, leaf("02", NOW + HOUR));
        record.flush("old", 0, 0, NOW).unwrap();
        let all = FullRecord::read(store.as_ref(), NOW).unwrap();
        assert_eq!(all.leaves[CART].len(), 2);
        assert_eq!(all.users_of("old")[CART], NOW + HOUR);
        assert!(all.users_of("new").is_empty());
        assert_eq!(record.leaves_of(CART, NOW + 10).len(), 1);
        record.note(CART, leaf("03", NOW + HOUR));
        record.flush("old", 0, 0, NOW + 10).unwrap();
        let all = FullRecord::read(store.as_ref(), NOW).unwrap();
        let serials: Vec<_> = all.leaves[CART].iter().map(|leaf| leaf.serial.as_str()).collect();
        assert_eq!(serials, ["02", "03"]);
    }

    #[test]
    fn a_claim_on_a_former_root_shrinks_to_what_was_signed() {
        let (_dir, store) = store();
        let record = IssuanceRecord::new(Arc::clone(&store), HOUR, NOW);
        record.cover("old", NOW + HOUR, NOW).unwrap();
        record.cover("new", NOW + HOUR, NOW).unwrap();
        record.flush("new", 0, 0, NOW).unwrap();
        assert_eq!(until(&store, "old"), Some(NOW + HOUR));
        assert_eq!(until(&store, "new"), Some(NOW + HOUR + 600));
        // A request that had begun before the switch claims again.
        record.cover("old", NOW + HOUR + 1, NOW).unwrap();
        assert_eq!(until(&store, "old"), Some(NOW + HOUR + 601));
    }

    #[test]
    fn garbage_never_passes_for_nothing_lives() {
        let (_dir, store) = store();
        store.create(&EntryKey::new("record", "x").unwrap(), b"garbage").unwrap();
        let error = FullRecord::read(store.as_ref(), NOW).unwrap_err().to_string();
        assert!(error.contains("record/x"), "{error}");
    }

    #[test]
    fn replicas_without_live_leaves_are_forgotten_after_a_day() {
        let (_dir, store) = store();
        let record = IssuanceRecord::new(Arc::clone(&store), HOUR, NOW);
        record.cover("old", NOW + HOUR, NOW).unwrap();
        record.note(CART, leaf("01", NOW + HOUR));
        record.flush("old", 0, 0, NOW).unwrap();
        remove_expired(store.as_ref(), NOW + 2 * HOUR).unwrap();
        assert_eq!(store.list("record").unwrap().len(), 1);
        remove_expired(store.as_ref(), NOW + 30 * HOUR).unwrap();
        assert!(
            store.list("record").unwrap().is_empty() && store.list("leaves").unwrap().is_empty()
        );
    }
}
