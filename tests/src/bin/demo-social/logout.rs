//! Logging out: the login service writes down which tokens are taken back, and every sidecar refuses them.

use std::time::Instant;

use postern_tests::{Social, Table, wait};

use crate::accounts::PASSWORD;
use crate::refusals::PATHS;

pub(crate) fn show(table: &mut Table, social: &Social) {
    let (phone, laptop) = (social.token("ann", PASSWORD), social.token("ann", PASSWORD));
    let bob = social.token("bob", PASSWORD);
    let before = works_everywhere(social, &phone) && works_everywhere(social, &laptop);
    table.row(
        "ann",
        "all",
        "two tokens, a phone's and a laptop's",
        "200 at all three",
        words(before),
    );
    let done = social.ask_as(&phone, "/logout", &["-X", "POST"]).words();
    table.row("ann", "login", "POST /logout with the phone's", "204", &done);
    refused_in_time(table, social, "the phone's, after the logout", &phone);
    table.row(
        "ann",
        "all",
        "the laptop's still works",
        "200",
        words(works_everywhere(social, &laptop)),
    );
    // Its own sidecar is told like the others, and asked last: what it lets through would log ann out.
    let knows = || social.ask_as(&phone, "/jwks.json", &[]).words() == "401 token_revoked";
    wait::until_true("login's sidecar to refuse the phone's token", knows);
    let again = social.ask_as(&phone, "/logout-everywhere", &["-X", "POST"]).words();
    table.row(
        "ann",
        "login",
        "POST /logout-everywhere with the phone's",
        "401 token_revoked",
        &again,
    );
    let done = social.ask_as(&laptop, "/logout-everywhere", &["-X", "POST"]).words();
    table.row("ann", "login", "POST /logout-everywhere with the laptop's", "204", &done);
    refused_in_time(table, social, "the laptop's, after it", &laptop);
    let anew = social.token("ann", PASSWORD);
    table.row(
        "ann",
        "all",
        "a token of a new login",
        "200",
        words(works_everywhere(social, &anew)),
    );
    table.row(
        "bob",
        "all",
        "bob was not logged out",
        "200 at all three",
        words(works_everywhere(social, &bob)),
    );
    social.login.app().take();
    let still = social.ask_as(&laptop, "/posts/ann", &[]).words();
    let what = "the laptop's, while the login service is down";
    table.row("ann", "posts", what, "401 token_revoked", &still);
    let what = "the new token, while it is down";
    table.row("ann", "all", what, "200 at all three", words(works_everywhere(social, &anew)));
}

/// Each service is asked until it refuses. How long that took stands in the row and judges nobody: it is this machine's.
fn refused_in_time(table: &mut Table, social: &Social, what: &str, token: &str) {
    let start = Instant::now();
    for (service, path) in PATHS {
        let ask = || social.ask_as(token, path, &[]).words();
        wait::until_true("a sidecar to refuse the token", || ask() != "200");
        let seen = format!("{}, after {:.2} s", ask(), start.elapsed().as_secs_f32());
        table.row("ann", service, what, "401 token_revoked", &seen);
    }
}

fn works_everywhere(social: &Social, token: &str) -> bool {
    PATHS.iter().all(|(_, path)| social.ask_as(token, path, &[]).status == 200)
}

fn words(works: bool) -> &'static str {
    if works { "200 at all three" } else { "not at all three" }
}
