//! One request under one SignIn: what its steps share.

use std::sync::Arc;
use std::time::Duration;

use browser_session::{RequestCookies, Session};
use http::Method;
use http::header::{HeaderValue, SET_COOKIE};
use policy::sign_in::{SessionPlace, SignInSettings};
use policy::{CanonicalPath, HostName, SignInPolicy};
use session_store::{SessionStoreError, StoreKey};

use super::asked_by::AskedBy;
use super::cookies::CookieJar;
use super::step_up::Demand;
use super::{answer, begin};
use crate::http::SignInRefusal;
use crate::http::error::RequestError;
use crate::traffic::exchange::PhaseEnd;
use crate::traffic::state::ProxyState;

/// A request under a SignIn.
pub(super) struct Desk<'a> {
    pub(super) state: &'a Arc<ProxyState>,
    pub(super) policy: &'a Arc<SignInPolicy>,
    pub(super) jar: CookieJar<'a>,
    /// As the request names it: with its port, where that is not 443. The gate and the listener have taken it; what
    /// `X-Forwarded-…` say of it plays no role (GHSA-7x63-xv5r-3p2x).
    pub(super) host: &'a HostName,
    pub(super) path: &'a CanonicalPath<'a>,
    pub(super) method: Method,
    pub(super) asked_by: AskedBy,
    /// Unix seconds.
    pub(super) now: u64,
}

impl<'a> Desk<'a> {
    /// # Errors
    /// The SignIn's Secrets are of no use.
    pub(super) fn of(
        state: &'a Arc<ProxyState>,
        policy: &'a Arc<SignInPolicy>,
        host: &'a HostName,
        path: &'a CanonicalPath<'a>,
        method: Method,
        asked_by: AskedBy,
    ) -> Result<Self, SignInRefusal> {
        let jar = CookieJar::of(policy, host.name())?;
        let now = state.clock.unix();
        Ok(Self { state, policy, jar, host, path, method, asked_by, now })
    }

    /// Where the provider sends browsers back to: the host that they asked.
    pub(super) fn redirect_uri(&self) -> String {
        format!("https://{}{}", self.host.as_str(), self.policy.settings.endpoints.redirect)
    }

    /// A refusal, with these values of `Set-Cookie`.
    pub(super) fn refuse(&self, refusal: SignInRefusal, cookies: Vec<HeaderValue>) -> PhaseEnd {
        let target = begin::return_target(self);
        self::refusal(self.asked_by, refusal, Some(target.as_str()), cookies)
    }

    /// Nobody is signed in: a navigation is sent to the provider, unless it has just come from there.
    pub(super) fn sign_in(&self, cookies: &RequestCookies<'_>, demand: &Demand) -> PhaseEnd {
        let cleared = self.jar.clear_session(cookies);
        if self.asked_by != AskedBy::Navigation {
            return self.refuse(SignInRefusal::Required, cleared);
        }
        self.begin(cookies, demand, cleared)
    }

    /// Sends a navigation to the provider, unless it has just come from there.
    fn begin(
        &self,
        cookies: &RequestCookies<'_>,
        demand: &Demand,
        mut set: Vec<HeaderValue>,
    ) -> PhaseEnd {
        if demand.is_impossible() {
            return self.refuse(demand.refusal(), set);
        }
        if self.jar.is_completed(cookies) {
            set.extend(self.jar.set_completed(false));
            self.state.metrics.sign_in("failed");
            let refusal =
                SignInRefusal::Failed("its session does not come back, or cannot be used");
            return self.refuse(refusal, set);
        }
        begin::answer(self, cookies, demand, set)
    }

    /// Somebody is signed in, and the path asks for more.
    pub(super) fn step_up(&self, cookies: &RequestCookies<'_>, demand: &Demand) -> PhaseEnd {
        match self.asked_by {
            AskedBy::Navigation => self.begin(cookies, demand, Vec::new()),
            _ => self.refuse(demand.refusal(), Vec::new()),
        }
    }

    /// Keeps a session, and says so to the browser. An ID token that is only a hint is left out where it does not fit.
    ///
    /// # Errors
    /// It does not fit, or the store does not take it.
    pub(super) async fn keep(
        &self,
        session: &mut Session,
        cookies: &RequestCookies<'_>,
    ) -> Result<Vec<HeaderValue>, SignInRefusal> {
        let kept = self.keep_whole(session, cookies).await;
        let is_hint = !self.policy.settings.forward.id_token && session.user.id_token.is_some();
        if !matches!(kept, Err(SignInRefusal::TooLarge)) || !is_hint {
            return kept;
        }
        session.user.id_token = None;
        self.keep_whole(session, cookies).await
    }

    async fn keep_whole(
        &self,
        session: &Session,
        cookies: &RequestCookies<'_>,
    ) -> Result<Vec<HeaderValue>, SignInRefusal> {
        if is_stored(&self.policy.settings) {
            let id = session.id();
            let sealed = self.jar.sealed_for_store(session, id.as_bytes())?;
            let left = Duration::from_secs(session.left(self.now));
            let id = StoreKey::from_bytes(*id.as_bytes());
            let kept = self.state.sessions().put(id, sealed, left).await;
            kept.map_err(|error| not_kept(&error))?;
        }
        self.jar.set_session(session, self.now, cookies)
    }
}

/// Whether sessions lie in the store.
pub(super) fn is_stored(settings: &SignInSettings) -> bool {
    settings.session.store == SessionPlace::Redis
}

/// Why a store does not take a session.
fn not_kept(error: &SessionStoreError) -> SignInRefusal {
    match error {
        SessionStoreError::TooLarge(_) => SignInRefusal::TooLarge,
        _ => SignInRefusal::Store,
    }
}

/// A page for a person, and problem details for a program.
pub(super) fn refusal(
    asked_by: AskedBy,
    refusal: SignInRefusal,
    go_on: Option<&str>,
    cookies: Vec<HeaderValue>,
) -> PhaseEnd {
    if asked_by == AskedBy::Navigation {
        return answer::page(refusal, go_on, cookies);
    }
    let error = RequestError::SignIn(refusal);
    if cookies.is_empty() {
        return error.into();
    }
    let mut response = error.response(false);
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    PhaseEnd::Answer { response: Box::new(response), reason: refusal.as_str() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_no_outage() {
        for (row, error, expect) in [
            ("too large", SessionStoreError::TooLarge(1), "session_too_large"),
            ("full", SessionStoreError::Full(1), "session_store_unavailable"),
            ("not heard yet", SessionStoreError::NotHeard, "session_store_unavailable"),
        ] {
            assert_eq!(not_kept(&error).as_str(), expect, "{row}");
        }
    }
}
