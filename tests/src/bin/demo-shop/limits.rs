//! How often anybody may ask: by address for everybody, by person for whoever has signed in.

use postern_tests::{Customer, OnlineShop, Table};

/// More than any limit here, filled up while it is used.
const MOST: usize = 200;

pub(crate) fn show(table: &mut Table, online: &OnlineShop, ann: &Customer<'_>, bob: &Customer<'_>) {
    let search = || online.get("/search?q=tea", &[]).words();
    let over = (0..MOST).map(|_| search()).find(|answer| answer != "200").unwrap_or_default();
    table.row("stranger", "edge", "more than 60 searches at once", "429 rate_limited", &over);
    let other = ann.get("/search?q=tea", &[]).words();
    let what = "GET /search, from another address";
    table.row("ann", "frontend", what, "200", &other);
    let order = |who: &Customer<'_>| who.get("/orders", &["-X", "POST"]).words();
    let over = (0..MOST).map(|_| order(ann)).find(|answer| answer != "201").unwrap_or_default();
    table.row("ann", "edge", "more than 5 orders a minute", "429 rate_limited", &over);
    let what = "POST /orders, from the same address";
    table.row("bob", "payments", what, "201", &order(bob));
}
