//! A form that is posted and answered: what OAuth 2.0 asks of a provider (RFC 6749 §4.1.3, RFC 7662 §2.1).

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::Full;
use zeroize::Zeroizing;

use crate::dial::Dial;
use crate::error::FetchError;
use crate::fetch::{self, FetchRules};
use crate::url::WebUrl;

/// A form on its way. It may have secrets in it: it has no `Debug`.
#[derive(Clone)]
pub struct WebForm {
    /// `application/x-www-form-urlencoded`. Wiped from memory once it is sent.
    pub body: Zeroizing<String>,
    /// Who asks, in `Authorization`, where the form itself does not say it.
    pub authorization: Option<HeaderValue>,
}

/// What came back, whatever its status: a refusal is an answer with words of its own (RFC 6749 §5.2).
#[derive(Clone)]
pub struct WebAnswer {
    /// 200 or any other but a redirect.
    pub status: StatusCode,
    /// At most 1 MiB.
    pub body: Bytes,
}

/// Posts a form. Never sent twice, and no redirect is followed: whoever answers with one would get the secrets in it.
///
/// # Errors
/// [`FetchError`]: no answer, or a redirect, which is [`FetchError::Status`].
pub async fn post<D: Dial>(
    url: &WebUrl,
    form: WebForm,
    rules: &FetchRules<'_, D>,
) -> Result<WebAnswer, FetchError> {
    let mut request = fetch::request(url, rules);
    *request.method_mut() = Method::POST;
    *request.body_mut() = Full::new(Bytes::from_owner(form.body));
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    if let Some(mut who) = form.authorization {
        who.set_sensitive(true);
        headers.insert(AUTHORIZATION, who);
    }
    let asked = fetch::ask(url, rules, request, |status| !status.is_redirection());
    let answered = tokio::time::timeout(rules.deadline, asked).await;
    let answered = answered.unwrap_or(Err(FetchError::Timeout(rules.deadline)))?;
    match answered.head.status {
        status if status.is_redirection() => {
            Err(FetchError::Status { host: url.host_in_url(), status })
        }
        status => Ok(WebAnswer { status, body: answered.body }),
    }
}
