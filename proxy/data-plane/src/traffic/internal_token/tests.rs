//! What is taken for a token of the mesh, and what leaves with a request.
#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::traffic::internal_token::*;

fn own() -> TrustDomain {
    TrustDomain::parse("cluster.local").unwrap()
}

/// A token that nobody has signed, of these claims.
fn token(claims: &Value) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = encode(r#"{"alg":"ES256","typ":"JWT"}"#);
    format!("{header}.{}.{}", encode(&claims.to_string()), encode("signature"))
}

fn internal() -> String {
    token(
        &json!({"iss": "https://mesh.example", "act": {"sub": "spiffe://cluster.local/ns/a/sa/b"}}),
    )
}

fn headers(values: &[&str]) -> HeaderMap {
    let values = values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_str(value).unwrap()));
    values.collect()
}

/// Apps split by whatever they take for a blank.
#[test]
fn cve_2022_29226_every_token_goes_however_it_is_parted_from_its_scheme() {
    for (row, value, goes) in [
        ("a blank", &b"Bearer x"[..], true),
        ("a tab", b"Bearer\tx", true),
        ("a blank of another alphabet", b"Bearer\xa0x", true),
        ("a comma", b"Bearer,x", true),
        ("nothing", b"Bearer", true),
        ("of another scheme", b"Basic x", false),
        ("of a scheme with a longer name", b"Bearer-x y", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        assert_eq!(remove_bearers(&mut headers, |_| true), goes, "{row}");
        assert_eq!(headers.contains_key(AUTHORIZATION), !goes, "{row}");
    }
}

#[test]
fn a_token_of_the_mesh_is_known_by_who_acts() {
    let of = |claims: Value| format!("Bearer {}", token(&claims));
    for (row, value, expect) in [
        ("under any name", format!("Bearer {}", internal()), true),
        ("in another case", format!("bEARER   {}", internal()), true),
        ("bound to a key", format!("DPoP {}", internal()), true),
        ("of another scheme", format!("Basic {}", internal()), false),
        ("without a scheme", internal(), false),
        (
            "a workload's own JWT-SVID",
            of(json!({"sub": "spiffe://cluster.local/ns/a/sa/b"})),
            false,
        ),
        ("of another mesh", of(json!({"act": {"sub": "spiffe://other/ns/a/sa/b"}})), false),
        (
            "of a mesh whose name begins alike",
            of(json!({"act": {"sub": "spiffe://cluster.local.evil/a"}})),
            false,
        ),
        ("an exchange elsewhere", of(json!({"act": {"sub": "admin@example.com"}})), false),
        ("opaque", "Bearer abc".to_owned(), false),
        ("empty", "Bearer".to_owned(), false),
    ] {
        let value = HeaderValue::from_str(&value).unwrap();
        assert_eq!(is_internal(&value, &own()), expect, "{row}");
    }
}

#[test]
fn what_leaves_the_mesh_carries_none_of_its_tokens() {
    let (ours, other) = (format!("Bearer {}", internal()), "Bearer abc");
    for (row, sent, left) in [
        ("ours alone", vec![&*ours], vec![]),
        ("another's", vec![other], vec![other]),
        ("both", vec![other, &*ours], vec![other]),
        ("a password beside it", vec!["Basic eDp5", &*ours], vec!["Basic eDp5"]),
        ("none", vec![], vec![]),
    ] {
        let mut headers = headers(&sent);
        remove(&mut headers, &own());
        let found: Vec<_> =
            headers.get_all(AUTHORIZATION).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(found, left, "{row}");
    }
    assert_eq!(find(&headers(&[other, &ours]), &own()).unwrap().0, internal());
    assert!(find(&headers(&[other]), &own()).is_none());
}
