//! Who wants to know who is here, or what: no single request shows it, and each is answered as it should be. Many of them
//! do.

use postern_tests::{Social, Table};
use serde_json::Value;

use crate::accounts::PASSWORD;

/// More than the policies let anybody try.
const MOST: usize = 60;

/// Somebody with an account tries names, whom the sidecar of profiles knows by the token.
pub(crate) fn names(table: &mut Table, social: &Social) {
    let stranger = &social.stranger;
    let made = social.send(stranger, "/register", "mallory", PASSWORD).words();
    table.row("mallory", "login", "POST /register", "201", &made);
    let answer = social.send(stranger, "/login", "mallory", PASSWORD);
    let answer: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let mallory = answer["access_token"].as_str().unwrap_or("").to_owned();
    let tried =
        |number: usize| social.ask_as(&mallory, &format!("/profiles/person_{number}"), &[]).words();
    let over = (0..MOST).map(tried).find(|answer| answer != "404").unwrap_or_default();
    let what = "GET /profiles/person_0, person_1, person_2 …";
    table.row("mallory", "profiles", what, "429 caller_blocked", &over);
    let one = social.ask_as(&mallory, "/profiles/ann", &[]).words();
    let what = "GET /profiles/ann, who is there";
    table.row("mallory", "profiles", what, "429 caller_blocked", &one);
    let bob = social.token("bob", PASSWORD);
    let other = social.ask_as(&bob, "/profiles/ann", &[]).words();
    let what = "GET /profiles/ann: the same address, another person";
    table.row("bob", "profiles", what, "200", &other);
}

/// Somebody without one looks for pages that many sites have, whom the gateway knows by the address.
pub(crate) fn pages(table: &mut Table, social: &Social) {
    let ask = |path: &str| social.ask(&social.stranger, path, &[]).words();
    let tried = |number: usize| ask(&format!("/backup-{number}.zip"));
    let missing = |answer: &String| answer != "404 route_not_found";
    let over = (0..MOST).map(tried).find(missing).unwrap_or_default();
    let what = "GET /backup-0.zip, /backup-1.zip …";
    table.row("stranger", "edge", what, "429 caller_blocked", &over);
    let what = "GET /jwks.json, which is there";
    table.row("stranger", "edge", what, "429 caller_blocked", &ask("/jwks.json"));
    let other = social.ask(&social.browser, "/jwks.json", &[]).words();
    table.row("ann", "login", "the same, from another address", "200", &other);
}
