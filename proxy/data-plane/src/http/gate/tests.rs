//! The gate on requests as hyper hands them over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::sync::LazyLock;

use http::header::{HOST, HeaderName};
use http::{Request, StatusCode, Uri};

use policy::PathError;

use crate::http::gate::*;

/// A request from text: `METHOD target version`, then `name: value` lines.
fn request(text: &str) -> Parts {
    let mut lines = text.lines();
    let mut words = lines.next().unwrap().split(' ');
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = words.next().unwrap().parse().unwrap();
    parts.uri = words.next().unwrap().parse().unwrap();
    parts.version = match words.next() {
        Some("h2") => Version::HTTP_2,
        Some("1.0") => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    for line in lines.map(str::trim_start).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        parts.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    parts
}

fn settings() -> GateSettings<'static> {
    GateSettings {
        default_port: Some(80),
        dialled: Some(([10, 0, 0, 1], 8080).into()),
        normalization: PathNormalization::default(),
        head: HeadLimits::default(),
        named: Some(&RULES),
        underscores: UnderscorePolicy::Allow,
    }
}

/// What the rules name.
static RULES: LazyLock<HeaderNames> =
    LazyLock::new(|| HeaderNames::new(["x-role", "x_team", "authorization"]));

/// Passes the gate whole: the request as it would be sent on, one line for the target and one for
/// each field, or the refusal.
fn pass(text: &str) -> Result<String, GateRefusal> {
    pass_by(text, &settings())
}

fn pass_by(text: &str, settings: &GateSettings<'_>) -> Result<String, GateRefusal> {
    let mut parts = request(text);
    let admitted = admit(&mut parts, settings)?;
    assert_eq!(parts.headers.get_all(HOST).iter().count(), 1, "{text}");
    assert_eq!(parts.headers[HOST], admitted.host().as_str(), "{text}");
    let path = admitted.path()?;
    admitted.set_target(&path, &mut parts)?;
    let fields =
        parts.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    let mut lines: Vec<String> = fields.collect();
    lines.sort_unstable();
    assert!(!parts.uri.to_string().is_empty(), "{text}");
    lines.insert(0, format!("{} {}", parts.method, parts.uri));
    Ok(lines.join("\n"))
}

fn passes(row: &str, text: &str, expect: &[&str]) {
    assert_eq!(pass(text), Ok(expect.join("\n")), "{row}");
}

fn refused(row: &str, text: &str, expect: GateRefusal) {
    assert_eq!(pass(text), Err(expect), "{row}");
}

#[test]
fn an_ordinary_request_is_unchanged() {
    passes(
        "1.1",
        "GET /a/b?c=d\nhost: cart\naccept: */*",
        &["GET /a/b?c=d", "accept: */*", "host: cart"],
    );
    passes("1.0", "GET / 1.0\nhost: cart", &["GET /", "host: cart"]);
    passes("lower-case method", "get /\nhost: cart", &["get /", "host: cart"]);
    passes(
        "gRPC",
        "POST /a.B/C h2\nhost: cart\nte: trailers",
        &["POST /a.B/C", "host: cart", "te: trailers"],
    );
    passes("h2", "GET http://cart/a?b h2\na: b", &["GET /a?b", "a: b", "host: cart"]);
}

#[test]
fn s06_content_length_vs_transfer_encoding_gate() {
    let row = |row: &str, fields: &str, expect: GateRefusal| {
        refused(row, &format!("POST / 1.1\nhost: a\n{fields}"), expect);
    };
    row("both", "content-length: 5\ntransfer-encoding: chunked", GateRefusal::TRANSFER_ENCODING);
    row("unknown coding first", "transfer-encoding: cow, chunked", GateRefusal::TRANSFER_ENCODING);
    row("twice in a line", "transfer-encoding: chunked, chunked", GateRefusal::TRANSFER_ENCODING);
    row(
        "two lines",
        "transfer-encoding: chunked\ntransfer-encoding: chunked",
        GateRefusal::TRANSFER_ENCODING,
    );
    row("an empty member", "transfer-encoding: ,chunked", GateRefusal::TRANSFER_ENCODING);
    row("another", "transfer-encoding: identity", GateRefusal::TRANSFER_ENCODING);
    row("a parameter", "transfer-encoding: chunked;a=b", GateRefusal::TRANSFER_ENCODING);
    row("two lengths", "content-length: 5\ncontent-length: 5", GateRefusal::CONTENT_LENGTH);
    row("a list", "content-length: 5, 5", GateRefusal::CONTENT_LENGTH);
    row("a sign", "content-length: +5", GateRefusal::CONTENT_LENGTH);
    row("negative", "content-length: -5", GateRefusal::CONTENT_LENGTH);
    row("hexadecimal", "content-length: 0x5", GateRefusal::CONTENT_LENGTH);
    row("too large", "content-length: 99999999999999999999", GateRefusal::CONTENT_LENGTH);
    refused(
        "on 1.0",
        "POST / 1.0\nhost: a\ntransfer-encoding: chunked",
        GateRefusal::TRANSFER_ENCODING,
    );
    refused(
        "on h2",
        "POST http://a/ h2\ntransfer-encoding: chunked",
        GateRefusal::TRANSFER_ENCODING,
    );
    const { assert!(GateRefusal::TRANSFER_ENCODING.close && GateRefusal::CONTENT_LENGTH.close) };
}

#[test]
fn s06_one_framing_field_is_sent_on() {
    let head = ["POST /", "content-length: 2", "host: a"];
    passes("plain", "POST / 1.1\nhost: a\ncontent-length: 2", &head);
    passes("zeros in front", "POST / 1.1\nhost: a\ncontent-length: 0002", &head);
    passes(
        "zero",
        "POST / 1.1\nhost: a\ncontent-length: 0",
        &["POST /", "content-length: 0", "host: a"],
    );
    passes("chunked", "POST / 1.1\nhost: a\ntransfer-encoding: Chunked", &["POST /", "host: a"]);
}

#[test]
fn s08_upgrade_and_connect_gate() {
    refused("CONNECT without a port", "CONNECT a", GateRefusal::CONNECT);
    refused("CONNECT", "CONNECT a:443 1.1\nhost: a:443", GateRefusal::CONNECT);
    refused("CONNECT on h2", "CONNECT a:443 h2", GateRefusal::CONNECT);

    let check = |row: &str, fields: &str, expect: Option<&str>, close: bool| {
        let mut parts = request(&format!("GET / 1.1\nhost: a\n{fields}"));
        let admitted = admit(&mut parts, &settings()).unwrap();
        let found = admitted.upgrade.as_ref().map(|value| value.to_str().unwrap());
        assert_eq!(found, expect, "{row}");
        assert_eq!(admitted.close_unless_upgraded, close, "{row}");
        let sent = |name| {
            parts.headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap().to_owned())
        };
        assert_eq!(sent("upgrade").as_deref(), expect, "{row}");
        assert_eq!(sent("connection").as_deref(), expect.map(|_| "upgrade"), "{row}");
    };
    check(
        "websocket",
        "connection: keep-alive, Upgrade\nupgrade: websocket",
        Some("websocket"),
        true,
    );
    check("a version", "connection: upgrade\nupgrade: foo/2", Some("foo/2"), true);
    check("not announced", "upgrade: websocket", None, true);
    check("a list", "connection: upgrade\nupgrade: websocket, foo", None, true);
    check("two lines", "connection: upgrade\nupgrade: websocket\nupgrade: foo", None, true);
    check(
        "h2c",
        "connection: upgrade, http2-settings\nupgrade: h2c\nhttp2-settings: AAMAAABkAAQ",
        None,
        false,
    );
    check("h2c in a list", "connection: upgrade\nupgrade: h2c, websocket", None, true);
    check("h2c with a version", "connection: upgrade\nupgrade: h2c/1", None, true);
    check("tls", "connection: upgrade\nupgrade: TLS/1.2", None, true);
    check("http", "connection: upgrade\nupgrade: HTTP/2.0", None, true);
    check("none", "connection: upgrade", None, false);
}

#[test]
fn s11_h2_to_h1_downgrade_gate() {
    refused("host is not the authority", "GET http://a/ h2\nhost: b", GateRefusal::HOST_MISMATCH);
    refused("another port", "GET http://a:81/ h2\nhost: a", GateRefusal::HOST_MISMATCH);
    refused("two hosts", "GET http://a/ h2\nhost: a\nhost: a", GateRefusal::HOST_REPEATED);
    refused("neither", "GET / h2", GateRefusal::HOST_MISSING);
    refused("user information", "GET http://u@evil/ h2", GateRefusal::HOST_INVALID);
    refused("user information in host", "GET / h2\nhost: u@evil", GateRefusal::HOST_INVALID);
    refused("path *", "GET * h2\nhost: a", GateRefusal::TARGET);
    refused("scheme ftp", "GET ftp://a/ h2", GateRefusal::SCHEME);
    refused(
        "no path, only a query",
        "GET http://a?x h2",
        GateRefusal::path(PathError::NoLeadingSlash),
    );
    refused("8-bit in the path", "GET http://a/ü h2", GateRefusal::TARGET);
    passes("the same host, spelled twice", "GET http://a:80/ h2\nhost: A.", &["GET /", "host: a"]);
    passes(
        "blanks at the ends",
        "GET http://a/ h2\nb: \t c \nhost:  a",
        &["GET /", "b: c", "host: a"],
    );
    passes("host alone", "GET / h2\nhost: a", &["GET /", "host: a"]);
}

/// In a URI the case of the scheme means nothing (RFC 3986 §3.1); `:scheme` is compared as it is.
#[test]
fn s11_h2_scheme_in_capitals() {
    let mut parts = request("GET http://a/ h2");
    parts.uri = Uri::builder().scheme("HTTPS").authority("a").path_and_query("/").build().unwrap();
    assert_eq!(admit(&mut parts, &settings()).unwrap_err(), GateRefusal::SCHEME);
    passes("in a URI", "GET HTTP://a/ 1.1\nhost: a", &["GET /", "host: a"]);
}

/// A client of HTTP/1.0 need not name a host: it is what it dialled, and the app is told so.
#[test]
fn s11_h1_targets_of_old_clients() {
    passes("no Host", "GET /x 1.0", &["GET /x", "host: 10.0.0.1:8080"]);
    passes("a Host", "GET / 1.0\nhost: a", &["GET /", "host: a"]);
    refused("two of them", "GET / 1.0\nhost: a\nhost: a", GateRefusal::HOST_REPEATED);
    refused("a URI without Host", "GET http://b/ 1.0", GateRefusal::HOST_MISSING);
    refused("no Host on HTTP/1.1", "GET / 1.1", GateRefusal::HOST_MISSING);
    let unknown = GateSettings { dialled: None, ..settings() };
    assert_eq!(pass_by("GET / 1.0", &unknown).unwrap_err(), GateRefusal::HOST_MISSING);
    for (dialled, host) in [("10.0.0.1:80", "10.0.0.1"), ("[fd00::1]:80", "[fd00::1]")] {
        let dialled = GateSettings { dialled: Some(dialled.parse().unwrap()), ..settings() };
        let passed = pass_by("GET / 1.0", &dialled).unwrap();
        assert!(passed.ends_with(&format!("host: {host}")), "{passed}");
    }
}

#[test]
fn s11_h1_targets() {
    refused("no slash", "GET admin 1.1\nhost: a", GateRefusal::TARGET);
    refused("an authority", "GET a:80 1.1\nhost: a:80", GateRefusal::TARGET);
    refused("*", "GET * 1.1\nhost: a", GateRefusal::TARGET);
    passes("OPTIONS *", "OPTIONS * 1.1\nhost: a", &["OPTIONS *", "host: a"]);
    refused(
        "another host than the URI's",
        "GET http://b/ 1.1\nhost: a",
        GateRefusal::HOST_MISMATCH,
    );
    refused("a URI without Host", "GET http://b/ 1.1", GateRefusal::HOST_MISSING);
    refused(
        "user information in the URI",
        "GET http://u:p@a/ 1.1\nhost: a",
        GateRefusal::HOST_INVALID,
    );
    passes("a URI without a path", "GET http://a 1.1\nhost: a", &["GET /", "host: a"]);
    passes("a fragment for a path", "GET http://a#b/c 1.1\nhost: a", &["GET /", "host: a"]);
    passes("a URI", "GET http://A/x?y 1.1\nhost: a", &["GET /x?y", "host: a"]);
}

#[test]
fn options_asterisk_is_judged_as_the_root() {
    let mut parts = request("OPTIONS * 1.1\nhost: a");
    let admitted = admit(&mut parts, &settings()).unwrap();
    assert_eq!(admitted.path().unwrap().as_str(), "/");
}

#[test]
fn s14_host_spelling_gate() {
    refused("none", "GET / 1.1", GateRefusal::HOST_MISSING);
    refused("two", "GET / 1.1\nhost: a\nhost: a", GateRefusal::HOST_REPEATED);
    refused("a path and more", "GET / 1.1\nhost: a/b@c", GateRefusal::HOST_INVALID);
    refused("empty", "GET / 1.1\nhost:  ", GateRefusal::HOST_INVALID);
    refused("a list", "GET / 1.1\nhost: a, b", GateRefusal::HOST_INVALID);
    refused("not ASCII", "GET / 1.1\nhost: bücher.example", GateRefusal::HOST_INVALID);
    refused("percent", "GET / 1.1\nhost: a%2eb", GateRefusal::HOST_INVALID);
    for spelling in ["cart", "CART", "Cart.", "cart:80", "CART.:80", "cart:"] {
        passes(spelling, &format!("GET / 1.1\nhost: {spelling}"), &["GET /", "host: cart"]);
    }
    passes("another port", "GET / 1.1\nhost: cart:8080", &["GET /", "host: cart:8080"]);
}

#[test]
fn s12_path_canonicalisation_gate() {
    let row = |path: &str, expect: &str| {
        passes(path, &format!("GET {path} 1.1\nhost: a"), &[&format!("GET {expect}"), "host: a"]);
    };
    row("/a/b", "/a/b");
    row("//a//b?c=//d", "/a/b?c=//d");
    row("/a/./b/../c", "/a/c");
    row("/a\\b", "/a/b");
    row("/%61", "/a");
    for (path, error) in [
        ("/a%00", PathError::Nul),
        ("/a%zz", PathError::BadEscape),
        ("/../a", PathError::AboveRoot),
        ("/%c0%ae", PathError::Overlong),
    ] {
        refused(path, &format!("GET {path} 1.1\nhost: a"), GateRefusal::path(error));
    }
    refused("in a URI", "GET http://a/%zz h2", GateRefusal::path(PathError::BadEscape));
}

#[test]
fn s15_header_conditions_underscores() {
    let request = |version: &str, field: &str| format!("GET / {version}\nhost: a\n{field}: 1");
    for version in ["1.0", "1.1", "h2"] {
        for field in ["api_key", "x_user", "x_forwarded", "_", "a.b", "x-team-a", "authorization"] {
            let mut sent = [format!("{field}: 1"), "host: a".to_owned()];
            sent.sort_unstable();
            let [first, second] = &sent;
            passes(field, &request(version, field), &["GET /", first, second]);
        }
        for field in [
            // A rule names the other spelling.
            "x_role",
            "X_Role",
            "x.role",
            "x-team",
            "x.team",
            // The mesh does.
            "x_forwarded_client_cert",
            "x-forwarded_client-cert",
            "x_forwarded_for",
            "x_forwarded_host",
            "x_real_ip",
            "true_client_ip",
            "x_envoy_external_address",
            "x_postern_version",
            "x_postern_anything",
            "content_length",
            "transfer_encoding",
            "proxy_authorization",
            "keep_alive",
        ] {
            refused(field, &request(version, field), GateRefusal::UNDERSCORE);
        }
    }
}

#[test]
fn s15_header_conditions_underscores_as_set() {
    let text = "GET / 1.1\nhost: a\nx_user: admin\nx_user: root\nx-user: joe\na_b: c";
    let with = |underscores, text: &str| pass_by(text, &GateSettings { underscores, ..settings() });
    let kept = "GET /\na_b: c\nhost: a\nx-user: joe\nx_user: admin\nx_user: root";
    assert_eq!(with(UnderscorePolicy::Allow, text).as_deref(), Ok(kept));
    assert_eq!(with(UnderscorePolicy::Drop, text).as_deref(), Ok("GET /\nhost: a\nx-user: joe"));
    assert_eq!(with(UnderscorePolicy::Refuse, text), Err(GateRefusal::UNDERSCORE));
    let plain = "GET / 1.1\nhost: a\na.b: c";
    for underscores in [UnderscorePolicy::Drop, UnderscorePolicy::Refuse] {
        let ours = "GET / 1.1\nhost: a\nx_forwarded_for: 10.0.0.1";
        assert_eq!(with(underscores, ours), Err(GateRefusal::UNDERSCORE), "{underscores:?}");
        assert!(with(underscores, plain).is_ok(), "{underscores:?}: no underscore");
    }
    let mut parts = request(text);
    let settings = GateSettings { underscores: UnderscorePolicy::Drop, ..settings() };
    assert_eq!(admit(&mut parts, &settings).unwrap().dropped, 3);
}

#[test]
fn s16_hop_by_hop_gate() {
    passes(
        "named by connection",
        "GET / 1.1\nhost: a\nconnection: X-User\nx-user: 1\nkeep-alive: x\nproxy-connection: close",
        &["GET /", "host: a"],
    );
    passes("host stays", "GET / 1.1\nhost: a\nconnection: host", &["GET /", "host: a"]);
}

#[test]
fn expectations() {
    passes(
        "100-continue",
        "POST / 1.1\nhost: a\nexpect: 100-Continue",
        &["POST /", "expect: 100-continue", "host: a"],
    );
    refused("another", "POST / 1.1\nhost: a\nexpect: banana", GateRefusal::EXPECTATION);
    refused(
        "two",
        "POST / 1.1\nhost: a\nexpect: 100-continue\nexpect: 100-continue",
        GateRefusal::EXPECTATION,
    );
    assert_eq!(GateRefusal::EXPECTATION.status, StatusCode::EXPECTATION_FAILED);
}

#[test]
fn s02_header_floods_gate() {
    let many = |count: usize| format!("GET / 1.1\nhost: a{}", "\nx: y".repeat(count - 1));
    assert!(pass(&many(MAX_FIELDS)).is_ok());
    refused("129 fields", &many(MAX_FIELDS + 1), GateRefusal::HEADERS_TOO_LARGE);
    // name + value + 32 for each of two fields
    let long =
        |bytes: usize| format!("GET / 1.1\nhost: a\nx: {}", "y".repeat(bytes - 32 - 5 - 32 - 1));
    assert!(pass(&long(MAX_FIELD_BYTES)).is_ok());
    refused("64 KiB and one", &long(MAX_FIELD_BYTES + 1), GateRefusal::HEADERS_TOO_LARGE);
    let crumbs =
        format!("GET / h2\nhost: a{}", format!("\ncookie: {}", "c".repeat(4096)).repeat(20));
    refused("20 cookie crumbs of 4 KiB", &crumbs, GateRefusal::HEADERS_TOO_LARGE);
    assert_eq!(GateRefusal::HEADERS_TOO_LARGE.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[test]
fn methods_have_a_limit() {
    passes("PROPFIND", "PROPFIND / 1.1\nhost: a", &["PROPFIND /", "host: a"]);
    refused(
        "33 letters",
        &format!("{} / 1.1\nhost: a", "M".repeat(33)),
        GateRefusal::UNKNOWN_METHOD,
    );
}

#[test]
fn a_request_without_a_target_put_back_goes_nowhere_else() {
    let mut parts = request("GET /secret 1.1\nhost: a");
    admit(&mut parts, &settings()).unwrap();
    assert_eq!(parts.uri, Uri::from_static("/"));
}

/// Nothing is rewritten after the decision: what is sent, read once more, is what was judged.
#[test]
fn s13_rewrite_after_authz_the_judged_path_is_sent() {
    let tricks = [
        "/a/..;/admin",
        "/a/%2e%2e/admin",
        "/a/./b",
        "//a//b",
        "/a%2Fb",
        "/a%5cb",
        "/a/b/../c",
        "/%61dmin",
        "/a;x=1/b",
        "/a?b=../c",
        "/a/..%2fadmin",
    ];
    for target in tricks {
        let mut parts = request(&format!("GET {target}\nhost: cart"));
        let Ok(admitted) = admit(&mut parts, &settings()) else { continue };
        let Ok(judged) = admitted.path() else { continue };
        admitted.set_target(&judged, &mut parts).unwrap();
        let again = policy::CanonicalPath::parse(
            parts.uri.path_and_query().unwrap().as_str(),
            PathNormalization::default(),
        );
        assert_eq!(again.unwrap().as_str(), judged.as_str(), "{target}");
    }
}
