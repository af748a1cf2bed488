//! What a line may leave out, and what makes it bad input.

use crate::explain::tests::*;

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
        assert_eq!(outcome, ExplainOutcome::BadInput);
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
            (&json!("deny"), &json!("bad_input"), ExplainOutcome::BadInput),
            "{pointer} {wrong}"
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
