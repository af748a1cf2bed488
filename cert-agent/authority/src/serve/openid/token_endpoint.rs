//! Token exchange in its own form (RFC 8693 §2) for workloads without our agent: the SVID is the client's certificate
//! (`tls_client_auth`, RFC 8705 §2.1), its SPIFFE id the `client_id`. A token that the workload was sent is exchanged
//! for the next one; nobody vouches for users here.

use std::sync::Arc;
use std::time::Instant;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use rustls_pki_types::CertificateDer;
use serde_json::json;
use zeroize::Zeroizing;

use issuance_messages::exchange_token_request::Subject;

use super::grant::{Grant, GrantError, JWT, MAX_FORM};
use super::json_answer;
use crate::ca::holder;
use crate::ca::token_exchange::InternalToken;
use crate::ca::token_exchange::refusal::ExchangeRefusal;
use crate::clock::{RequestTime, wall_clock};
use crate::serve::issue::Authority;

/// What a form is sent as.
const FORM: &str = "application/x-www-form-urlencoded";
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// Answers one POST of whoever presented these certificates, leaf first; none: it has no client certificate.
pub(in crate::serve) async fn answer(
    authority: Arc<Authority>,
    chain: Vec<CertificateDer<'static>>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let now = RequestTime { wall: wall_clock(), monotonic: Instant::now() };
    let outcome = match read(request).await {
        // A chain and a token are verified: not on the thread that accepts.
        Ok(grant) => tokio::task::spawn_blocking(move || exchanged(&authority, &chain, grant, now))
            .await
            .unwrap_or_else(|_| Err(GrantError::new("invalid_request", "it failed"))),
        Err(error) => Err(error),
    };
    let mut answer = match outcome {
        Ok(token) => granted(&token, now.wall),
        Err(error) => refused(&error),
    };
    answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    answer.headers_mut().insert(PRAGMA, NO_CACHE);
    answer
}

async fn read(request: Request<Incoming>) -> Result<Grant, GrantError> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(FORM) {
        return Err(GrantError::new("invalid_request", format!("send {FORM}")));
    }
    let body = Limited::new(request.into_body(), MAX_FORM).collect().await;
    let body = body.map_err(|_| GrantError::new("invalid_request", "no whole form of 24 KiB"))?;
    let body = Zeroizing::new(body.to_bytes().to_vec());
    let form = std::str::from_utf8(&body);
    Grant::read(form.map_err(|_| GrantError::new("invalid_request", "the form is no UTF-8"))?)
}

fn exchanged(
    authority: &Authority,
    chain: &[CertificateDer<'_>],
    grant: Grant,
    now: RequestTime,
) -> Result<InternalToken, GrantError> {
    let own = &authority.publisher.now().own.x509;
    let client = holder::of_chain(chain, own, now.wall).map_err(ExchangeRefusal::from);
    let outcome = client.and_then(|client| {
        if client.as_str() != grant.client_id {
            return Err(ExchangeRefusal::Client(client));
        }
        let subject = Subject::SubjectToken(grant.subject_token.to_string());
        authority.exchange_for(&client, &grant.audience, 0, &subject, now)
    });
    authority.note_exchange("delegation", outcome.as_ref().err());
    outcome.map_err(|refusal| GrantError::from(&refusal))
}

/// RFC 8693 §2.2.1. The token is good as it is, for whoever bears it.
fn granted(token: &InternalToken, now: u64) -> Response<Full<Bytes>> {
    let answer = json!({
        "access_token": token.token.as_str(),
        "issued_token_type": JWT,
        "token_type": "Bearer",
        "expires_in": token.not_after.saturating_sub(now),
    });
    json_answer(StatusCode::OK, &answer)
}

/// RFC 6749 §5.2: of a description printable ASCII alone, without quotes.
fn refused(error: &GrantError) -> Response<Full<Bytes>> {
    let allowed = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
    let description: String = error.description.chars().filter(allowed).collect();
    let answer = json!({ "error": error.code, "error_description": description });
    json_answer(error.status, &answer)
}
