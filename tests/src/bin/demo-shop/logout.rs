//! Signing out: the session is over, for a copy of its cookies as well.

use postern_tests::{Customer, OnlineShop, Table};

pub(crate) fn show(table: &mut Table, online: &OnlineShop, ann: &Customer<'_>, bob: &Customer<'_>) {
    let stolen = format!("cookie: {}", ann.cookies());
    let copied = online.get("/orders/1001", &["-H", &stolen]).words();
    let what = "GET /orders/1001 with ann's cookies: whoever has them is ann";
    table.row("stranger", "frontend", what, "200", &copied);
    let out = ann.get("/.postern/logout", &["-X", "POST", "-H", "origin: https://shop.example"]);
    table.row("ann", "edge", "POST /.postern/logout", "303", &out.words());
    let copied = online.get("/orders/1001", &["-H", &stolen]).words();
    table.row("stranger", "edge", "the same, after it", "401 sign_in_required", &copied);
    let again = ann.get("/basket", &[]).words();
    table.row("ann", "edge", "GET /basket", "302", &again);
    let other = bob.get("/basket", &[]).words();
    table.row("bob", "cart", "bob was not signed out", "200", &other);
}
