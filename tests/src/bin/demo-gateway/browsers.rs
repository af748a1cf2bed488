//! Clients without any identity: what a route exposes they may have, and nothing they say of themselves is believed.

use postern_tests::{Answer, Pod, Table};

use crate::Stage;

pub(crate) fn show(table: &mut Table, stage: &Stage) {
    let browser = &stage.edge.browser;
    let get = |url: &str, more: &[&str]| stage.edge.get(browser, url, more);
    let plain = get("http://shop.example/cart/ann", &[]);
    let seen = format!("{} {}", plain.status, plain.header("location").unwrap_or(""));
    table.row("browser", "edge", "HTTP, without TLS", "308 https://shop.example/cart/ann", &seen);
    let page = get("https://shop.example/", &["--http2", "-H", "accept: text/html"]);
    let seen = format!("{} {}", page.status, page.body.trim());
    table.row("browser", "frontend", "HTTPS GET / over HTTP/2", "200 Welcome", &seen);
    headers(table, &page);
    let put = get("https://shop.example/cart/ann", &["-d", "tea", "--http1.1", "--tls-max", "1.2"]);
    let seen = format!("{} {}", put.status, put.body.trim());
    table.row("curl", "cart", "POST /cart/ann, HTTP/1.1, TLS 1.2", "201", &seen);
    let paid = get("https://shop.example/checkout/ann", &["-X", "POST"]);
    let receipt = serde_json::from_str::<serde_json::Value>(&paid.body).unwrap_or_default();
    let seen = format!("{} {} cents", paid.status, receipt["amount"]);
    table.row("browser", "frontend", "POST /checkout/ann, payments by gRPC", "200", &seen);
    forged(table, stage, browser);
    let emptied = get("https://shop.example/cart/ann", &["-X", "DELETE"]);
    let expected = "403 no_matching_allow";
    table.row(
        "browser",
        "cart",
        "DELETE: cart's policy for the gateway",
        expected,
        &emptied.words(),
    );
    let host = ["-H", "Host: api.shop.example"];
    let misdirected = get("https://shop.example/cart/ann", &host);
    let expected = "421 misdirected_request";
    table.row("browser", "edge", "another listener's host", expected, &misdirected.words());
    let unknown = get("https://shop.example/cart/ann", &["-H", "Host: elsewhere.example"]);
    table.row("browser", "edge", "a host of nobody", "404 route_not_found", &unknown.words());
    let large = ["--http1.1", "--data-binary", "@/run/postern/large"];
    std::fs::write(browser.directory().join("large"), vec![b'a'; 1_200_000]).expect("a large file");
    let refused = get("https://shop.example/cart/ann", &large);
    table.row("browser", "edge", "a body of 1.2 MB", "413 body_too_large", &refused.words());
}

fn headers(table: &mut Table, page: &Answer) {
    let hsts = page.header("strict-transport-security").unwrap_or("none");
    let expected = "max-age=31536000; includeSubDomains";
    table.row("edge", "browser", "Strict-Transport-Security", expected, hsts);
    let options = ["x-content-type-options", "x-frame-options"];
    let seen: Vec<_> = options.iter().filter_map(|name| page.header(name)).collect();
    table.row("edge", "browser", "headers of safety", "nosniff, SAMEORIGIN", &seen.join(", "));
}

/// The app sees the client's address and the gateway's name, whatever the client wrote.
fn forged(table: &mut Table, stage: &Stage, browser: &Pod) {
    let forged = [
        "-H",
        "x-forwarded-for: 198.51.100.1",
        "-H",
        "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/shop/sa/frontend",
    ];
    let answer = stage.edge.get(browser, "https://shop.example/headers", &forged);
    let own = browser.ipv4().to_string();
    let told = answer.body.contains(&own) && answer.body.contains("/ns/shop/sa/edge");
    let believed = answer.body.contains("198.51.100.1") || answer.body.contains("sa/frontend");
    let seen = match (told, believed) {
        (true, false) => format!("{own}, …/ns/shop/sa/edge"),
        _ => answer.body.trim().to_owned(),
    };
    let expected = format!("{own}, …/ns/shop/sa/edge");
    table.row("browser", "cart", "forged names are replaced", &expected, &seen);
}
