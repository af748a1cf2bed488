//! Somebody who has signed in and tries order numbers: nothing is found, and after some tries nothing is answered.

use postern_tests::{Customer, OnlineShop, Table};

/// More than the policy lets anybody try.
const MOST: u64 = 60;

pub(crate) fn show(table: &mut Table, online: &OnlineShop, ann: &Customer<'_>) {
    let mallory = online.customer("mallory");
    let tried = |number: u64| mallory.get(&format!("/orders/{}", 2000 + number), &[]).words();
    let over = (0..MOST).map(tried).find(|answer| answer != "404").unwrap_or_default();
    let what = "GET /orders/2000, 2001, 2002 …";
    table.row("mallory", "edge", what, "429 caller_blocked", &over);
    let basket = mallory.get("/basket", &[]).words();
    table.row("mallory", "edge", "GET /basket, now", "429 caller_blocked", &basket);
    let other = ann.get("/orders/1001", &[]).words();
    let what = "GET /orders/1001, from the same address";
    table.row("ann", "frontend", what, "200", &other);
}
