//! The nearest miss: which rule, and by what.

use std::sync::LazyLock;

use super::*;

/// "<policy> <rule> <missing>", or "-".
fn nearest(snapshot: &Snapshot, ask: &TestRequest, opaque: bool) -> (String, String) {
    ask.with(|connection, request| {
        let request = (!opaque).then_some(request);
        let decided = match request {
            Some(request) => snapshot.authorize_request(connection, request),
            None => snapshot.authorize_opaque(connection),
        };
        let denial = decided.expect_err("a refusal");
        match snapshot.nearest_miss(connection, request, &denial, 64) {
            None => ("-".into(), String::new()),
            Some(miss) => (
                format!("{} {} {}", miss.policy, miss.rule, miss.missing.join(",")),
                miss.would_match_but_for,
            ),
        }
    })
}

const CART: &str = "{rules: [
  {from: [{source: {principals: [td/ns/shop/sa/frontend]}}],
   to: [{operation: {ports: ['8080'], methods: [GET, POST], paths: [/cart/*]}},
        {operation: {ports: ['8080'], methods: [GET], paths: [/headers]}}]},
  {from: [{source: {principals: [td/ns/shop/sa/frontend]}}], to: [{operation: {ports: ['9000']}}]},
  {from: [{source: {namespaces: [ops]}}],
   when: [{key: 'request.headers[x-reason]', values: ['*']}]}]}";

#[test]
fn the_rule_that_fails_by_least() {
    let snapshot = snapshot(&policy("p", CART));
    let ask = |peer, method, path| TestRequest { method, path, ..TestRequest::peer(peer) };
    for (ask, expect, told) in [
        (
            ask("td/ns/shop/sa/frontend", "DELETE", "/cart/ann"),
            "shop/p 0 method",
            "method DELETE, and the rule wants GET or POST",
        ),
        (
            ask("td/ns/shop/sa/frontend", "GET", "/orders"),
            "shop/p 0 path",
            "path /orders, and the rule wants /cart/*",
        ),
        (
            ask("td/ns/shop/sa/frontend", "PUT", "/headers"),
            "shop/p 0 method",
            "method PUT, and the rule wants GET",
        ),
        (
            ask("td/ns/shop/sa/reports", "GET", "/cart/ann"),
            "shop/p 0 principal",
            "principal td/ns/shop/sa/reports, and the rule wants td/ns/shop/sa/frontend",
        ),
        (
            ask("td/ns/ops/sa/shell", "GET", "/cart/ann"),
            "shop/p 2 request.headers[x-reason]",
            "request.headers[x-reason]: absent, or not what the rule wants",
        ),
        (
            ask("", "GET", "/cart/ann"),
            "shop/p 0 principal",
            "principal (plaintext: none), and the rule wants td/ns/shop/sa/frontend",
        ),
    ] {
        let found = nearest(&snapshot, &ask, false);
        assert_eq!((&*found.0, &*found.1), (expect, told), "{ask:?}");
    }
}

/// An `ALLOW` rule must match every reading of a path; where one stands in the way, it is named.
#[test]
fn s12_path_canonicalisation_the_reading_that_stands_in_the_way() {
    use PathNormalization::{Base, MergeSlashes, None as AsSent};
    for (paths, level, path, told) in [
        (
            "paths: ['/svc/{**}/x']",
            Base,
            "/svc//x",
            "path /svc//x, which an app may read as /svc/x, and the rule wants /svc/{**}/x",
        ),
        (
            "paths: ['/svc/{**}/x']",
            MergeSlashes,
            "/svc//x",
            "path /svc/x, and the rule wants /svc/{**}/x",
        ),
        ("paths: ['/svc/{**}/x']", Base, "/svc/x", "path /svc/x, and the rule wants /svc/{**}/x"),
        (
            "paths: ['/repo/{*}']",
            MergeSlashes,
            "/repo/a%2fb",
            "path /repo/a%2Fb, which an app may read as /repo/a/b, and the rule wants /repo/{*}",
        ),
        (
            "paths: ['/repo/{*}']",
            MergeSlashes,
            "/repo/a%0a%2fb",
            "path /repo/a%0A%2Fb, which an app may read as /repo/a\\n/b, and the rule wants /repo/{*}",
        ),
        (
            "paths: ['/a/*']",
            AsSent,
            "/a/../b",
            "path /a/../b, which an app may read as /b, and the rule wants /a/*",
        ),
        (
            "notPaths: [/admin/*]",
            MergeSlashes,
            "/admin%2Fx",
            "path /admin%2Fx, which an app may read as /admin/x, and the rule wants anything but /admin/*",
        ),
        (
            "notPaths: [/admin/*]",
            MergeSlashes,
            "/admin/../x",
            "path /x, which was sent as /admin/../x, and the rule wants anything but /admin/*",
        ),
    ] {
        let snapshot =
            snapshot(&policy("p", &format!("{{rules: [{{to: [{{operation: {{{paths}}}}}]}}]}}")));
        let ask = TestRequest { path, level, ..TestRequest::default() };
        assert_eq!(nearest(&snapshot, &ask, false), ("shop/p 0 path".to_owned(), told.to_owned()));
    }
    // With both spellings in one pattern the request passes.
    let wide = snapshot(&policy("p", "{rules: [{to: [{operation: {paths: ['/svc/*']}}]}]}"));
    let ask = TestRequest { path: "/svc//x", level: Base, ..TestRequest::default() };
    assert_eq!(ask.verdict(&wide), "allow shop/p 0 policy_allowed");
}

#[test]
fn opaque_bytes_have_no_method_and_no_path() {
    let snapshot = snapshot(&policy("p", CART));
    let ask = TestRequest::peer("td/ns/shop/sa/frontend");
    let (found, told) = nearest(&snapshot, &ask, true);
    // The rule for port 9000 fails by one thing, the others by two and more.
    assert_eq!(found, "shop/p 1 port");
    assert_eq!(told, "port 8080, and the rule wants 9000");
    let only_http = snapshot_with(
        &policy("p", "{rules: [{to: [{operation: {methods: [GET]}}]}]}"),
        &permissive(),
    );
    assert_eq!(
        nearest(&only_http, &ask, true),
        ("shop/p 0 method".into(), "method, which opaque bytes do not have".into())
    );
}

#[test]
fn refusals_without_a_nearest_rule() {
    for (text, what) in [
        (String::new(), "the default decided"),
        (policy("p", "{}"), "no rule at all"),
        (
            policy("p", "{rules: [{}]}") + &policy("q", "{action: DENY, rules: [{}]}"),
            "a rule denied",
        ),
    ] {
        let snapshot = snapshot(&format!("# \n{text}"));
        assert_eq!(nearest(&snapshot, &TestRequest::default(), false).0, "-", "{what}");
    }
}

/// Secrets that a caller sends or a rule wants stay out of logs.
#[test]
fn headers_and_tokens_are_not_repeated() {
    let snapshot = snapshot(&policy(
        "p",
        "{rules: [{from: [{source: {requestPrincipals: [https://i/ann]}}], when: [
           {key: 'request.headers[x-key]', values: [secret-wanted]},
           {key: 'request.auth.claims[email]', values: [ann@example.com]}]}]}",
    ));
    let token = TokenClaims {
        issuer: "https://evil".into(),
        subject: Some("eve".into()),
        ..TokenClaims::default()
    };
    let headers = vec![("x-key".to_owned(), "secret-sent".to_owned())];
    let ask = TestRequest { headers, token: Some(token), ..TestRequest::default() };
    let (found, told) = nearest(&snapshot, &ask, false);
    assert_eq!(
        found,
        "shop/p 0 requestPrincipal,request.headers[x-key],request.auth.claims[email]"
    );
    for secret in ["secret", "ann", "eve", "evil", "example"] {
        assert!(!told.contains(secret), "{told}");
    }
}

/// However long a path and however many rules: the answer is short, and found by the caller's own rules.
#[test]
fn bounded() {
    let others: String = (0..400)
        .map(|n| format!("{{from: [{{source: {{principals: [td/ns/shop/sa/other-{n}]}}}}]}},"))
        .collect();
    let own = "{from: [{source: {principals: [td/ns/shop/sa/frontend]}}], to: [{operation: {paths: [/own]}}]}";
    let snapshot = snapshot(&policy("p", &format!("{{rules: [{others}{own}]}}")));
    static LONG: LazyLock<String> = LazyLock::new(|| format!("/{}", "x".repeat(10_000)));
    let (found, told) = nearest(
        &snapshot,
        &TestRequest { path: &LONG, ..TestRequest::peer("td/ns/shop/sa/frontend") },
        false,
    );
    assert_eq!(found, "shop/p 400 path");
    assert!(told.len() <= 512, "{}", told.len());
}
