//! What an OAuth provider answers, and what a browser brings back from it.

use std::sync::LazyLock;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::jws::KeySet;
use oauth::{
    CallbackQuery, IdToken, IdTokenExpectations, IntrospectionAnswer, LogoutToken, MAX_ANSWER,
    OAuthError, Outcome, ProviderMetadata, TokenAnswer, logout_token_of,
};

const ISSUER: &str = "https://id.example";
const CLIENT: &str = "shop";
const NOW: u64 = 1_800_000_000;
/// `{"alg":"EdDSA"}`.
const HEADER: &str = "eyJhbGciOiJFZERTQSJ9";

/// The provider's key: claims that it signed get past the signature.
#[expect(clippy::expect_used, reason = "a key of our own that is none is a mistake in this file")]
static PAIR: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed"));

#[expect(clippy::expect_used, reason = "keys of our own that cannot be read are a mistake here")]
static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    let x = URL_SAFE_NO_PAD.encode(PAIR.public_key());
    let keys = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}]}}"#);
    KeySet::parse(keys.as_bytes()).expect("good keys")
});

fn signed(claims: &[u8]) -> String {
    let message = format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(claims));
    let signature = PAIR.sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A discovery document: what is taken is of the issuer, and each endpoint is https without userinfo and fragment.
pub fn provider_metadata(data: &[u8]) {
    let Ok(metadata) = ProviderMetadata::parse(data, ISSUER) else { return };
    assert!(data.len() <= MAX_ANSWER && &*metadata.issuer == ISSUER);
    for endpoint in [
        &metadata.authorization_endpoint,
        &metadata.token_endpoint,
        &metadata.jwks_uri,
        &metadata.end_session_endpoint,
        &metadata.introspection_endpoint,
        &metadata.revocation_endpoint,
    ] {
        let Some(url) = endpoint else { continue };
        let rest = url.strip_prefix("https://").unwrap_or_default();
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        assert!(!authority.is_empty() && !authority.contains('@'), "{url}");
        assert!(url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{url}");
    }
    if let Ok(needed) = metadata.for_sign_in() {
        assert!(!needed.authorization.is_empty() && !needed.token.is_empty());
    }
}

/// The query of a callback: what is taken has a state, and a code or an error that can be shown.
pub fn oauth_callback(data: &[u8]) {
    let Ok(query) = std::str::from_utf8(data) else { return };
    let Ok(callback) = CallbackQuery::parse(query) else { return };
    assert!((1..=256).contains(&callback.state().len()) && callback.is_of(callback.state()));
    match callback.outcome() {
        Outcome::Code(code) => assert!(!code.is_empty() && !code.contains(char::is_control)),
        Outcome::Refused(error) => check_error(error),
    }
}

/// An error answer: what is taken of it fits a log line.
pub fn oauth_error(data: &[u8]) {
    if let Ok(error) = OAuthError::parse(data) {
        check_error(&error);
    }
}

fn check_error(error: &OAuthError) {
    let texts = [Some(error.code()), error.description()];
    for text in texts.into_iter().flatten() {
        assert!((1..=256).contains(&text.len()));
        assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"'), "{text}");
    }
}

/// An answer of the token endpoint: tokens that are taken fit a header, and their life is bounded.
pub fn token_answer(data: &[u8]) {
    for status in [400, 500] {
        assert!(TokenAnswer::read(status, data).is_err());
    }
    let Ok(answer) = TokenAnswer::read(200, data) else { return };
    let tokens = [Some(answer.access_token), answer.refresh_token, answer.id_token];
    for token in tokens.into_iter().flatten() {
        assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    assert!(answer.expires_in.is_none_or(|seconds| seconds <= 30 * 86_400));
}

/// An ID token: as it stands nobody signed it. As the claims of one that is signed, what is taken is for us, by whom it
/// must be, of this flow, and of now.
pub fn id_token(data: &[u8]) {
    let expected = IdTokenExpectations {
        issuer: ISSUER,
        client_id: CLIENT,
        nonce: Some("n"),
        subject: None,
        access_token: Some("at"),
        max_age: Some(300),
        acr_values: "a b",
    };
    assert!(IdToken::verify(data, &KEYS, &expected, NOW).is_err());
    let Ok(token) = IdToken::verify(signed(data).as_bytes(), &KEYS, &expected, NOW) else { return };
    let claims = &token.claims;
    assert!(claims.get("iss").is_some_and(|issuer| issuer == ISSUER));
    assert!(claims.get("nonce").is_some_and(|nonce| nonce == "n"));
    assert!(token.expires + 30 > NOW && token.issued_at <= NOW + 30);
    assert!(token.auth_time.is_some_and(|at| at + 330 >= NOW));
    assert!(matches!(token.acr.as_deref(), Some("a" | "b")) && !token.subject.is_empty());
}

/// A logout token, or the form that it comes in: as it stands nobody signed it. As the claims of one that is signed, what
/// is taken means somebody, and is not to be remembered for long.
pub fn logout_token(data: &[u8]) {
    if let Some(token) = logout_token_of(data) {
        assert!(LogoutToken::verify(token.as_bytes(), &KEYS, (ISSUER, CLIENT), NOW).is_err());
    }
    let signed = signed(data);
    let Ok(token) = LogoutToken::verify(signed.as_bytes(), &KEYS, (ISSUER, CLIENT), NOW) else {
        return;
    };
    assert!(token.session_id.is_some() || token.subject.is_some());
    assert!(!token.id.is_empty() && (NOW..=NOW + 660).contains(&token.until));
}

/// An answer of the introspection endpoint: what is active says so.
pub fn introspection_answer(data: &[u8]) {
    let Ok(IntrospectionAnswer::Active(token)) = IntrospectionAnswer::parse(data) else { return };
    let text = String::from_utf8_lossy(data);
    assert!(text.contains("true") && !token.claims.contains_key("active"));
    assert!(token.audiences.len() <= 64);
}
