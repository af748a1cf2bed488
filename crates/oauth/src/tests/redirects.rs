//! Discovery, the way to the provider, and the way back.

use serde_json::{Value, json};

use crate::test_provider::{ISSUER, changed};
use crate::*;

fn document() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://id.example/auth",
        "token_endpoint": "https://id.example/token",
        "jwks_uri": "https://id.example/jwks",
        "end_session_endpoint": "https://id.example/end",
        "introspection_endpoint": null,
        "authorization_response_iss_parameter_supported": true,
        "code_challenge_methods_supported": ["plain", "S256"],
        "something_else": {"a": 1},
    })
}

fn metadata(changes: Value) -> Result<ProviderMetadata, MetadataError> {
    let document = Value::Object(changed(&document(), changes));
    ProviderMetadata::parse(document.to_string().as_bytes(), ISSUER)
}

#[test]
fn metadata_of_providers() {
    let good = metadata(json!({})).unwrap();
    assert!(good.callbacks_name_issuer && !good.back_channel_logout);
    assert_eq!(good.introspection_endpoint, None);
    let needed = good.for_sign_in().unwrap();
    assert_eq!(needed.token, "https://id.example/token");
    let endpoint = Err(MetadataError::Endpoint("token_endpoint"));
    let member = |name| Err(MetadataError::Member(ClaimError::Malformed(name)));
    let token_at = |url: &str| json!({"token_endpoint": url});
    for (name, changes, expect) in [
        ("with a port", token_at("https://id.example:8443/t?tenant=a"), Ok(())),
        ("an address", token_at("https://[::1]:8443/t"), Ok(())),
        ("no path", token_at("https://id.example"), Ok(())),
        ("http", token_at("http://id.example/t"), endpoint),
        ("another spelling of https", token_at("HTTPS://id.example/t"), endpoint),
        ("no host", token_at("https:///t"), endpoint),
        ("only a port", token_at("https://:443/t"), endpoint),
        ("relative", token_at("/t"), endpoint),
        ("userinfo", token_at("https://id.example@evil.example/t"), endpoint),
        ("userinfo, empty", token_at("https://@evil.example/t"), endpoint),
        ("a fragment", token_at("https://id.example/t#a"), endpoint),
        ("a backslash", token_at("https://id.example\\@evil.example"), endpoint),
        ("a blank", token_at("https://id.example/ t"), endpoint),
        ("a line feed", token_at("https://id.example/t\n"), endpoint),
        ("beyond ASCII", token_at("https://id\u{3002}example/t"), endpoint),
        ("too long", token_at(&format!("https://id.example/{}", "a".repeat(2048))), endpoint),
        ("no text", json!({"token_endpoint": 1}), endpoint),
        ("no issuer", json!({"issuer": null}), Err(MetadataError::Issuer)),
        ("a slash more", json!({"issuer": "https://id.example/"}), Err(MetadataError::Issuer)),
        ("capitals", json!({"issuer": "https://ID.example"}), Err(MetadataError::Issuer)),
        (
            "a flag as text",
            json!({"backchannel_logout_supported": "true"}),
            member("backchannel_logout_supported"),
        ),
        (
            "methods no list",
            json!({"code_challenge_methods_supported": "S256"}),
            member("code_challenge_methods_supported"),
        ),
    ] {
        assert_eq!(metadata(changes).map(drop), expect, "{name}");
    }
}

#[test]
fn metadata_that_is_no_document() {
    let issuer = format!(r#"{{"issuer":"{ISSUER}","issuer":"{ISSUER}"}}"#);
    for (name, document, expect) in [
        ("nothing", "", MetadataError::NoJson),
        ("a list", "[]", MetadataError::NoJson),
        ("a member twice", &*issuer, MetadataError::NoJson),
        ("64 KiB and one", &" ".repeat(MAX_ANSWER + 1), MetadataError::TooLarge),
    ] {
        let seen = ProviderMetadata::parse(document.as_bytes(), ISSUER);
        assert_eq!(seen, Err(expect), "{name}");
    }
}

#[test]
fn what_a_sign_in_needs_of_a_provider() {
    let missing = |name| Err(MetadataError::Member(ClaimError::Missing(name)));
    for (name, changes, expect) in [
        ("all of it", json!({}), Ok(())),
        ("no word of PKCE", json!({"code_challenge_methods_supported": null}), Ok(())),
        (
            "only plain",
            json!({"code_challenge_methods_supported": ["plain"]}),
            Err(MetadataError::NoS256),
        ),
        ("no keys", json!({"jwks_uri": null}), missing("jwks_uri")),
        ("no tokens", json!({"token_endpoint": null}), missing("token_endpoint")),
        ("no page", json!({"authorization_endpoint": null}), missing("authorization_endpoint")),
    ] {
        assert_eq!(metadata(changes).unwrap().for_sign_in().map(drop), expect, "{name}");
    }
}

#[test]
fn urls_to_the_provider() {
    let request = AuthorizationRequest {
        endpoint: "https://id.example/auth?tenant=a",
        client_id: "shop&more",
        redirect_uri: "https://shop.example/.postern/callback",
        scope: "openid email",
        state: "s",
        nonce: "n",
        code_challenge: "c",
        acr_values: "urn:mfa",
        max_age: Some(300),
        prompt: "login",
    };
    assert_eq!(
        request.url(),
        "https://id.example/auth?tenant=a&response_type=code&client_id=shop%26more\
         &redirect_uri=https%3A%2F%2Fshop.example%2F.postern%2Fcallback&scope=openid%20email\
         &state=s&nonce=n&code_challenge=c&code_challenge_method=S256&acr_values=urn%3Amfa\
         &max_age=300&prompt=login"
    );
    let plain = AuthorizationRequest { acr_values: "", max_age: None, prompt: "", ..request };
    assert!(plain.url().ends_with("&code_challenge_method=S256"));
    let end = EndSessionRequest {
        endpoint: "https://id.example/end",
        client_id: "shop",
        id_token_hint: "",
        post_logout_redirect_uri: "https://shop.example/bye",
    };
    assert_eq!(
        end.url(),
        "https://id.example/end?client_id=shop\
         &post_logout_redirect_uri=https%3A%2F%2Fshop.example%2Fbye"
    );
}

/// RFC 7636 appendix B.
#[test]
fn the_challenge_of_pkce() {
    let verifier = CodeVerifier::kept("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
    assert_eq!(verifier.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    let random = aws_lc_rs::rand::SystemRandom::new();
    let (one, other) = (CodeVerifier::new(&random).unwrap(), CodeVerifier::new(&random).unwrap());
    assert!(one != other && CodeVerifier::kept(one.secret()) == Some(one));
    assert_eq!(CodeVerifier::kept(&"a".repeat(42)), None);
    assert_eq!(CodeVerifier::kept(&"a ".repeat(30)), None);
}

#[test]
fn callbacks() {
    let no_outcome = Err(CallbackError::NoOutcome);
    let twice = Err(CallbackError::Query(FormError::Twice));
    for (name, query, expect) in [
        ("a code", "code=c&state=s&iss=https%3A%2F%2Fid.example&session_state=x.y", Ok("s")),
        ("an error", "error=access_denied&error_description=no+way&state=s", Ok("s")),
        ("both", "code=c&error=access_denied&state=s", no_outcome),
        ("neither", "state=s", no_outcome),
        ("an empty code", "code=&state=s", no_outcome),
        ("a long code", &format!("code={}&state=s", "c".repeat(4097)), no_outcome),
        ("an error that is none", "error=%22&state=s", no_outcome),
        ("two codes", "code=c&code=d&state=s", twice),
        ("two states", "code=c&state=s&state=t", twice),
        ("two issuers", "code=c&state=s&iss=a&iss=a", twice),
        ("two of something", "code=c&state=s&x=1&x=2", twice),
        ("a described error", "error=a&error_description=AADSTS1:+no%0d%0aTrace&state=s", Ok("s")),
        ("NUL in a code", "code=c%00&state=s", no_outcome),
        ("a line feed in a state", "code=c&state=s%0a", Err(CallbackError::NoState)),
        ("a broken escape", "code=c%0&state=s", Err(CallbackError::Query(FormError::Malformed))),
        ("too long", &"a".repeat(9000), Err(CallbackError::Query(FormError::TooLong))),
    ] {
        let seen = CallbackQuery::parse(query);
        assert_eq!(seen.as_ref().map(CallbackQuery::state).map_err(|e| *e), expect, "{name}");
    }
}

/// A callback without a state is an answer, not a crash.
#[test]
fn cve_2023_27496_a_missing_state_is_refused() {
    for query in ["", "code=c", "code=c&state", "code=c&state=", "error=access_denied", "=", "?"] {
        assert_eq!(CallbackQuery::parse(query), Err(CallbackError::NoState), "{query}");
    }
    let long = format!("code=c&state={}", "s".repeat(257));
    assert_eq!(CallbackQuery::parse(&long), Err(CallbackError::NoState));
}

#[test]
fn s41_oauth2_login_state_a_callback_is_of_one_flow_and_one_provider() {
    let silent = metadata(json!({"authorization_response_iss_parameter_supported": false}));
    let (named, silent) = (metadata(json!({})).unwrap(), silent.unwrap());
    let callback = |rest: &str| CallbackQuery::parse(&format!("code=c&state=abc{rest}")).unwrap();
    let none = callback("");
    for (state, expect) in [("abc", true), ("abd", false), ("ab", false), ("", false)] {
        assert_eq!(none.is_of(state), expect, "{state}");
    }
    assert_eq!(none.check_issuer(&silent), Ok(()));
    assert_eq!(none.check_issuer(&named), Err(CallbackError::NoIssuer));
    let right = callback("&iss=https://id.example");
    assert_eq!((right.check_issuer(&named), right.check_issuer(&silent)), (Ok(()), Ok(())));
    for wrong in ["https://evil.example", "https://id.example/", "HTTPS://id.example", ""] {
        let wrong = callback(&format!("&iss={wrong}"));
        assert_eq!(wrong.check_issuer(&named), Err(CallbackError::Issuer));
        assert_eq!(wrong.check_issuer(&silent), Err(CallbackError::Issuer));
    }
    assert_eq!(format!("{right:?} {:?}", right.outcome()), "CallbackQuery(..) Code(..)");
}
