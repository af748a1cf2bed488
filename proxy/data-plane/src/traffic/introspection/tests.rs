//! What an issuer's answers mean for a request.
#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use identity::TrustDomain;
use policy::{IntrospectionRule, PolicyDefaults, Resources, Snapshot, SourceFile, Workload};
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 1_800_000_000;

fn rule(more: &str) -> Arc<IntrospectionRule> {
    Arc::clone(&snapshot(more, "").introspections().all()[0])
}

/// One TokenIntrospection, and other documents before it.
fn snapshot(more: &str, others: &str) -> Snapshot {
    let text = format!(
        "{others}apiVersion: policy.postern.dev/v1alpha1\nkind: TokenIntrospection\nmetadata: {{name: p, namespace: shop}}\n\
         spec: {{issuer: 'https://id.example', clientId: shop, clientSecretRef: {{name: s}}{more}}}\n"
    );
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
    let resources = Resources::parse(&[file], "postern-system").unwrap();
    let (namespace, service_account) = ("shop".to_owned(), "cart".to_owned());
    let workload = Workload { namespace, service_account, labels: [].into() };
    Snapshot::build(&resources, &workload, &PolicyDefaults::default())
}

/// `active`, a reason, or `unusable`.
fn verdict(more: &str, answer: &Value) -> &'static str {
    of_status(200, more, answer)
}

fn of_status(status: u16, more: &str, answer: &Value) -> &'static str {
    let (status, body) = (StatusCode::from_u16(status).unwrap(), answer.to_string());
    match verdict::of_answer(status, body.as_bytes(), &rule(more), NOW) {
        Ok(IntrospectionVerdict::Active(_)) => "active",
        Ok(IntrospectionVerdict::Refused(refusal)) => refusal.as_str(),
        Err(_) => "unusable",
    }
}

#[test]
fn answers() {
    const CART: &str = ", audiences: [cart]";
    let good = |more: Value| {
        let mut answer = json!({"active": true, "token_type": "Bearer", "sub": "ann"});
        answer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        answer
    };
    for (row, more, answer, expect) in [
        ("active", "", good(json!({})), "active"),
        ("in another case", "", good(json!({"token_type": "bearer"})), "active"),
        ("inactive", "", json!({"active": false}), "token_inactive"),
        ("inactive, whatever else", "", json!({"active": false, "sub": "ann"}), "token_inactive"),
        ("nothing", "", json!({}), "unusable"),
        ("active in words", "", json!({"active": "true"}), "unusable"),
        ("no object", "", json!([true]), "unusable"),
        ("its issuer", "", good(json!({"iss": "https://id.example"})), "active"),
        ("another issuer", "", good(json!({"iss": "https://id.example/"})), "token_issuer_unknown"),
        ("for us", CART, good(json!({"aud": "cart"})), "active"),
        ("for us among others", CART, good(json!({"aud": ["web", "cart"]})), "active"),
        ("for another", CART, good(json!({"aud": ["web"]})), "token_audience"),
        ("for nobody", CART, good(json!({})), "token_audience"),
        ("not over", "", good(json!({"exp": NOW + 1})), "active"),
        ("over, within what clocks differ", "", good(json!({"exp": NOW - 29})), "active"),
        ("over", "", good(json!({"exp": NOW - 30})), "token_expired"),
        ("not yet", "", good(json!({"nbf": NOW + 31})), "token_not_yet_valid"),
        ("issued in the future", "", good(json!({"iat": NOW + 31})), "token_not_yet_valid"),
        ("a time in words", "", good(json!({"exp": "never"})), "unusable"),
        ("a refresh token", "", good(json!({"token_type": "Refresh"})), "token_claims"),
        ("bound to a key", "", good(json!({"token_type": "DPoP"})), "token_claims"),
        ("bound to a certificate", "", good(json!({"cnf": {"x5t#S256": "a"}})), "token_claims"),
        ("what sort, nobody knows", "", json!({"active": true, "sub": "ann"}), "token_claims"),
        ("what sort, but for us", CART, json!({"active": true, "aud": "cart"}), "active"),
    ] {
        assert_eq!(verdict(more, &answer), expect, "{row}");
    }
}

#[test]
fn what_policy_sees_is_what_the_issuer_said() {
    let rule =
        rule(", claimHeaders: [{header: x-user, claim: sub}, {header: x-org, claim: org.id}]");
    let answer = json!({"active": true, "token_type": "Bearer", "sub": "ann", "aud": "cart", "scope": "read write",
        "exp": NOW + 60, "username": null, "org": {"id": 7}});
    let verdict =
        verdict::of_answer(StatusCode::OK, answer.to_string().as_bytes(), &rule, NOW).unwrap();
    let IntrospectionVerdict::Active(token) = verdict.clone() else { unreachable!() };
    let claims = &token.claims;
    assert_eq!(
        (claims.issuer.as_str(), claims.subject.as_deref()),
        ("https://id.example", Some("ann"))
    );
    assert_eq!(claims.audiences, ["cart"]);
    assert_eq!(claims.claims.get("scope"), Some(&json!("read write")));
    assert!(!claims.claims.contains_key("active") && !claims.claims.contains_key("username"));
    let made: Vec<_> =
        token.made.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    assert_eq!(made, [("x-user", &b"ann"[..]), ("x-org", b"7")]);
    // What is kept of it ends with the token.
    for (now, expect) in [(NOW, "active"), (NOW + 89, "active"), (NOW + 90, "refused")] {
        assert_eq!(verdict.clone().at(now).as_str(), expect, "{now}");
    }
}

#[test]
fn answers_of_another_status() {
    let active = json!({"active": true, "token_type": "Bearer"});
    let error = |code: &str| json!({ "error": code });
    for (row, status, answer, expect) in [
        ("not of its sort", 400, error("unsupported_token_type"), "token_inactive"),
        ("a question that it does not understand", 400, error("invalid_request"), "unusable"),
        ("we are not who we say", 401, error("invalid_client"), "unusable"),
        ("active, with an error", 500, active.clone(), "unusable"),
        ("active, made", 201, active, "unusable"),
        ("too many", 429, json!({}), "unusable"),
    ] {
        assert_eq!(of_status(status, "", &answer), expect, "{row}");
    }
}

/// Where a RequestAuthentication verifies tokens of the mesh, and one of another issuer.
const MESH_RULE: &str = "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: mesh, namespace: shop}\n\
    spec: {jwtRules: [{issuer: 'spiffe://cluster.local'}, {issuer: 'https://known.example', jwksUri: 'https://known.example/keys'}]}\n---\n";

#[test]
fn no_issuer_outside_is_shown_a_token_of_the_mesh() {
    let of = |claims: Value| {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let header = encode(r#"{"alg":"ES256","typ":"JWT"}"#);
        format!("{header}.{}.{}", encode(&claims.to_string()), encode("signature"))
    };
    let actor = json!({"sub": "spiffe://cluster.local/ns/shop/sa/front"});
    let internal = of(json!({"iss": "spiffe://cluster.local", "sub": "ann", "act": actor}));
    let renamed = of(json!({"iss": "https://mesh.example", "sub": "ann", "act": actor}));
    let external = of(json!({"iss": "https://id.example", "sub": "ann"}));
    let known = of(json!({"iss": "https://known.example", "sub": "ann"}));
    let own = TrustDomain::parse("cluster.local").unwrap();
    const ALL: &str = ", tokens: all";
    for (row, more, others, token, is_asked) in [
        ("of the mesh, which nobody verifies", "", "", &internal, false),
        ("of the mesh, which is verified", "", MESH_RULE, &internal, false),
        ("of the mesh, where all are asked about", ALL, "", &internal, false),
        ("the same, which is verified", ALL, MESH_RULE, &internal, false),
        ("under another name", ALL, MESH_RULE, &renamed, false),
        ("of an issuer that nobody verifies", "", MESH_RULE, &external, true),
        ("of one that is verified", "", MESH_RULE, &known, false),
        ("the same, where all are asked about", ALL, MESH_RULE, &known, true),
        ("opaque", "", MESH_RULE, &"abc".to_owned(), true),
    ] {
        let snapshot = snapshot(more, others);
        let about: Vec<_> = snapshot.introspections().about(None).collect();
        let place = &about[0].settings.places[0];
        let asked = sought::asking(&about, place, token.as_bytes(), (snapshot.tokens(), &own));
        assert_eq!(asked.is_some(), is_asked, "{row}");
    }
}

#[test]
fn nothing_stays_where_tokens_are_asked_about() {
    let own_header = ", forwardOriginalToken: true, fromHeaders: [{name: x-access-token}]";
    for (row, more, left) in [
        ("a header of its own", own_header, &["authorization"][..]),
        ("the usual one", "", &["x-access-token"]),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("Bearer abc"));
        headers.insert("x-access-token", HeaderValue::from_static("abc"));
        hide_all(snapshot(more, "").introspections(), None, &mut headers);
        let found: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
        assert_eq!(found, left, "{row}");
    }
}
