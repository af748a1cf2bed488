//! Some revocations, as the store gives them.

use crate::key::{KEY_LENGTH, RevokedKey, StoreKey};
use crate::revoked::Revocation;

/// The name of a set of revocations, bytes.
pub const NAME_LENGTH: usize = 32;
/// A number of the store, in decimal digits.
const DIGITS: usize = 20;
/// One revocation, bytes: its key and its two times.
pub const ENTRY_LENGTH: usize = KEY_LENGTH + 2 * DIGITS;
/// Revocations at once: fewer bytes than an answer may have.
pub const MOST_ENTRIES: usize = 800;

/// Some revocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Of which set: another one where the store has lost what it knew.
    pub set: [u8; NAME_LENGTH],
    /// The number of the latest revocation in the set.
    pub last: u64,
    /// The number of the last revocation of this page; without any, the one that was asked for.
    pub after: u64,
    /// The revocations, at most [`MOST_ENTRIES`].
    pub revocations: Vec<Revocation>,
}

/// Reads a page; none where these bytes are no page.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Page> {
    let (set, rest) = bytes.split_first_chunk::<NAME_LENGTH>()?;
    let (last, rest) = number(rest)?;
    let (after, rest) = number(rest)?;
    let (entries, []) = rest.as_chunks::<ENTRY_LENGTH>() else { return None };
    if entries.len() > MOST_ENTRIES {
        return None;
    }
    let revocations = entries.iter().map(revocation).collect::<Option<_>>()?;
    Some(Page { set: *set, last, after, revocations })
}

/// A revocation as the store keeps it.
#[must_use]
pub fn entry(revocation: &Revocation) -> [u8; ENTRY_LENGTH] {
    let Revocation { key, begun_until, until } = revocation;
    let times = format!("{begun_until:020}{until:020}");
    let mut bytes = [0; ENTRY_LENGTH];
    let (name, rest) = bytes.split_at_mut(KEY_LENGTH);
    name.copy_from_slice(key.key().as_bytes());
    rest.copy_from_slice(times.as_bytes());
    bytes
}

fn revocation(entry: &[u8; ENTRY_LENGTH]) -> Option<Revocation> {
    let (key, rest) = entry.split_first_chunk::<KEY_LENGTH>()?;
    let (begun_until, rest) = number(rest)?;
    let (until, _) = number(rest)?;
    Some(Revocation { key: RevokedKey::from(StoreKey::from_bytes(*key)), begun_until, until })
}

/// Digits alone: `parse` would take a sign, too.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (digits, rest) = bytes.split_first_chunk::<DIGITS>()?;
    let text = std::str::from_utf8(digits).ok()?;
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())??;
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Revocation {
        let key = RevokedKey::subject("https://id.example", "shop", "ann");
        Revocation { key, begun_until: u64::MAX, until: 1_790_000_000_000 }
    }

    fn page(last: &str, entries: &[u8]) -> Vec<u8> {
        [&[b'n'; NAME_LENGTH], last.as_bytes(), b"00000000000000000007", entries].concat()
    }

    #[test]
    fn pages_as_the_store_gives_them() {
        let entry = entry(&some());
        let last = "00000000000000000009";
        let of = |revocations| Page { set: [b'n'; 32], last: 9, after: 7, revocations };
        for (name, bytes, expect) in [
            ("empty", page(last, b""), Some(of(Vec::new()))),
            ("one", page(last, &entry), Some(of(vec![some()]))),
            ("two", page(last, &[entry, entry].concat()), Some(of(vec![some(); 2]))),
            ("half of one", page(last, &entry[..40]), None),
            ("a sign", page("+0000000000000000009", b""), None),
            ("a number that is too large", page("99999999999999999999", b""), None),
            ("nothing", Vec::new(), None),
            ("more than there can be", page(last, &entry.repeat(MOST_ENTRIES + 1)), None),
        ] {
            assert_eq!(read(&bytes), expect, "{name}");
        }
        let fullest = page(last, &entry.repeat(MOST_ENTRIES));
        assert!(fullest.len() <= redis_link::reply::LONGEST_BULK);
    }
}
