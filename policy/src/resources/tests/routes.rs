//! Routes and grants: what is taken, and what is said about the rest.
#![allow(clippy::panic)]

use super::{Resources, SourceFile, check, diagnostics};
use crate::resources::DEFAULT_ROOT_NAMESPACE;
use crate::route::{
    BackendKind, Fraction, InvalidBackend, PathMatch, Route, RouteHost, RouteTimeout,
};

/// A route `shop/r` of Service `cart`.
fn route(kind: &str, rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: r, namespace: shop}}\nspec:\n  parentRefs: [{{group: '', kind: Service, name: cart}}]\n  rules: {rules}\n"
    )
}

fn http(rules: &str) -> String {
    route("HTTPRoute", rules)
}

fn read(text: &str) -> Route {
    let file = SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() };
    let resources = Resources::parse(&[file], DEFAULT_ROOT_NAMESPACE).unwrap();
    Route::clone(&resources.routes()[0])
}

#[test]
fn good_routes() {
    for text in [
        http("[{}]"),
        http("[{backendRefs: []}]"),
        http("[{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 303}}]}]"),
        http("[{name: all, backendRefs: [{name: cart, port: 80}]}]"),
        http("[{matches: [{path: {value: /a}, method: GET, headers: [{name: X-A, value: b}, {type: RegularExpression, name: y, value: 'a+'}], queryParams: [{name: q, value: 'ä b'}]}], backendRefs: [{name: a, port: 80, weight: 0}, {name: b, namespace: other, port: 1, weight: 1000000}]}]"),
        http("[{matches: [{path: {type: RegularExpression, value: '/v[0-9]+/.*'}}, {path: {type: Exact, value: /x%20y}}]}]"),
        http("[{filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: a.b, port: 8443, statusCode: 308, path: {type: ReplacePrefixMatch, replacePrefixMatch: ''}}}]}]"),
        http("[{filters: [{type: URLRewrite, urlRewrite: {hostname: a.b, path: {type: ReplaceFullPath, replaceFullPath: /x}}}, {type: RequestMirror, requestMirror: {backendRef: {name: m, port: 1}, percent: 5}}, {type: RequestMirror, requestMirror: {backendRef: {name: n, port: 1}, fraction: {numerator: 1, denominator: 3}}}]}]"),
        http("[{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: A, value: 'b c'}], add: [{name: d, value: e}], remove: [f]}}, {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [server]}}]}]"),
        http("[{filters: [{type: CORS, cors: {allowOrigins: ['https://*.a.example'], allowMethods: [PUT], allowHeaders: ['*'], exposeHeaders: [x-b], allowCredentials: true, maxAge: 60}}]}]"),
        http("[{timeouts: {request: 10s, backendRequest: 500ms}, retry: {codes: [503, 502], attempts: 3, backoff: 100ms}}]"),
        http("[{timeouts: {request: 0s, backendRequest: 10s}}]"),
        http("[{backendRefs: [{group: example.com, kind: Bucket, name: b}]}]"),
        http("[{backendRefs: [{name: a, port: 80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [x]}}]}]}]"),
        route("GRPCRoute", "[{matches: [{method: {service: shop.v1.Cart, method: Get}, headers: [{name: a, value: b}]}, {method: {type: RegularExpression, service: 'shop[.].*'}}, {}], filters: [{type: RequestMirror, requestMirror: {backendRef: {name: m, port: 1}}}], backendRefs: [{name: a, port: 1}]}]"),
        route("TCPRoute", "[{backendRefs: [{name: a, port: 1, weight: 3}]}]"),
        route("TLSRoute", "[{backendRefs: [{name: a, port: 1}]}]").replace("  rules", "  hostnames: ['*.a.example', b.example]\n  rules"),
        "apiVersion: gateway.networking.k8s.io/v1alpha2\nkind: TCPRoute\nmetadata: {name: r, namespace: shop, creationTimestamp: '2026-01-01T00:00:00Z'}\nspec: {parentRefs: [{name: edge, sectionName: tcp}], rules: [{backendRefs: [{name: a, port: 1}]}]}\nstatus: {parents: []}\n".to_owned(),
        "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: g, namespace: shop}\nspec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: web}], to: [{group: '', kind: Service}, {group: '', kind: Secret, name: x}]}\n".to_owned(),
    ] {
        check(&text, &[]);
    }
}

#[test]
fn what_a_route_says() {
    let text = http("[{matches: [{path: {value: /A%7e/}, headers: [{name: X-A, value: b}]}], timeouts: {request: 0s}, backendRefs: [{name: a, port: 80}, {name: b, namespace: other, port: 1, weight: 5}, {kind: Bucket, group: example.com, name: b}], filters: [{type: RequestMirror, requestMirror: {backendRef: {name: m, port: 1}, percent: 5}}]}]")
        .replace("  rules", "  hostnames: [b.example, '*.a.example']\n  rules");
    let route = read(&text);
    assert_eq!(
        route.hosts,
        [RouteHost::Exact("b.example".into()), RouteHost::Below("a.example".into())]
    );
    let found = &route.rules[0].matches[0];
    // One spelling, and no slash at the end of a prefix.
    assert_eq!((&found.path, &*found.headers[0].name), (&PathMatch::Prefix("/A~".into()), "x-a"));
    let rule = &route.rules[0].rule;
    assert_eq!(
        (&*rule.label, rule.timeouts.request),
        ("HTTPRoute shop/r", Some(RouteTimeout::Off))
    );
    assert_eq!(rule.mirrors[0].fraction, Fraction::new(5, 100).unwrap());
    let backends: Vec<_> = rule
        .backends
        .iter()
        .map(|backend| (&*backend.host, backend.port, backend.weight, backend.invalid))
        .collect();
    assert_eq!(
        backends,
        [
            ("a.shop.svc.cluster.local", 80, 1, None),
            ("b.other.svc.cluster.local", 1, 5, Some(InvalidBackend::RefNotPermitted)),
            ("b.shop.svc.cluster.local", 0, 1, Some(InvalidBackend::InvalidKind)),
        ]
    );
    assert_eq!(rule.backends[2].kind, BackendKind::Other("Bucket.example.com".into()));
    // Without rules and matches a route takes everything, and sends it nowhere.
    let route = read(&http("[{}]").replace("  rules: [{}]\n", ""));
    assert_eq!(route.rules[0].matches[0].path, PathMatch::Prefix("".into()));
    assert!(route.rules[0].rule.backends.is_empty());
}

/// One diagnostic that holds all of these words, at the place where `at` begins.
#[track_caller]
fn refused(text: &str, at: &str, words: &[&str]) {
    let found = diagnostics(text);
    let [found] = &*found else { panic!("{text}: {found:#?}") };
    let mut place = found.split(':').skip(1).map(|number| number.parse::<usize>().unwrap());
    let (line, column) = (place.next().unwrap(), place.next().unwrap());
    let rest = text.lines().nth(line - 1).unwrap().split_at(column - 1).1;
    assert!(rest.starts_with(at), "{found}: {rest}");
    assert!(words.iter().all(|word| found.contains(word)), "{text}: {found}");
}

#[test]
fn every_unsupported_field_is_named() {
    for (rules, at, words) in [
        (
            "[{filters: [{type: ExtensionRef, extensionRef: {group: a, kind: b, name: c}}]}]",
            "ExtensionRef",
            &["ExtensionRef", "one of RequestHeaderModifier"] as &[_],
        ),
        (
            "[{filters: [{type: ExternalAuth, externalAuth: {}}]}]",
            "ExternalAuth",
            &["ExternalAuth", "AuthorizationPolicy"],
        ),
        ("[{filters: [{type: Mirror}]}]", "Mirror", &["\"Mirror\" for `type`"]),
        (
            "[{sessionPersistence: {type: Cookie}}]",
            "{type: Cookie",
            &["`sessionPersistence`", "consistentHash"],
        ),
        (
            "[{backendRefs: [{name: a, port: 1, filters: [{type: RequestMirror, requestMirror: {}}]}]}]",
            "RequestMirror",
            &["RequestMirror", "among the `filters` of the rule"],
        ),
        ("[{match: []}]", "match: [", &["the unknown key `match`", "did you mean `matches`?"]),
        (
            "[{filters: [{type: CORS, urlRewrite: {}, cors: {}}]}]",
            "urlRewrite: {",
            &["the unknown key `urlRewrite`"],
        ),
    ] {
        refused(&http(rules), at, words);
    }
    let grpc = |rules| route("GRPCRoute", rules);
    refused(
        &grpc("[{timeouts: {request: 1s}}]"),
        "timeouts: {request: 1s",
        &["the unknown key `timeouts`"],
    );
    refused(&grpc("[{filters: [{type: CORS, cors: {}}]}]"), "CORS", &["CORS", "of an HTTPRoute"]);
    refused(
        &route("TCPRoute", "[{matches: [{}], backendRefs: [{name: a, port: 1}]}]"),
        "matches: [{",
        &["`matches`"],
    );
    refused(
        &http("[{}]").replace("  rules", "  useDefaultGateways: All\n  rules"),
        "All",
        &["`useDefaultGateways`"],
    );
}

#[test]
fn paths_and_conditions() {
    for (found, at, words) in [
        ("path: {value: a}", "a", &["a path begins with /"] as &[_]),
        ("path: {value: /a//b}", "/a//b", &["doubled slashes are merged"]),
        ("path: {value: '/a?b'}", "'/a?b'", &["`queryParams`"]),
        ("path: {value: /a/%2e%2E/b}", "/a/%2e%2E/b", &["dot segments are resolved"]),
        ("path: {value: /a%2fb}", "/a%2fb", &["an escaped slash"]),
        (
            "path: {type: Prefix, value: /a}",
            "Prefix",
            &["one of Exact, PathPrefix, RegularExpression"],
        ),
        (
            "path: {type: RegularExpression, value: '/(a{1000}){1000}'}",
            "'/(a{1000",
            &["more than 64 KiB"],
        ),
        ("path: {type: RegularExpression, value: '/a(?=b)'}", "'/a(?=b)'", &["look-around"]),
        ("path: {type: RegularExpression, value: '/a('}", "'/a('", &["unclosed group"]),
        ("method: get", "get", &["did you mean GET?"]),
        (
            "headers: [{name: X-A, value: b}, {name: x-a, value: c}]",
            "[{name: X-A",
            &["the name x-a again"],
        ),
        ("headers: [{name: connection, value: b}]", "{name: connection", &["never matches"]),
        (
            "headers: [{name: x-forwarded-client-cert, value: b}]",
            "{name: x-forwarded-client-cert",
            &["never matches"],
        ),
        ("headers: [{name: 'a b', value: b}]", "'a b'", &["names of fields"]),
        ("headers: [{name: a, value: 'b '}]", "'b '", &["without blanks at an end"]),
        ("queryParams: []", "[]}]}]", &["an empty list"]),
    ] {
        refused(&http(&format!("[{{matches: [{{{found}}}]}}]")), at, words);
    }
    for (found, at, words) in [
        ("{service: a/b}", "a/b", "names are letters"),
        ("{}", "{}", "a `method` that names nothing"),
        ("{method: a.b}", "a.b", "names are letters"),
    ] {
        refused(
            &route("GRPCRoute", &format!("[{{matches: [{{method: {found}}}]}}]")),
            at,
            &[words],
        );
    }
}

#[test]
fn what_contradicts_itself() {
    let rewrite = "{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /x}}}";
    let modifier = |changes: &str| {
        format!(
            "[{{filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {changes}}}]}}]"
        )
    };
    for (rules, at, words) in [
        (format!("[{{matches: [{{path: {{type: Exact, value: /a}}}}], filters: [{rewrite}]}}]"), "{type: ReplacePrefixMatch", &["exactly one match, of type PathPrefix"] as &[_]),
        (format!("[{{matches: [{{path: {{value: /a}}}}, {{path: {{value: /b}}}}], filters: [{rewrite}]}}]"), "{type: ReplacePrefixMatch", &["exactly one match"]),
        (format!("[{{filters: [{rewrite}, {{type: RequestRedirect, requestRedirect: {{port: 1}}}}]}}]"), "{type: RequestRedirect", &["RequestRedirect beside URLRewrite"]),
        ("[{filters: [{type: RequestRedirect, requestRedirect: {port: 1}}], backendRefs: [{name: a, port: 1}]}]".to_owned(), "[{name: a", &["`backendRefs` beside RequestRedirect"]),
        ("[{filters: [{type: RequestRedirect, requestRedirect: {}}]}]".to_owned(), "{}}]}]", &["a RequestRedirect that says nothing"]),
        ("[{timeouts: {request: 1s, backendRequest: 2s}}]".to_owned(), "2s", &["no more than `request`"]),
        ("[{timeouts: {request: 1d}}]".to_owned(), "1d", &["h, m, s and ms"]),
        ("[{retry: {attempts: 0}}]".to_owned(), "0", &["from 1 to 10"]),
        ("[{retry: {codes: [200]}}]".to_owned(), "200", &["from 400 to 599"]),
        ("[{backendRefs: [{name: a}]}]".to_owned(), "{name: a", &["no `port`"]),
        ("[{backendRefs: [{name: a, port: 1, weight: 1000001}]}]".to_owned(), "1000001", &["from 0 to 1000000"]),
        ("[{name: a}, {name: a}]".to_owned(), "[{name: a", &["two rules with the name a"]),
        ("[]".to_owned(), "[]", &["an empty list"]),
        ("[{matches: [{path: {type: RegularExpression, value: '/v[0-9]+'}}]}, {}]".to_owned(), "[{matches", &["\"/v[0-9]+\" beside a match of every request"]),
        (modifier("{}"), "{}}]}]", &["a modifier that changes nothing"]),
        (modifier("{set: [{name: A, value: b}], remove: [a]}"), "{set: [{name: A", &["the field a again"]),
        (modifier("{remove: [Host]}"), "Host", &["URLRewrite"]),
        (modifier("{remove: [transfer-encoding]}"), "transfer-encoding", &["how a message is framed"]),
        (modifier("{set: [{name: x_forwarded_client_cert, value: b}]}"), "x_forwarded_client_cert", &["only proxies say who called"]),
        (modifier("{set: [{name: a, value: \"b\\r\\nc\"}]}"), "\"b\\r\\nc\"", &["printable ASCII"]),
        ("[{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: m, port: 1}, percent: 5, fraction: {numerator: 1}}}]}]".to_owned(), "{numerator: 1", &["`fraction` beside `percent`"]),
        ("[{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: m, port: 1}, fraction: {numerator: 101}}}]}]".to_owned(), "{numerator: 101", &["101/100"]),
        ("[{filters: [{type: CORS, cors: {allowOrigins: ['*', 'https://a.b']}}]}]".to_owned(), "['*'", &["* alone"]),
    ] {
        refused(&http(&rules), at, words);
    }
}

#[test]
fn parents_and_hosts() {
    let with =
        |parents: &str| http("[{}]").replace("[{group: '', kind: Service, name: cart}]", parents);
    for (parents, at, words) in [
        ("[{kind: Service, name: cart}]", "Service", &["write group: \"\" beside it"] as &[_]),
        ("[{group: '', kind: Pod, name: cart}]", "Pod", &["the parent kind Pod of group \"\""]),
        (
            "[{group: '', kind: Service, name: cart}, {group: '', kind: Service, name: cart}]",
            "{group: ''",
            &["the parent cart again"],
        ),
        ("[]", "[]", &["an empty list"]),
    ] {
        refused(&with(parents), at, words);
    }
    check(
        &with(
            "[{group: '', kind: Service, name: cart, port: 80}, {group: '', kind: Service, name: cart, sectionName: web}, {name: edge}]",
        ),
        &[],
    );
    refused(
        &http("[{}]").replace("  parentRefs: [{group: '', kind: Service, name: cart}]\n", ""),
        "rules: [{",
        &["acts on nothing"],
    );
    let hosts =
        |hosts: &str| http("[{}]").replace("  rules", &format!("  hostnames: [{hosts}]\n  rules"));
    for (host, words) in [
        ("'*'", "'-', '_' and '.'"),
        ("a.*.b", "'-', '_' and '.'"),
        ("10.0.0.1", "an address is none"),
        ("'a.b:80'", "without a port"),
        ("A.b", "write a.b"),
    ] {
        refused(&hosts(host), host, &[words]);
    }
}

#[test]
fn grants() {
    let grant = |spec: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {{name: g, namespace: shop}}\nspec: {spec}\n"
        )
    };
    for (spec, at, words) in [
        (
            "{from: [], to: [{group: '', kind: Service}]}",
            "[], to: [{group:",
            &["an empty list"] as &[_],
        ),
        ("{from: [{group: g, kind: k, namespace: n}]}", "{from: [{group: g", &["no `to`"]),
        (
            "{from: [{group: g, kind: k, namespace: n}], to: [{kind: Service}]}",
            "{kind: Service",
            &["no `group`"],
        ),
        (
            "{from: [{group: g, kind: k, namespace: n, name: x}], to: [{group: '', kind: Service}]}",
            "name: x",
            &["the unknown key `name`"],
        ),
    ] {
        refused(&grant(spec), at, words);
    }
}
