//! Programs with an API key, each of which may ask ten times a minute.

use postern_tests::Table;

use crate::Stage;

const URL: &str = "https://api.shop.example/cart/ann";
/// What the policy allows.
const LIMIT: usize = 10;

pub(crate) fn show(table: &mut Table, stage: &Stage) {
    let program = &stage.edge.browser;
    let key = format!("x-api-key: {}", stage.edge.api_key);
    let get = |more: &[&str]| stage.edge.get(program, URL, more);
    let missing = "401 api_key_missing";
    table.row("program", "edge", "no API key", missing, &get(&[]).words());
    let invalid = "401 api_key_invalid";
    let guessed = get(&["-H", "x-api-key: pk_warehouse_guessed"]);
    table.row("program", "edge", "a guessed API key", invalid, &guessed.words());
    let first = get(&["-H", &key]);
    let seen = format!("{} {}", first.status, first.header("ratelimit").unwrap_or(""));
    table.row("program", "cart", "its API key", "200 \"per-key\";r=9", &seen);
    let rest = (1..LIMIT).filter(|_| get(&["-H", &key]).status == 200).count();
    let over = get(&["-H", &key]);
    let wait = over.header("retry-after").unwrap_or("nothing");
    let seen = format!("{rest} more, then {}, Retry-After {wait}", over.words());
    let expected = format!("{} more, then 429 rate_limited, Retry-After 6", LIMIT - 1);
    let expected = expected.trim_end_matches(" 6");
    table.row("program", "edge", "more than 10 requests a minute", expected, &seen);
    let elsewhere = stage.edge.get(program, "https://shop.example/cart/ann", &[]);
    table.row("browser", "cart", "nobody else is limited by it", "200", &elsewhere.words());
}
