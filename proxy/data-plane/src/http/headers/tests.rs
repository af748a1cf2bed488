#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use crate::http::headers::*;

/// Fields from lines of `name: value`.
fn fields(lines: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value.trim()).unwrap());
    }
    headers
}

/// The names that are left, sorted.
fn left(headers: &HeaderMap) -> String {
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names.join(" ")
}

#[test]
fn s16_hop_by_hop_fields() {
    let check = |row: &str, lines: &str, expect: &str| {
        let mut headers = fields(lines);
        strip_hop_by_hop(&mut headers);
        assert_eq!(left(&headers), expect, "{row}");
    };
    check("nothing to do", "host: a\naccept: b", "accept host");
    check("connection", "connection: keep-alive\nkeep-alive: timeout=5\na: b", "a");
    check("named", "connection: close, X-User\nx-user: admin\nx-other: 1", "x-other");
    check(
        "named on two lines",
        "connection: x-a\nconnection: ,x-b,\nx-a: 1\nx-b: 1\nx-c: 1",
        "x-c",
    );
    check("our own name", "connection: x-forwarded-client-cert\nx-forwarded-client-cert: By=a", "");
    check(
        "host is not the sender's to take",
        "connection: host, content-length\nhost: a\ncontent-length: 3",
        "content-length host",
    );
    check("not a name", "connection: a b, (), \nx: y", "x");
    check(
        "proxy",
        "proxy-connection: close\nproxy-authorization: Basic x\nproxy-authenticate: Basic",
        "",
    );
    check("transfer-encoding", "transfer-encoding: chunked\ntrailer: grpc-status", "trailer");
    check(
        "h2c",
        "connection: upgrade, http2-settings\nupgrade: h2c\nhttp2-settings: AAMAAABkAAQ",
        "",
    );
}

#[test]
fn te_keeps_trailers_alone() {
    let check = |lines: &str, expect: Option<&str>| {
        let mut headers = fields(lines);
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.get(TE).map(|value| value.to_str().unwrap()), expect, "{lines}");
        assert!(headers.get_all(TE).iter().count() <= 1, "{lines}");
    };
    check("te: trailers", Some("trailers"));
    check("te: trailers\nconnection: te", Some("trailers"));
    check("te: gzip;q=0.5, Trailers", Some("trailers"));
    check("te: gzip\nte: trailers", Some("trailers"));
    check("te: gzip", None);
    check("te:", None);
}

#[test]
fn s16_who_speaks_for_the_client() {
    let forged = "x-forwarded-client-cert: By=x;URI=spiffe://td/ns/a/sa/admin
        x-forwarded-client-cert: second
        x-postern-reason: fine
        x-postern-anything: 1
        x-forwarded-for: 10.0.0.1
        forwarded: for=10.0.0.1
        x-real-ip: 10.0.0.1
        x-envoy-external-address: 10.0.0.1
        x-request-id: 7";
    let check = |sender, expect: &str| {
        let mut headers = fields(forged);
        strip_forwarded_identity(&mut headers, sender);
        assert_eq!(left(&headers), expect, "{sender:?}");
    };
    check(SenderTrust::Other, "x-request-id");
    check(
        SenderTrust::Listed,
        "forwarded x-envoy-external-address x-forwarded-for x-real-ip x-request-id",
    );
}

#[test]
fn s16_our_field_replaces_every_other() {
    let by = SpiffeId::parse("spiffe://cluster.local/ns/shop/sa/cart").unwrap();
    let peer = SpiffeId::parse("spiffe://cluster.local/ns/shop/sa/frontend").unwrap();
    let mut headers = fields("x-forwarded-client-cert: a\nx-forwarded-client-cert: b");
    ForwardedClientCert::new(&by, &[0xab; 32], &peer).set(&mut headers);
    let values: Vec<_> = headers.get_all(FORWARDED_CLIENT_CERT).iter().collect();
    let hash = "ab".repeat(32);
    let expect = format!("By={by};Hash={hash};URI={peer}");
    assert_eq!(values, [&expect]);
}

#[test]
fn s10_header_syntax_of_what_we_make() {
    let check = |raw: &str, expect: &str| {
        let value = element("spiffe://td/a", &[0; 32], raw);
        let text = value.to_str().unwrap();
        assert_eq!(text.split_once("URI=").unwrap().1, expect, "{raw:?}");
        assert_eq!(text.matches(';').count(), 2, "{raw:?}");
    };
    check("spiffe://td/ns/a_b/sa/c-d.e", "spiffe://td/ns/a_b/sa/c-d.e");
    check("a\r\nx-admin: 1", "a%0D%0Ax-admin:%201");
    check("a\0b", "a%00b");
    check("a\";URI=spiffe://td/b", "a%22%3BURI%3Dspiffe://td/b");
    check("a,By=b", "a%2CBy%3Db");
    check("a%0a", "a%250a");
    check("ü\u{7f}", "%C3%BC%7F");
}

#[test]
fn s11_trailers_named_like_headers() {
    let check = |of, lines: &str, expect: &str| {
        let mut trailers = fields(lines);
        filter_trailers(&mut trailers, of);
        assert_eq!(left(&trailers), expect, "{of:?} {lines}");
    };
    let dangerous = "authorization: x\ncookie: x\nhost: x\ncontent-length: 1\nte: x\ntransfer-encoding: chunked\n\
                     x-forwarded-client-cert: x\nx-postern-reason: x\nx_postern_reason: x\nset-cookie: x\nproxy-authorization: x";
    check(TrailerKind::Grpc, dangerous, "");
    check(TrailerKind::Http, dangerous, "");
    let metadata = "grpc-status: 0\ngrpc-message: ok\ngrpc-status-details-bin: AA\nmy-metadata: 1";
    check(
        TrailerKind::Grpc,
        metadata,
        "grpc-message grpc-status grpc-status-details-bin my-metadata",
    );
    check(TrailerKind::Http, metadata, "grpc-message grpc-status grpc-status-details-bin");
    check(
        TrailerKind::Http,
        "content-digest: x\nserver-timing: db;dur=5\nx-anything: 1",
        "content-digest server-timing",
    );
    let folded = "x_forwarded_client_cert: x\nx_postern_reason: x\nset_cookie: x\nmy_metadata: 1";
    check(TrailerKind::Grpc, folded, "my_metadata");
}

/// What no condition may name is what is taken off, even where a listed sender speaks.
#[test]
fn s15_header_conditions_may_not_name_what_is_taken_off() {
    use policy::header_names::{OF_ONE_HOP, advice_on_removed_header};
    for name in OF_ONE_HOP.into_iter().chain(["x-forwarded-client-cert", "x-postern-any"]) {
        assert!(advice_on_removed_header(name).is_some(), "{name}");
        let mut headers = fields(&format!("{name}: a"));
        strip_hop_by_hop(&mut headers);
        strip_forwarded_identity(&mut headers, SenderTrust::Listed);
        assert_eq!(left(&headers), "", "{name}");
    }
    for name in HOP_BY_HOP.iter().chain([&CONNECTION, &TE, &FORWARDED_CLIENT_CERT]) {
        assert!(advice_on_removed_header(name.as_str()).is_some(), "{name}");
    }
    for name in SPEAKS_FOR_CLIENT.iter().chain([&UPGRADE, &HOST]) {
        assert!(advice_on_removed_header(name.as_str()).is_none(), "{name}");
    }
}
