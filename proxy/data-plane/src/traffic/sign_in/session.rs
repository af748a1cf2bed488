//! Which session a request comes from, and whether it still lasts.

use browser_session::{RequestCookies, Session, SessionId};
use policy::sign_in::{SignInPolicy, SignInSettings};
use serde_json::{Map, Value};
use session_store::{Revocation, RevokedKey, SessionStoreError, StoreKey};

use super::cookies::CarriedSession;
use super::desk::Desk;
use crate::http::SignInRefusal;
use crate::traffic::state::ProxyState;

/// So many seconds before a refresh a session is not written.
const REFRESH_IS_NEAR: u64 = 5;

/// What a request's cookies come to.
pub(super) enum FoundSession {
    /// There is none.
    None,
    /// There was one, which cannot be used; the cookies are cleared. Why, for the log.
    Over(&'static str),
    /// Somebody is signed in. `true`: the session is worth keeping anew, because time has passed or a key is replaced.
    Lasts(Box<Session>, bool),
}

/// Finds the session of a request.
///
/// # Errors
/// [`SignInRefusal::Store`]: it cannot be known now.
pub(super) async fn find(
    desk: &Desk<'_>,
    cookies: &RequestCookies<'_>,
) -> Result<FoundSession, SignInRefusal> {
    let (session, old_key) = match desk.jar.session(cookies) {
        CarriedSession::None => return Ok(FoundSession::None),
        CarriedSession::Unreadable => return Ok(FoundSession::Over("its cookies are not ours")),
        CarriedSession::Whole(session, old_key) => (session, old_key),
        CarriedSession::Reference(id) => {
            let kept = desk.state.sessions().get(StoreKey::from_bytes(*id.as_bytes())).await;
            let kept = kept.map_err(|_| SignInRefusal::Store)?;
            let kept = kept.and_then(|sealed| desk.jar.stored(&sealed, id.as_bytes()));
            match kept {
                Some(session) => (Box::new(session), false),
                None => return Ok(FoundSession::Over("the store does not have it")),
            }
        }
    };
    check(desk, session, old_key).await
}

/// Whether a session lasts: by its times, and by what has been ended early.
async fn check(
    desk: &Desk<'_>,
    mut session: Box<Session>,
    old_key: bool,
) -> Result<FoundSession, SignInRefusal> {
    let settings = &desk.policy.settings;
    let now = desk.now;
    let (ttl, idle) = (settings.session.ttl.as_secs(), settings.session.idle.as_secs());
    if session.user.issuer != *settings.issuer {
        return Ok(FoundSession::Over("it is of another issuer"));
    }
    if session.check(now, ttl, idle).is_err() {
        return Ok(FoundSession::Over("it has ended, or was idle for too long"));
    }
    if is_ended(desk, &session).await? {
        return Ok(FoundSession::Over("it was ended by a logout"));
    }
    // Nothing is kept anew while it may be renewed: what another request keeps then is newer.
    let is_near = session.is_due_for_refresh(now.saturating_add(REFRESH_IS_NEAR));
    let due = !is_near && (session.see(now, idle) || old_key);
    Ok(FoundSession::Lasts(session, due))
}

/// Whether a session was ended early.
///
/// # Errors
/// [`SignInRefusal::Store`]: it cannot be known now.
pub(super) async fn is_ended(desk: &Desk<'_>, session: &Session) -> Result<bool, SignInRefusal> {
    let keys = revoked_by(desk.policy, session);
    let revoked = desk.state.sessions().is_revoked(&keys, began(session)).await;
    revoked.map_err(|_| SignInRefusal::Store)
}

/// When a session began, Unix milliseconds.
pub(super) fn began(session: &Session) -> u64 {
    session.created.saturating_mul(1000)
}

/// Ends a session early, wherever a copy of its cookie is: by its id, until it would have ended by itself.
///
/// # Errors
/// The store does not hear it. In this process it has ended in any case.
pub(super) async fn end(state: &ProxyState, session: &Session) -> Result<(), SessionStoreError> {
    end_by_id(state, session.id(), session.ends).await
}

/// The same, of one that is known by its id alone; `ends` in Unix seconds, or later.
///
/// # Errors
/// As [`end`].
pub(super) async fn end_by_id(
    state: &ProxyState,
    id: SessionId,
    ends: u64,
) -> Result<(), SessionStoreError> {
    let (store, id) = (state.sessions(), StoreKey::from_bytes(*id.as_bytes()));
    let until = ends.saturating_mul(1000);
    let revocation = Revocation { key: RevokedKey::session(&id), begun_until: u64::MAX, until };
    store.revoke(revocation).await?;
    store.remove(id).await
}

/// All by which a session may have been ended early.
pub(super) fn revoked_by(policy: &SignInPolicy, session: &Session) -> Vec<RevokedKey> {
    let (issuer, client) = (&*policy.settings.issuer, &*policy.settings.client_id);
    let mut keys = vec![
        RevokedKey::session(&StoreKey::from_bytes(*session.id().as_bytes())),
        RevokedKey::subject(issuer, client, &session.user.subject),
    ];
    let sid = session.user.provider_session.as_deref();
    keys.extend(sid.map(|sid| RevokedKey::sid(issuer, client, sid)));
    keys
}

/// The claims that the SignIn names, as far as the ID token has them.
pub(super) fn kept_claims(
    settings: &SignInSettings,
    claims: &Map<String, Value>,
) -> Map<String, Value> {
    let named = settings.session.claims.iter();
    let kept = named.filter_map(|name| Some((name.to_string(), claims.get(&**name)?.clone())));
    kept.collect()
}
