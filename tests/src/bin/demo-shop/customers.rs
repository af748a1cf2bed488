//! People who have signed in: what they put into a basket and buy is theirs, and nobody else's.

use postern_tests::{Customer, OnlineShop, Table};

use crate::visitors::said;

pub(crate) fn show(table: &mut Table, online: &OnlineShop, ann: &Customer<'_>, bob: &Customer<'_>) {
    let put = ann.get("/basket", &["-d", "tea"]);
    table.row("ann", "cart", "POST /basket: the front end asks as ann", "201", &put.words());
    let basket = said(&ann.get("/basket", &[]), "\"user\":\"ann\"");
    table.row("ann", "cart", "GET /basket", "200 \"user\":\"ann\"", &basket);
    let forged = said(&bob.get("/basket", &["-H", "x-user: ann"]), "\"user\":\"bob\"");
    let what = "GET /basket with x-user: ann";
    table.row("bob", "cart", what, "200 \"user\":\"bob\"", &forged);
    let bought = said(&ann.get("/orders", &["-X", "POST"]), "\"number\":1001");
    table.row("ann", "payments", "POST /orders", "201 \"number\":1001", &bought);
    let own = said(&ann.get("/orders/1001", &[]), "\"items\":[\"tea\"]");
    table.row("ann", "frontend", "GET /orders/1001", "200 \"items\":[\"tea\"]", &own);
    let empty = said(&ann.get("/basket", &[]), "\"items\":[]");
    table.row("ann", "cart", "GET /basket, after it", "200 \"items\":[]", &empty);
    let other = bob.get("/orders/1001", &[]).words();
    table.row("bob", "frontend", "GET /orders/1001, ann's", "404", &other);
    let words = "It's a select blend; my wife drops by & we drink it -- 5/5, where else <3";
    let review = bob.get("/reviews/tea", &["-d", words]).words();
    table.row("bob", "frontend", "POST /reviews/tea", "201", &review);
    pictures(table, online, ann, bob);
}

/// Of the shop's own people ann is one.
fn pictures(table: &mut Table, online: &OnlineShop, ann: &Customer<'_>, bob: &Customer<'_>) {
    let picture = [&b"\x89PNG\r\n\x1a\n"[..], &vec![0xa7; 40_000]].concat();
    let file = online.customers.directory().join("tea.png");
    std::fs::write(file, picture).expect("a picture");
    let form = ["-F", "picture=@/run/postern/tea.png;type=image/png", "-F", "title=A tin of tea"];
    let refused = bob.get("/pictures/tea", &form).words();
    let what = "POST /pictures/tea: bob is no staff";
    table.row("bob", "frontend", what, "403 no_matching_allow", &refused);
    let kept = ann.get("/pictures/tea", &form).words();
    table.row("ann", "frontend", "POST /pictures/tea: ann is", "204", &kept);
    let shown = online.get("/products/tea/picture", &[]).words();
    table.row("visitor", "frontend", "GET /products/tea/picture", "200", &shown);
}
