//! What the token and introspection endpoints answer.

use serde_json::{Value, json};

use crate::test_provider::changed;
use crate::*;

fn token_answer() -> Value {
    json!({
        "access_token": "at", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt",
        "id_token": "a.b.c", "scope": "openid email", "something": [1],
    })
}

fn parsed(changes: Value) -> Result<TokenAnswer, AnswerError> {
    let answer = Value::Object(changed(&token_answer(), changes));
    TokenAnswer::parse(answer.to_string().as_bytes())
}

#[test]
fn token_answers() {
    let good = parsed(json!({})).unwrap();
    assert_eq!((&**good.access_token, good.expires_in), ("at", Some(3600)));
    assert_eq!(good.refresh_token.as_ref().map(|token| &***token), Some("rt"));
    assert_eq!(good.scope.as_deref(), Some("openid email"));
    assert_eq!(format!("{good:?}"), "TokenAnswer(..)");
    let least = parsed(json!({
        "expires_in": null, "refresh_token": "", "id_token": null, "scope": "", "token_type": "bEARER",
    }));
    let least = least.unwrap();
    assert!(least.refresh_token.is_none() && least.id_token.is_none() && least.scope.is_none());
    assert_eq!(least.expires_in, None);
    assert_eq!(parsed(json!({"expires_in": u64::MAX})).unwrap().expires_in, Some(30 * 24 * 3600));
    let malformed = |name| Err(AnswerError::Claim(ClaimError::Malformed(name)));
    let missing = |name| Err(AnswerError::Claim(ClaimError::Missing(name)));
    for (name, changes, expect) in [
        ("no token", json!({"access_token": null}), missing("access_token")),
        ("an empty token", json!({"access_token": ""}), malformed("access_token")),
        ("a token with a blank", json!({"access_token": "a b"}), malformed("access_token")),
        ("a token with a line feed", json!({"access_token": "a\nb"}), malformed("access_token")),
        ("a long token", json!({"access_token": "a".repeat(16_385)}), malformed("access_token")),
        ("a refresh token as number", json!({"refresh_token": 1}), malformed("refresh_token")),
        ("an ID token beyond ASCII", json!({"id_token": "ä"}), malformed("id_token")),
        ("a scope with a line feed", json!({"scope": "a\nb"}), malformed("scope")),
        ("a life as text", json!({"expires_in": "3600"}), malformed("expires_in")),
        ("a life below zero", json!({"expires_in": -1}), malformed("expires_in")),
        ("no type", json!({"token_type": null}), Err(AnswerError::TokenType)),
        ("DPoP", json!({"token_type": "DPoP"}), Err(AnswerError::TokenType)),
    ] {
        assert_eq!(parsed(changes).map(drop), expect, "{name}");
    }
}

#[test]
fn token_answers_by_their_status() {
    let good = token_answer().to_string();
    let error = r#"{"error":"invalid_grant","error_description":"used"}"#;
    let status = |status| Err(TokenAnswerError::Status(status));
    let unusable = |error| Err(TokenAnswerError::Unusable(error));
    for (name, code, body, expect) in [
        ("200", 200, &*good, Ok(())),
        ("201", 201, &good, status(201)),
        ("an error with 200", 200, error, unusable(AnswerError::TokenType)),
        ("a page with 200", 200, "<html>", unusable(AnswerError::NoJson)),
        ("a page with 400", 400, "<html>", status(400)),
        ("an error with 500", 500, error, status(500)),
        (
            "a token twice",
            200,
            r#"{"access_token":"a","access_token":"b"}"#,
            unusable(AnswerError::NoJson),
        ),
        ("too large", 200, &" ".repeat(MAX_ANSWER + 1), unusable(AnswerError::TooLarge)),
    ] {
        assert_eq!(TokenAnswer::read(code, body.as_bytes()).map(drop), expect, "{name}");
    }
    let Err(TokenAnswerError::Refused(refused)) = TokenAnswer::read(400, error.as_bytes()) else {
        panic!("no refusal");
    };
    assert!(refused.is_invalid_grant() && !refused.is_invalid_client() && !refused.is_temporary());
}

#[test]
fn introspection_answers() {
    let missing = Err(AnswerError::Claim(ClaimError::Missing("active")));
    let malformed = |name| Err(AnswerError::Claim(ClaimError::Malformed(name)));
    for (name, body, expect) in [
        ("active", json!({"active": true, "sub": "ann", "aud": ["a"], "exp": 1}), Ok(true)),
        ("active, nothing else", json!({"active": true}), Ok(true)),
        ("with nulls", json!({"active": true, "sub": null, "exp": null}), Ok(true)),
        ("inactive", json!({"active": false, "exp": "nonsense"}), Ok(false)),
        ("no word of it", json!({"sub": "ann"}), missing),
        ("active as text", json!({"active": "true"}), malformed("active")),
        ("active as number", json!({"active": 1}), malformed("active")),
        ("active as null", json!({"active": null}), malformed("active")),
        ("an end as text", json!({"active": true, "exp": "1"}), malformed("exp")),
        ("a subject as number", json!({"active": true, "sub": 7}), malformed("sub")),
        ("an audience as object", json!({"active": true, "aud": {}}), malformed("aud")),
        (
            "bound to a key",
            json!({"active": true, "token_type": "DPoP"}),
            Err(AnswerError::TokenType),
        ),
        ("bearer", json!({"active": true, "token_type": "bearer"}), Ok(true)),
    ] {
        let seen = IntrospectionAnswer::parse(body.to_string().as_bytes());
        let seen = seen.map(|answer| matches!(answer, IntrospectionAnswer::Active(_)));
        assert_eq!(seen, expect, "{name}");
    }
    let twice = br#"{"active":false,"active":true}"#;
    assert_eq!(IntrospectionAnswer::parse(twice), Err(AnswerError::NoJson));
}

#[test]
fn introspected_tokens_have_times_of_their_own() {
    let body = json!({"active": true, "sub": "ann", "exp": 1000, "nbf": 500, "iat": 500});
    let Ok(IntrospectionAnswer::Active(token)) =
        IntrospectionAnswer::parse(body.to_string().as_bytes())
    else {
        panic!("not active");
    };
    assert!(!token.claims.contains_key("active") && token.claims["sub"] == "ann");
    for (now, expect) in [(469, false), (470, true), (1029, true), (1030, false)] {
        assert_eq!(token.is_valid_at(now), expect, "{now}");
    }
}
