//! Accounts and passwords: what the login service does, which anybody may ask by the gateway.

use postern_tests::{Social, Table};
use serde_json::Value;

/// Everybody's password here.
pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) fn show(table: &mut Table, social: &Social) {
    let send =
        |path: &str, name: &str, password: &str| social.send(&social.browser, path, name, password);
    for name in ["ann", "bob"] {
        let made = send("/register", name, PASSWORD).words();
        table.row(name, "login", "POST /register", "201", &made);
    }
    let taken = send("/register", "ann", "another password").words();
    table.row("stranger", "login", "POST /register, a name that is taken", "409", &taken);
    let short = send("/register", "carol", "short").words();
    table.row("carol", "login", "POST /register, a short password", "422", &short);
    let answer = send("/login", "ann", PASSWORD);
    let token: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let seen = format!("{} {} for {} s", answer.status, token["token_type"], token["expires_in"]);
    table.row("ann", "login", "POST /login", "200 \"Bearer\" for 900 s", &seen);
    let wrong = send("/login", "ann", "wrong password");
    table.row("stranger", "login", "POST /login, a wrong password", "401", &wrong.words());
    let unknown = send("/login", "nobody", "wrong password");
    let same = if unknown.body == wrong.body { "the same answer" } else { "another answer" };
    let seen = format!("{}, {same}", unknown.words());
    table.row("stranger", "login", "POST /login, no such name", "401, the same answer", &seen);
}
