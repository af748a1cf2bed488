//! What people do who have logged in: each service knows who asks, without having verified anything.

use postern_tests::{Answer, Social, Table};

use crate::accounts::PASSWORD;

pub(crate) fn show(table: &mut Table, social: &Social) {
    let (ann, bob) = (social.token("ann", PASSWORD), social.token("bob", PASSWORD));
    let put = ["-X", "PUT", "-d", "I am Ann."];
    let own = social.ask_as(&ann, "/profiles/ann", &put).words();
    table.row("ann", "profiles", "PUT /profiles/ann", "204", &own);
    let read = said(&social.ask_as(&bob, "/profiles/ann", &[]), "I am Ann.");
    table.row("bob", "profiles", "GET /profiles/ann", "200 I am Ann.", &read);
    let other = social.ask_as(&bob, "/profiles/ann", &["-X", "PUT", "-d", "I am Bob."]).words();
    table.row("bob", "profiles", "PUT /profiles/ann, somebody else's", "403", &other);
    let posted = social.ask_as(&ann, "/posts", &["-d", "Hello!"]).words();
    table.row("ann", "posts", "POST /posts", "201", &posted);
    let forged = ["-H", "x-user: ann", "-d", "I am a fool."];
    let posted = social.ask_as(&bob, "/posts", &forged).words();
    let anns = social.ask_as(&bob, "/posts/ann", &[]);
    let whose = if anns.body.contains("fool") { "as ann" } else { "as bob" };
    let seen = format!("{posted} {whose}");
    table.row("bob", "posts", "POST /posts with x-user: ann", "201 as bob", &seen);
    let feed = social.ask_as(&bob, "/feed/ann", &[]);
    let whole = feed.body.contains("I am Ann.") && feed.body.contains("Hello!");
    let seen = format!("{} {}", feed.status, if whole { "profile and posts" } else { "" });
    let what = "GET /feed/ann: it asks profiles and posts as bob";
    table.row("bob", "feed", what, "200 profile and posts", &seen);
}

fn said(answer: &Answer, text: &str) -> String {
    let seen = if answer.body.contains(text) { text } else { "" };
    format!("{} {seen}", answer.status)
}
