//! What the clients of the demos send, for many people and things.

use serde_json::json;

use super::OrdinaryRequest;
use super::words::{SEARCHES, SENTENCES};

/// As `curl` comes in the demos: it names nothing but itself.
const AGENT: &str = "curl/8.14.1";
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

pub(super) fn all() -> Vec<OrdinaryRequest> {
    let mut all = Vec::new();
    for (number, sentence) in SENTENCES.iter().enumerate() {
        let person = format!("person_{number}");
        let mut add = |method, target: String, kind: &str, body: String| {
            all.push(sent(method, target, kind, body));
        };
        // The shop. curl sends as a form what it is given as it is.
        add(
            "GET",
            format!("/search?q={}", super::encoded(SEARCHES[number % SEARCHES.len()])),
            "",
            String::new(),
        );
        add("POST", format!("/cart/{person}"), FORM, "tea".to_owned());
        add("POST", "/reviews/tea".to_owned(), FORM, (*sentence).to_owned());
        add("GET", format!("/orders/{}", 1001 + number), "", String::new());
        // The social network.
        let credentials = json!({"name": person, "password": "correct horse battery"}).to_string();
        add("POST", "/login".to_owned(), JSON, credentials);
        add("POST", "/posts".to_owned(), FORM, (*sentence).to_owned());
        add("PUT", format!("/profiles/{person}"), FORM, format!("I am {person}. {sentence}"));
        add("GET", format!("/feed/{person}"), "", String::new());
        // The bank.
        let transfer = json!({
            "from": format!("DE{number:020}"), "to": "DE00123456780000000001", "amount": 1000 + number,
            "currency": "EUR", "reference": sentence,
        });
        add("POST", "/transfers".to_owned(), JSON, transfer.to_string());
        add(
            "GET",
            format!("/accounts/DE{number:020}/statement?from=2026-01-01&to=2026-12-31"),
            "",
            String::new(),
        );
    }
    all
}

fn sent(method: &'static str, target: String, kind: &str, body: String) -> OrdinaryRequest {
    let mut headers =
        vec![("user-agent".to_owned(), AGENT.to_owned()), ("accept".to_owned(), "*/*".to_owned())];
    if !kind.is_empty() {
        headers.push(("content-type".to_owned(), kind.to_owned()));
    }
    OrdinaryRequest { kind: "the demos", method, target, headers, body: body.into_bytes() }
}
