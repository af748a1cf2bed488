//! How often people may do something: the mesh counts, the services do not.

use postern_tests::{Social, Table};

use crate::accounts::PASSWORD;

/// More than any limit here.
const MOST: usize = 40;

pub(crate) fn show(table: &mut Table, social: &Social) {
    let (ann, bob) = (social.token("ann", PASSWORD), social.token("bob", PASSWORD));
    let post = |token: &str| social.ask_as(token, "/posts", &["-d", "Again!"]).words();
    let last = (0..MOST).map(|_| post(&ann)).find(|answer| answer != "201");
    let over = last.unwrap_or_default();
    table.row("ann", "posts", "more than 5 posts a minute", "429 rate_limited", &over);
    table.row("bob", "posts", "POST /posts: bob is not limited by it", "201", &post(&bob));
    let guess = |number: usize| {
        let password = format!("password {number}");
        social.send(&social.stranger, "/login", "ann", &password).words()
    };
    let last = (0..MOST).map(guess).find(|answer| answer != "401");
    let over = last.unwrap_or_default();
    table.row("stranger", "edge", "more than 20 guesses a minute", "429 rate_limited", &over);
    let login = social.send(&social.browser, "/login", "ann", PASSWORD).words();
    table.row("ann", "login", "POST /login: ann is not limited by it", "200", &login);
}
