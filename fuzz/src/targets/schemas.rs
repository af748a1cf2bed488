//! Descriptions of APIs, and requests that are judged by one.

use std::sync::LazyLock;

use api_schema::{ApiDescription, JsonLimits, OperationMatch, RequestHead};
use http::header::{CONTENT_TYPE, COOKIE};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;

static BANK: LazyLock<ApiDescription> = LazyLock::new(|| {
    ApiDescription::read(include_str!("../../../crates/api-schema/tests/bank.yaml"))
        .unwrap_or_else(|problems| panic!("{problems:?}"))
});

/// Descriptions of APIs: what is read finds nothing that it does not describe, and judges whatever it finds.
pub fn api_description(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let description = match ApiDescription::read(text) {
        Ok(description) => description,
        Err(problems) => {
            assert!(!problems.is_empty() && problems.len() <= 100, "a refusal says why");
            return;
        }
    };
    for operation in description.operations() {
        let found = description.find(operation.method(), operation.path());
        if let OperationMatch::Found(found, values) = found {
            let head = RequestHead {
                query: Some("a=1&b=%20"),
                headers: &HeaderMap::new(),
                path_parameters: &values,
                has_body: false,
            };
            let _ = found.check_request(&head, b"", &JsonLimits::default());
        }
    }
    assert!(matches!(description.find(&Method::GET, ""), OperationMatch::UnknownPath));
}

/// Requests: a line of query, a line of cookies, the rest a body. What the limits let through is JSON for everybody, and
/// a refusal holds words of the description alone.
pub fn api_request(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let query = lines.next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
    let cookies = lines.next().unwrap_or_default();
    let body = lines.next().unwrap_or_default();
    check_limits(body);
    for (method, media) in [
        (Method::GET, "text/plain"),
        (Method::POST, "application/json"),
        (Method::POST, "application/x-www-form-urlencoded"),
        (Method::POST, "multipart/form-data; boundary=b"),
    ] {
        let path = "/v1/accounts/6f2c1f9e-3a50-4a8e-9f0d-0d2f8c8f6d11/transfers";
        let OperationMatch::Found(operation, values) = BANK.find(&method, path) else {
            panic!("the bank has transfers")
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
        headers.insert("x-tenant", HeaderValue::from_static("acme"));
        if let Ok(cookies) = HeaderValue::from_bytes(cookies) {
            headers.insert(COOKIE, cookies);
        }
        let has_body = method == Method::POST;
        let head = RequestHead {
            query: (!has_body).then_some(query),
            headers: &headers,
            path_parameters: &values,
            has_body,
        };
        if let Err(refusal) = operation.check_request(&head, body, &JsonLimits::default()) {
            let plain = |byte: u8| byte.is_ascii_graphic();
            assert!(refusal.place.bytes().all(plain), "{refusal:?}");
            assert!(refusal.keyword.bytes().all(plain), "{refusal:?}");
        }
    }
}

/// What is within the limits is JSON, and what is no JSON is never within them.
fn check_limits(body: &[u8]) {
    let within = JsonLimits::default().check(body);
    let second = serde_json::from_slice::<Value>(body);
    if within.is_ok() {
        assert!(second.is_ok(), "within the limits, but {second:?}");
    } else if second.is_ok() {
        let refusal = within.unwrap_err();
        let stricter = ["maxBytes", "maxDepth", "maxNodes", "maxKeys", "duplicateKey", "number"];
        assert!(stricter.contains(&refusal.keyword.as_str()), "JSON, but {refusal:?}");
    }
}
