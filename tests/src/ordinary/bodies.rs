//! Requests with a body: forms, JSON of many shapes, forms with files, files alone.

use serde_json::{Value, json};

use super::words::{LINKS, NAMES, SEARCHES};
use super::{Chance, OrdinaryRequest, encoded, request};

pub(super) fn form(chance: &mut Chance) -> OrdinaryRequest {
    let name = encoded(chance.of(NAMES));
    let (target, body) = match chance.below(4) {
        0 => (
            "/contact",
            format!(
                "name={name}&subject={}&message={}",
                encoded(chance.of(SEARCHES)),
                encoded(&chance.prose())
            ),
        ),
        1 => (
            "/account/login",
            format!(
                "email={}%40mail.example&password={}&remember=on",
                chance.text(8),
                encoded(&format!("{}!#$%&'()*+=;<>", chance.text(9)))
            ),
        ),
        2 => (
            "/checkout/address",
            format!(
                "name={name}&street={}&zip=10115&city=K%C3%B6ln&country=DE&phone=%2B49+30+123456&note={}",
                encoded("12, O'Connell St. #4"),
                encoded(&chance.prose())
            ),
        ),
        _ => (
            "/reviews/tea",
            format!(
                "stars=5&title={}&text={}&csrf_token={}",
                encoded(chance.of(SEARCHES)),
                encoded(&chance.prose()),
                chance.text(43)
            ),
        ),
    };
    with_body("form", target, "application/x-www-form-urlencoded", body.into_bytes(), chance)
}

pub(super) fn json(chance: &mut Chance) -> OrdinaryRequest {
    let (target, body) = match chance.below(6) {
        0 => ("/api/v2/orders", order(chance)),
        1 => (
            "/api/v2/comments",
            json!({"text": chance.prose(), "parent": null, "mentions": ["@ann", "@bob_2"], "draft": false}),
        ),
        2 => (
            "/graphql",
            json!({
                "operationName": "Orders",
                "query": "query Orders($first: Int!, $where: OrderFilter) {\n  orders(first: $first, where: $where, orderBy: {field: DATE, direction: DESC}) {\n    edges { node { id total items { name } } }\n  }\n}",
                "variables": {"first": chance.below(50), "where": {"name": {"contains": chance.of(NAMES)}}},
            }),
        ),
        3 => (
            "/collect",
            json!({
                "events": [{"type": "click", "selector": "#main > div.card:nth-child(3) a[href]", "x": chance.below(1920), "t": 1_790_000_000_u64 + chance.below(9_999)},
                           {"type": "page", "url": chance.of(LINKS), "title": chance.prose()}],
                "session": chance.text(22),
            }),
        ),
        4 => (
            "/api/v2/documents",
            json!({
                "blocks": [{"type": "heading", "level": 2, "text": chance.of(SEARCHES)},
                           {"type": "paragraph", "text": chance.prose()},
                           {"type": "code", "language": "rust", "text": "let total: u64 = items.iter().map(|item| item.price).sum();"}],
            }),
        ),
        _ => (
            "/api/v2/settings",
            json!({
                "locale": "de-DE", "timezone": "Europe/Berlin", "format": "%d.%m.%Y", "newsletter": true,
                "signature": chance.prose(), "limits": {"daily": 100, "monthly": 2_000.5}, "tags": [chance.of(SEARCHES), chance.of(SEARCHES)],
            }),
        ),
    };
    let body = body.to_string().into_bytes();
    with_body("JSON", target, "application/json", body, chance)
}

fn order(chance: &mut Chance) -> Value {
    let items = (0..=chance.below(5)).map(|_| json!({"sku": chance.text(8), "name": chance.of(SEARCHES), "quantity": chance.below(9)}));
    let items: Vec<_> = items.collect();
    json!({
        "customer": {"name": chance.of(NAMES), "email": "o'brien+news@mail.example", "address": "12, O'Connell St. #4"},
        "items": items, "note": chance.prose(), "coupon": null, "gift": true,
    })
}

pub(super) fn multipart(chance: &mut Chance) -> OrdinaryRequest {
    let boundary = format!("----WebKitFormBoundary{}", chance.text(16).replace(['-', '_'], "x"));
    let mut body = Vec::new();
    let fields = [
        ("title", chance.of(SEARCHES).to_owned()),
        ("name", chance.of(NAMES).to_owned()),
        ("text", chance.prose()),
    ];
    for (name, value) in fields {
        body.extend(
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
            .into_bytes(),
        );
    }
    let (name, kind, content) = file(chance);
    body.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n").into_bytes());
    body.extend(content);
    body.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    let kind = format!("multipart/form-data; boundary={boundary}");
    with_body("form with a file", "/upload", &kind, body, chance)
}

pub(super) fn upload(chance: &mut Chance) -> OrdinaryRequest {
    let (name, kind, content) = file(chance);
    let target = format!("/files/{}", encoded(name));
    with_body("file", &target, kind, content, chance)
}

/// A file as cameras, offices and programs make them: its name, its type, and what is in it.
fn file(chance: &mut Chance) -> (&'static str, &'static str, Vec<u8>) {
    let length = usize::try_from(200 + chance.below(6_000)).expect("a length");
    match chance.below(6) {
        0 => (
            "IMG_2041.png",
            "image/png",
            [b"\x89PNG\r\n\x1a\n".to_vec(), chance.bytes(length)].concat(),
        ),
        1 => (
            "Holiday (3).jpg",
            "image/jpeg",
            [b"\xff\xd8\xff\xe0\x00\x10JFIF\x00".to_vec(), chance.bytes(length)].concat(),
        ),
        2 => (
            "orders 2026.csv",
            "text/csv",
            format!("id;name;note\r\n1001;\"{}\";\"{}\"\r\n", chance.of(NAMES), chance.prose())
                .into_bytes(),
        ),
        3 => ("letter.txt", "text/plain", chance.prose().into_bytes()),
        4 => (
            "report.pdf",
            "application/pdf",
            [
                b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n".to_vec(),
                chance.bytes(length),
            ]
            .concat(),
        ),
        _ => (
            "photos.zip",
            "application/zip",
            [b"PK\x03\x04".to_vec(), chance.bytes(length)].concat(),
        ),
    }
}

fn with_body(
    kind: &'static str,
    target: &str,
    content_type: &str,
    body: Vec<u8>,
    chance: &mut Chance,
) -> OrdinaryRequest {
    let mut request = request(kind, "POST", target.to_owned(), chance);
    request.headers.push(("content-type".to_owned(), content_type.to_owned()));
    request.headers.push(("origin".to_owned(), "https://shop.example".to_owned()));
    request.body = body;
    request
}
