//! Tokens bound to workloads and to keys.

use crate::traffic::jwt::tests::*;
use aws_lc_rs::digest::{SHA256, digest};

const ISSUER: &str = "issuer: 'https://id.example'";

#[test]
fn tokens_bound_to_workloads() {
    let policy = format!("{{{ISSUER}, principals: [td/ns/edge/sa/gateway]}}");
    for (name, policy, who, expect) in [
        ("no binding", "", Some("spiffe://td/ns/shop/sa/frontend"), "alice"),
        ("no binding, plaintext", "", None, "alice"),
        ("the named one", &policy, Some("spiffe://td/ns/edge/sa/gateway"), "alice"),
        ("another", &policy, Some("spiffe://td/ns/shop/sa/frontend"), "token_presenter"),
        (
            "the same name elsewhere",
            &policy,
            Some("spiffe://other/ns/edge/sa/gateway"),
            "token_presenter",
        ),
        ("plaintext", &policy, None, "token_presenter"),
    ] {
        let mut world = TokenFixture::new(&format!("{{{RULE}}}"), policy);
        world.peer = who.map(|id| peer(id, 1));
        // The second answer comes from the cache, and must not be the first one's.
        for _ in 0..2 {
            assert_eq!(world.who_bears(&token(json!({}))), expect, "{name}");
        }
        world.peer = Some(peer("spiffe://td/ns/edge/sa/gateway", 1));
        assert_eq!(world.who_bears(&token(json!({}))), "alice", "{name}, afterwards");
        world.peer = who.map(|id| peer(id, 1));
        assert_eq!(world.who_bears(&token(json!({}))), expect, "{name}, from memory");
    }
}

#[test]
fn tokens_bound_to_certificates() {
    let thumbprint = |leaf: u8| json!({"x5t#S256": b64([leaf; 32])});
    let required = format!("{{{ISSUER}, confirmation: REQUIRED}}");
    let ignored = format!("{{{ISSUER}, confirmation: IGNORED, principals: ['*']}}");
    for (name, policy, cnf, expect) in [
        ("unbound", "", json!(null), "alice"),
        ("ours", "", thumbprint(1), "alice"),
        ("another's", "", thumbprint(2), "token_certificate"),
        ("short", "", json!({"x5t#S256": "AA"}), "token_claims"),
        ("a number", "", json!({"x5t#S256": 1}), "token_claims"),
        ("no object", "", json!("x"), "token_claims"),
        ("empty", "", json!({}), "token_proof"),
        ("of an unknown kind", "", json!({"kid": "x"}), "token_proof"),
        ("required", &required, thumbprint(1), "alice"),
        ("required and unbound", &required, json!(null), "token_unbound"),
        ("ignored", &ignored, thumbprint(2), "alice"),
    ] {
        let world = TokenFixture::new(&format!("{{{RULE}}}"), policy);
        for _ in 0..2 {
            assert_eq!(world.who_bears(&token(json!({ "cnf": cnf }))), expect, "{name}");
        }
    }
    let mut plaintext = TokenFixture::usual();
    plaintext.peer = None;
    assert_eq!(plaintext.who_bears(&token(json!({"cnf": thumbprint(1)}))), "token_certificate");
}

/// The thumbprint of a P-256 key (RFC 7638 §3).
fn thumbprint(key: &TestSigner) -> String {
    let jwk = key.jwk();
    let text =
        format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":{},\"y\":{}}}", jwk["x"], jwk["y"]);
    b64(digest(&SHA256, text.as_bytes()))
}

/// A proof for a GET of `http://cart/a`, with these members changed.
fn proof(key: &TestSigner, token: &str, id: &str, header: Value, changes: Value) -> String {
    let mut head = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk()});
    let mut body = json!({"jti": id, "htm": "GET", "htu": "http://cart/a", "iat": NOW, "ath": b64(digest(&SHA256, token.as_bytes()))});
    for (target, changes) in [(&mut head, header), (&mut body, changes)] {
        for (name, value) in changes.as_object().unwrap() {
            target[name] = value.clone();
        }
    }
    key.token(head, body)
}

#[test]
fn tokens_bound_to_dpop_keys() {
    let (key, thief) = (TestSigner::p256(), TestSigner::p256());
    let bound = token(json!({"cnf": {"jkt": thumbprint(&key)}}));
    let (none, other_hash) = (json!({}), b64([0; 32]));
    let own =
        |changes: Value| vec![proof(&key, &bound, &format!("id {changes}"), json!({}), changes)];
    let headed =
        |header: Value| vec![proof(&key, &bound, &format!("id {header}"), header, json!({}))];
    let world = TokenFixture::usual();
    for (name, scheme, proofs, expect) in [
        ("good", "DPoP", own(none.clone()), "alice"),
        ("the same again", "DPoP", own(none.clone()), "token_proof_repeated"),
        ("as bearer", "Bearer", own(json!({"n": 1})), "token_proof"),
        ("no proof", "DPoP", vec![], "token_proof"),
        (
            "two proofs",
            "DPoP",
            [own(json!({"n": 2})), own(json!({"n": 3}))].concat(),
            "token_proof",
        ),
        (
            "another's key",
            "DPoP",
            vec![proof(&thief, &bound, "t", none.clone(), none.clone())],
            "token_proof",
        ),
        (
            "another's signature",
            "DPoP",
            vec![proof(&thief, &bound, "t", json!({"jwk": key.jwk()}), none.clone())],
            "token_proof",
        ),
        (
            "private key inside",
            "DPoP",
            headed(
                json!({"jwk": {"kty": "EC", "crv": "P-256", "x": key.jwk()["x"], "y": key.jwk()["y"], "d": "AA"}}),
            ),
            "token_proof",
        ),
        ("no key inside", "DPoP", headed(json!({"jwk": null})), "token_proof"),
        ("plain typ", "DPoP", headed(json!({"typ": "JWT"})), "token_proof"),
        ("none", "DPoP", headed(json!({"alg": "none"})), "token_proof"),
        ("another method", "DPoP", own(json!({"htm": "POST"})), "token_proof"),
        ("another path", "DPoP", own(json!({"htu": "http://cart/b"})), "token_proof"),
        ("another host", "DPoP", own(json!({"htu": "http://web/a"})), "token_proof"),
        ("another port", "DPoP", own(json!({"htu": "http://cart:81/a"})), "token_proof"),
        ("https", "DPoP", own(json!({"htu": "https://cart:443/a"})), "alice"),
        ("with a query", "DPoP", own(json!({"htu": "http://CART:80/a?x#y"})), "alice"),
        ("other scheme", "DPoP", own(json!({"htu": "ws://cart/a"})), "token_proof"),
        ("another token", "DPoP", own(json!({"ath": other_hash})), "token_proof"),
        ("old within a minute", "DPoP", own(json!({"iat": NOW - 60})), "alice"),
        ("old", "DPoP", own(json!({"iat": NOW - 61})), "token_proof"),
        ("ahead within the leeway", "DPoP", own(json!({"iat": NOW + 30})), "alice"),
        ("ahead", "DPoP", own(json!({"iat": NOW + 31})), "token_proof"),
        ("no jti", "DPoP", own(json!({"jti": null})), "token_proof"),
        ("empty jti", "DPoP", own(json!({"jti": ""})), "token_proof"),
        ("long jti", "DPoP", own(json!({"jti": "x".repeat(257)})), "token_proof"),
        ("no proof but words", "DPoP", vec!["x".into()], "token_proof"),
    ] {
        let authorization = format!("{scheme} {bound}");
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(proofs.iter().map(|proof| ("dpop", proof.as_str())));
        assert_eq!(world.who(request("GET", "/a?q=1", &headers)), expect, "{name}");
    }
    // The proof is removed with the token.
    let fresh = own(json!({"n": 9}));
    let headers = [("authorization", &*format!("DPoP {bound}")), ("dpop", &*fresh[0])];
    let (_, parts) = world.ask(request("GET", "/a", &headers)).unwrap();
    assert!(parts.headers.is_empty());
    // An unbound token is not a DPoP token.
    let unbound = format!("DPoP {}", token(json!({})));
    assert_eq!(world.who(request("GET", "/a", &[("authorization", &unbound)])), "token_proof");
}
