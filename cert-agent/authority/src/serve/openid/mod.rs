//! What the bundle endpoint serves below the URL of `--jwt-issuer`, for whoever knows OpenID Connect and not SPIFFE:
//! the discovery document (OpenID Connect Discovery §4), the keys, and a token endpoint ([`token_endpoint`]).

mod grant;
pub(super) mod token_endpoint;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use identity::jwt::JwtBundle;
use serde_json::{Map, Value, json};

use crate::ca::token_issuer::IssuerUrl;
use crate::serve::issue::Authority;

/// How long verifiers may keep document and keys: a key is public an hour before it signs.
const KEPT: HeaderValue = HeaderValue::from_static("max-age=300");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenIdPage {
    Discovery,
    Keys,
    Token,
}

impl OpenIdPage {
    /// The page at a path of the endpoint; none without an issuer's URL.
    pub(super) fn at(issuer: Option<&IssuerUrl>, path: &str) -> Option<Self> {
        match path.strip_prefix(issuer?.path())? {
            "/.well-known/openid-configuration" => Some(Self::Discovery),
            "/keys" => Some(Self::Keys),
            "/token" => Some(Self::Token),
            _ => None,
        }
    }
}

/// The discovery document, or the keys.
pub(super) fn document(authority: &Authority, page: OpenIdPage) -> Response<Full<Bytes>> {
    let document = match (page, authority.exchange.issuer().url()) {
        (OpenIdPage::Discovery, Some(issuer)) => discovery(issuer),
        _ => keys(&authority.publisher.now().own.jwt),
    };
    let mut answer = json_answer(StatusCode::OK, &document);
    answer.headers_mut().insert(CACHE_CONTROL, KEPT);
    answer
}

/// There is no authorization endpoint: nobody signs in here. As Kubernetes does for its service accounts, the document
/// leaves it away and says what verifiers ask for.
fn discovery(issuer: &IssuerUrl) -> Value {
    let issuer = issuer.as_str();
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/keys"),
        "token_endpoint": format!("{issuer}/token"),
        "token_endpoint_auth_methods_supported": ["tls_client_auth"],
        "grant_types_supported": [grant::TOKEN_EXCHANGE],
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "jti", "act", "orig_iss"],
    })
}

/// With `use` and `alg` as outside verifiers want them (RFC 7517 §4.2, §4.4); all of ours are for ES256.
fn keys(own: &JwtBundle) -> Value {
    let plain: Map<String, Value> =
        serde_json::from_slice(&own.to_plain_jwks()).unwrap_or_default();
    let mut keys = plain.get("keys").cloned().unwrap_or_else(|| json!([]));
    for key in keys.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        key.insert("use".to_owned(), json!("sig"));
        key.insert("alg".to_owned(), json!("ES256"));
    }
    json!({ "keys": keys })
}

fn json_answer(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(value.to_string())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn pages_lie_below_the_issuer() {
        let check = |issuer: &str, path: &str, expect: Option<OpenIdPage>| {
            let issuer = IssuerUrl::parse(issuer).unwrap();
            assert_eq!(OpenIdPage::at(Some(&issuer), path), expect, "{} {path}", issuer.as_str());
        };
        let (root, below) = ("https://id.example", "https://id.example/mesh");
        check(root, "/.well-known/openid-configuration", Some(OpenIdPage::Discovery));
        check(root, "/keys", Some(OpenIdPage::Keys));
        check(root, "/token", Some(OpenIdPage::Token));
        check(root, "/token/", None);
        check(below, "/mesh/.well-known/openid-configuration", Some(OpenIdPage::Discovery));
        check(below, "/mesh/keys", Some(OpenIdPage::Keys));
        check(below, "/keys", None);
        check(below, "/meshkeys", None);
        assert_eq!(OpenIdPage::at(None, "/keys"), None);
    }
}
