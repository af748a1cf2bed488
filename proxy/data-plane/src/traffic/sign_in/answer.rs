//! The answers that the sign-in gives itself: redirects, and pages of a few words. No page has a script, a picture or a
//! word of the provider's or the request's in it, but for a link to a path of this host.

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};

use crate::http::SignInRefusal;
use crate::http::body::Body;
use crate::http::headers::REASON_HEADER;
use crate::traffic::exchange::PhaseEnd;

/// Somebody is sent to the provider.
pub(super) const STARTED: &str = "sign_in_started";
/// Somebody came back and is signed in.
pub(super) const SIGNED_IN: &str = "signed_in";
/// Somebody has signed out.
pub(super) const SIGNED_OUT: &str = "signed_out";
/// The provider has ended sessions.
pub(super) const BACK_CHANNEL: &str = "back_channel_logout";

/// Nothing is loaded, nothing is run, and no page of others shows it.
const POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// An answer with these values of `Set-Cookie`.
fn answer(status: StatusCode, cookies: Vec<HeaderValue>, body: Option<String>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // What is asked for in a URL, a code or a state, is told to no other site.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for cookie in cookies {
        headers.append(SET_COOKIE, cookie);
    }
    let text = body.unwrap_or_default();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    if !text.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        *response.body_mut() = Body::from_bytes(text);
    }
    response
}

/// A redirect: 302 for what is asked for with GET, else 303, after which a browser asks with GET (RFC 9110 §15.4.4).
pub(super) fn redirect(
    status: StatusCode,
    to: &str,
    cookies: Vec<HeaderValue>,
    reason: &'static str,
) -> PhaseEnd {
    let mut response = answer(status, cookies, None);
    match HeaderValue::try_from(to) {
        Ok(to) => drop(response.headers_mut().insert(LOCATION, to)),
        // URLs of ours and of checked documents are ASCII.
        Err(_) => return page(SignInRefusal::Failed("no address to go to"), None, Vec::new()),
    }
    PhaseEnd::Answer { response: Box::new(response), reason }
}

/// A page for a person: what happened, the reason's word, and a link to a path of this host from which to go on.
pub(super) fn page(
    refusal: SignInRefusal,
    go_on: Option<&str>,
    cookies: Vec<HeaderValue>,
) -> PhaseEnd {
    let link = go_on.map_or_else(String::new, |path| {
        format!("<p><a href=\"{}\">Go on</a></p>\n", escaped(path))
    });
    let text = document(refusal.title(), &format!("<p>postern: {}</p>\n{link}", refusal.as_str()));
    let mut response = answer(refusal.status(), cookies, Some(text));
    let headers = response.headers_mut();
    headers.insert(REASON_HEADER, HeaderValue::from_static(refusal.as_str()));
    let later = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
    if later.contains(&refusal.status()) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    if let Some(methods) = refusal.allow() {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    PhaseEnd::Answer { response: Box::new(response), reason: refusal.as_str() }
}

/// The page of a logout that leads nowhere else.
pub(super) fn signed_out(cookies: Vec<HeaderValue>) -> PhaseEnd {
    let text = document("You are signed out", "<p><a href=\"/\">Go on</a></p>\n");
    let response = answer(StatusCode::OK, cookies, Some(text));
    PhaseEnd::Answer { response: Box::new(response), reason: SIGNED_OUT }
}

/// What the provider is told of a logout (OpenID Connect Back-Channel Logout 1.0 §2.8).
pub(super) fn back_channel(refused: Option<SignInRefusal>) -> PhaseEnd {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    let Some(refusal) = refused else {
        let response = answer(StatusCode::OK, Vec::new(), None);
        return PhaseEnd::Answer { response: Box::new(response), reason: BACK_CHANNEL };
    };
    let mut response = answer(refusal.status(), Vec::new(), None);
    let text = "{\"error\":\"invalid_request\"}";
    let headers = response.headers_mut();
    headers.insert(REASON_HEADER, HeaderValue::from_static(refusal.as_str()));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    headers.insert(CONTENT_TYPE, JSON);
    *response.body_mut() = Body::from_bytes(text);
    PhaseEnd::Answer { response: Box::new(response), reason: refusal.as_str() }
}

fn document(title: &str, rest: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<h1>{title}</h1>\n{rest}</html>\n"
    )
}

/// A path as the value of an attribute in double quotes.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// A field of answers, for values that are made here.
pub(super) fn set_cookie(value: HeaderValue) -> (HeaderName, HeaderValue) {
    (SET_COOKIE, value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn response(end: PhaseEnd) -> (Response<Body>, &'static str) {
        match end {
            PhaseEnd::Answer { response, reason } => (*response, reason),
            PhaseEnd::Refuse(error) => panic!("{error}"),
        }
    }

    #[test]
    fn no_page_runs_anything_or_says_what_others_wrote() {
        let path = "/a?b=\"><script>alert(1)</script>&c='";
        let failed = SignInRefusal::Failed("no flow");
        for (row, refusal, status, retry) in [
            ("failed", failed, 400, None),
            ("refused", SignInRefusal::Refused, 403, None),
            ("unavailable", SignInRefusal::Unavailable("x"), 503, Some("5")),
            ("too many", SignInRefusal::Limited, 429, Some("5")),
        ] {
            let (answer, reason) = response(page(refusal, Some(path), Vec::new()));
            let field = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok());
            assert_eq!((answer.status().as_u16(), reason), (status, refusal.as_str()), "{row}");
            assert_eq!(field("x-postern-reason"), Some(reason), "{row}");
            assert_eq!(field("retry-after"), retry, "{row}");
            assert_eq!(field("cache-control"), Some("no-store"), "{row}");
            assert_eq!(field("referrer-policy"), Some("no-referrer"), "{row}");
            assert_eq!(field("content-security-policy"), Some(POLICY), "{row}");
            assert_eq!(field("x-content-type-options"), Some("nosniff"), "{row}");
        }
        let text = escaped(path);
        assert!(!text.contains(['<', '>', '"', '\'']), "{text}");
    }

    #[test]
    fn a_redirect_is_kept_nowhere() {
        let cookies = vec![HeaderValue::from_static("a=1"), HeaderValue::from_static("b=2")];
        let to = "https://id.example/authorize?client_id=shop";
        let (answer, reason) = response(redirect(StatusCode::FOUND, to, cookies, STARTED));
        assert_eq!((answer.status(), reason), (StatusCode::FOUND, STARTED));
        assert_eq!(answer.headers().get("location").unwrap(), to);
        assert_eq!(answer.headers().get("cache-control").unwrap(), "no-store");
        assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
        let (answer, reason) = response(redirect(StatusCode::FOUND, "/\n", Vec::new(), STARTED));
        assert_eq!((answer.status().as_u16(), reason), (400, "sign_in_failed"));
    }
}
