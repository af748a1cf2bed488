//! The cookies of one SignIn on one host: what is read of a request, and what is set on its answer.

use aws_lc_rs::rand::SystemRandom;
use browser_session::{
    FlowCookie, FlowId, MarkerCookie, NotOurs, Purpose, RequestCookies, SealBinding, Session,
    SessionCookies, SessionId, SessionKeys, SignInFlow,
};
use bytes::Bytes;
use http::header::{COOKIE, HeaderMap, HeaderValue};
use policy::sign_in::{SessionPlace, SignInPolicy};

use crate::http::SignInRefusal;

/// How long it is remembered that a sign-in was completed, in seconds: a browser asks for the next page at once.
const COMPLETED_SECONDS: u64 = 60;

/// The cookies of a SignIn, as a host of its has them.
pub(super) struct CookieJar<'a> {
    policy: &'a SignInPolicy,
    host: &'a str,
    keys: SessionKeys,
    session: SessionCookies,
    completed: MarkerCookie,
}

/// What a request's cookies say of a session.
pub(super) enum CarriedSession {
    /// Nothing.
    None,
    /// There are some, and no session of ours.
    Unreadable,
    /// The session itself; `true`: sealed with the key of before.
    Whole(Box<Session>, bool),
    /// The name of one in the store.
    Reference(SessionId),
}

impl<'a> CookieJar<'a> {
    /// `host` is without its port.
    ///
    /// # Errors
    /// The SignIn's Secrets are of no use.
    pub(super) fn of(policy: &'a SignInPolicy, host: &'a str) -> Result<Self, SignInRefusal> {
        let unusable = SignInRefusal::Unavailable("a Secret of the SignIn cannot be used");
        let secrets = policy.secrets.as_ref().map_err(|_| unusable)?;
        let previous = secrets.previous_key.as_ref().map(|key| &*key.0);
        let keys = SessionKeys::new(&secrets.current_key.0, previous).map_err(|_| unusable)?;
        let kept = &policy.settings.session;
        let session = SessionCookies::new(&kept.cookie_suffix, kept.max_cookies.into());
        let session = session.map_err(|_| SignInRefusal::Unavailable("no suffix of cookies"))?;
        let completed = MarkerCookie::new(&kept.cookie_suffix);
        Ok(Self { policy, host, keys, session, completed })
    }

    fn binding<'b>(&'b self, purpose: Purpose, instance: &'b [u8]) -> SealBinding<'b> {
        let client_id = &*self.policy.settings.client_id;
        SealBinding { host: self.host, client_id, policy: &self.policy.name, purpose, instance }
    }

    fn seal(&self, binding: SealBinding<'_>, plain: &[u8]) -> Result<String, SignInRefusal> {
        let sealed = self.keys.seal(binding, plain, &SystemRandom::new());
        sealed.map_err(|_| SignInRefusal::Unavailable("no random numbers"))
    }

    /// The session of a request, as far as its cookies tell.
    pub(super) fn session(&self, cookies: &RequestCookies<'_>) -> CarriedSession {
        match self.session.sealed(cookies) {
            Ok(None) => CarriedSession::None,
            Ok(Some(sealed)) => self.opened(&sealed).unwrap_or(CarriedSession::Unreadable),
            Err(NotOurs) => CarriedSession::Unreadable,
        }
    }

    fn opened(&self, sealed: &[u8]) -> Option<CarriedSession> {
        match self.policy.settings.session.store {
            SessionPlace::Cookie => {
                let opened = self.keys.open(self.binding(Purpose::Session, b""), sealed).ok()?;
                let session = Session::from_bytes(&opened.plaintext).ok()?;
                Some(CarriedSession::Whole(Box::new(session), opened.by_previous_key))
            }
            SessionPlace::Redis => {
                let binding = self.binding(Purpose::SessionReference, b"");
                let opened = self.keys.open(binding, sealed).ok()?;
                SessionId::kept(&opened.plaintext).map(CarriedSession::Reference)
            }
        }
    }

    /// The values of `Set-Cookie` that keep a session, or its name, until it ends.
    ///
    /// # Errors
    /// It does not fit.
    pub(super) fn set_session(
        &self,
        session: &Session,
        now: u64,
        before: &RequestCookies<'_>,
    ) -> Result<Vec<HeaderValue>, SignInRefusal> {
        let sealed = match self.policy.settings.session.store {
            SessionPlace::Cookie => {
                self.seal(self.binding(Purpose::Session, b""), &session.to_bytes())?
            }
            SessionPlace::Redis => {
                let binding = self.binding(Purpose::SessionReference, b"");
                self.seal(binding, session.id().as_bytes())?
            }
        };
        let lines = self.session.set(&sealed, session.left(now), before);
        Ok(values(lines.map_err(|_| SignInRefusal::TooLarge)?))
    }

    /// The values of `Set-Cookie` that clear the session's cookies.
    pub(super) fn clear_session(&self, before: &RequestCookies<'_>) -> Vec<HeaderValue> {
        values(self.session.clear(before))
    }

    /// A session as the store keeps it: under this name, it can be read under no other.
    ///
    /// # Errors
    /// It is too large.
    pub(super) fn sealed_for_store(
        &self,
        session: &Session,
        name: &[u8],
    ) -> Result<Bytes, SignInRefusal> {
        let binding = self.binding(Purpose::StoredSession, name);
        self.seal(binding, &session.to_bytes()).map(Bytes::from)
    }

    /// A session that the store has kept under this name.
    pub(super) fn stored(&self, sealed: &[u8], name: &[u8]) -> Option<Session> {
        let opened = self.keys.open(self.binding(Purpose::StoredSession, name), sealed).ok()?;
        Session::from_bytes(&opened.plaintext).ok()
    }

    /// The values of `Set-Cookie` that keep a flow, and clear the oldest of too many.
    ///
    /// # Errors
    /// It cannot be sealed.
    pub(super) fn set_flow(
        &self,
        flow: &SignInFlow,
        before: &RequestCookies<'_>,
    ) -> Result<Vec<HeaderValue>, SignInRefusal> {
        let id = FlowId::of_state(&flow.state);
        let binding = self.binding(Purpose::Flow, id.as_bytes());
        let sealed = self.seal(binding, &flow.to_bytes())?;
        Ok(values(FlowCookie::of(&id).set(&sealed, before)))
    }

    /// The flow of this browser that a callback's `state` belongs to.
    pub(super) fn flow(&self, state: &str, cookies: &RequestCookies<'_>) -> Option<SignInFlow> {
        let id = FlowId::of_state(state);
        let sealed = FlowCookie::of(&id).sealed(cookies).ok()??;
        let opened = self.keys.open(self.binding(Purpose::Flow, id.as_bytes()), sealed).ok()?;
        SignInFlow::from_bytes(&opened.plaintext).ok()
    }

    /// The value of `Set-Cookie` that clears the flow of this `state`.
    pub(super) fn clear_flow(&self, state: &str) -> Vec<HeaderValue> {
        values(vec![FlowCookie::of(&FlowId::of_state(state)).clear()])
    }

    /// Whether a sign-in was completed a moment ago, and no request has come with its session since.
    pub(super) fn is_completed(&self, cookies: &RequestCookies<'_>) -> bool {
        self.completed.is_in(cookies)
    }

    /// The value of `Set-Cookie` that says so; or no longer.
    pub(super) fn set_completed(&self, completed: bool) -> Vec<HeaderValue> {
        values(vec![match completed {
            true => self.completed.set(COMPLETED_SECONDS),
            false => self.completed.clear(),
        }])
    }
}

/// What is made here is ASCII.
fn values(lines: Vec<String>) -> Vec<HeaderValue> {
    lines.into_iter().filter_map(|line| HeaderValue::try_from(line).ok()).collect()
}

/// The cookies of a request, as far as they are the sign-in's.
pub(super) fn of(headers: &HeaderMap) -> RequestCookies<'_> {
    RequestCookies::of(headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes))
}

/// Takes the cookies of every sign-in out of a request: no app sees them.
pub(super) fn take_out(headers: &mut HeaderMap) {
    let cookies = of(headers);
    if !cookies.has_ours() {
        return;
    }
    let others = cookies.others().iter();
    let others: Vec<_> = others.filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    headers.remove(COOKIE);
    for line in others {
        headers.append(COOKIE, line);
    }
}
