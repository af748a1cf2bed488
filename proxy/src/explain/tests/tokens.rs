//! Lines with a verified token.

use crate::explain::tests::*;

#[test]
fn tokens_and_server_names() {
    let spec = "{rules: [{from: [{source: {requestPrincipals: ['https://i/ann']}}], when: [{key: 'request.auth.claims[groups]', values: [dev]}, {key: request.auth.audiences, values: [shop]}, {key: connection.sni, values: ['cart.*']}]}]}";
    let mut ask = line(FRONTEND, "GET", "cart", "/");
    ask["connection"]["sni"] = json!("cart.example");
    ask["request"]["jwt"] = json!({"iss": "https://i", "sub": "ann", "aud": "shop", "claims": {"groups": ["ops", "dev"]}});
    check(
        "",
        &[spec],
        &ask,
        answer("allow", Some("shop/p0"), Some(0), "policy_allowed", Some("/")),
    );
    ask["request"]["jwt"]["aud"] = json!(["bank"]);
    check("", &[spec], &ask, answer("deny", None, None, "no_matching_allow", Some("/")));
}

#[test]
fn api_keys() {
    let keys = "---\napiVersion: policy.postern.dev/v1alpha1\nkind: ApiKeyPolicy\nmetadata: {name: k, namespace: shop}\n\
                spec: {keys: [{id: a, client: acme, hash: 'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'}]}\n";
    let spec = format!(
        "{{rules: [{{when: [{{key: 'request.auth.apiKey[scopes]', values: [read]}}]}}]}}\n{keys}"
    );
    let preflight = json!({"origin": "https://a.example", "access-control-request-method": "GET"});
    for (row, method, key, headers, decision, reason) in [
        ("none", "GET", json!(null), json!({}), "deny", "api_key_missing"),
        ("a preflight", "OPTIONS", json!(null), preflight, "deny", "no_matching_allow"),
        ("the scope", "GET", json!({"scopes": ["read"]}), json!({}), "allow", "policy_allowed"),
        ("another", "GET", json!({"client": "acme"}), json!({}), "deny", "no_matching_allow"),
    ] {
        let mut ask = line(FRONTEND, method, "cart", "/");
        ask["request"]["apiKey"] = key;
        ask["request"]["headers"] = headers;
        let (found, _) = answers("", &[&spec], &ask.to_string());
        assert_eq!(found[0]["decision"], decision, "{row}");
        assert_eq!(found[0]["reason"], reason, "{row}");
    }
}

/// A token may say who it is of beside its claims or among them; without both it has no principal.
#[test]
fn tokens_with_parts_left_out() {
    let spec = "{rules: [{from: [{source: {requestPrincipals: ['https://i/ann']}}], when: [{key: request.auth.audiences, values: [shop]}]}]}";
    for (token, decision) in [
        (json!({"iss": "https://i", "sub": "ann", "aud": ["shop"]}), "allow"),
        (json!({"iss": "https://i", "sub": "ann", "aud": "shop", "claims": {}}), "allow"),
        (json!({"claims": {"iss": "https://i", "sub": "ann", "aud": ["x", "shop"]}}), "allow"),
        (json!({"iss": "https://i", "sub": "ann", "claims": {"iss": "x", "aud": "shop"}}), "allow"),
        (json!({"iss": "x", "claims": {"iss": "https://i", "sub": "ann", "aud": "shop"}}), "deny"),
        (json!({"iss": "https://i", "sub": "ann"}), "deny"),
        (json!({"iss": "https://i", "sub": "ann", "aud": []}), "deny"),
        (json!({"iss": "https://i", "aud": ["shop"]}), "deny"),
        (json!({"sub": "ann", "aud": ["shop"]}), "deny"),
        (json!({"sub": "https://i/ann", "aud": ["shop"]}), "deny"),
        (json!({}), "deny"),
    ] {
        let mut ask = line(FRONTEND, "GET", "cart", "/");
        ask["request"]["jwt"] = token.clone();
        let (found, _) = answers("", &[spec], &ask.to_string());
        assert_eq!(found[0]["decision"], decision, "{token}");
    }
}

/// A TokenPolicy keeps a good token from a peer that may not present it, here as live.
#[test]
fn s40_token_of_another_presenter() {
    let config = Config::parse("c", LEAST.as_bytes()).unwrap_or_else(|m| panic!("{m}"));
    let text = "apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: users, namespace: shop}
spec: {jwtRules: [{issuer: i, jwksUri: 'https://i/keys'}]}
---
apiVersion: policy.postern.dev/v1alpha1
kind: TokenPolicy
metadata: {name: bound, namespace: shop}
spec: {issuer: i, principals: [cluster.local/ns/shop/sa/frontend]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: all, namespace: shop}
spec: {rules: [{}]}
";
    let files = [SourceFile { name: "r".into(), bytes: text.into() }];
    let resources =
        Resources::parse(&files, &config.root_namespace).unwrap_or_else(|m| panic!("{m}"));
    let snapshot = Snapshot::build(&resources, &config.workload, &config.defaults);
    for (caller, issuer, reason) in [
        (FRONTEND, "i", "policy_allowed"),
        ("cluster.local/ns/shop/sa/reports", "i", "token_presenter"),
        ("cluster.local/ns/shop/sa/reports", "other", "policy_allowed"),
    ] {
        let mut ask = line(caller, "GET", "cart", "/a");
        ask["request"]["jwt"] = json!({"iss": issuer, "sub": "ann", "aud": ["cart"]});
        let line = InputLine::parse(ask.to_string().as_bytes()).unwrap();
        let answer = explain(&config, &snapshot, &line);
        assert_eq!(
            (answer.reason, answer.path.as_deref()),
            (reason, Some("/a")),
            "{caller} {issuer}"
        );
    }
}
