//! Sealing: what leaves as a cookie is unreadable, and comes back unchanged or not at all.
//!
//! The sealed form, in base64url without padding: a version (1 byte), the key's id (4 bytes), a random nonce (12
//! bytes), the ciphertext and its tag (16 bytes).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SecureRandom;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// Of the sealed form and of what is in it. Another version is somebody else's.
const VERSION: u8 = 1;
/// Bytes of a key's id.
const KEY_ID: usize = 4;
/// Bytes before the ciphertext.
const HEAD: usize = 1 + KEY_ID + NONCE_LEN;
/// The longest text that is opened, in bytes: five chunks, and sessions in a store.
const MAX_SEALED: usize = 96 * 1024;

/// What a sealed value is for. One that is made for one purpose opens for no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A session, whole, in cookies.
    Session,
    /// The id of a session that a store keeps, in a cookie.
    SessionReference,
    /// A session in a store; `instance` is its id.
    StoredSession,
    /// A sign-in that is under way, in a cookie; `instance` is the flow's id.
    Flow,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::SessionReference => "session-reference",
            Self::StoredSession => "stored-session",
            Self::Flow => "flow",
        }
    }
}

/// What a sealed value belongs to. It opens for exactly the same, and for nothing else.
#[derive(Debug, Clone, Copy)]
pub struct SealBinding<'a> {
    /// The host that the browser called, in lower case, without a port.
    pub host: &'a str,
    /// Our client id at the provider.
    pub client_id: &'a str,
    /// The policy: namespace, slash, name.
    pub policy: &'a str,
    /// What for.
    pub purpose: Purpose,
    /// Which one, where the reader knows it beforehand; empty otherwise.
    pub instance: &'a [u8],
}

impl SealBinding<'_> {
    /// Each field with its length before it: whatever is moved from one field to the next makes other bytes
    /// (CVE-2023-35941).
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        for field in [
            self.host.as_bytes(),
            self.client_id.as_bytes(),
            self.policy.as_bytes(),
            self.purpose.name().as_bytes(),
            self.instance,
        ] {
            bytes.extend_from_slice(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend_from_slice(field);
        }
        bytes
    }
}

/// A sealed value that is not ours, for this binding, with these keys. There is one such refusal: what was wrong with
/// it would help nobody but a forger (CVE-2026-47775).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value was not sealed here, or was changed since")]
pub struct NotOurs;

/// The system gives no random numbers, or there is too much to seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value cannot be sealed")]
pub struct NotSealed;

/// What was sealed.
#[derive(PartialEq, Eq)]
pub struct Opened {
    /// The bytes of before.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// Sealed with the previous key: to be sealed anew while that key is still there.
    pub by_previous_key: bool,
}

/// The key that seals, and the one of before, which opens still. `Debug` shows their ids.
pub struct SessionKeys {
    current: SessionKey,
    previous: Option<SessionKey>,
}

struct SessionKey {
    id: [u8; KEY_ID],
    key: LessSafeKey,
}

impl SessionKeys {
    /// Keys of 256 random bits each. All replicas have the same; while one is replaced, both.
    ///
    /// # Errors
    /// [`NotSealed`] where the cryptographic library takes no key, which it does for each of 32 bytes.
    pub fn new(current: &[u8; 32], previous: Option<&[u8; 32]>) -> Result<Self, NotSealed> {
        let previous = previous.map(SessionKey::new).transpose()?;
        Ok(Self { current: SessionKey::new(current)?, previous })
    }

    /// Seals with the current key. The nonce is random: a key is good for 2³² values (NIST SP 800-38D §8.3), which at
    /// 100 a second are 500 days.
    ///
    /// # Errors
    /// [`NotSealed`].
    pub fn seal(
        &self,
        binding: SealBinding<'_>,
        plaintext: &[u8],
        random: &dyn SecureRandom,
    ) -> Result<String, NotSealed> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce).map_err(|_| NotSealed)?;
        let aad = Aad::from(binding.to_bytes());
        let mut sealed = Zeroizing::new(Vec::with_capacity(plaintext.len() + 16));
        sealed.extend_from_slice(plaintext);
        let key = &self.current.key;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut *sealed)
            .map_err(|_| NotSealed)?;
        let whole = [&[VERSION][..], &self.current.id, &nonce, &sealed].concat();
        let text = URL_SAFE_NO_PAD.encode(whole);
        if text.len() > MAX_SEALED { Err(NotSealed) } else { Ok(text) }
    }

    /// Opens what was sealed for the same binding.
    ///
    /// # Errors
    /// [`NotOurs`], whatever is wrong.
    pub fn open(&self, binding: SealBinding<'_>, sealed: &[u8]) -> Result<Opened, NotOurs> {
        if sealed.len() > MAX_SEALED {
            return Err(NotOurs);
        }
        let whole = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| NotOurs)?;
        let (head, ciphertext) = whole.split_at_checked(HEAD).ok_or(NotOurs)?;
        let (version, head) = head.split_first().ok_or(NotOurs)?;
        let (id, nonce) = head.split_at_checked(KEY_ID).ok_or(NotOurs)?;
        let (key, by_previous_key) = self.key(id).filter(|_| *version == VERSION).ok_or(NotOurs)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotOurs)?;
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        let opened = key.open_in_place(nonce, Aad::from(binding.to_bytes()), &mut plaintext);
        let length = opened.map_err(|_| NotOurs)?.len();
        plaintext.truncate(length);
        Ok(Opened { plaintext, by_previous_key })
    }

    fn key(&self, id: &[u8]) -> Option<(&LessSafeKey, bool)> {
        if self.current.id == id {
            return Some((&self.current.key, false));
        }
        self.previous.as_ref().filter(|key| key.id == id).map(|key| (&key.key, true))
    }
}

impl SessionKey {
    fn new(secret: &[u8; 32]) -> Result<Self, NotSealed> {
        let mut id = [0; KEY_ID];
        let hash = digest(&SHA256, secret);
        id.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
        let key = UnboundKey::new(&AES_256_GCM, secret).map_err(|_| NotSealed)?;
        Ok(Self { id, key: LessSafeKey::new(key) })
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let previous = self.previous.as_ref().map(|key| key.id);
        write!(f, "SessionKeys({:02x?}, {previous:02x?})", self.current.id)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened(..)")
    }
}
