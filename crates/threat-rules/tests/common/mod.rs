//! Requests of the tables.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    missing_docs,
    unreachable_pub
)]

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue, Version};
use threat_rules::{InspectedRequest, Inspection, InspectionSettings, RuleSet};

pub static RULES: LazyLock<RuleSet> = LazyLock::new(|| {
    RuleSet::builtin().unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|problem| format!("{problem}\n")).collect::<String>())
    })
});

/// A request as a test writes it.
#[derive(Clone)]
pub struct Written {
    pub method: &'static str,
    pub target: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

pub fn get(target: impl Into<String>) -> Written {
    Written { method: "GET", target: target.into(), headers: Vec::new(), body: Vec::new() }
}

pub fn post(content_type: &str, body: impl Into<Vec<u8>>) -> Written {
    let headers = vec![("content-type", content_type.to_owned())];
    Written { method: "POST", target: "/submit".to_owned(), headers, body: body.into() }
}

impl Written {
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn inspect(&self, paranoia: u8) -> Inspection {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("shop.example"));
        headers.insert(
            "user-agent",
            HeaderValue::from_static(
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            ),
        );
        headers.insert(
            "accept",
            HeaderValue::from_static(
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            ),
        );
        for (name, value) in &self.headers {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        let request = InspectedRequest {
            method: self.method,
            target: &self.target,
            version: Version::HTTP_11,
            headers: &headers,
            body: &self.body,
            body_complete: true,
            client: [192, 0, 2, 1].into(),
        };
        RULES.inspect(&request, &InspectionSettings { paranoia, exclusions: &[] })
    }
}

/// Percent-encoding of everything but letters and digits.
pub fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(byte).collect()
}

/// One value in each place where an application may take it from.
pub fn everywhere(value: &str) -> Vec<(&'static str, Written)> {
    let json = serde_json::json!({ "user": { "note": value, "tags": ["a", value] } }).to_string();
    let part = format!(
        "--x7\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\n{value}\r\n--x7--\r\n"
    );
    vec![
        ("query", get(format!("/search?q={}&page=2", encoded(value)))),
        ("form", post("application/x-www-form-urlencoded", format!("a=1&note={}", encoded(value)))),
        ("json", post("application/json", json)),
        ("multipart", post("multipart/form-data; boundary=x7", part)),
    ]
}
