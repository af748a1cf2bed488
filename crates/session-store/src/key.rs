//! Keys: 32 bytes, whatever they name.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

/// Of what a key has, bytes.
pub(crate) const KEY_LENGTH: usize = 32;

/// Where something is kept: the identifier of a session, or the digest of what names it. Sessions, leases and
/// single-use values have rooms of their own: the same key in two of them is two things.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreKey([u8; KEY_LENGTH]);

impl StoreKey {
    /// 32 bytes that nobody guesses, as the identifier of a session.
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_LENGTH]) -> Self {
        Self(bytes)
    }

    /// The SHA-256 of these parts. Each is preceded by its length, so that no two lists of parts are one key.
    ///
    /// ```
    /// use session_store::StoreKey;
    ///
    /// assert_ne!(StoreKey::of(&[b"ab", b"c"]), StoreKey::of(&[b"a", b"bc"]));
    /// ```
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            // A length of 64 bits holds that of every slice.
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
        let mut bytes = [0; KEY_LENGTH];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; KEY_LENGTH] {
        &self.0
    }
}

/// Identifiers of sessions are nobody's to read.
impl fmt::Debug for StoreKey {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("StoreKey(..)")
    }
}

/// What ended early: one session, all sessions of one sign-in at the provider, or all sessions of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RevokedKey(StoreKey);

impl RevokedKey {
    /// One session, by its identifier.
    #[must_use]
    pub fn session(id: &StoreKey) -> Self {
        Self(StoreKey::of(&[b"session", id.as_bytes()]))
    }

    /// The sessions that came of one sign-in at the provider: the claim `sid` of its ID tokens (OpenID Connect
    /// Back-Channel Logout 1.0 §2.1), for one client.
    #[must_use]
    pub fn sid(issuer: &str, client_id: &str, sid: &str) -> Self {
        Self::named(b"sid", issuer, client_id, sid)
    }

    /// The sessions of a user, for one client: the claim `sub`.
    #[must_use]
    pub fn subject(issuer: &str, client_id: &str, subject: &str) -> Self {
        Self::named(b"sub", issuer, client_id, subject)
    }

    fn named(kind: &[u8], issuer: &str, client_id: &str, value: &str) -> Self {
        let parts = [kind, issuer.as_bytes(), client_id.as_bytes(), value.as_bytes()];
        Self(StoreKey::of(&parts))
    }

    /// As it is kept.
    pub(crate) fn from(key: StoreKey) -> Self {
        Self(key)
    }

    pub(crate) fn key(&self) -> &StoreKey {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s42_no_two_lists_of_parts_are_one_key() {
        let lists: [&[&[u8]]; 6] =
            [&[], &[b""], &[b"", b""], &[b"ab", b"c"], &[b"a", b"bc"], &[b"abc"]];
        for (at, one) in lists.iter().enumerate() {
            for other in lists.iter().skip(at + 1) {
                assert_ne!(StoreKey::of(one), StoreKey::of(other), "{one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn kinds_clients_and_issuers_are_kept_apart() {
        let id = StoreKey::of(&[b"a"]);
        let keys = [
            RevokedKey::session(&id),
            RevokedKey::sid("https://id.example", "shop", "a"),
            RevokedKey::subject("https://id.example", "shop", "a"),
            RevokedKey::subject("https://id.example", "bank", "a"),
            RevokedKey::subject("https://other.example", "shop", "a"),
        ];
        for (at, one) in keys.iter().enumerate() {
            assert!(!keys.iter().skip(at + 1).any(|other| other == one), "{at}");
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(format!("{:?}", StoreKey::from_bytes([65; 32])), "StoreKey(..)");
    }
}
