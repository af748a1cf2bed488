//! A signed-in user, as a session knows them.

use std::fmt;

use aws_lc_rs::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::keys::NotSealed;
use crate::session_id::SessionId;

/// The largest session that is read, in bytes.
const MAX_SESSION: usize = 64 * 1024;
/// After which part of the access token's life it is time for a new one: 80 of 100.
const REFRESH_PERCENT: u64 = 80;
/// `last_seen` is written anew when this part of the idle time has passed: one of ten.
const SEEN_PART: u64 = 10;

/// Who signed in, and what the provider gave for it.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The provider.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `sid`: the session at the provider.
    pub provider_session: Option<String>,
    /// The claims that the policy keeps.
    pub claims: Map<String, Value>,
    /// For the logout at the provider, and for apps that get it.
    pub id_token: Option<Zeroizing<String>>,
    /// For new tokens.
    pub refresh_token: Option<Zeroizing<String>>,
    /// When the access token ends, Unix seconds; `None`: nobody knows, and there is nothing to refresh by.
    pub access_expires: Option<u64>,
    /// When the user authenticated, Unix seconds.
    pub auth_time: Option<u64>,
    /// How.
    pub acr: Option<String>,
}

/// A session. Its tokens are wiped, and `Debug` shows neither them nor the user.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    id: SessionId,
    /// Who.
    pub user: SignedIn,
    /// When the user signed in, Unix seconds.
    pub created: u64,
    /// When the tokens were given, Unix seconds: at sign-in, or at the last refresh.
    pub refreshed: u64,
    /// When a request was last seen, Unix seconds; up to a tenth of the idle time ago.
    pub last_seen: u64,
    /// When it ends whatever happens, Unix seconds.
    pub ends: u64,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionOver {
    /// Its `ttl` has passed.
    #[error("the session ended")]
    Ended,
    /// No request for longer than `idle`.
    #[error("the session was idle for too long")]
    Idle,
    /// It begins later than now: the clock was set back, or that of another replica is ahead.
    #[error("the session is from the future")]
    Future,
}

/// Bytes that are no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no session")]
pub struct MalformedSession;

/// How far the clocks of replicas may differ, in seconds.
const LEEWAY: u64 = 30;

impl Session {
    /// A session of a user who has just signed in, for `ttl` seconds. Its id is always new: no sign-in goes on with one
    /// that somebody else may know (GHSA-f24x-5g9q-753f).
    ///
    /// # Errors
    /// [`NotSealed`] where the system gives no random numbers.
    pub fn begin(
        user: SignedIn,
        now: u64,
        ttl: u64,
        random: &dyn SecureRandom,
    ) -> Result<Self, NotSealed> {
        let id = SessionId::new(random)?;
        let ends = now.saturating_add(ttl);
        Ok(Self { id, user, created: now, refreshed: now, last_seen: now, ends })
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Whether it lasts at this Unix second. `ttl`: how many seconds it lasts at most, which may be less than when it began;
    /// `idle`: how many seconds without a request end it.
    ///
    /// # Errors
    /// [`SessionOver`].
    pub fn check(&self, now: u64, ttl: u64, idle: u64) -> Result<(), SessionOver> {
        if now >= self.ends.min(self.created.saturating_add(ttl)) {
            return Err(SessionOver::Ended);
        }
        if now >= self.last_seen.saturating_add(idle) {
            return Err(SessionOver::Idle);
        }
        let earliest = now.saturating_add(LEEWAY);
        if self.created > earliest || self.last_seen > earliest {
            return Err(SessionOver::Future);
        }
        Ok(())
    }

    /// Notes a request. True: so much of the idle time has passed that the session is worth keeping anew.
    pub fn see(&mut self, now: u64, idle: u64) -> bool {
        let due = now >= self.last_seen.saturating_add((idle / SEEN_PART).max(1));
        if due {
            self.last_seen = now;
        }
        due
    }

    /// Whether it is time for new tokens: 80 % of the access token's life have passed, and there is a refresh token.
    #[must_use]
    pub fn is_due_for_refresh(&self, now: u64) -> bool {
        let Some(expires) = self.user.access_expires else { return false };
        let life = expires.saturating_sub(self.refreshed);
        let due = self.refreshed.saturating_add(life.saturating_mul(REFRESH_PERCENT) / 100);
        self.user.refresh_token.is_some() && now >= due
    }

    /// Whether the access token is over.
    #[must_use]
    pub fn is_access_over(&self, now: u64) -> bool {
        self.user.access_expires.is_some_and(|expires| now >= expires)
    }

    /// Takes the tokens of a refresh. A refresh token that did not come stays (RFC 6749 §6), and so does an ID token.
    pub fn refresh(
        &mut self,
        refresh_token: Option<Zeroizing<String>>,
        id_token: Option<Zeroizing<String>>,
        access_expires: Option<u64>,
        now: u64,
    ) {
        self.user.refresh_token = refresh_token.or(self.user.refresh_token.take());
        self.user.id_token = id_token.or(self.user.id_token.take());
        self.user.access_expires = access_expires;
        self.refreshed = now;
    }

    /// How many seconds a cookie of it is kept at most.
    #[must_use]
    pub fn left(&self, now: u64) -> u64 {
        self.ends.saturating_sub(now)
    }
}

/// The written form: JSON with short names; a cookie has little room.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    i: String,
    p: String,
    s: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    d: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    c: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<Zeroizing<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<Zeroizing<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    h: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    a: Option<String>,
    b: u64,
    f: u64,
    l: u64,
    e: u64,
}

impl Session {
    /// To be sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let user = self.user.clone();
        let written = Written {
            i: self.id.to_text(),
            p: user.issuer,
            s: user.subject,
            d: user.provider_session,
            c: user.claims,
            t: user.id_token,
            r: user.refresh_token,
            x: user.access_expires,
            h: user.auth_time,
            a: user.acr,
            b: self.created,
            f: self.refreshed,
            l: self.last_seen,
            e: self.ends,
        };
        // Texts and numbers: nothing of it can fail.
        Zeroizing::new(serde_json::to_vec(&written).unwrap_or_default())
    }

    /// Reads what was sealed.
    ///
    /// # Errors
    /// [`MalformedSession`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedSession> {
        if bytes.len() > MAX_SESSION {
            return Err(MalformedSession);
        }
        let written: Written = serde_json::from_slice(bytes).map_err(|_| MalformedSession)?;
        Ok(Self {
            id: SessionId::parse(&written.i).ok_or(MalformedSession)?,
            user: SignedIn {
                issuer: written.p,
                subject: written.s,
                provider_session: written.d,
                claims: written.c,
                id_token: written.t,
                refresh_token: written.r,
                access_expires: written.x,
                auth_time: written.h,
                acr: written.a,
            },
            created: written.b,
            refreshed: written.f,
            last_seen: written.l,
            ends: written.e,
        })
    }
}

impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedIn(at {})", self.issuer)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({:?}, ends {})", self.id, self.ends)
    }
}
