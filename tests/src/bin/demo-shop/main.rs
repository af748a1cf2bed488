//! `make demo-shop`: the whole shop on this machine. People sign in by OpenID Connect at the gateway; baskets and orders
//! are theirs alone; limits hold at the edge and allow-lists inside.
//!
//! People are curl with a file of cookies: the demo shows what is answered, and needs no browser for it.
//! Exits 0 when every row of the table is as expected, 1 when one is not.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a demo prints, and a step that cannot be done ends it with the words of what broke"
)]

mod abuse;
mod customers;
mod inside;
mod limits;
mod logout;
mod threats;
mod visitors;

use std::process::ExitCode;

use postern_tests::{OnlineShop, Table};

fn main() -> ExitCode {
    if std::env::var_os("POSTERN_IN_NAMESPACE").is_none() {
        println!("This demo builds networks of its own, which this kernel does not let you do:");
        println!("`tests/in-namespace true` says what to allow.");
        return ExitCode::FAILURE;
    }
    let mut table = Table::new();
    table.step("each pod is a network namespace; the gateway's has no app and no interception");
    let online = OnlineShop::start();
    table.step("frontend, cart and payments run in the mesh, id.example and people outside it");
    visitors::show(&mut table, &online);
    let (ann, bob) = (online.customer("ann"), online.customer("bob"));
    customers::show(&mut table, &online, &ann, &bob);
    inside::show(&mut table, &online);
    threats::show(&mut table, &online, &bob);
    limits::show(&mut table, &online, &ann, &bob);
    abuse::show(&mut table, &online, &ann);
    logout::show(&mut table, &online, &ann, &bob);
    table.print();
    println!("\nFrom /metrics of the gateway:\n{}", metrics(&online));
    if table.conclude() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Some lines of the gateway's metrics: what a dashboard would read.
fn metrics(online: &OnlineShop) -> String {
    let metrics = online.edge.metrics();
    let mut shown = Vec::new();
    for name in [
        "postern_sign_in_total",
        "postern_token_exchange_total",
        "postern_rate_limit_decisions_total",
        "postern_abuse_total",
        "postern_threat_rules_total",
        "postern_panics_total",
    ] {
        let lines = metrics.lines(name);
        shown.extend(lines.lines().take(4).map(|line| format!("  {line}")));
    }
    shown.join("\n")
}
