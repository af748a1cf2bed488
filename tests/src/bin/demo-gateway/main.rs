//! `make demo-gateway`: the shop's edge on this machine. Browsers, programs and partners come to a gateway; certificates
//! are rotated and a route is shifted while they do, and a newer gateway takes over.
//!
//! Exits 0 when every row of the table is as expected, 1 when one is not.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a demo prints, and a step that cannot be done ends it with the words of what broke"
)]

mod browsers;
mod changes;
mod partners;
mod programs;

use std::process::ExitCode;

use postern_tests::shop::Shop;
use postern_tests::{Mesh, ShopEdge, Table};

/// Everything that runs in the demo.
struct Stage {
    edge: ShopEdge,
    shop: Shop,
}

fn main() -> ExitCode {
    if std::env::var_os("POSTERN_IN_NAMESPACE").is_none() {
        println!("This demo builds networks of its own, which this kernel does not let you do:");
        println!("`tests/in-namespace true` says what to allow.");
        return ExitCode::FAILURE;
    }
    let mut table = Table::new();
    let stage = set_up(&table);
    browsers::show(&mut table, &stage);
    programs::show(&mut table, &stage);
    partners::show(&mut table, &stage);
    changes::show(&mut table, &stage);
    // A newer process counts from nothing.
    let metrics = metrics(&stage);
    changes::upgrade(&mut table, &stage);
    table.print();
    println!("\nFrom /metrics of the gateway:\n{metrics}");
    if table.conclude() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn set_up(table: &Table) -> Stage {
    table.step("each pod is a network namespace; the gateway's has no app and no interception");
    let mesh = Mesh::with_authority();
    let shop = Shop::start(&mesh);
    table.step("frontend, cart and payments run in the mesh, each with a proxy and a cert agent");
    let edge = ShopEdge::start(&mesh);
    table
        .step("the gateway serves shop.example, api.shop.example and partners.example on port 443");
    Stage { edge, shop }
}

/// Some lines of the gateway's metrics: what a dashboard would read.
fn metrics(stage: &Stage) -> String {
    let metrics = stage.edge.edge.metrics();
    let mut shown = Vec::new();
    for (name, part) in [
        ("postern_tls_handshakes_total", "edge"),
        ("postern_requests_total", "response_code=\"200\""),
        ("postern_requests_total", "response_code=\"421\""),
        ("postern_rate_limit_decisions_total", ""),
        ("postern_listener_certificate_updates_total", ""),
        ("postern_listener_certificate_expiry_timestamp_seconds", ""),
        ("postern_panics_total", ""),
    ] {
        let lines = metrics.lines(name);
        let lines = lines.lines().filter(|line| line.contains(part)).take(3);
        shown.extend(lines.map(|line| format!("  {line}")));
    }
    shown.join("\n")
}
