//! A browser comes back from the provider with a code (RFC 6749 §4.1.2), and leaves with a session.

use aws_lc_rs::rand::SystemRandom;
use browser_session::{FLOW_SECONDS, RequestCookies, Session, SignInFlow, SignedIn};
use http::header::HeaderValue;
use http::{Method, StatusCode};
use oauth::{
    CallbackQuery, CodeVerifier, IdToken, IdTokenExpectations, OAuthError, Outcome, TokenAnswer,
    authorization_code,
};
use session_store::StoreKey;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::answer;
use super::cookies::CarriedSession;
use super::desk::Desk;
use super::provider::{Provider, ProviderFailure};
use super::session::{self, kept_claims};
use crate::http::SignInRefusal;
use crate::traffic::exchange::PhaseEnd;

/// How a callback ends: the refusal, the path from which to go on, and what it is in the metrics.
struct Ended {
    refusal: SignInRefusal,
    result: &'static str,
    why: String,
}

impl Ended {
    fn failed(why: &'static str) -> Self {
        let refusal = SignInRefusal::Failed(why);
        Self { refusal, result: "failed", why: why.to_owned() }
    }

    fn limited() -> Self {
        let why = "too many callbacks of one address".to_owned();
        Self { refusal: SignInRefusal::Limited, result: "limited", why }
    }

    fn unavailable(refusal: SignInRefusal, why: impl ToString) -> Self {
        Self { refusal, result: "unavailable", why: why.to_string() }
    }
}

/// Completes a sign-in. Whatever comes of it, its flow is over: a callback counts once.
pub(super) async fn answer(
    desk: &Desk<'_>,
    cookies: &RequestCookies<'_>,
    client: IpAddr,
) -> PhaseEnd {
    if desk.method != Method::GET {
        return desk.refuse(SignInRefusal::Method("GET"), Vec::new());
    }
    let query = CallbackQuery::parse(desk.path.query().unwrap_or_default());
    let flow = query.as_ref().ok().and_then(|query| desk.jar.flow(query.state(), cookies));
    let cleared = query.as_ref().map_or_else(|_| Vec::new(), |q| desk.jar.clear_flow(q.state()));
    let (Ok(query), Some(flow)) = (query, flow) else {
        let ended = Ended::failed("no sign-in of this browser that has not ended belongs to it");
        return end(desk, &ended, None, Vec::new());
    };
    match complete(desk, cookies, (&query, client), &flow).await {
        Ok(mut set) => {
            desk.state.metrics.sign_in("success");
            set.extend(cleared);
            let (status, to) = (StatusCode::SEE_OTHER, flow.return_target.as_str());
            answer::redirect(status, to, set, answer::SIGNED_IN)
        }
        Err(ended) => end(desk, &ended, Some(flow.return_target.as_str()), cleared),
    }
}

fn end(desk: &Desk<'_>, ended: &Ended, go_on: Option<&str>, cookies: Vec<HeaderValue>) -> PhaseEnd {
    let (sign_in, error) = (&*desk.policy.name, &*ended.why);
    tracing::warn!(sign_in, result = ended.result, error, "a sign-in was not completed");
    desk.state.metrics.sign_in(ended.result);
    answer::page(ended.refusal, Some(go_on.unwrap_or("/")), cookies)
}

/// The order matters: that the callback is of this browser and of this provider is known before its code is shown to
/// anybody, and that it is the first one before the code is redeemed.
async fn complete(
    desk: &Desk<'_>,
    cookies: &RequestCookies<'_>,
    (query, client): (&CallbackQuery, IpAddr),
    flow: &SignInFlow,
) -> Result<Vec<HeaderValue>, Ended> {
    if !query.is_of(&flow.state) || flow.is_over(desk.now) {
        return Err(Ended::failed("the sign-in was begun more than five minutes ago"));
    }
    let provider = Provider::of(desk.state, desk.policy).ok_or_else(|| {
        let why = "the provider is not known yet";
        Ended::unavailable(SignInRefusal::Unavailable(why), why)
    })?;
    if query.check_issuer(&provider.metadata).is_err() {
        return Err(Ended::failed("the callback is of another issuer (RFC 9207)"));
    }
    let code = match query.outcome() {
        Outcome::Code(code) => code,
        Outcome::Refused(error) => return Err(refused_by(error)),
    };
    let callbacks = &desk.state.sign_ins.callbacks;
    if !callbacks.admits(client, Instant::now()) {
        return Err(Ended::limited());
    }
    is_first(desk, flow).await?;
    let verifier = CodeVerifier::kept(&flow.code_verifier);
    let verifier = verifier.ok_or_else(|| Ended::failed("the flow has no verifier"))?;
    let form = authorization_code(code, &desk.redirect_uri(), &verifier);
    let turn = callbacks.turn().await.ok_or_else(|| {
        let why = "too many sign-ins are under way";
        Ended::unavailable(SignInRefusal::Unavailable(why), why)
    })?;
    let tokens = provider.tokens(form).await.map_err(by_provider)?;
    drop(turn);
    let id_token = verified(desk, &provider, flow, &tokens).await?;
    let session = session(desk, &id_token, tokens)?;
    keep(desk, cookies, session).await
}

/// A state counts once, in whatever replica.
async fn is_first(desk: &Desk<'_>, flow: &SignInFlow) -> Result<(), Ended> {
    let key = StoreKey::of(&[b"state", desk.policy.name.as_bytes(), flow.state.as_bytes()]);
    let first = desk.state.sessions().once(key, Duration::from_secs(FLOW_SECONDS)).await;
    match first {
        Ok(true) => Ok(()),
        Ok(false) => Err(Ended::failed("the callback was used before")),
        Err(error) => Err(Ended::unavailable(SignInRefusal::Store, error)),
    }
}

fn refused_by(error: &OAuthError) -> Ended {
    let why = format!("the provider: {} {}", error.code(), error.description().unwrap_or_default());
    if error.is_temporary() {
        return Ended::unavailable(SignInRefusal::Unavailable("the provider says so"), why);
    }
    Ended { refusal: SignInRefusal::Refused, result: "refused", why }
}

fn by_provider(failure: ProviderFailure) -> Ended {
    match failure {
        ProviderFailure::Unavailable(why) => {
            Ended::unavailable(SignInRefusal::Unavailable("the provider did not answer"), why)
        }
        ProviderFailure::NoKeys => {
            let why = "no keys of the provider";
            Ended::unavailable(SignInRefusal::Unavailable(why), why)
        }
        ProviderFailure::Refused(error) => Ended {
            refusal: SignInRefusal::Failed("the provider refused the code"),
            result: "failed",
            why: format!("the provider refused the code: {}", error.code()),
        },
        ProviderFailure::Unproven(error) => Ended {
            refusal: SignInRefusal::Failed("the provider's answer proves nothing"),
            result: "failed",
            why: error.to_string(),
        },
    }
}

async fn verified(
    desk: &Desk<'_>,
    provider: &Provider,
    flow: &SignInFlow,
    tokens: &TokenAnswer,
) -> Result<IdToken, Ended> {
    let settings = &desk.policy.settings;
    let token = tokens.id_token.as_ref();
    let token = token.ok_or_else(|| Ended::failed("the provider gave no ID token"))?;
    let expected = IdTokenExpectations {
        issuer: &settings.issuer,
        client_id: &settings.client_id,
        nonce: Some(&flow.nonce),
        subject: None,
        access_token: Some(&tokens.access_token),
        max_age: flow.step_up.max_age,
        acr_values: &flow.step_up.acr_values,
    };
    provider.verified(token, &expected).await.map_err(by_provider)
}

fn session(desk: &Desk<'_>, id_token: &IdToken, tokens: TokenAnswer) -> Result<Session, Ended> {
    let settings = &desk.policy.settings;
    let user = SignedIn {
        issuer: settings.issuer.to_string(),
        subject: id_token.subject.to_string(),
        provider_session: id_token.session_id.as_deref().map(str::to_owned),
        claims: kept_claims(settings, &id_token.claims),
        id_token: tokens.id_token,
        refresh_token: tokens.refresh_token,
        access_expires: tokens.expires_in.map(|lasts| desk.now.saturating_add(lasts)),
        auth_time: id_token.auth_time,
        acr: id_token.acr.as_deref().map(str::to_owned),
    };
    let ttl = settings.session.ttl.as_secs();
    let session = Session::begin(user, desk.now, ttl, &SystemRandom::new());
    session.map_err(|_| {
        let why = "no random numbers";
        Ended::unavailable(SignInRefusal::Unavailable(why), why)
    })
}

/// Keeps the session, and says so to the browser. One that the browser had before is over.
async fn keep(
    desk: &Desk<'_>,
    cookies: &RequestCookies<'_>,
    mut session: Session,
) -> Result<Vec<HeaderValue>, Ended> {
    let before = match desk.jar.session(cookies) {
        CarriedSession::Whole(before, _) => Some((before.id(), before.ends)),
        CarriedSession::Reference(id) => Some((id, session.ends)),
        CarriedSession::None | CarriedSession::Unreadable => None,
    };
    let set = desk.keep(&mut session, cookies).await;
    let mut set = set.map_err(|refusal| Ended::unavailable(refusal, refusal))?;
    if let Some((id, ends)) = before {
        // With every copy of its cookie. Where the store does not hear it, it ends in this process, and by itself.
        let _ = session::end_by_id(desk.state, id, ends).await;
    }
    set.extend(desk.jar.set_completed(true));
    Ok(set)
}
