//! What comes to nothing: no token, one that is not the login service's or not good any more, and every way past a sidecar.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_tests::{Pod, Social, Table};
use serde_json::json;
use time::OffsetDateTime;

use crate::accounts::PASSWORD;

/// A path of each service that asks who somebody is.
pub(crate) const PATHS: [(&str, &str); 3] =
    [("profiles", "/profiles/ann"), ("posts", "/posts/ann"), ("feed", "/feed/ann")];

pub(crate) fn show(table: &mut Table, social: &Social) {
    for (service, path) in PATHS {
        let refused = social.ask(&social.stranger, path, &["-H", "x-user: ann"]).words();
        let what = format!("GET {path} without a token, with x-user: ann");
        table.row("stranger", service, &what, "403 no_matching_allow", &refused);
    }
    let bob = social.token("bob", PASSWORD);
    tokens(table, social, &bob);
    neighbours(table, social, &bob);
}

fn tokens(table: &mut Table, social: &Social, bob: &str) {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    for (what, token, expect) in [
        ("bob's token, with ann's name in it", renamed(bob, "ES256"), "token_signature"),
        ("the same with \"alg\": \"none\"", renamed(bob, "none"), "token_algorithm"),
        (
            "a token with a key of one's own",
            social.strangers_token("ann", now),
            "token_key_unknown",
        ),
        ("ann's token of an hour ago", social.token_of("ann", now - 3600), "token_expired"),
    ] {
        let refused = social.ask_as(&token, "/posts/ann", &[]).words();
        table.row("stranger", "posts", what, &format!("401 {expect}"), &refused);
    }
}

/// The token of somebody, made out to ann, with its old signature.
fn renamed(token: &str, algorithm: &str) -> String {
    let parts: Vec<_> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("a token has three parts") };
    let read = |part| -> serde_json::Value {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    let (mut header, mut claims) = (read(header), read(claims));
    header["alg"] = json!(algorithm);
    claims["sub"] = json!("ann");
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

/// Whoever stands beside a service, in the mesh or outside of it, with a good token or with forged headers.
fn neighbours(table: &mut Table, social: &Social, bob: &str) {
    let token = format!("authorization: Bearer {bob}");
    let call =
        |from: &Pod, url: &str, more: &[&str]| from.curl_with(&[more, &[url]].concat()).words();
    let stolen = call(&social.profiles, "http://posts:8080/posts/ann", &["-H", &token]);
    let what = "GET /posts/ann with bob's token, kept";
    table.row("profiles", "posts", what, "403 no_matching_allow", &stolen);
    let write = ["-H", &*token, "-X", "PUT", "-d", "I am Feed."];
    let write = call(&social.feed, "http://profiles:8080/profiles/bob", &write);
    let what = "PUT /profiles/bob with bob's token";
    table.row("feed", "profiles", what, "403 no_matching_allow", &write);
    let forged = call(&social.feed, "http://posts:8080/posts/ann", &["-H", "x-user: ann"]);
    let what = "GET /posts/ann with x-user: ann alone";
    table.row("feed", "posts", what, "403 no_matching_allow", &forged);
    let direct = format!("http://{}/posts/ann", social.posts.at(8080));
    let direct = call(&social.stranger, &direct, &["-H", "x-user: ann"]);
    table.row("stranger", "posts", "its port, past the gateway", "no answer", &direct);
}
