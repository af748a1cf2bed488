//! `make demo-social`: a social network with a login service on this machine. People register, log in, write and read;
//! forged, expired and revoked tokens come to nothing at services that verify none themselves.
//!
//! Exits 0 when every row of the table is as expected, 1 when one is not.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a demo prints, and a step that cannot be done ends it with the words of what broke"
)]

mod abuse;
mod accounts;
mod limits;
mod logout;
mod people;
mod refusals;
mod threats;

use std::process::ExitCode;

use postern_tests::{Mesh, Social, Table};

fn main() -> ExitCode {
    if std::env::var_os("POSTERN_IN_NAMESPACE").is_none() {
        println!("This demo builds networks of its own, which this kernel does not let you do:");
        println!("`tests/in-namespace true` says what to allow.");
        return ExitCode::FAILURE;
    }
    let mut table = Table::new();
    table.step("each pod is a network namespace; the gateway's has no app and no interception");
    let social = Social::start(&Mesh::with_authority());
    table.step(
        "login, profiles, posts and feed run in the mesh, each with a proxy and a cert agent",
    );
    table.step("the gateway serves social.example on port 443");
    accounts::show(&mut table, &social);
    people::show(&mut table, &social);
    refusals::show(&mut table, &social);
    threats::show(&mut table, &social);
    abuse::names(&mut table, &social);
    limits::show(&mut table, &social);
    abuse::pages(&mut table, &social);
    logout::show(&mut table, &social);
    table.print();
    println!("\nFrom /metrics of posts' proxy:\n{}", metrics(&social));
    if table.conclude() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Some lines of the metrics of posts' proxy: what a dashboard would read.
fn metrics(social: &Social) -> String {
    let metrics = social.posts.metrics();
    let mut shown = Vec::new();
    for (name, part) in [
        ("postern_requests_total", "response_code=\"401\""),
        ("postern_authorization_decisions_total", ""),
        ("postern_rate_limit_decisions_total", ""),
        ("postern_panics_total", ""),
    ] {
        let lines = metrics.lines(name);
        let lines = lines.lines().filter(|line| line.contains(part)).take(6);
        shown.extend(lines.map(|line| format!("  {line}")));
    }
    shown.join("\n")
}
