//! What is decided of a line: by policy, by the port, by the gate.

use crate::explain::tests::*;

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
        (json!({"x-role": ["admin"], "api_key": "1"}), "allow", "policy_allowed"),
        (json!({"x-role": ["admin"], "x_forwarded_for": "1"}), "deny", "underscore_in_header_name"),
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
    let mut ask = line(FRONTEND, "GET", "cart", "/cart/ann");
    ask["request"]["headers"] = json!({"api_key": "1"});
    for (setting, decision, noted) in
        [("allow", "allow", false), ("drop", "allow", true), ("refuse", "deny", false)]
    {
        let found = first(&format!("headersWithUnderscores: {setting}"), &[cart], &ask);
        assert_eq!((&found["decision"], found["note"].is_string()), (&json!(decision), noted));
    }
}
