//! ID tokens and logout tokens.

use identity::jws::JwsError;
use serde_json::{Value, json};

use crate::test_provider::{CLIENT, ISSUER, NOW, Provider, changed};
use crate::*;

/// The `at_hash` of the access token `at`, by SHA-256.
fn at_hash() -> String {
    crate::id_token::half_hash("at", identity::jws::Algorithm::Es256)
}

fn id_claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "ann", "aud": CLIENT, "exp": NOW + 300, "iat": NOW, "nonce": "n",
        "at_hash": at_hash(), "auth_time": NOW - 100, "acr": "urn:mfa", "sid": "s1",
        "email": "ann@shop.example",
    })
}

fn expected() -> IdTokenExpectations<'static> {
    IdTokenExpectations {
        issuer: ISSUER,
        client_id: CLIENT,
        nonce: Some("n"),
        subject: None,
        access_token: Some("at"),
        max_age: None,
        acr_values: "",
    }
}

#[test]
fn s41_oauth2_login_state_claims_of_id_tokens() {
    use IdTokenError as E;
    let provider = Provider::new();
    let keys = provider.keys();
    let missing = |name| Err(E::Claim(ClaimError::Missing(name)));
    let malformed = |name| Err(E::Claim(ClaimError::Malformed(name)));
    let both = json!([CLIENT, "other"]);
    for (name, changes, expect) in [
        ("good", json!({}), Ok(())),
        ("no at_hash", json!({"at_hash": null}), Ok(())),
        ("issuer with a slash", json!({"iss": "https://id.example/"}), Err(E::Issuer)),
        ("no issuer", json!({"iss": null}), missing("iss")),
        ("another client", json!({"aud": "other"}), Err(E::Audience)),
        ("no client", json!({"aud": null}), Err(E::Audience)),
        ("part of our name", json!({"aud": "sho"}), Err(E::Audience)),
        ("two clients", json!({"aud": both.clone()}), Err(E::AuthorizedParty)),
        ("two clients, for us", json!({"aud": both.clone(), "azp": CLIENT}), Ok(())),
        ("two clients, for them", json!({"aud": both, "azp": "other"}), Err(E::AuthorizedParty)),
        ("ours, issued to them", json!({"azp": "other"}), Err(E::AuthorizedParty)),
        ("another sign-in", json!({"nonce": "m"}), Err(E::Nonce)),
        ("no nonce", json!({"nonce": null}), missing("nonce")),
        ("nonce as number", json!({"nonce": 1}), malformed("nonce")),
        ("another access token", json!({"at_hash": "AAAA"}), Err(E::AccessToken)),
        ("just expired", json!({"exp": NOW - 29}), Ok(())),
        ("expired", json!({"exp": NOW - 30}), Err(E::Expired)),
        ("no end", json!({"exp": null}), missing("exp")),
        ("end as text", json!({"exp": "9"}), malformed("exp")),
        ("our clock is late", json!({"iat": NOW + 30}), Ok(())),
        ("from the future", json!({"iat": NOW + 31}), Err(E::Future)),
        ("no beginning", json!({"iat": null}), missing("iat")),
        ("not valid yet", json!({"nbf": NOW + 31}), Err(E::Future)),
        ("authenticated tomorrow", json!({"auth_time": NOW + 31}), Err(E::Future)),
        ("nobody", json!({"sub": null}), missing("sub")),
        ("nobody's name", json!({"sub": ""}), malformed("sub")),
        ("sid as number", json!({"sid": 1}), malformed("sid")),
    ] {
        let token = provider.sign(&changed(&id_claims(), changes));
        let seen = IdToken::verify(token.as_bytes(), &keys, &expected(), NOW);
        assert_eq!(seen.map(drop), expect, "{name}");
    }
}

#[test]
fn what_an_id_token_tells() {
    let provider = Provider::new();
    let token = provider.sign(&changed(&id_claims(), json!({})));
    let seen = IdToken::verify(token.as_bytes(), &provider.keys(), &expected(), NOW).unwrap();
    assert_eq!((&*seen.subject, seen.session_id.as_deref()), ("ann", Some("s1")));
    assert_eq!((seen.auth_time, seen.acr.as_deref()), (Some(NOW - 100), Some("urn:mfa")));
    assert_eq!(seen.claims["email"], "ann@shop.example");
    assert_eq!(format!("{seen:?}"), "IdToken(..)");
}

#[test]
fn s41_oauth2_login_state_step_up_and_refresh() {
    use IdTokenError as E;
    let provider = Provider::new();
    let plain = expected();
    let missing = |name| Err(E::Claim(ClaimError::Missing(name)));
    for (name, changes, expected, expect) in [
        ("fresh", json!({}), IdTokenExpectations { max_age: Some(70), ..plain }, Ok(())),
        (
            "stale",
            json!({}),
            IdTokenExpectations { max_age: Some(69), ..plain },
            Err(E::AuthenticatedTooLongAgo),
        ),
        (
            "nobody says when",
            json!({"auth_time": null}),
            IdTokenExpectations { max_age: Some(999), ..plain },
            missing("auth_time"),
        ),
        (
            "as demanded",
            json!({}),
            IdTokenExpectations { acr_values: "a urn:mfa", ..plain },
            Ok(()),
        ),
        (
            "otherwise",
            json!({}),
            IdTokenExpectations { acr_values: "a urn:mf", ..plain },
            Err(E::AuthenticationContext),
        ),
        (
            "nobody says how",
            json!({"acr": null}),
            IdTokenExpectations { acr_values: "urn:mfa", ..plain },
            Err(E::AuthenticationContext),
        ),
        (
            "refreshed, without a nonce",
            json!({"nonce": null}),
            IdTokenExpectations { nonce: None, subject: Some("ann"), ..plain },
            Ok(()),
        ),
        (
            "refreshed to somebody else",
            json!({"sub": "bob"}),
            IdTokenExpectations { nonce: None, subject: Some("ann"), ..plain },
            Err(E::Subject),
        ),
    ] {
        let token = provider.sign(&changed(&id_claims(), changes));
        let seen = IdToken::verify(token.as_bytes(), &provider.keys(), &expected, NOW);
        assert_eq!(seen.map(drop), expect, "{name}");
    }
}

#[test]
fn s37_jws_algorithm_and_key_of_id_tokens() {
    let provider = Provider::new();
    let claims = changed(&id_claims(), json!({}));
    let check = |name: &str, token: &str, expect: TokenSignatureError| {
        let seen = IdToken::verify(token.as_bytes(), &provider.keys(), &expected(), NOW);
        assert_eq!(seen.map(drop), Err(IdTokenError::Signature(expect)), "{name}");
    };
    let with = |header: Value| provider.sign_with(&header, &claims);
    let algorithm = TokenSignatureError::Jws(JwsError::Algorithm);
    check("none", &with(json!({"alg": "none"})), algorithm);
    check("HMAC", &with(json!({"alg": "HS256", "kid": "a"})), algorithm);
    check("RSA", &with(json!({"alg": "RS256", "kid": "a"})), TokenSignatureError::Algorithm);
    check(
        "unknown key",
        &with(json!({"alg": "ES256", "kid": "b"})),
        TokenSignatureError::UnknownKey,
    );
    for kind in ["at+jwt", "logout+jwt", "application/logout+jwt", "", "JWT "] {
        let token = with(json!({"alg": "ES256", "kid": "a", "typ": kind}));
        check(kind, &token, TokenSignatureError::Type);
    }
    check("number", &with(json!({"alg": "ES256", "typ": 1})), TokenSignatureError::Type);
    check("somebody else", &Provider::new().sign(&claims), TokenSignatureError::Signature);
    let good = with(json!({"alg": "ES256", "kid": "a", "typ": "application/jwt"}));
    assert!(IdToken::verify(good.as_bytes(), &provider.keys(), &expected(), NOW).is_ok());
}

fn logout_claims() -> Value {
    json!({
        "iss": ISSUER, "aud": [CLIENT], "iat": NOW, "exp": NOW + 120, "jti": "j1", "sub": "ann",
        "sid": "s1", "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    })
}

/// Back-Channel Logout 1.0 §2.6.
#[test]
fn s41_oauth2_login_state_logout_tokens() {
    use LogoutTokenError as E;
    let provider = Provider::new();
    let missing = |name| Err(E::Claim(ClaimError::Missing(name)));
    let far = NOW + 10 * 365 * 86_400;
    for (name, changes, now, expect) in [
        ("good", json!({}), NOW, Ok(NOW + 150)),
        ("session alone", json!({"sub": null}), NOW, Ok(NOW + 150)),
        ("subject alone", json!({"sid": null}), NOW, Ok(NOW + 150)),
        ("nobody", json!({"sid": null, "sub": null}), NOW, Err(E::Nobody)),
        ("another issuer", json!({"iss": "https://evil.example"}), NOW, Err(E::Issuer)),
        ("another client", json!({"aud": ["other"]}), NOW, Err(E::Audience)),
        ("no id", json!({"jti": null}), NOW, missing("jti")),
        ("no beginning", json!({"iat": null}), NOW, missing("iat")),
        ("an ID token", json!({"events": null, "nonce": "n"}), NOW, Err(E::Event)),
        ("with a nonce", json!({"nonce": "n"}), NOW, Err(E::Nonce)),
        ("with any nonce", json!({"nonce": 1}), NOW, Err(E::Nonce)),
        ("another event", json!({"events": {"http://x": {}}}), NOW, Err(E::Event)),
        (
            "an event that is no object",
            json!({"events": {"http://schemas.openid.net/event/backchannel-logout": true}}),
            NOW,
            Err(E::Event),
        ),
        ("late", json!({}), NOW + 150, Ok(NOW + 150)),
        ("too late", json!({}), NOW + 151, Err(E::Expired)),
        ("without an end", json!({"exp": null}), NOW, Ok(NOW + 150)),
        ("without an end, too late", json!({"exp": null}), NOW + 151, Err(E::Expired)),
        ("for ten years", json!({"exp": far}), NOW, Ok(NOW + 630)),
        ("for ten years, a while later", json!({"exp": far}), NOW + 631, Err(E::Expired)),
        ("from the future", json!({"iat": NOW + 31}), NOW, Err(E::Future)),
    ] {
        let token = provider.sign(&changed(&logout_claims(), changes));
        let keys = provider.keys();
        let seen = LogoutToken::verify(token.as_bytes(), &keys, (ISSUER, CLIENT), now);
        assert_eq!(seen.map(|token| token.until), expect, "{name}");
    }
}

#[test]
fn logout_tokens_by_their_type_and_form() {
    let provider = Provider::new();
    let claims = changed(&logout_claims(), json!({}));
    for (kind, expect) in [
        ("logout+jwt", true),
        ("application/logout+jwt", true),
        ("JWT", true),
        ("at+jwt", false),
        ("dpop+jwt", false),
    ] {
        let token = provider.sign_with(&json!({"alg": "ES256", "kid": "a", "typ": kind}), &claims);
        let keys = provider.keys();
        let seen = LogoutToken::verify(token.as_bytes(), &keys, (ISSUER, CLIENT), NOW);
        assert_eq!(seen.is_ok(), expect, "{kind}");
    }
    for (name, body, expect) in [
        ("a token", &b"logout_token=a.b.c"[..], Some("a.b.c")),
        ("with more", b"x=1&logout_token=a.b.c", Some("a.b.c")),
        ("twice", b"logout_token=a&logout_token=b", None),
        ("no token", b"token=a", None),
        ("no UTF-8", b"logout_token=\xff", None),
    ] {
        let seen = logout_token_of(body);
        assert_eq!(seen.as_ref().map(|token| &***token), expect, "{name}");
    }
}
