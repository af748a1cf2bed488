//! Conditions, and which of two comes first.

use super::*;

#[test]
fn paths() {
    let text = http(
        "r",
        "",
        "[{matches: [{path: {type: Exact, value: /one}}]}, {matches: [{path: {value: /v2}}]}, {matches: [{path: {value: /v2/long}}]}, {matches: [{path: {type: RegularExpression, value: '/x[0-9]+'}}]}]",
    );
    check(
        &text,
        &[
            ("GET cart /one", "r/0"),
            ("GET cart /one?q", "r/0"),
            ("GET cart /one/", "404"),
            ("GET cart /One", "404"),
            ("GET cart /v2", "r/1"),
            ("GET cart /v2/", "r/1"),
            ("GET cart /v2/x", "r/1"),
            ("GET cart /v2example", "404"),
            ("GET cart /v2/long", "r/2"),
            ("GET cart /v2/long/x", "r/2"),
            ("GET cart /v2/longer", "r/1"),
            // The spelling does not matter.
            ("GET cart /%76%32/./x", "r/1"),
            ("GET cart /v2//long", "r/2"),
            ("GET cart /x12", "r/3"),
            ("GET cart /x12/", "404"),
            ("GET cart /", "404"),
        ],
    );
    // Escapes that stay are compared as they stay.
    let text = http(
        "r",
        "",
        "[{matches: [{path: {value: '/a b'}}]}, {matches: [{path: {type: Exact, value: '/ä'}}]}]",
    );
    check(
        &text,
        &[("GET cart /a%20b/x", "r/0"), ("GET cart /%C3%A4", "r/1"), ("GET cart /%c3%a4", "r/1")],
    );
}

#[test]
fn fields_parameters_and_methods() {
    let text = http(
        "r",
        "",
        "[{matches: [{headers: [{name: X-Version, value: two}]}]}, {matches: [{headers: [{name: x-version, type: RegularExpression, value: '[0-9]+'}]}]}, {matches: [{queryParams: [{name: animal, value: 'blue whale'}]}]}, {matches: [{queryParams: [{name: n, type: RegularExpression, value: '[0-9]+%'}]}]}, {matches: [{method: PATCH}]}, {matches: [{headers: [{name: Host, value: cart.shop}]}]}]",
    );
    check(
        &text,
        &[
            ("GET cart /\nx-version: two", "r/0"),
            ("GET cart /\nx-version: Two", "404"),
            ("GET cart /\nx-version: 12", "r/1"),
            ("GET cart /\nx-version: 12a", "404"),
            // Lines of one field are one value.
            ("GET cart /\nx-version: two\nx-version: 12", "404"),
            ("GET cart /?animal=blue+whale", "r/2"),
            ("GET cart /?x&animal=blue%20whale&animal=dog", "r/2"),
            ("GET cart /?animal=dog&animal=blue+whale", "404"),
            ("GET cart /?anim%61l=blue%20%77hale", "r/2"),
            ("GET cart /?Animal=blue+whale", "404"),
            ("GET cart /?n=12%25", "r/3"),
            ("GET cart /?n=12%", "r/3"),
            ("GET cart /?n=", "404"),
            ("PATCH cart /", "r/4"),
            ("patch cart /", "404"),
            ("GET cart.shop /", "r/5"),
            ("GET CART.shop. /", "r/5"),
            ("GET cart.shop:8080 /", "404"),
            ("GET cart /", "404"),
        ],
    );
    let lines = http(
        "r",
        "",
        "[{matches: [{headers: [{name: a, value: 'x,y'}]}]}, {matches: [{headers: [{name: b, type: RegularExpression, value: 'x,y'}]}]}]",
    );
    check(
        &lines,
        &[
            ("GET cart /\na: x\na: y", "r/0"),
            ("GET cart /\na: x,y", "r/0"),
            ("GET cart /\na: y\na: x", "404"),
            ("GET cart /\nb: x\nb: y", "r/1"),
        ],
    );
}

#[test]
fn hosts() {
    let text = http("exact", "hostnames: [a.b.example],", "[{}]")
        + &http("near", "hostnames: ['*.b.example'],", "[{}]")
        + &http(
            "far",
            "hostnames: ['*.example'],",
            "[{matches: [{path: {type: Exact, value: /x}}]}]",
        );
    check(
        &text,
        &[
            ("GET a.b.example /x", "exact/0"),
            ("GET a.b.example:8080 /x", "exact/0"),
            ("GET A.B.Example. /x", "exact/0"),
            ("GET c.b.example /x", "near/0"),
            ("GET d.c.b.example /", "near/0"),
            // The more specific path does not make up for the host.
            ("GET b.example /x", "far/0"),
            ("GET b.example /", "404"),
            ("GET example /x", "404"),
            ("GET cart /x", "404"),
        ],
    );
    // A rule that does not match gives way to one of a less specific host.
    let text = http("exact", "hostnames: [a.example],", "[{matches: [{path: {value: /a}}]}]")
        + &http("any", "", "[{matches: [{path: {value: /b}}]}]");
    check(
        &text,
        &[
            ("GET a.example /a", "exact/0"),
            ("GET a.example /b", "any/0"),
            ("GET b.example /a", "404"),
        ],
    );
}

/// Each row needs the one step of the order that tells its rules apart; the later one in the text wins every step before.
#[test]
fn the_order_of_the_standard() {
    let check = |first: &str, second: &str, asked: &str| {
        let rules = format!("[{{matches: [{second}]}}, {{matches: [{first}]}}]");
        super::check(&http("r", "", &rules), &[(asked, "r/1")]);
    };
    let asked = "GET cart /a/b?x=1&y=2\na: 1\nb: 2";
    for (first, second) in [
        (
            "{path: {type: Exact, value: /a/b}}",
            "{path: {value: /a/b}, method: GET, headers: [{name: a, value: '1'}]}",
        ),
        ("{path: {value: /a/b}}", "{path: {value: /a}, method: GET}"),
        ("{path: {value: /a}}", "{path: {type: RegularExpression, value: '/a/b'}, method: GET}"),
        (
            "{path: {type: RegularExpression, value: '/a/[b]'}}",
            "{path: {type: RegularExpression, value: '/a/.'}, method: GET}",
        ),
        ("{method: GET}", "{headers: [{name: a, value: '1'}]}"),
        (
            "{headers: [{name: a, value: '1'}, {name: b, value: '2'}]}",
            "{headers: [{name: a, value: '1'}], queryParams: [{name: x, value: '1'}]}",
        ),
        (
            "{queryParams: [{name: x, value: '1'}, {name: y, value: '2'}]}",
            "{queryParams: [{name: x, value: '1'}]}",
        ),
    ] {
        check(first, second, asked);
    }
    // Among rules that are alike: age, name, place.
    let aged = |name: &str, created: &str| {
        route("HTTPRoute", &format!("name: {name}, namespace: shop{created}"), "", "[{}, {}]")
    };
    let young = ", creationTimestamp: '2026-02-01T00:00:00Z'";
    let old = ", creationTimestamp: '2026-01-01T00:00:00Z'";
    for (text, expect) in [
        (aged("a", young) + &aged("b", old), "b/0"),
        (aged("a", "") + &aged("b", young), "b/0"),
        (aged("b", old) + &aged("a", old), "a/0"),
        (aged("b", "") + &aged("a", ""), "a/0"),
    ] {
        super::check(&text, &[("GET cart /", expect)]);
    }
}

#[test]
fn grpc() {
    let text = route(
        "GRPCRoute",
        "name: g, namespace: shop",
        "",
        "[{matches: [{method: {service: shop.Cart, method: Get}}]}, {matches: [{method: {service: shop.Cart}}]}, {matches: [{method: {method: Ping}}]}, {matches: [{method: {type: RegularExpression, service: 'shop[.].*', method: 'Li.*'}}]}, {matches: [{headers: [{name: a, value: b}]}]}]",
    );
    let grpc = |path: &str| format!("POST cart {path}\ncontent-type: application/grpc");
    let routes = table(&text).of_port(CART, 80, "grpc").unwrap();
    for (asked, expect) in [
        (grpc("/shop.Cart/Get"), "g/0"),
        (grpc("/shop.Cart/Put"), "g/1"),
        (grpc("/shop.Cart/Ping"), "g/1"),
        (grpc("/shop.Other/Ping"), "g/2"),
        (grpc("/shop.Other/List"), "g/3"),
        (grpc("/shop.Other/Other"), "404"),
        (grpc("/shop.Other/Other") + "\na: b", "g/4"),
        (grpc("/shop.Cart2/Get"), "404"),
        (grpc("/shop.Cart"), "404"),
        (grpc("/shop.Cart/Get/more"), "404"),
        ("POST cart /shop.Cart/Get".to_owned(), "404"),
    ] {
        assert_eq!(Asked::new(&asked).of(&routes), expect, "{asked}");
    }
}

#[test]
fn connections() {
    let tls = |name: &str, more: &str| {
        route(
            "TLSRoute",
            &format!("name: {name}, namespace: shop"),
            more,
            "[{backendRefs: [{name: x, port: 1}]}]",
        )
    };
    let text = tls("exact", "hostnames: [a.b.example],")
        + &tls("below", "hostnames: ['*.example', '*.b.example'],");
    let routes = table(&text).of_port(CART, 443, "tls").unwrap();
    for (name, expect) in [
        (Some("a.b.example"), "exact/0"),
        (Some("A.b.EXAMPLE"), "exact/0"),
        (Some("c.b.example"), "below/0"),
        (Some("c.d.example"), "below/0"),
        (Some("example"), "404"),
        (None, "404"),
    ] {
        assert_eq!(shown(routes.tls(name)), expect, "{name:?}");
    }
    assert!(routes.tcp().is_none() && routes.kind() == RouteKind::Tls);
    assert_eq!(
        shown(table(&(text + &tls("all", ""))).of_port(CART, 1, "").unwrap().tls(None)),
        "all/0"
    );
    let tcp = |name: &str| {
        route(
            "TCPRoute",
            &format!("name: {name}, namespace: shop"),
            "",
            "[{backendRefs: [{name: x, port: 1}]}]",
        )
    };
    let routes = table(&(tcp("b") + &tcp("a"))).of_port(CART, 1, "").unwrap();
    assert_eq!((shown(routes.tcp()), routes.tls(None)), ("a/0".to_owned(), None));
    assert_eq!(Asked::new("GET cart /").of(&routes), "404");
}
