//! `make demo-bank`: a bank on this machine. An ordinary day is recorded and policies are suggested from it; then the bank
//! runs with the shipped ones, which are the same, and everything that is not of an ordinary day is tried.
//!
//! Exits 0 when every row of the table is as expected, 1 when one is not. `SUGGEST=1` writes what was suggested into
//! `examples/bank/policies` instead.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a demo prints, and a step that cannot be done ends it with the words of what broke"
)]

mod day;
mod neighbours;
mod record;
mod schemas;
mod suggested;
mod two_people;

use std::process::ExitCode;

use postern_tests::{Bank, Mesh, Table};

fn main() -> ExitCode {
    if std::env::var_os("POSTERN_IN_NAMESPACE").is_none() {
        println!("This demo builds networks of its own, which this kernel does not let you do:");
        println!("`tests/in-namespace true` says what to allow.");
        return ExitCode::FAILURE;
    }
    let mut table = Table::new();
    table.step("a bank without policies, in audit mode: every call is let in and written down");
    suggested::show(&mut table, &Bank::start_in_audit_mode(&Mesh::with_authority()));
    table.step("a new bank, with the policies of examples/bank: what they do not allow is denied");
    let bank = Bank::start(&Mesh::with_authority());
    table.step("login, accounts, transfers, payments, audit and web run behind a gateway");
    day::show(&mut table, &bank);
    two_people::show(&mut table, &bank);
    neighbours::show(&mut table, &bank);
    schemas::show(&mut table, &bank);
    record::show(&mut table, &bank);
    table.print();
    println!("\nFrom /metrics of transfers' proxy:\n{}", metrics(&bank));
    if table.conclude() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Some lines of the metrics of transfers' proxy: what a dashboard would read.
fn metrics(bank: &Bank) -> String {
    let metrics = bank.transfers.metrics();
    let mut shown = Vec::new();
    for name in ["postern_authorization_decisions_total", "postern_panics_total"] {
        let lines = metrics.lines(name);
        shown.extend(lines.lines().take(12).map(|line| format!("  {line}")));
    }
    shown.join("\n")
}
