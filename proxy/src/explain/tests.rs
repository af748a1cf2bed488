//! Lines in, lines out.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use policy::{Resources, SourceFile};
use serde_json::{Value, json};

const LEAST: &str = "workload: {namespace: shop, serviceAccount: cart, labels: {app: cart}}\nidentity: {workloadApi: unix:///run/a}\n";

/// Answers the lines under a configuration (added to the least one) and the specs of AuthorizationPolicies `shop/p0`, `shop/p1`, ….
fn answers(config: &str, specs: &[&str], lines: &str) -> (Vec<Value>, Outcome) {
    let config =
        Config::parse("c", format!("{LEAST}{config}").as_bytes()).unwrap_or_else(|m| panic!("{m}"));
    let text: String = specs
        .iter()
        .enumerate()
        .map(|(index, spec)| format!("---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p{index}, namespace: shop}}\nspec: {spec}\n"))
        .collect();
    let files = [SourceFile { name: "r".into(), bytes: format!("# none\n{text}").into_bytes() }];
    let resources =
        Resources::parse(&files, &config.root_namespace).unwrap_or_else(|m| panic!("{m}"));
    let snapshot =
        Snapshot::build(&resources, &config.workload, &config.defaults, &config.trust_domain);
    let mut out = Vec::new();
    let outcome = run(&config, &snapshot, lines.as_bytes(), &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    (out.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), outcome)
}

#[track_caller]
fn check(config: &str, specs: &[&str], line: &Value, expect: Value) {
    let (mut found, outcome) = answers(config, specs, &line.to_string());
    // Beside the verdict; they have tests of their own.
    for key in ["nearest", "would", "note"] {
        found[0].as_object_mut().unwrap().remove(key);
    }
    assert_eq!(found, [expect], "{config} {specs:?} {line}");
    assert_eq!(outcome, Outcome::AllUnderstood);
}

fn line(principal: &str, method: &str, host: &str, path: &str) -> Value {
    json!({
        "source": {"principal": principal, "ip": "10.0.0.7"},
        "destination": {"ip": "10.0.0.9", "port": 8080},
        "connection": {"sni": ""},
        "request": {"method": method, "host": host, "path": path, "headers": {}}
    })
}

fn answer(
    decision: &str,
    policy: Option<&str>,
    rule: Option<u32>,
    reason: &str,
    path: Option<&str>,
) -> Value {
    json!({"decision": decision, "policy": policy, "rule": rule, "reason": reason, "path": path})
}

const FRONTEND: &str = "cluster.local/ns/shop/sa/frontend";
const ALLOW: &str = "{rules: [{to: [{operation: {methods: [POST]}}]}, {from: [{source: {principals: [cluster.local/ns/shop/sa/frontend]}}]}]}";

#[test]
fn the_line_of_the_manual() {
    let line = json!({"source":{"principal":FRONTEND,"ip":"10.0.0.7"},"destination":{"ip":"10.0.0.9","port":8080},"connection":{"sni":""},
        "request":{"method":"GET","host":"cart","path":"/a?b","headers":{"x":["y"]},"jwt":{"iss":"i","sub":"s","aud":["a"],"claims":{}}}});
    check(
        "",
        &[ALLOW],
        &line,
        answer("allow", Some("shop/p0"), Some(1), "policy_allowed", Some("/a")),
    );
}

#[test]
fn verdicts() {
    let get = |path: &str| line(FRONTEND, "GET", "cart", path);
    check("", &[], &get("/"), answer("deny", None, None, "default_deny", Some("/")));
    check(
        "defaults: {authorization: allow}",
        &[],
        &get("/"),
        answer("allow", None, None, "default_allow", Some("/")),
    );
    check(
        "defaults: {authorization: audit}",
        &[],
        &get("/"),
        answer("allow", None, None, "default_audit", Some("/")),
    );
    check(
        "",
        &[ALLOW],
        &get("//a/./b"),
        answer("allow", Some("shop/p0"), Some(1), "policy_allowed", Some("/a/b")),
    );
    check(
        "",
        &[ALLOW],
        &line("cluster.local/ns/x/sa/y", "GET", "cart", "/"),
        answer("deny", None, None, "no_matching_allow", Some("/")),
    );
    let deny = "{action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}";
    check(
        "",
        &[ALLOW, deny],
        &get("/%61dmin"),
        answer("deny", Some("shop/p1"), Some(0), "policy_denied", Some("/admin")),
    );
    check(
        "pathNormalization: DECODE_AND_MERGE_SLASHES",
        &[ALLOW],
        &get("/a%2fb"),
        answer("allow", Some("shop/p0"), Some(1), "policy_allowed", Some("/a/b")),
    );
}

#[test]
fn mtls_modes() {
    let plain = json!({"source": {"ip": "10.0.0.7"}, "destination": {"ip": "10.0.0.9", "port": 8080}, "request": {"method": "POST", "host": "cart", "path": "/"}});
    check("", &[ALLOW], &plain, answer("deny", None, None, "peer_not_authenticated", None));
    check(
        "defaults: {mtls: PERMISSIVE}",
        &[ALLOW],
        &plain,
        answer("allow", Some("shop/p0"), Some(0), "policy_allowed", Some("/")),
    );
    check(
        "inbound: {ports: {8080: {mtls: PERMISSIVE}}}",
        &[ALLOW],
        &plain,
        answer("allow", Some("shop/p0"), Some(0), "policy_allowed", Some("/")),
    );
    let get = line(FRONTEND, "GET", "cart", "/");
    check(
        "defaults: {mtls: DISABLE}",
        &[ALLOW],
        &get,
        answer("deny", None, None, "no_matching_allow", Some("/")),
    );
}

#[test]
fn no_request_is_tcp() {
    let tcp = json!({"source": {"principal": FRONTEND, "ip": "10.0.0.7"}, "destination": {"ip": "10.0.0.9", "port": 8080}});
    check("", &[ALLOW], &tcp, answer("allow", Some("shop/p0"), Some(1), "policy_allowed", None));
    check(
        "",
        &["{rules: [{to: [{operation: {methods: [GET]}}]}]}"],
        &tcp,
        answer("deny", None, None, "no_matching_allow", None),
    );
    check(
        "",
        &[ALLOW, "{action: DENY, rules: [{to: [{operation: {methods: [PUT]}}]}]}"],
        &tcp,
        answer("deny", Some("shop/p1"), Some(0), "policy_denied", None),
    );
    check(
        "inbound: {ports: {8080: {protocol: http}}}",
        &[ALLOW],
        &tcp,
        answer("deny", None, None, "protocol_undecided", None),
    );
    check(
        "inbound: {listeners: [{bind: 127.0.0.1:1, forward: 127.0.0.1:8080, protocol: grpc}]}",
        &[ALLOW],
        &tcp,
        answer("deny", None, None, "protocol_undecided", None),
    );
}

/// What the gate refuses is refused with the gate's reason and no path.
#[test]
fn the_gate_stands_before_policy() {
    for (method, host, path, reason) in [
        ("GET", "cart", "admin", "invalid_target"),
        ("GET", "cart", "", "path_no_leading_slash"),
        ("GET", "cart", "*", "invalid_target"),
        ("GET", "cart", "/a%00", "path_nul"),
        ("GET", "cart", "/a\u{0}", "path_nul"),
        ("GET", "cart", "/a%zz", "path_bad_escape"),
        ("GET", "cart", "/%c0%af", "path_overlong_utf8"),
        ("GET", "cart", "/..", "path_above_root"),
        ("GET", "cart", "/x/..%2fadmin", "path_hidden_dots"),
        ("GET", "cart", "/a b", "path_control_character"),
        ("GET", "a@cart", "/", "invalid_host"),
        ("GET", "cart", "http://other/", "host_mismatch"),
        ("CONNECT", "cart", "/", "connect_refused"),
        ("G T", "cart", "/", "unknown_method"),
    ] {
        check(
            "",
            &[ALLOW],
            &line(FRONTEND, method, host, path),
            answer("deny", None, None, reason, None),
        );
    }
    let mut no_host = line(FRONTEND, "GET", "cart", "/");
    no_host["request"].as_object_mut().unwrap().remove("host");
    check("", &[ALLOW], &no_host, answer("deny", None, None, "host_missing", None));
    let mut headers = line(FRONTEND, "GET", "cart", "/");
    headers["request"]["headers"] = json!({"Host": "other"});
    check("", &[ALLOW], &headers, answer("deny", None, None, "host_repeated", None));
    headers["request"]["headers"] = json!({"x": ["a\r\nb"]});
    check("", &[ALLOW], &headers, answer("deny", None, None, "invalid_header", None));
}

/// S-14: one host, one verdict.
#[test]
fn s14_host_spelling_explained() {
    let spec = "{rules: [{to: [{operation: {hosts: [cart.shop]}}]}]}";
    for host in
        ["cart.shop", "CART.SHOP", "cart.shop.", "cart.shop:80", "Cart.Shop.:80", "cart.shop:8080"]
    {
        check(
            "",
            &[spec],
            &line(FRONTEND, "GET", host, "/"),
            answer("allow", Some("shop/p0"), Some(0), "policy_allowed", Some("/")),
        );
    }
}

/// S-15: any value denies, all must allow; names know no case, and `_` is no `-`.
#[test]
fn s15_header_conditions_explained() {
    let allow = "{rules: [{when: [{key: 'request.headers[X-Role]', values: [admin]}]}]}";
    for (headers, decision, reason) in [
        (json!({"x-role": ["admin"]}), "allow", "policy_allowed"),
        (json!({"X-ROLE": "admin"}), "allow", "policy_allowed"),
        (json!({"X-Role": ["admin", "user"]}), "deny", "no_matching_allow"),
        (json!({"x-role": ["admin, user"]}), "deny", "no_matching_allow"),
        (json!({}), "deny", "no_matching_allow"),
        (json!({"x_role": ["admin"]}), "deny", "underscore_in_header_name"),
    ] {
        let mut ask = line(FRONTEND, "GET", "cart", "/");
        ask["request"]["headers"] = headers.clone();
        let (found, _) = answers("", &[allow], &ask.to_string());
        assert_eq!(
            (&found[0]["decision"], &found[0]["reason"]),
            (&json!(decision), &json!(reason)),
            "{headers}"
        );
    }
}

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

/// A line that is no request is answered in its place, and the others are answered as if it were not there.
#[test]
fn bad_lines_in_their_place() {
    let good = line(FRONTEND, "GET", "cart", "/").to_string();
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(2 << 20));
    for bad in [
        "nonsense",
        "[]",
        "{}",
        r#"{"destination":{"port":0}}"#,
        r#"{"destination":{"port":70000}}"#,
        r#"{"destination":{"port":80},"sorce":{}}"#,
        r#"{"destination":{"port":80},"source":{"principal":""}}"#,
        r#"{"destination":{"port":80},"source":{"principal":"a b"}}"#,
        r#"{"destination":{"port":80},"source":{"ip":"10.0.0"}}"#,
        r#"{"destination":{"port":80},"destination":{"port":81}}"#,
        r#"{"destination":{"port":80},"request":{"method":"GET"}}"#,
        "\u{fffd}",
        long.as_str(),
    ] {
        let (found, outcome) = answers("", &[ALLOW], &format!("{good}\n{bad}\r\n\n{good}"));
        let reasons: Vec<_> =
            found.iter().map(|answer| answer["reason"].as_str().unwrap()).collect();
        assert_eq!(reasons, ["policy_allowed", "bad_input", "policy_allowed"], "{bad:.80}");
        assert_eq!(found[1]["decision"], "deny");
        assert_eq!(outcome, Outcome::BadInput);
    }
}

/// What the contract leaves out, or says with null, is the same as not said.
#[test]
fn what_is_left_out_is_not_said() {
    let full = line(FRONTEND, "POST", "cart", "/a?b");
    let allowed = answer("allow", Some("shop/p0"), Some(0), "policy_allowed", Some("/a"));
    let set = |pointer: &str, value: Value| {
        let mut line = full.clone();
        *line.pointer_mut(pointer).unwrap() = value;
        line
    };
    for same in [
        full.clone(),
        set("/connection", Value::Null),
        set("/connection/sni", Value::Null),
        set("/connection", json!({})),
        set("/source/ip", Value::Null),
        set("/destination", json!({"port": 8080})),
        set("/destination/ip", json!("fd00::9")),
        set("/source/ip", json!("::ffff:10.0.0.7")),
        set("/request/headers", Value::Null),
        set("/request/headers", json!({"x": "y", "z": ["1", "2"], "e": [], "f": [""]})),
        set("/source/principal", json!("spiffe://cluster.local/ns/shop/sa/frontend")),
        set("/request", json!({"method": "POST", "host": "cart", "path": "/a?b"})),
        set("/request", json!({"method": "POST", "path": "/a", "headers": {"Host": "cart"}})),
        set("/request", json!({"method": "POST", "host": "cart", "path": "http://cart/a"})),
        set("/request", json!({"method": "POST", "host": "cart", "path": "/a", "jwt": null})),
        set("/request", json!({"method": "POST", "host": "cart", "path": "/a", "jwt": {}})),
        set(
            "/request",
            json!({"method": "POST", "host": "cart", "path": "/a", "jwt": {"claims": null, "aud": null}}),
        ),
        set("/request", json!({"method": "POST", "host": "[::1]:8080", "path": "/a"})),
    ] {
        check("", &[ALLOW], &same, allowed.clone());
    }
    let tcp = answer("allow", Some("shop/p0"), Some(1), "policy_allowed", None);
    check("", &[ALLOW], &set("/request", Value::Null), tcp);
    let plaintext = answer("deny", None, None, "peer_not_authenticated", None);
    for nobody in [
        set("/source", Value::Null),
        set("/source", json!({})),
        set("/source/principal", Value::Null),
        set("/source", json!({"ip": "10.0.0.7"})),
    ] {
        check("", &[ALLOW], &nobody, plaintext.clone());
    }
    let host = |host| answer("deny", None, None, host, None);
    check("", &[ALLOW], &set("/request/host", json!("")), host("invalid_host"));
    check("", &[ALLOW], &set("/request/host", Value::Null), host("host_missing"));
}

/// What a line says wrongly is bad input, never something near it.
#[test]
fn what_is_wrong_is_bad_input() {
    let full = line(FRONTEND, "POST", "cart", "/a");
    for (pointer, wrong) in [
        ("/destination/port", json!("8080")),
        ("/destination/port", json!(8080.5)),
        ("/destination/port", json!(-1)),
        ("/destination/port", Value::Null),
        ("/destination", Value::Null),
        ("/destination/ip", json!("10.0.0.0/8")),
        ("/source/ip", json!("10.0.0.256")),
        ("/source/ip", json!("fe80::1%eth0")),
        ("/source/principal", json!("cluster.local")),
        ("/source/principal", json!("cluster.local/ns/shop/sa/front end")),
        ("/source/principal", json!("CLUSTER.local/ns/shop/sa/frontend")),
        ("/source/principal", json!("cluster.local/ns/shop/../frontend")),
        ("/source/principal", json!(["cluster.local/ns/shop/sa/frontend"])),
        ("/source", json!("frontend")),
        ("/connection", json!({"sni": 1})),
        ("/connection", json!({"snl": "x"})),
        ("/request", json!("GET /")),
        ("/request/method", Value::Null),
        ("/request/path", json!(1)),
        ("/request/headers", json!({"x": 1})),
        ("/request/headers", json!({"x": [null]})),
        ("/request/headers", json!([["x", "y"]])),
        ("/request", json!({"method": "POST", "host": "cart", "path": "/a", "header": {}})),
        ("/request", json!({"method": "POST", "host": "cart", "path": "/a", "jwt": "e30."})),
        ("/request", json!({"method": "POST", "host": "cart", "path": "/a", "jwt": {"iss": 1}})),
        ("/request", json!({"method": "POST", "host": "cart", "path": "/a", "jwt": {"exp": 1}})),
        (
            "/request",
            json!({"method": "POST", "host": "cart", "path": "/a", "jwt": {"claims": []}}),
        ),
    ] {
        let mut line = full.clone();
        *line.pointer_mut(pointer).unwrap() = wrong.clone();
        let (found, outcome) = answers("", &[ALLOW], &line.to_string());
        assert_eq!(
            (&found[0]["decision"], &found[0]["reason"], outcome),
            (&json!("deny"), &json!("bad_input"), Outcome::BadInput),
            "{pointer} {wrong}"
        );
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
    let snapshot =
        Snapshot::build(&resources, &config.workload, &config.defaults, &config.trust_domain);
    for (caller, issuer, reason) in [
        (FRONTEND, "i", "policy_allowed"),
        ("cluster.local/ns/shop/sa/reports", "i", "token_presenter"),
        ("cluster.local/ns/shop/sa/reports", "other", "policy_allowed"),
    ] {
        let mut ask = line(caller, "GET", "cart", "/a");
        ask["request"]["jwt"] = json!({"iss": issuer, "sub": "ann", "aud": ["cart"]});
        let line = Line::parse(ask.to_string().as_bytes()).unwrap();
        let answer = explain(&config, &snapshot, &line);
        assert_eq!(
            (answer.reason, answer.path.as_deref()),
            (reason, Some("/a")),
            "{caller} {issuer}"
        );
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

    /// Whatever stands in a line, there is one answer for it, and a deny where it is no request.
    #[test]
    fn s53_panics_no_line_ends_in_one(
        principal in ".{0,20}",
        method in "[A-Za-z ]{0,8}|.{0,4}",
        host in "[a-z.:@\\[\\]0-9]{0,12}|.{0,6}",
        path in "[/a-z%0-9.?*#]{0,24}|.{0,12}",
        name in "[a-z_-]{0,8}|.{0,4}",
        value in ".{0,12}",
        port in 0u32..70_000,
    ) {
        let line = json!({"source": {"principal": principal}, "destination": {"port": port},
            "request": {"method": method, "host": host, "path": path, "headers": {name: [value]}}});
        let named = json!({"source": {"principal": FRONTEND}, "destination": {"port": 8080},
            "request": line["request"]});
        let lines = format!("{line}\n{named}\n{}\n", value.replace(['\n', '\r'], "x") + "x");
        let (found, _) = answers("", &[ALLOW], &lines);
        proptest::prop_assert_eq!(found.len(), 3);
        for answer in &found {
            let allowed = answer["decision"] == "allow";
            proptest::prop_assert_eq!(allowed, answer["reason"] == "policy_allowed");
            proptest::prop_assert!(!allowed || answer["path"].is_string());
        }
    }
}

/// The extra keys: what a refusal came nearest to, what is only watched, what a line cannot say.
#[test]
fn beside_the_verdict() {
    let first = |config: &str, specs: &[&str], line: &Value| {
        answers(config, specs, &line.to_string()).0.remove(0)
    };
    let cart = "{rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/frontend]}}], to: [{operation: {methods: [GET], paths: [/cart/*]}}]}]}";
    let found = first("", &[cart], &line(FRONTEND, "DELETE", "cart", "/cart/ann"));
    assert_eq!(
        found["nearest"],
        json!({"policy": "shop/p0", "rule": 0, "missing": ["method"],
               "would_match_but_for": "method DELETE, and the rule wants GET"})
    );
    let allowed = first("", &[cart], &line(FRONTEND, "GET", "cart", "/cart/ann"));
    assert_eq!((&allowed["nearest"], &allowed["would"]), (&Value::Null, &Value::Null));
    let audit = first("defaults: {authorization: audit}", &[], &line(FRONTEND, "GET", "cart", "/"));
    assert_eq!(
        audit["would"],
        json!([{"decision": "would_deny", "by": "default", "reason": "default_deny", "policy": null, "rule": null}])
    );
    let mut tcp = line(FRONTEND, "GET", "cart", "/");
    tcp.as_object_mut().unwrap().remove("request");
    let note = |config: &str, specs: &[&str]| first(config, specs, &tcp)["note"].is_string();
    assert!(note("", &[ALLOW]), "HTTP rules on an undeclared port");
    assert!(!note("inbound: {ports: {8080: {protocol: tcp}}}", &[ALLOW]));
    assert!(!note("", &["{rules: [{}]}"]));
}
