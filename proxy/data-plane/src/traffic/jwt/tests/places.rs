//! Where tokens may be, and what is left for the app.

use crate::traffic::jwt::tests::*;

/// `<good>` in a value stands for a valid token, `<bad>` for an invalid one.
fn ask(world: &TokenFixture, method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let good = token(json!({}));
    let put = |text: &str| text.replace("<good>", &good).replace("<bad>", "x.y.z");
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, put(value))).collect();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    world.who(request(method, &put(target), &headers))
}

#[test]
fn s39_claims_one_token_in_its_place() {
    let usual = TokenFixture::usual();
    let own = TokenFixture::new(
        &format!(
            "{{{RULE}, fromHeaders: [{{name: x-jwt, prefix: 'v1 '}}, {{name: x-jwt}}], fromParams: [t], fromCookies: [session]}}"
        ),
        "",
    );
    let auth = "authorization";
    for (name, world, target, headers, expect) in [
        ("none", &usual, "/", vec![], "nobody"),
        ("bearer", &usual, "/", vec![(auth, "Bearer <good>")], "alice"),
        ("scheme in any case", &usual, "/", vec![(auth, "bEARER   <good>")], "alice"),
        ("another scheme", &usual, "/", vec![(auth, "Basic <good>")], "nobody"),
        ("scheme alone", &usual, "/", vec![(auth, "Bearer ")], "token_malformed"),
        ("opaque", &usual, "/", vec![(auth, "Bearer abc")], "token_malformed"),
        ("parameter", &usual, "/?a=b&access_token=<good>", vec![], "alice"),
        ("parameter, name escaped", &usual, "/?access%5ftoken=<good>", vec![], "alice"),
        ("parameter, empty", &usual, "/?access_token=", vec![], "token_malformed"),
        ("other parameter", &usual, "/?t=<good>", vec![], "nobody"),
        (
            "header and parameter",
            &usual,
            "/?access_token=<good>",
            vec![(auth, "Bearer <good>")],
            "two_tokens",
        ),
        (
            "good and bad",
            &usual,
            "/?access_token=<bad>",
            vec![(auth, "Bearer <good>")],
            "two_tokens",
        ),
        (
            "two headers",
            &usual,
            "/",
            vec![(auth, "Bearer <good>"), (auth, "Bearer <good>")],
            "two_tokens",
        ),
        (
            "two in one line",
            &usual,
            "/",
            vec![(auth, "Bearer <good>, Bearer <good>")],
            "token_malformed",
        ),
        (
            "two parameters",
            &usual,
            "/?access_token=<good>&access_token=<good>",
            vec![],
            "two_tokens",
        ),
        (
            "password beside",
            &usual,
            "/",
            vec![(auth, "Basic eA=="), (auth, "Bearer <good>")],
            "alice",
        ),
        ("own header", &own, "/", vec![("x-jwt", "<good>")], "alice"),
        ("own header with prefix", &own, "/", vec![("x-jwt", "v1 <good>")], "alice"),
        ("own header, other prefix", &own, "/", vec![("x-jwt", "v2 <good>")], "token_malformed"),
        (
            "own header twice",
            &own,
            "/",
            vec![("x-jwt", "<good>"), ("x-jwt", "v1 <good>")],
            "two_tokens",
        ),
        ("own parameter", &own, "/?t=<good>", vec![], "alice"),
        ("cookie", &own, "/", vec![("cookie", "a=b; session=<good>")], "alice"),
        ("cookie in quotes", &own, "/", vec![("cookie", "session=\"<good>\";a=b")], "alice"),
        (
            "cookie in another line",
            &own,
            "/",
            vec![("cookie", "a=b"), ("cookie", "session=<good>")],
            "alice",
        ),
        (
            "cookie twice",
            &own,
            "/",
            vec![("cookie", "session=<good>; session=<good>")],
            "two_tokens",
        ),
        ("other cookie", &own, "/", vec![("cookie", "Session=<good>; xsession=<good>")], "nobody"),
        ("the usual place is not this rule's", &own, "/", vec![(auth, "Bearer <good>")], "nobody"),
        (
            "header and cookie",
            &own,
            "/",
            vec![("x-jwt", "<good>"), ("cookie", "session=<good>")],
            "two_tokens",
        ),
    ] {
        assert_eq!(ask(world, "GET", target, &headers), expect, "{name}");
    }
}

#[test]
fn s39_claims_an_issuer_counts_only_in_its_own_place() {
    let rules = format!(
        "{{{RULE}}}, {{issuer: other, jwksUri: 'https://other.example/keys', fromHeaders: [{{name: x-jwt}}]}}"
    );
    let world = TokenFixture::new(&rules, "");
    assert_eq!(ask(&world, "GET", "/", &[("authorization", "Bearer <good>")]), "alice");
    assert_eq!(ask(&world, "GET", "/", &[("x-jwt", "<good>")]), "token_issuer_unknown");
}

#[test]
fn cors_preflight_passes() {
    let world = TokenFixture::usual();
    let (origin, method) = (("origin", "https://web"), ("access-control-request-method", "PUT"));
    let bad = ("authorization", "Bearer <bad>");
    for (name, verb, headers, expect) in [
        ("preflight", "OPTIONS", vec![origin, method, bad], "nobody"),
        ("plain OPTIONS", "OPTIONS", vec![bad], "token_malformed"),
        ("without the method", "OPTIONS", vec![origin, bad], "token_malformed"),
        ("another verb", "GET", vec![origin, method, bad], "token_malformed"),
    ] {
        assert_eq!(ask(&world, verb, "/", &headers), expect, "{name}");
    }
}

#[test]
fn the_app_sees_the_token_only_when_told_so() {
    let places = "fromHeaders: [{name: authorization, prefix: 'Bearer '}], fromParams: [t], fromCookies: [session]";
    let good = token(json!({}));
    for (name, target, header, hidden_target, hidden_header) in [
        ("header", "/a", ("authorization", format!("Bearer {good}")), "/a", None),
        ("parameter", &*format!("/a?t={good}"), ("x", String::new()), "/a", Some("")),
        (
            "parameter among others",
            &format!("/a?x=1&t={good}&y=%20"),
            ("x", String::new()),
            "/a?x=1&y=%20",
            Some(""),
        ),
        ("cookie", "/a", ("cookie", format!("session={good}")), "/a", None),
        (
            "cookie among others",
            "/a",
            ("cookie", format!("a=1; session={good}; b=2")),
            "/a",
            Some("a=1; b=2"),
        ),
    ] {
        for forward in [false, true] {
            let world = TokenFixture::new(
                &format!("{{{RULE}, {places}, forwardOriginalToken: {forward}}}"),
                "",
            );
            let (_, parts) = world.ask(request("GET", target, &[(header.0, &header.1)])).unwrap();
            let (to, left) = match forward {
                true => (target, Some(&*header.1)),
                false => (hidden_target, hidden_header),
            };
            assert_eq!(parts.uri.to_string(), to, "{name}, forward {forward}");
            let value = parts.headers.get(header.0).map(|value| value.to_str().unwrap());
            assert_eq!(value, left, "{name}, forward {forward}");
        }
    }
}

#[test]
fn s10_header_syntax_claims_become_headers() {
    let made = "outputPayloadToHeader: x-payload, spaceDelimitedClaims: [scp], outputClaimToHeaders: [{header: x-sub, claim: sub}, \
        {header: x-role, claim: realm.role}, {header: x-level, claim: level}, {header: x-list, claim: list}]";
    let world = TokenFixture::new(&format!("{{{RULE}, {made}}}"), "");
    let changes = json!({"sub": "a\r\nb", "realm": {"role": "admin"}, "level": 3, "list": ["x"], "scp": "read write"});
    let bearer = format!("Bearer {}", token(changes.clone()));
    let forged = [("x-sub", "root"), ("x-role", "root"), ("x-list", "root"), ("x-payload", "e30")];
    let with_token = [&forged[..], &[("authorization", &bearer)]].concat();
    let (found, parts) = world.ask(request("GET", "/", &with_token)).unwrap();
    let get = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(get("x-sub"), Some("a%0D%0Ab"));
    assert_eq!(get("x-role"), Some("admin"));
    assert_eq!(get("x-level"), Some("3"));
    assert_eq!(get("x-list"), None, "a list makes no header, and the caller's own goes");
    assert_eq!(get("x-payload"), Some(&*b64(claims(changes).to_string())));
    assert_eq!(found.claims().unwrap().claims["scp"], json!(["read", "write"]));
    for (name, request) in [
        ("no token", request("GET", "/", &forged)),
        (
            "preflight",
            request(
                "OPTIONS",
                "/",
                &[&forged[..], &[("origin", "o"), ("access-control-request-method", "GET")]]
                    .concat(),
            ),
        ),
    ] {
        let (_, parts) = world.ask(request).unwrap();
        assert!(forged.iter().all(|(header, _)| !parts.headers.contains_key(*header)), "{name}");
    }
}

#[test]
fn without_rules_tokens_are_the_apps_own_business() {
    let mut world = TokenFixture::usual();
    world.rules = Arc::default();
    let (found, parts) = world.ask(bearing("whatever")).unwrap();
    assert!(found.claims().is_none() && parts.headers.contains_key("authorization"));
}
