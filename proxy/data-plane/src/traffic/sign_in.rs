//! People sign in at a gateway (SignIn, OpenID Connect): a browser without a session is sent to the provider, comes back with
//! a code, and gets a session of ours in sealed cookies. What its claims say, policy sees as those of a token.
//!
//! [`admit`] handles one request before its tokens are judged; [`confirm`] looks at what has become of it afterwards, and
//! [`confirm_route`] when its route is known. What is decided is in files of its own: who asks (`asked_by`), what a path
//! demands (`step_up`), which session it is (`session`). The provider is asked in `provider` alone.

mod answer;
mod asked_by;
mod back_channel;
mod begin;
mod callback;
mod cookies;
mod desk;
mod form;
mod limit;
mod logout;
mod provider;
mod providers;
mod recent;
mod refresh;
mod session;
pub(crate) mod shared;
mod step_up;

use std::net::IpAddr;
use std::sync::Arc;

use browser_session::{RequestCookies, Session};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use policy::route::{RouteId, RouteRule};
use policy::{
    AmbiguousSignIn, GatewayListener, SignInEndpoint, SignInPolicy, SignInTable, TokenClaims,
    TokenRules,
};
use serde_json::Value;

use crate::clock::unix_now;
use crate::http::SignInRefusal;
use crate::http::error::RequestError;
use crate::http::gate;
use crate::traffic::caller::{ClaimsOrigin, KnownClaims, KnownSession};
use crate::traffic::exchange::{Exchange, Phase, PhaseEnd};
use crate::traffic::forward;
use crate::traffic::internal_token;
use crate::traffic::jwt::{self, claim_headers};
use crate::traffic::state::ProxyState;
use asked_by::AskedBy;
use desk::Desk;
use session::FoundSession;
use shared::Refreshed;
use step_up::Demand;

/// Why a request may go on to be judged, and by which SignIns.
pub(crate) struct Admission {
    table: Arc<SignInTable>,
    /// It comes with a token in place of a session, under this SignIn: it counts only when that has been verified.
    by_token: Option<Arc<SignInPolicy>>,
}

/// Finds out whether a request may go on under the SignIns of its listener: with a session, with a token that is judged next,
/// or because none is about it. Any other is answered. `client` asks, over a listener that has TLS or not.
///
/// The order: what clients cannot say is taken out; the sign-in's own paths, which need no session; which SignIn it is; what
/// needs none of it; the session.
pub(crate) async fn admit(
    state: &Arc<ProxyState>,
    exchange: &mut Exchange<'_>,
    listener: &Arc<GatewayListener>,
    (client, is_tls): (IpAddr, bool),
) -> Phase<Admission> {
    // Steps below wait.
    let snapshot = exchange.snapshot.take().unwrap_or_else(|| state.snapshot());
    let (table, tokens) = (snapshot.sign_ins().clone(), snapshot.tokens().clone());
    drop(snapshot);
    for name in table.made_headers() {
        exchange.parts.headers.remove(name);
    }
    let (host, path) = (exchange.admitted.host(), exchange.path);
    if let Some((policy, endpoint)) = table.find_endpoint(&listener.place(), host, path) {
        return Err(answer_endpoint(state, exchange, policy, endpoint, (client, is_tls)).await);
    }
    let admission = |by_token| Admission { table: table.clone(), by_token };
    let route = route_of(&table, exchange, listener);
    let found = table.find(&listener.place(), route.as_deref(), host, path);
    let Some(policy) = found.map_err(ambiguous)? else {
        cookies::take_out(&mut exchange.parts.headers);
        return Ok(admission(None));
    };
    let asked_by = AskedBy::of(exchange.parts);
    let by_token = carries_token(exchange, &tokens);
    drop_unverified(exchange, &tokens);
    if !by_token && asked_by != AskedBy::Preflight {
        refuse_clear(is_tls)?;
        admit_session(state, exchange, policy, asked_by).await?;
    }
    cookies::take_out(&mut exchange.parts.headers);
    Ok(admission(by_token.then(|| policy.clone())))
}

/// Looks at a request once more, when its tokens have been judged: the SignIns are still the same, and what it came by has
/// made it somebody (CVE-2022-29226).
pub(crate) fn confirm(admission: &Admission, exchange: &Exchange<'_>) -> Result<(), RequestError> {
    let (snapshot, table) = (exchange.snapshot.as_ref(), &admission.table);
    let in_force = snapshot.map(|snapshot| snapshot.sign_ins());
    if !in_force.is_some_and(|now| Arc::ptr_eq(now, table) || now == table) {
        return Err(RequestError::Withdrawn);
    }
    if let Some(snapshot) = snapshot {
        // The gate has let its names in by rules that may be gone: a step before has waited.
        gate::refuse_other_spellings(&exchange.parts.headers, snapshot.header_names())
            .map_err(RequestError::Gate)?;
    }
    match &admission.by_token {
        Some(policy) => confirm_token(policy, exchange),
        None => Ok(()),
    }
}

/// Whether a token stands for a session: it has been verified, and says what the path asks for (RFC 9470 §3).
fn confirm_token(policy: &SignInPolicy, exchange: &Exchange<'_>) -> Result<(), RequestError> {
    let refuse = |refusal| Err(RequestError::SignIn(refusal));
    let Some(claims) = exchange.caller.claims() else { return refuse(SignInRefusal::Required) };
    let demand = Demand::of(&policy.settings, exchange.path);
    let acr = claims.claims.get("acr").and_then(Value::as_str);
    let auth_time = claims.claims.get("auth_time").and_then(Value::as_u64);
    if demand.is_met_by(acr, auth_time, unix_now()) {
        return Ok(());
    }
    refuse(demand.refusal())
}

fn ambiguous(_: AmbiguousSignIn) -> RequestError {
    RequestError::SignIn(SignInRefusal::Ambiguous)
}

/// Looks at a request once more, when its route is known: what has been taken out of it and put into it since may lead it
/// elsewhere, where another SignIn holds.
pub(crate) fn confirm_route(
    exchange: &Exchange<'_>,
    listener: &GatewayListener,
    rule: &RouteRule,
) -> Result<(), RequestError> {
    // It was judged by one.
    let snapshot = exchange.snapshot.as_ref().ok_or(RequestError::Withdrawn)?;
    let table = snapshot.sign_ins();
    if table.is_empty() || AskedBy::of(exchange.parts) == AskedBy::Preflight {
        return Ok(());
    }
    let (host, path) = (exchange.admitted.host(), exchange.path);
    let found = table.find(&listener.place(), Some(&rule.route), host, path);
    let Some(policy) = found.map_err(ambiguous)? else { return Ok(()) };
    let known = exchange.caller.token.known();
    match known.filter(|known| known.origin == ClaimsOrigin::Session) {
        Some(known) if known.policy == policy.name => Ok(()),
        Some(_) => Err(RequestError::SignIn(SignInRefusal::Required)),
        None => confirm_token(policy, exchange),
    }
}

/// The path itself is the sign-in's: no app sees the request.
async fn answer_endpoint(
    state: &Arc<ProxyState>,
    exchange: &mut Exchange<'_>,
    policy: &Arc<SignInPolicy>,
    endpoint: SignInEndpoint,
    (client, is_tls): (IpAddr, bool),
) -> PhaseEnd {
    if let Err(end) = refuse_clear(is_tls) {
        return end;
    }
    let Exchange { parts, body, admitted, path, .. } = exchange;
    let asked_by = AskedBy::of(parts);
    if endpoint == SignInEndpoint::BackChannelLogout {
        return back_channel::answer(state, policy, parts, body).await;
    }
    let method = parts.method.clone();
    let desk = match Desk::of(state, policy, admitted.host(), path, method, asked_by) {
        Ok(desk) => desk,
        Err(refusal) => return answer::page(refusal, None, Vec::new()),
    };
    let cookies = cookies::of(&parts.headers);
    match endpoint {
        SignInEndpoint::Callback => callback::answer(&desk, &cookies, client).await,
        _ => logout::answer(&desk, &parts.headers, &cookies).await,
    }
}

/// The route that would take the request; asked for only where a SignIn is about one.
fn route_of(
    table: &SignInTable,
    exchange: &Exchange<'_>,
    listener: &GatewayListener,
) -> Option<Arc<RouteId>> {
    let chosen = || forward::choose(exchange, |request| listener.choose(request));
    table.asks_for_routes().then(chosen).flatten().map(|rule| rule.route.clone())
}

/// Cookies that are sent in the clear are anybody's.
fn refuse_clear(is_tls: bool) -> Phase<()> {
    let refusal = || RequestError::SignIn(SignInRefusal::Clear).into();
    if is_tls { Ok(()) } else { Err(refusal()) }
}

/// Whether a token speaks for the request: one that somebody was asked about, or one that is verified next, or refused.
fn carries_token(exchange: &Exchange<'_>, rules: &TokenRules) -> bool {
    let headers = &exchange.parts.headers;
    exchange.known.is_some() || jwt::is_carried(rules, headers, exchange.path.query())
}

/// A token in `Authorization` at which no rule looks is nobody's, whatever else the request comes by, and no app may take it
/// for somebody's (CVE-2022-29226). Before anything of ours is put there.
fn drop_unverified(exchange: &mut Exchange<'_>, rules: &TokenRules) {
    let is_unseen = |value: &HeaderValue| !jwt::is_looked_at(rules, &AUTHORIZATION, value);
    internal_token::remove_bearers(&mut exchange.parts.headers, is_unseen);
}

/// Lets a request in by its session, or answers it.
async fn admit_session(
    state: &Arc<ProxyState>,
    exchange: &mut Exchange<'_>,
    policy: &Arc<SignInPolicy>,
    asked_by: AskedBy,
) -> Phase<()> {
    let method = exchange.parts.method.clone();
    let (host, path) = (exchange.admitted.host(), exchange.path);
    let desk = Desk::of(state, policy, host, path, method, asked_by);
    let desk = desk.map_err(|refusal| desk::refusal(asked_by, refusal, None, Vec::new()))?;
    let cookies = cookies::of(&exchange.parts.headers);
    let (session, set) = signed_in(&desk, &cookies).await?;
    if desk.jar.is_completed(&cookies) {
        let seen = desk.jar.set_completed(false);
        exchange.record.answer_also(seen.into_iter().map(answer::set_cookie));
    }
    if !set.is_empty() {
        exchange.record.answer_late(kept(state, policy, &session, set));
    }
    exchange.known = Some(known(state, policy, &session));
    Ok(())
}

/// The session of a request as it goes on, and what its answer sets: renewed where it is time, and good enough for the path.
async fn signed_in(
    desk: &Desk<'_>,
    cookies: &RequestCookies<'_>,
) -> Phase<(Box<Session>, Vec<HeaderValue>)> {
    let demand = Demand::of(&desk.policy.settings, desk.path);
    let found = session::find(desk, cookies).await;
    let (mut session, mut is_new) = match found.map_err(|why| desk.refuse(why, Vec::new()))? {
        FoundSession::Lasts(session, is_new) => (session, is_new),
        FoundSession::None => return Err(desk.sign_in(cookies, &demand)),
        FoundSession::Over(why) => {
            tracing::info!(sign_in = &*desk.policy.name, why, "a session cannot be used");
            return Err(desk.sign_in(cookies, &demand));
        }
    };
    if session.is_due_for_refresh(desk.now) {
        match refresh::refreshed(desk.state, desk.policy, desk.host.name(), &session).await {
            Refreshed::Renewed(renewed) => (session, is_new) = (Box::new((*renewed).clone()), true),
            Refreshed::Refused => return Err(desk.sign_in(cookies, &demand)),
            Refreshed::Unavailable => {}
        }
        // It may have been ended while the provider was waited for.
        let is_ended = session::is_ended(desk, &session).await;
        if is_ended.map_err(|why| desk.refuse(why, Vec::new()))? {
            return Err(desk.sign_in(cookies, &demand));
        }
    }
    let user = &session.user;
    if !demand.is_met_by(user.acr.as_deref(), user.auth_time, desk.now) {
        return Err(desk.step_up(cookies, &demand));
    }
    // What cannot be kept anew goes on as it was.
    let set = match is_new {
        true => desk.keep(&mut session, cookies).await.unwrap_or_default(),
        false => Vec::new(),
    };
    Ok((session, set))
}

/// The cookies of a session, for an answer that may come late: another request may have renewed the session by then.
fn kept(
    state: &Arc<ProxyState>,
    policy: &SignInPolicy,
    session: &Session,
    set: Vec<HeaderValue>,
) -> impl FnOnce() -> Vec<(HeaderName, HeaderValue)> + Send + Sync + 'static {
    let key = session.user.refresh_token.as_ref();
    let key = key.map(|token| refresh::refresh_key(policy, token));
    let state = state.clone();
    move || match key.is_some_and(|key| state.sign_ins.is_superseded(&key)) {
        true => Vec::new(),
        false => set.into_iter().map(answer::set_cookie).collect(),
    }
}

/// What policy, the app and later phases see of a session.
fn known(state: &ProxyState, policy: &Arc<SignInPolicy>, session: &Session) -> KnownClaims {
    let (settings, user) = (&policy.settings, &session.user);
    // What was kept by other settings is no longer shown.
    let mut claims = session::kept_claims(settings, &user.claims);
    let mut add = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
    add("iss", user.issuer.as_str().into());
    add("sub", user.subject.as_str().into());
    add("aud", (*settings.client_id).into());
    // For a TokenRevocation: sessions that begin after it are good.
    add("iat", session.created.into());
    user.acr.as_deref().into_iter().for_each(|acr| add("acr", acr.into()));
    user.auth_time.into_iter().for_each(|at| add("auth_time", at.into()));
    let mut made: Vec<(HeaderName, HeaderValue)> =
        claim_headers::made(&settings.claim_headers, &claims).collect();
    let forwarded = user.id_token.as_ref().filter(|_| settings.forward.id_token);
    if let Some(token) = forwarded
        && let Ok(value) = HeaderValue::try_from(["Bearer ", token].concat())
    {
        made.push((AUTHORIZATION, value));
    }
    let claims = TokenClaims {
        issuer: user.issuer.clone(),
        subject: Some(user.subject.clone()),
        audiences: vec![settings.client_id.to_string()],
        claims,
    };
    let ttl = settings.session.ttl.as_secs();
    let lasts = KnownSession {
        policy: policy.clone(),
        keys: session::revoked_by(policy, session),
        began: session::began(session),
        ends: session.ends.min(session.created.saturating_add(ttl)),
        store: state.sessions().clone(),
    };
    let (policy, claims, session) = (policy.name.clone(), Arc::new(claims), Some(Arc::new(lasts)));
    KnownClaims { origin: ClaimsOrigin::Session, policy, claims, made, session }
}

#[cfg(test)]
mod tests;
