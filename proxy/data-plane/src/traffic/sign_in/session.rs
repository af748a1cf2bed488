//! Which session a request comes from, and whether it still lasts.

use browser_session::{RequestCookies, Session};
use policy::sign_in::SignInSettings;
use serde_json::{Map, Value};
use session_store::{RevokedKey, StoreKey};

use super::cookies::CarriedSession;
use super::desk::Desk;
use crate::http::SignInRefusal;

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
    let (now, idle) = (desk.now, settings.session.idle.as_secs());
    if session.user.issuer != *settings.issuer {
        return Ok(FoundSession::Over("it is of another issuer"));
    }
    if session.check(now, idle).is_err() {
        return Ok(FoundSession::Over("it has ended, or was idle for too long"));
    }
    let keys = revoked_by(desk, &session);
    let revoked = desk.state.sessions().is_revoked(&keys, session.created.saturating_mul(1000));
    if revoked.await.map_err(|_| SignInRefusal::Store)? {
        return Ok(FoundSession::Over("it was ended by a logout"));
    }
    // Nothing is kept anew while it may be renewed: what another request keeps then is newer.
    let is_near = session.is_due_for_refresh(now.saturating_add(REFRESH_IS_NEAR));
    let due = !is_near && (session.see(now, idle) || old_key);
    Ok(FoundSession::Lasts(session, due))
}

/// All by which a session may have been ended early.
fn revoked_by(desk: &Desk<'_>, session: &Session) -> Vec<RevokedKey> {
    let (issuer, client) = (&*desk.policy.settings.issuer, &*desk.policy.settings.client_id);
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
