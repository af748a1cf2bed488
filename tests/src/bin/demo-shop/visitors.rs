//! Whoever has not signed in: may look around, and is nobody whatever they write.

use postern_tests::{Answer, OnlineShop, Table};

pub(crate) fn show(table: &mut Table, online: &OnlineShop) {
    let (get, from) = (|path: &str, more: &[&str]| online.get(path, more), "visitor");
    let page = get("/", &["-H", "accept: text/html"]);
    table.row(from, "frontend", "GET /", "200 Welcome", &said(&page, "Welcome"));
    let found = said(&get("/search?q=oak", &[]), "table");
    table.row(from, "frontend", "GET /search?q=oak", "200 table", &found);
    let shown = said(&get("/products/tea", &[]), "Green tea");
    table.row(from, "frontend", "GET /products/tea", "200 Green tea", &shown);
    let sent = get("/basket", &["-H", "accept: text/html"]);
    let to = sent.header("location").unwrap_or("").split('?').next().unwrap_or("").to_owned();
    let seen = format!("{} {to}", sent.status);
    table.row(from, "edge", "GET /basket, as a browser", "302 https://id.example/auth", &seen);
    let script = get("/basket", &[]).words();
    table.row(from, "edge", "GET /basket, as a script", "401 sign_in_required", &script);
    let forged = get("/orders/1001", &["-H", "x-user: ann"]).words();
    let what = "GET /orders/1001 with x-user: ann";
    table.row(from, "edge", what, "401 sign_in_required", &forged);
    let forged = ["-H", "authorization: Bearer eyJhbGciOiJub25lIn0.e30."];
    let forged = get("/orders/1001", &forged).words();
    let what = "GET /orders/1001 with a token of one's own";
    table.row(from, "edge", what, "401 token_algorithm", &forged);
    let cart = get("/cart/ann", &[]).words();
    let what = "GET /cart/ann: no rule of the front end's";
    table.row(from, "frontend", what, "403 no_matching_allow", &cart);
}

/// The status, and the word where the answer has it.
pub(crate) fn said(answer: &Answer, word: &str) -> String {
    let seen = if answer.body.contains(word) { word } else { answer.body.trim() };
    format!("{} {seen}", answer.words())
}
