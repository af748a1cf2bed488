//! A browser is sent to the provider (OpenID Connect Core 1.0 §3.1.2.1), with a flow of its own.

use aws_lc_rs::rand::SystemRandom;
use browser_session::{RequestCookies, ReturnTarget, SignInFlow, StepUpDemand};
use http::header::HeaderValue;
use http::{Method, StatusCode};
use oauth::{AuthorizationRequest, CodeVerifier, NoRandomness, random_text};
use policy::KeySource;

use super::answer;
use super::desk::Desk;
use super::provider::Provider;
use super::step_up::Demand;
use crate::http::SignInRefusal;
use crate::traffic::exchange::PhaseEnd;

/// Sends the browser to the provider. `also`: further values of `Set-Cookie`.
pub(super) fn answer(
    desk: &Desk<'_>,
    cookies: &RequestCookies<'_>,
    demand: &Demand,
    mut also: Vec<HeaderValue>,
) -> PhaseEnd {
    let Some(provider) = Provider::of(desk.state, desk.policy) else {
        desk.state.metrics.sign_in("unavailable");
        // It may have come back a moment ago.
        desk.state
            .token_keys
            .unknown_key(&KeySource::Discovery(desk.policy.settings.issuer.clone()));
        return desk.refuse(SignInRefusal::Unavailable("the provider is not known yet"), also);
    };
    let target = return_target(desk);
    let Ok(flow) = new_flow(target, demand, desk.now) else {
        return desk.refuse(SignInRefusal::Unavailable("no random numbers"), also);
    };
    let Some(url) = authorization(desk, &provider, &flow) else {
        return desk.refuse(SignInRefusal::Unavailable("the provider's document"), also);
    };
    match desk.jar.set_flow(&flow, cookies) {
        Ok(set) => also.extend(set),
        Err(refusal) => return desk.refuse(refusal, also),
    }
    desk.state.metrics.sign_in("started");
    answer::redirect(status(&desk.method), &url, also, answer::STARTED)
}

/// After a 303 a browser asks with GET; a HEAD stays one after 302.
fn status(method: &Method) -> StatusCode {
    match *method {
        Method::GET | Method::HEAD => StatusCode::FOUND,
        _ => StatusCode::SEE_OTHER,
    }
}

/// Where the browser wanted to go; from a path of the sign-in itself, to the start page. What it wanted to send cannot be sent again: it then comes back to the start page.
pub(super) fn return_target(desk: &Desk<'_>) -> ReturnTarget {
    let is_own = desk.policy.settings.endpoint(desk.path).is_some();
    if is_own || !matches!(desk.method, Method::GET | Method::HEAD) {
        return ReturnTarget::root();
    }
    let path = desk.path.as_str();
    let target = match desk.path.query() {
        Some(query) => ReturnTarget::parse(&[path, "?", query].concat()),
        None => ReturnTarget::parse(path),
    };
    target.unwrap_or_else(|_| ReturnTarget::root())
}

fn new_flow(
    return_target: ReturnTarget,
    demand: &Demand,
    now: u64,
) -> Result<SignInFlow, NoRandomness> {
    let random = SystemRandom::new();
    Ok(SignInFlow {
        state: random_text(&random)?,
        nonce: random_text(&random)?,
        code_verifier: CodeVerifier::new(&random)?.secret().to_owned().into(),
        return_target,
        started: now,
        step_up: StepUpDemand { acr_values: demand.acr_values(), max_age: demand.max_age },
    })
}

fn authorization(desk: &Desk<'_>, provider: &Provider, flow: &SignInFlow) -> Option<String> {
    let settings = &desk.policy.settings;
    let request = AuthorizationRequest {
        endpoint: provider.metadata.authorization_endpoint.as_deref()?,
        client_id: &settings.client_id,
        redirect_uri: &desk.redirect_uri(),
        scope: &settings.scopes.join(" "),
        state: &flow.state,
        nonce: &flow.nonce,
        code_challenge: &CodeVerifier::kept(&flow.code_verifier)?.challenge(),
        acr_values: &flow.step_up.acr_values,
        max_age: flow.step_up.max_age,
        prompt: "",
    };
    Some(request.url())
}
