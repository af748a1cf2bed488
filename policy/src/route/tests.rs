//! What a rule does to requests and answers.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{CanonicalPath, PathNormalization};

fn parsed(path: &str) -> CanonicalPath<'_> {
    CanonicalPath::parse(path, PathNormalization::default()).unwrap()
}

fn prefix(prefix: &str, replacement: &str) -> PathChange {
    PathChange::ReplacePrefixMatch { prefix: prefix.into(), replacement: replacement.into() }
}

/// The table of the standard (`HTTPPathModifier.replacePrefixMatch`); the reader takes slashes off the ends.
#[test]
fn s13_rewritten_paths() {
    for (path, matched, replacement, expect) in [
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/foo/bar?a=/foo&b", "/foo", "/xyz", "/xyz/bar?a=/foo&b"),
        ("/foo/bar", "", "/xyz", "/xyz/foo/bar"),
        ("/", "", "/xyz", "/xyz/"),
        ("/foo/a%2Fb", "/foo", "/xyz", "/xyz/a%2Fb"),
    ] {
        let rewrite = UrlRewrite { hostname: None, path: Some(prefix(matched, replacement)) };
        let found = rewrite.path(&parsed(path), PathNormalization::default()).unwrap().unwrap();
        assert_eq!(found.forward(), expect, "{path} {matched} {replacement}");
    }
    let whole = PathChange::ReplaceFullPath("/x".into());
    let rewrite = UrlRewrite { hostname: None, path: Some(whole) };
    let found = rewrite.path(&parsed("/a/b?c"), PathNormalization::default()).unwrap().unwrap();
    assert_eq!((found.as_str(), found.query()), ("/x", Some("c")));
}

/// Where doubled slashes are kept, what comes out begins with one: two would be an authority.
#[test]
fn s13_a_rewritten_path_is_no_authority() {
    let path = CanonicalPath::parse("/foo//evil.example/x", PathNormalization::None).unwrap();
    let rewrite = UrlRewrite { hostname: None, path: Some(prefix("/foo", "")) };
    let found = rewrite.path(&path, PathNormalization::None).unwrap().unwrap();
    assert_eq!(found.as_str(), "/evil.example/x");
}

#[test]
fn redirects() {
    let none = Redirect { scheme: None, hostname: None, path: None, port: None, status: 302 };
    let (http, https) = (Some(RedirectScheme::Http), Some(RedirectScheme::Https));
    for (redirect, port, expect) in [
        (Redirect { scheme: https, ..none.clone() }, 8080, "https://cart/a/b?q"),
        (Redirect { scheme: http, ..none.clone() }, 8080, "http://cart/a/b?q"),
        (
            Redirect { scheme: https, port: Some(8443), ..none.clone() },
            80,
            "https://cart:8443/a/b?q",
        ),
        (Redirect { scheme: https, port: Some(443), ..none.clone() }, 80, "https://cart/a/b?q"),
        (
            Redirect { hostname: Some("a.example".into()), ..none.clone() },
            8080,
            "http://a.example:8080/a/b?q",
        ),
        (
            Redirect { hostname: Some("a.example".into()), ..none.clone() },
            80,
            "http://a.example/a/b?q",
        ),
        (Redirect { port: Some(8083), ..none.clone() }, 80, "http://cart:8083/a/b?q"),
        (Redirect { port: Some(80), ..none.clone() }, 8080, "http://cart/a/b?q"),
        (Redirect { path: Some(prefix("/a", "/x")), ..none.clone() }, 80, "http://cart/x/b?q"),
        (
            Redirect { path: Some(PathChange::ReplaceFullPath("/x".into())), ..none.clone() },
            80,
            "http://cart/x?q",
        ),
    ] {
        let path = parsed("/a/b?q");
        let request =
            RedirectedRequest { scheme: RedirectScheme::Http, host: "cart", port, path: &path };
        assert_eq!(redirect.location(&request), expect, "{redirect:?} {port}");
    }
}

fn backend(name: &str, weight: u32, invalid: Option<InvalidBackend>) -> Backend {
    Backend {
        kind: BackendKind::Service,
        namespace: "shop".into(),
        name: name.into(),
        host: format!("{name}.shop.svc.cluster.local").into(),
        port: 80,
        weight,
        request_fields: FieldChanges::default(),
        response_fields: FieldChanges::default(),
        invalid,
    }
}

/// The shares of backends among evenly spread draws.
#[test]
fn shares_of_backends() {
    const NOT: Option<InvalidBackend> = Some(InvalidBackend::RefNotPermitted);
    for (backends, expect) in [
        (vec![], [0, 0, 0, 1000]),
        (vec![backend("a", 0, None)], [0, 0, 0, 1000]),
        (vec![backend("a", 1, None)], [1000, 0, 0, 0]),
        (vec![backend("a", 9, None), backend("b", 1, None)], [900, 100, 0, 0]),
        (vec![backend("a", 1, None), backend("b", 1, NOT)], [500, 0, 500, 0]),
        (vec![backend("a", 0, NOT), backend("b", 7, None)], [0, 1000, 0, 0]),
        (vec![backend("a", 1_000_000, None), backend("b", 0, None)], [1000, 0, 0, 0]),
    ] {
        let mut counts = [0; 4];
        for draw in 0..1000u64 {
            let at = match backend::draw(&backends, draw * (u64::MAX / 1000)) {
                BackendChoice::Backend(backend) if &*backend.name == "a" => 0,
                BackendChoice::Backend(_) => 1,
                BackendChoice::Invalid(..) => 2,
                BackendChoice::None => 3,
            };
            counts[at] += 1;
        }
        for (found, expect) in counts.iter().zip(expect) {
            assert!((expect - 1..=expect + 1).contains(found), "{backends:?}: {counts:?}");
        }
        // The ends of the range are draws, too.
        backend::draw(&backends, 0);
        backend::draw(&backends, u64::MAX);
    }
}

#[test]
fn fractions() {
    for (numerator, denominator, expect) in
        [(0, 100, 0), (1, 100, 10), (50, 100, 500), (100, 100, 1000), (1, 3, 333)]
    {
        let fraction = Fraction::new(numerator, denominator).unwrap();
        let spread = (0..1000u64).map(|draw| draw * (u64::MAX / 1000));
        let taken = spread.filter(|draw| fraction.takes(*draw)).count();
        assert!(taken.abs_diff(expect) <= 1, "{numerator}/{denominator}: {taken}");
    }
    assert!(Fraction::ALL.takes(u64::MAX) && Fraction::new(1, 0).is_none());
    assert!(Fraction::new(2, 1).is_none() && !Fraction::new(0, 1).unwrap().takes(0));
    // Nothing is sent to a backend that is invalid.
    let backend = backend("m", 1, Some(InvalidBackend::InvalidKind));
    assert!(!Mirror { backend, fraction: Fraction::ALL }.takes(0));
}

#[test]
fn regular_expressions_are_about_the_whole_text() {
    for (pattern, text, expect) in [
        ("/v[0-9]+", "/v12", true),
        ("/v[0-9]+", "/v12/", false),
        ("/v[0-9]+", "x/v12", false),
        ("/a|/b", "/ab", false),
        ("/a|/b", "/b", true),
        ("(?i)/cart", "/CART", true),
        ("/Cart", "/cart", false),
        ("", "", true),
        ("/.*", "/a\nb", false),
    ] {
        let found = RegularExpression::parse(pattern).unwrap().matches(text.as_bytes());
        assert_eq!(found, expect, "{pattern} {text}");
    }
    // A group that is left open must not close ours, and flags must not reach it.
    for pattern in [")(", "a)(b", "a)|(?:b", "(?x", "\\", "(a{1000}){1000}", "[a-z]{60000}", "\\pL"]
    {
        assert!(RegularExpression::parse(pattern).is_err(), "{pattern}");
    }
    let nested = format!("{}a{}", "(".repeat(40), ")".repeat(40));
    assert!(RegularExpression::parse(&nested).is_err());
    // What other engines need exponential time for.
    let slow = RegularExpression::parse("(a*)*(a*)*b").unwrap();
    assert!(!slow.matches("a".repeat(16 << 10).as_bytes()));
    let any = RegularExpression::parse(".*").unwrap();
    assert!(any.matches(&[b'a'; 16 << 10]) && !any.matches(&[b'a'; (16 << 10) + 1]));
}

fn headers(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The answer to a request with these fields, one `name: value` a line; `preflight` in the first for a preflight.
fn cors(policy: &CorsPolicy, method: &str, fields: &[(&str, &str)]) -> Vec<String> {
    let (first, fields) = match policy.decide(method, &headers(fields)) {
        CorsDecision::Preflight(fields) => (Some("preflight".to_owned()), fields),
        CorsDecision::Fields(fields) => (None, fields),
    };
    let lines = fields.into_iter().map(|(name, value)| format!("{name}: {value}"));
    first.into_iter().chain(lines).collect()
}

fn policy(origin: &str) -> CorsPolicy {
    let origin = match origin {
        "*" => OriginPattern::Any,
        host => match host.strip_prefix('*') {
            Some(below) => OriginPattern::HostsBelow(Origin {
                scheme: "https".into(),
                host: below.into(),
                port: 443,
            }),
            None => OriginPattern::Host(Origin::parse(host).unwrap()),
        },
    };
    CorsPolicy {
        allow_origins: vec![origin],
        allow_credentials: false,
        allow_methods: Vec::new(),
        allow_headers: Vec::new(),
        expose_headers: Vec::new(),
        max_age: 5,
    }
}

#[test]
fn cors_of_named_origins() {
    let policy = CorsPolicy {
        allow_credentials: true,
        allow_methods: vec!["GET".into(), "OPTIONS".into()],
        allow_headers: vec!["x-header-1".into(), "x-header-2".into()],
        expose_headers: vec!["x-header-3".into()],
        max_age: 3600,
        ..policy("https://www.foo.com")
    };
    let asked = ("access-control-request-method", "GET");
    assert_eq!(
        cors(&policy, "OPTIONS", &[("origin", "https://www.foo.com"), asked]),
        [
            "preflight",
            "vary: Origin",
            "access-control-allow-origin: https://www.foo.com",
            "access-control-allow-credentials: true",
            "access-control-expose-headers: x-header-3",
            "access-control-allow-methods: GET, OPTIONS",
            "access-control-allow-headers: x-header-1, x-header-2",
            "access-control-max-age: 3600",
        ]
    );
    assert_eq!(
        cors(&policy, "GET", &[("origin", "https://www.foo.com")]),
        [
            "vary: Origin",
            "access-control-allow-origin: https://www.foo.com",
            "access-control-allow-credentials: true",
            "access-control-expose-headers: x-header-3",
        ]
    );
    for origin in [
        "https://foobar.com",
        "http://www.foo.com",
        "https://www.foo.com:8443",
        "https://www.foo.com.evil.example",
        "null",
        "https://www.foo.com, https://evil.example",
    ] {
        assert_eq!(
            cors(&policy, "OPTIONS", &[("origin", origin), asked]),
            ["preflight", "vary: Origin"]
        );
        assert_eq!(cors(&policy, "GET", &[("origin", origin)]), ["vary: Origin"], "{origin}");
    }
    // No preflight without both fields; then the app answers.
    assert_eq!(cors(&policy, "OPTIONS", &[asked]), ["vary: Origin"]);
    assert!(
        !cors(&policy, "OPTIONS", &[("origin", "https://www.foo.com")])
            .contains(&"preflight".to_owned())
    );
}

#[test]
fn cors_wildcards() {
    let asked = [
        ("origin", "https://other.foo.com"),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-header-1, x-header-2"),
    ];
    let any = CorsPolicy {
        allow_methods: vec!["*".into()],
        allow_headers: vec!["*".into()],
        expose_headers: vec!["*".into()],
        ..policy("*")
    };
    for (credentials, exposed) in [(false, true), (true, false)] {
        let policy = CorsPolicy { allow_credentials: credentials, ..any.clone() };
        let found = cors(&policy, "OPTIONS", &asked);
        for line in [
            "access-control-allow-origin: https://other.foo.com",
            "access-control-allow-methods: PUT",
            "access-control-allow-headers: x-header-1, x-header-2",
            "access-control-max-age: 5",
        ] {
            assert!(found.contains(&line.to_owned()), "{line}: {found:?}");
        }
        let has = |line: &str| found.contains(&line.to_owned());
        assert_eq!(has("access-control-expose-headers: *"), exposed, "{found:?}");
        assert_eq!(has("access-control-allow-credentials: true"), credentials);
    }
    // What is said back is what such fields may hold, and nothing else.
    let odd = [asked[0], asked[1], ("access-control-request-headers", "x\u{0}y")];
    assert!(!cors(&any, "OPTIONS", &odd).iter().any(|line| line.contains("allow-headers")));
    for (pattern, origin, expect) in [
        ("*.bar.com", "https://www.bar.com", true),
        ("*.bar.com", "https://x.www.bar.com", true),
        ("*.bar.com", "https://bar.com", false),
        ("*.bar.com", "https://evilbar.com", false),
        ("*.bar.com", "http://www.bar.com", false),
        ("*", "https://foobar.com:12345", true),
        ("*", "null", true),
    ] {
        let found = cors(&policy(pattern), "GET", &[("origin", origin)]);
        assert_eq!(found.len() == 2, expect, "{pattern} {origin}: {found:?}");
    }
}
