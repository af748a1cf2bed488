//! Every field of the language, one row each.

use super::*;

/// One ALLOW rule; is the request allowed?
#[track_caller]
fn check(rule: &str, ask: &TestRequest, expect: bool) {
    let snapshot = snapshot(&policy("p", &format!("{{rules: [{rule}]}}")));
    let verdict = ask.verdict(&snapshot);
    let expected =
        if expect { "allow shop/p 0 policy_allowed" } else { "deny - - no_matching_allow" };
    assert_eq!(verdict, expected, "{rule}\n{ask:?}");
    // The same rule as DENY refuses exactly what it matches, wherever facts have one reading.
    let text = policy("p", &format!("{{action: DENY, rules: [{rule}]}}"));
    let defaults = PolicyDefaults { authorization: DefaultAuthorization::Allow, ..permissive() };
    let expected = if expect { "deny shop/p 0 policy_denied" } else { "allow - - default_allow" };
    assert_eq!(ask.verdict(&snapshot_with(&text, &defaults)), expected, "DENY {rule}\n{ask:?}");
}

#[test]
fn sources() {
    for (source, peer, expect) in [
        ("principals: [td/ns/shop/sa/frontend]", "td/ns/shop/sa/frontend", true),
        ("principals: [td/ns/shop/sa/frontend]", "td/ns/shop/sa/other", false),
        ("principals: [td/ns/shop/sa/frontend]", "", false),
        ("principals: ['*']", "td/x", true),
        ("principals: ['*']", "", false),
        ("principals: ['td/ns/shop/*', a/b]", "td/ns/shop/sa/x", true),
        ("notPrincipals: [td/ns/shop/sa/frontend]", "td/ns/shop/sa/other", true),
        ("notPrincipals: [td/ns/shop/sa/frontend]", "td/ns/shop/sa/frontend", false),
        ("notPrincipals: [td/ns/shop/sa/frontend]", "", true),
        ("notPrincipals: ['*']", "", true),
        ("namespaces: [shop]", "td/ns/shop/sa/x", true),
        ("namespaces: [shop]", "td/ns/shop-b/sa/x", false),
        ("namespaces: [shop]", "td/a/ns/shop/sa/x", false),
        ("namespaces: [shop]", "ns.shop/ns/bank/sa/x", false),
        ("namespaces: ['sh*']", "td/ns/shop/sa/x", true),
        ("notNamespaces: [shop]", "td/ns/bank/sa/x", true),
        ("notNamespaces: [shop]", "", true),
        ("serviceAccounts: [shop/frontend]", "td/ns/shop/sa/frontend", true),
        ("serviceAccounts: [frontend]", "td/ns/shop/sa/frontend", true),
        ("serviceAccounts: [frontend]", "td/ns/bank/sa/frontend", false),
        ("notServiceAccounts: [frontend]", "td/ns/shop/sa/frontend", false),
        ("trustDomains: [td]", "td/ns/shop/sa/x", true),
        ("trustDomains: [td]", "td.evil/ns/shop/sa/x", false),
        ("trustDomains: ['td*']", "td.evil/ns/shop/sa/x", true),
        ("notTrustDomains: [td]", "", true),
        ("principals: ['*'], notPrincipals: [td/ns/shop/sa/x]", "td/ns/shop/sa/x", false),
        ("principals: ['*'], notPrincipals: [td/ns/shop/sa/x]", "td/ns/shop/sa/y", true),
        ("principals: ['*'], namespaces: [bank]", "td/ns/shop/sa/y", false),
    ] {
        check(&format!("{{from: [{{source: {{{source}}}}}]}}"), &TestRequest::peer(peer), expect);
    }
    check(
        "{from: [{source: {namespaces: [x]}}, {source: {namespaces: [shop]}}]}",
        &TestRequest::default(),
        true,
    );
}

#[test]
fn s47_addresses_of_sources() {
    for (source, from, remote, expect) in [
        ("ipBlocks: [10.0.0.0/8]", "10.1.1.1", None, true),
        ("ipBlocks: [10.0.0.0/8]", "::ffff:10.1.1.1", None, true),
        ("ipBlocks: ['::ffff:10.0.0.0/104']", "10.1.1.1", None, true),
        ("ipBlocks: [10.0.0.0/8]", "11.1.1.1", Some("10.1.1.1"), false),
        ("notIpBlocks: [10.0.0.0/8]", "11.1.1.1", None, true),
        ("notIpBlocks: [10.0.0.0/8]", "::ffff:10.1.1.1", None, false),
        ("remoteIpBlocks: [10.0.0.0/8]", "11.1.1.1", Some("::ffff:10.1.1.1"), true),
        ("remoteIpBlocks: [10.0.0.0/8]", "10.1.1.1", None, true),
        ("remoteIpBlocks: [10.0.0.0/8]", "10.1.1.1", Some("11.1.1.1"), false),
        ("notRemoteIpBlocks: [10.0.0.0/8]", "10.1.1.1", Some("11.1.1.1"), true),
    ] {
        let ask = TestRequest { source: from, remote, ..TestRequest::default() };
        check(&format!("{{from: [{{source: {{{source}}}}}]}}"), &ask, expect);
    }
}

#[test]
fn operations() {
    let get = TestRequest::default();
    for (operation, ask, expect) in [
        ("ports: ['8080']", get.clone(), true),
        ("ports: ['80', '443']", get.clone(), false),
        ("notPorts: ['8080']", get.clone(), false),
        ("methods: [GET]", get.clone(), true),
        ("methods: [GET]", TestRequest { method: "get", ..get.clone() }, false),
        ("methods: ['G*']", get.clone(), true),
        ("notMethods: [POST]", get.clone(), true),
        ("hosts: [CART]", get.clone(), true),
        ("hosts: ['*.shop']", TestRequest { host: "cart.SHOP.:80", ..get.clone() }, true),
        ("notHosts: [cart]", get.clone(), false),
        ("paths: [/a]", TestRequest { path: "/a?b=/c", ..get.clone() }, true),
        ("paths: ['/a/*']", TestRequest { path: "/x/../a/b", ..get.clone() }, true),
        ("paths: ['/a/{*}/c']", TestRequest { path: "/a/b/c", ..get.clone() }, true),
        ("notPaths: ['/a*']", TestRequest { path: "/b", ..get.clone() }, true),
        ("methods: [GET], paths: [/a]", TestRequest { path: "/b", ..get.clone() }, false),
    ] {
        check(&format!("{{to: [{{operation: {{{operation}}}}}]}}"), &ask, expect);
    }
    check("{}", &get, true);
    check("{to: [{operation: {methods: [POST]}}, {operation: {ports: ['8080']}}]}", &get, true);
    check(
        "{from: [{source: {namespaces: [shop]}}], to: [{operation: {methods: [POST]}}]}",
        &get,
        false,
    );
}

/// DENY judges every reading, ALLOW needs all of them.
#[test]
fn s12_path_canonicalisation_verdicts() {
    let deny = snapshot_with(
        &policy(
            "d",
            "{action: DENY, rules: [{to: [{operation: {paths: ['/admin', '/admin/*']}}]}]}",
        ),
        &PolicyDefaults { authorization: DefaultAuthorization::Allow, ..permissive() },
    );
    let allow = snapshot(&policy("a", "{rules: [{to: [{operation: {paths: ['/public/*']}}]}]}"));
    for (path, denied, allowed) in [
        ("/public/a", false, true),
        ("/public/a%20b", false, true),
        ("/public/a%2fb", false, true),
        ("/public%2fa", false, false),
        ("/admin", true, false),
        ("//admin", true, false),
        ("/./admin/x", true, false),
        ("/public/../admin/x", true, false),
        ("/public//../../admin/x", true, false),
        ("/%61dmin/x", true, false),
        ("/admin%2fx", true, false),
        ("/admin%5Cx", true, false),
        ("/admin\\x", true, false),
        ("/admin?x", true, false),
        ("/admin#x", false, false),
        ("/ADMIN", false, false),
        ("/admin;x", false, false),
    ] {
        if CanonicalPath::parse(path, PathNormalization::default()).is_err() {
            assert!(!denied && !allowed, "{path} is refused by the gate");
            continue;
        }
        let ask = TestRequest { path, ..TestRequest::default() };
        assert_eq!(ask.verdict(&deny).starts_with("deny"), denied, "{path}");
        assert_eq!(ask.verdict(&allow).starts_with("allow"), allowed, "{path}");
    }
}

fn token(claims: &str) -> TestRequest {
    let claims: serde_json::Map<String, serde_json::Value> = serde_json::from_str(claims).unwrap();
    let text = |name: &str| claims.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let audiences = claims.get("aud").and_then(|aud| aud.as_array()).cloned().unwrap_or_default();
    let token = TokenClaims {
        issuer: text("iss").unwrap_or_default(),
        subject: text("sub"),
        audiences: audiences.iter().filter_map(|aud| aud.as_str()).map(str::to_owned).collect(),
        claims,
    };
    TestRequest { token: Some(token), ..TestRequest::default() }
}

const TOKEN: &str = r#"{"iss":"https://i","sub":"ann","aud":["shop","bank"],"azp":"web","groups":["dev","ops"],
    "scope":"read write","role":"admin","deep":{"a":{"b":"c"}},"level":5,"empty":[]}"#;

#[test]
fn conditions() {
    let ask = TestRequest { sni: Some("cart.example"), remote: Some("1.2.3.4"), ..token(TOKEN) };
    for (key, values, expect) in [
        ("source.ip", "values: [10.0.0.0/8]", true),
        ("source.ip", "notValues: [10.0.0.7]", false),
        ("remote.ip", "values: [1.2.3.4]", true),
        ("source.namespace", "values: [shop]", true),
        ("source.principal", "values: [td/ns/shop/sa/frontend]", true),
        ("source.principal", "notValues: ['*']", false),
        ("source.trustDomain", "values: [td]", true),
        ("source.serviceAccount", "values: [frontend]", true),
        ("destination.ip", "values: [10.0.0.9]", true),
        ("destination.port", "values: ['8080']", true),
        ("destination.port", "notValues: ['8080']", false),
        ("connection.sni", "values: ['*.example']", true),
        ("connection.sni", "values: [other]", false),
        ("request.auth.principal", "values: ['https://i/ann']", true),
        ("request.auth.principal", "values: ['https://i/bob']", false),
        ("request.auth.audiences", "values: [bank]", true),
        ("request.auth.audiences", "notValues: [bank]", false),
        ("request.auth.presenter", "values: [web]", true),
        ("request.auth.claims[groups]", "values: [ops]", true),
        ("request.auth.claims[groups]", "values: ['dev ops']", false),
        ("request.auth.claims[groups]", "notValues: [ops]", false),
        ("request.auth.claims[scope]", "values: [write]", true),
        ("request.auth.claims[role]", "values: ['adm*']", true),
        ("request.auth.claims[deep][a][b]", "values: [c]", true),
        ("request.auth.claims[none]", "values: ['*']", false),
        ("request.auth.claims[none]", "notValues: ['*']", true),
        ("request.auth.claims[empty]", "values: ['*']", false),
        ("request.headers[x]", "notValues: [a]", true),
        ("request.headers[x]", "values: [a]", false),
    ] {
        check(&format!("{{when: [{{key: '{key}', {values}}}]}}"), &ask, expect);
    }
    for key in ["source.principal", "source.namespace"] {
        check(&format!("{{when: [{{key: {key}, values: ['*']}}]}}"), &TestRequest::peer(""), false);
        check(
            &format!("{{when: [{{key: {key}, notValues: ['*']}}]}}"),
            &TestRequest::peer(""),
            true,
        );
    }
    check("{from: [{source: {requestPrincipals: ['https://i/*']}}]}", &token(TOKEN), true);
    check("{from: [{source: {requestPrincipals: ['*']}}]}", &TestRequest::default(), false);
    check("{from: [{source: {notRequestPrincipals: ['*']}}]}", &TestRequest::default(), true);
    check(
        "{when: [{key: source.ip, values: [10.0.0.7]}, {key: connection.sni, values: [x]}]}",
        &TestRequest::default(),
        false,
    );
}

/// A claim of a type that can't be judged allows nothing and excuses nothing (S-18).
#[test]
fn s18_policy_semantics_unevaluable_claims() {
    for claim in ["level", "deep"] {
        for values in ["values: ['5']", "notValues: ['6']"] {
            let rule =
                format!("rules: [{{when: [{{key: 'request.auth.claims[{claim}]', {values}}}]}}]");
            let allow = snapshot(&policy("p", &format!("{{{rule}}}")));
            assert_eq!(token(TOKEN).verdict(&allow), "deny - - no_matching_allow", "{rule}");
            let deny = snapshot(&policy("p", &format!("{{action: DENY, {rule}}}")));
            assert_eq!(token(TOKEN).verdict(&deny), "deny shop/p 0 policy_denied", "{rule}");
        }
    }
}

/// However deep a rule's path is and however it is spelt, the filing by segments finds it.
#[test]
fn rules_are_found_by_the_segments_of_their_paths() {
    for (pattern, path) in [
        ("/", "/"),
        ("/a", "/a"),
        ("/a/", "/a/"),
        ("/a*", "/ab/c"),
        ("/a/*", "/a/"),
        ("/a/b*", "/a/bc/d"),
        ("/a/b/c/d/e", "/a/b/c/d/e"),
        ("/a/b/c/d/e/*", "/a/b/c/d/e/f/g"),
        ("/a/{*}/c", "/a/x/c"),
        ("/a/b/{**}", "/a/b/"),
        ("/{*}/b", "/x/b"),
        ("*/c", "/a/b/c"),
        ("/a%2Fb/c/*", "/a%2Fb/c/d"),
        ("/a%2Fb/c", "/a%2fb/c"),
    ] {
        for (action, expect) in [("ALLOW", "allow t/p"), ("DENY", "deny t/p")] {
            // Others stand around it, so that a rule that is filed wrongly is not found by luck.
            let spec = |path: &str| {
                format!(
                    "{{action: {action}, rules: [{{to: [{{operation: {{paths: ['{path}']}}}}]}}]}}"
                )
            };
            let text = policy("p", &spec(pattern)) + &policy("q", &spec("/never/asked/for"));
            let found = TestRequest { path, ..TestRequest::default() }.verdict(&snapshot(&text));
            let expect = expect.replace("t/p", "shop/p 0");
            assert!(found.starts_with(&expect), "{action} {pattern} {path}: {found}");
        }
    }
}
