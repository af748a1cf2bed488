//! A session's cookies: one sealed text, cut into as many as it takes.

use zeroize::Zeroizing;

use crate::cookie_header::RequestCookies;
use crate::keys::NotOurs;
use crate::set_cookie;

/// How all session cookies begin.
const BASE: &str = "__Host-postern-s";
/// The most cookies of one session: browsers keep few for a host, and servers take headers of some 32 KiB.
pub const MAX_CHUNKS: usize = 5;
/// The longest piece in one cookie, in bytes: browsers take 4,096 for name, value and attributes.
const CHUNK: usize = 3_800;
/// The longest suffix of a name, in bytes.
const MAX_SUFFIX: usize = 32;

/// A suffix that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cookie's suffix has at most 32 small letters, digits and dashes, and none at its ends")]
pub struct CookieSuffixError;

/// A session that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the session needs {needed} cookies and may have {allowed}: ask for fewer claims (`session.claims`), a smaller ID \
     token, or keep sessions in a store (`session.store: redis`)"
)]
pub struct TooManyCookies {
    /// It would take.
    pub needed: usize,
    /// `maxCookies` of the policy.
    pub allowed: usize,
}

/// The cookies of one policy's sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCookies {
    /// Of the first; the others have `.1` to `.4` after it.
    names: Vec<Box<str>>,
    allowed: usize,
}

impl SessionCookies {
    /// `suffix` tells the sessions of policies apart that share a host; empty: none. `allowed`: at most that many
    /// cookies a session, 1 to 5.
    ///
    /// # Errors
    /// [`CookieSuffixError`].
    pub fn new(suffix: &str, allowed: usize) -> Result<Self, CookieSuffixError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let ends = suffix.starts_with('-') || suffix.ends_with('-');
        if suffix.len() > MAX_SUFFIX || ends || !suffix.bytes().all(plain) {
            return Err(CookieSuffixError);
        }
        let dash = if suffix.is_empty() { "" } else { "-" };
        let name = |place: usize| match place {
            0 => [BASE, dash, suffix].concat(),
            _ => format!("{BASE}{dash}{suffix}.{place}"),
        };
        let names = (0..MAX_CHUNKS).map(|place| name(place).into()).collect();
        Ok(Self { names, allowed: allowed.clamp(1, MAX_CHUNKS) })
    }

    /// The sealed text that a request carries. `None`: it has no such cookie.
    ///
    /// # Errors
    /// [`NotOurs`]: a piece is missing, is there twice, or there is no saying how many there are. What was put
    /// together in another order is found when it is opened.
    pub fn sealed(
        &self,
        cookies: &RequestCookies<'_>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, NotOurs> {
        let mut names = self.names.iter();
        let first = names.next().and_then(|name| cookies.value(name));
        let Some(first) = first else {
            let lost = names.any(|name| cookies.value(name).is_some());
            return if lost { Err(NotOurs) } else { Ok(None) };
        };
        let (count, first) = counted(first.ok_or(NotOurs)?).ok_or(NotOurs)?;
        let mut sealed = Zeroizing::new(Vec::with_capacity(count * CHUNK));
        sealed.extend_from_slice(first);
        for name in names.take(count - 1) {
            sealed.extend_from_slice(cookies.value(name).flatten().ok_or(NotOurs)?);
        }
        Ok(Some(sealed))
    }

    /// The headers `set-cookie` that keep a sealed text for so many seconds, and clear pieces of a longer one.
    ///
    /// # Errors
    /// [`TooManyCookies`].
    pub fn set(
        &self,
        sealed: &str,
        seconds: u64,
        before: &RequestCookies<'_>,
    ) -> Result<Vec<String>, TooManyCookies> {
        let pieces: Vec<&[u8]> = sealed.as_bytes().chunks(CHUNK).collect();
        let needed = pieces.len();
        if needed > self.allowed {
            return Err(TooManyCookies { needed, allowed: self.allowed });
        }
        let mut lines = Vec::with_capacity(needed);
        for (place, (name, piece)) in self.names.iter().zip(pieces).enumerate() {
            // What is sealed is base64url.
            let piece = std::str::from_utf8(piece).unwrap_or_default();
            let value = if place == 0 { format!("{needed}.{piece}") } else { piece.to_owned() };
            lines.push(set_cookie::set(name, &value, seconds));
        }
        lines.extend(self.clear_from(needed, before));
        Ok(lines)
    }

    /// The headers `set-cookie` that clear all of them that the request carries.
    #[must_use]
    pub fn clear(&self, before: &RequestCookies<'_>) -> Vec<String> {
        self.clear_from(0, before).collect()
    }

    fn clear_from(
        &self,
        place: usize,
        before: &RequestCookies<'_>,
    ) -> impl Iterator<Item = String> {
        let stale = self.names.iter().skip(place).filter(|name| before.value(name).is_some());
        stale.map(|name| set_cookie::clear(name))
    }
}

/// The first piece: how many there are, a dot, and the beginning.
fn counted(value: &[u8]) -> Option<(usize, &[u8])> {
    let (count, rest) = value.split_first()?;
    let count = char::from(*count).to_digit(10).and_then(|count| usize::try_from(count).ok())?;
    let rest = rest.strip_prefix(b".")?;
    (1..=MAX_CHUNKS).contains(&count).then_some((count, rest))
}
