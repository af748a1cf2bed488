//! Somebody signs out here (OpenID Connect RP-Initiated Logout 1.0): the session is over, wherever a copy of its cookie is.

use browser_session::{RequestCookies, Session};
use http::{Method, StatusCode};
use oauth::EndSessionRequest;

use super::answer;
use super::asked_by::is_same_origin;
use super::desk::Desk;
use super::provider::Provider;
use super::session::{self, FoundSession};
use crate::http::SignInRefusal;
use crate::traffic::exchange::PhaseEnd;

/// Ends the session of a request and sends the browser on to the provider, where it is signed in as well.
pub(super) async fn answer(
    desk: &Desk<'_>,
    headers: &http::HeaderMap,
    cookies: &RequestCookies<'_>,
) -> PhaseEnd {
    if desk.method != Method::POST {
        return desk.refuse(SignInRefusal::Method("POST"), Vec::new());
    }
    if !is_same_origin(headers, desk.host.as_str()) {
        return desk.refuse(SignInRefusal::CrossOrigin, Vec::new());
    }
    let mut cleared = desk.jar.clear_session(cookies);
    cleared.extend(desk.jar.set_completed(false));
    let session = match session::find(desk, cookies).await {
        Ok(FoundSession::Lasts(session, _)) => Some(session),
        // It is over, and the browser is told so; at the provider it may be signed in all the same.
        Ok(FoundSession::None | FoundSession::Over(_)) => None,
        Err(refusal) => return desk.refuse(refusal, Vec::new()),
    };
    if let Some(session) = &session
        && session::end(desk.state, session).await.is_err()
    {
        return desk.refuse(SignInRefusal::Store, Vec::new());
    }
    if session.is_some() {
        desk.state.metrics.logout("user");
    }
    match provider_logout(desk, session.as_deref()) {
        Some(url) => answer::redirect(StatusCode::SEE_OTHER, &url, cleared, answer::SIGNED_OUT),
        None => answer::signed_out(cleared),
    }
}

/// Where the browser signs out of the provider; `None`: the provider has no such place.
fn provider_logout(desk: &Desk<'_>, session: Option<&Session>) -> Option<String> {
    let provider = Provider::of(desk.state, desk.policy)?;
    let settings = &desk.policy.settings;
    let hint = session.and_then(|session| session.user.id_token.as_ref());
    let back = back_to(&settings.post_logout_redirect_uris, desk.host.as_str());
    let request = EndSessionRequest {
        endpoint: provider.metadata.end_session_endpoint.as_deref()?,
        client_id: &settings.client_id,
        id_token_hint: hint.map_or("", |token| token),
        post_logout_redirect_uri: back,
    };
    Some(request.url())
}

/// The first address of the same host, or the first of all.
fn back_to<'u>(addresses: &'u [Box<str>], host: &str) -> &'u str {
    let is_own = |address: &&str| {
        let rest = address.strip_prefix("https://").and_then(|rest| rest.strip_prefix(host));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
    };
    let mut all = addresses.iter().map(|address| &**address);
    all.clone().find(is_own).or_else(|| all.next()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_browser_comes_back_to_after_a_logout() {
        let addresses: Vec<Box<str>> = ["https://other.example/bye", "https://shop.example/bye"]
            .into_iter()
            .map(Into::into)
            .collect();
        for (row, addresses, host, expect) in [
            ("that of its host", &addresses[..], "shop.example", "https://shop.example/bye"),
            ("no host's own: the first", &addresses, "third.example", "https://other.example/bye"),
            ("a beginning of a host", &addresses, "shop.exampl", "https://other.example/bye"),
            ("none", &[], "shop.example", ""),
        ] {
            assert_eq!(back_to(addresses, host), expect, "{row}");
        }
    }
}
