//! The HTTP gate: what a request passes before anything else is asked about it. The clone of the request, which the
//! gate consumes, is not counted.

use data_plane::http::gate::{self, GateSettings, HeadLimits, UnderscorePolicy};
use divan::{Bencher, black_box};
use http::request::Parts;
use policy::PathNormalization;

fn main() {
    divan::main();
}

#[divan::bench]
fn few_headers(bencher: Bencher<'_, '_>) {
    admit(bencher, &[("user-agent", "curl/8"), ("accept", "*/*")]);
}

#[divan::bench]
fn browser_headers(bencher: Bencher<'_, '_>) {
    admit(bencher, BROWSER);
}

#[divan::bench]
fn hop_by_hop(bencher: Bencher<'_, '_>) {
    admit(bencher, &[("connection", "close, x-of-this-hop"), ("x-of-this-hop", "1")]);
}

const BROWSER: &[(&str, &str)] = &[
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("cookie", "session=8d1f2c9a0e; theme=dark; consent=1"),
    ("referer", "https://shop.example/carts"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "same-origin"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("x-request-id", "5f0c7a2e-8f6b-4f0e-9d77-0f6f0a8f8f11"),
    ("cache-control", "no-cache"),
];

fn admit(bencher: Bencher<'_, '_>, headers: &[(&str, &str)]) {
    let request = request(headers);
    let settings = GateSettings {
        default_port: Some(80),
        dialled: None,
        normalization: PathNormalization::MergeSlashes,
        head: HeadLimits::default(),
        named: None,
        underscores: UnderscorePolicy::default(),
    };
    assert!(gate::admit(&mut request.clone(), &settings).is_ok(), "the gate must let it in");
    bencher
        .with_inputs(|| request.clone())
        .bench_values(|mut parts| gate::admit(black_box(&mut parts), &settings).is_ok());
}

#[expect(
    clippy::expect_used,
    reason = "a request of our own that cannot be made is a mistake in this file"
)]
fn request(headers: &[(&str, &str)]) -> Parts {
    let start =
        http::Request::get("/api/v1/carts/8d1f2c9a/items?page=2").header("host", "cart.shop");
    let whole = headers.iter().fold(start, |request, (name, value)| request.header(*name, *value));
    whole.body(()).expect("a good request").into_parts().0
}
