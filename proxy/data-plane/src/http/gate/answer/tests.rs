#![allow(clippy::unwrap_used)]
use http::{HeaderName, Response};

use crate::http::gate::answer::*;

/// The fields of an answer as they are left, or what is wrong with it.
fn pass(
    status: u16,
    version: Version,
    fields: &[(&str, &str)],
    asked: &AnsweredRequest,
) -> Result<String, BadAnswer> {
    let mut answer = Response::builder().status(status).version(version);
    for (name, value) in fields {
        answer = answer.header(*name, *value);
    }
    let (mut parts, ()) = answer.body(()).unwrap().into_parts();
    admit(&mut parts, asked, HeadLimits::default(), AnswerOrigin::Other)?;
    let line =
        |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
    let mut lines: Vec<_> = parts.headers.iter().map(line).collect();
    lines.sort();
    Ok(lines.join(", "))
}

fn get() -> AnsweredRequest {
    AnsweredRequest { head_only: false, upgrade: None }
}

type AnswerRow = (&'static str, u16, &'static [(&'static str, &'static str)], Option<&'static str>);

fn check(rows: &[AnswerRow], version: Version, asked: &AnsweredRequest) {
    for (name, status, fields, expect) in rows {
        let found = pass(*status, version, fields, asked).ok();
        assert_eq!(found.as_deref(), *expect, "{name}");
    }
}

#[test]
fn s06_an_answer_says_in_one_way_where_it_ends() {
    const LENGTH: &str = "content-length";
    const CODING: &str = "transfer-encoding";
    let rows: &[AnswerRow] = &[
        ("nothing: until the end", 200, &[], Some("")),
        ("a length", 200, &[(LENGTH, "5")], Some("content-length: 5")),
        ("zeros before it", 200, &[(LENGTH, "005")], Some("content-length: 5")),
        ("blanks around it", 200, &[(LENGTH, " 5")], Some("content-length: 5")),
        ("the same twice", 200, &[(LENGTH, "5"), (LENGTH, "5")], None),
        ("two lengths", 200, &[(LENGTH, "5"), (LENGTH, "6")], None),
        ("a list", 200, &[(LENGTH, "5, 5")], None),
        ("a sign", 200, &[(LENGTH, "+5")], None),
        ("no number", 200, &[(LENGTH, "five")], None),
        ("empty", 200, &[(LENGTH, "")], None),
        ("chunked", 200, &[(CODING, "chunked")], Some("transfer-encoding: chunked")),
        ("Chunked", 200, &[(CODING, "Chunked")], Some("transfer-encoding: Chunked")),
        ("gzip", 200, &[(CODING, "gzip")], None),
        ("gzip, chunked", 200, &[(CODING, "gzip, chunked")], None),
        ("chunked, gzip", 200, &[(CODING, "chunked, gzip")], None),
        ("chunked twice", 200, &[(CODING, "chunked, chunked")], None),
        ("chunked on two lines", 200, &[(CODING, "chunked"), (CODING, "chunked")], None),
        ("xchunked", 200, &[(CODING, "xchunked")], None),
        ("identity", 200, &[(CODING, "identity")], None),
        ("a length beside it", 200, &[(CODING, "chunked"), (LENGTH, "5")], None),
        ("204", 204, &[], Some("")),
        ("204 of no length", 204, &[(LENGTH, "0")], Some("")),
        ("204 with a length", 204, &[(LENGTH, "5")], None),
        ("204 with chunks", 204, &[(CODING, "chunked")], None),
        ("304 says what would be", 304, &[(LENGTH, "5")], Some("content-length: 5")),
        ("304 of two lengths", 304, &[(LENGTH, "5"), (LENGTH, "6")], None),
    ];
    check(rows, Version::HTTP_11, &get());
    let old: &[AnswerRow] = &[
        ("a length", 200, &[(LENGTH, "5")], Some("content-length: 5")),
        ("chunked", 200, &[(CODING, "chunked")], None),
    ];
    check(old, Version::HTTP_10, &get());
    check(&old[1..], Version::HTTP_2, &get());
}

#[test]
fn a_status_is_one_that_exists_and_was_asked_for() {
    let switch: &[(&str, &str)] = &[("connection", "Upgrade"), ("upgrade", "WebSocket")];
    let done = Some("connection: Upgrade, upgrade: WebSocket");
    let rows: &[AnswerRow] = &[
        ("the last one", 599, &[], Some("")),
        ("beyond", 600, &[], None),
        ("999", 999, &[], None),
        ("an interim one that ends", 103, &[], None),
        ("101", 101, switch, None),
    ];
    check(rows, Version::HTTP_11, &get());
    let asked =
        AnsweredRequest { head_only: false, upgrade: Some(HeaderValue::from_static("websocket")) };
    let rows: &[AnswerRow] = &[
        ("as asked", 101, switch, done),
        ("no", 400, &[], Some("")),
        ("another protocol", 101, &[("connection", "upgrade"), ("upgrade", "h2c")], None),
        ("no protocol", 101, &[("connection", "upgrade")], None),
        ("not announced", 101, &[("upgrade", "websocket")], None),
        (
            "two protocols",
            101,
            &[("connection", "upgrade"), ("upgrade", "websocket"), ("upgrade", "a")],
            None,
        ),
    ];
    check(rows, Version::HTTP_11, &asked);
}

#[test]
fn s16_nobody_else_speaks_in_our_name() {
    let fields: &[(&str, &str)] = &[
        ("x-postern-reason", "app_unreachable"),
        ("x-postern-reason", "again"),
        ("x-postern-version", "2"),
        ("x_postern_reason", "a"),
        ("x-forwarded-client-cert", "URI=spiffe://a/b"),
        ("X_Forwarded-Client_Cert", "URI=spiffe://a/b"),
        ("te", "trailers"),
        ("x-post", "stays"),
        ("x-forwarded-client-certs", "stays"),
    ];
    let left = Some("x-forwarded-client-certs: stays, x-post: stays");
    check(&[("an app", 200, fields, left)], Version::HTTP_11, &get());
    let mut headers = HeaderMap::new();
    headers.insert("x-postern-reason", HeaderValue::from_static("default_deny"));
    headers.insert("x-postern-version", HeaderValue::from_static("2"));
    headers::strip_claims(&mut headers, AnswerOrigin::Postern);
    assert_eq!(headers.len(), 1, "a proxy of ours says why, and nothing else: {headers:?}");
    assert_eq!(headers["x-postern-reason"], "default_deny");
}

#[test]
fn s02_the_head_of_an_answer_has_the_limits_of_a_request() {
    let fields = |count: usize| {
        let mut answer = Response::builder();
        for _ in 0..count {
            answer = answer.header("x", "y");
        }
        answer
    };
    let judge = |answer: http::response::Builder| {
        let (mut parts, ()) = answer.body(()).unwrap().into_parts();
        admit(&mut parts, &get(), HeadLimits::default(), AnswerOrigin::Other)
    };
    assert_eq!(judge(fields(128)), Ok(()));
    assert_eq!(judge(fields(129)), Err(TooLarge));
    let bytes = |count: usize| Response::builder().header("x", "y".repeat(count));
    assert_eq!(judge(bytes(64 * 1024 - 33)), Ok(()));
    assert_eq!(judge(bytes(64 * 1024 - 32)), Err(TooLarge));
}

#[test]
fn an_interim_answer_carries_nothing_of_this_hop() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("link", "</style.css>; rel=preload"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("content-length", "5"),
        ("x-postern-reason", "ok"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    assert!(admit_interim(&mut headers, HeadLimits::default()));
    assert_eq!(headers.len(), 1, "{headers:?}");
    assert!(!admit_interim(&mut headers, HeadLimits { fields: 0, bytes: 1000 }));
}
