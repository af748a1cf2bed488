//! `make demo-events`: who may publish and who may listen, at a NATS, an MQTT and a Kafka broker that ask nobody who they
//! are. A day of the shop and of the bank is recorded, policies are suggested from it and put in force; then everything
//! that is not of that day is tried, and what is shown is what the client's own library says.
//!
//! Exits 0 when every row of the table is as expected, 1 when one is not. `SUGGEST=1` writes what was suggested into
//! `examples/shop/events` and `examples/bank/events`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a demo prints, and a step that cannot be done ends it with the words of what broke"
)]

mod kafka;
mod mqtt;
mod nats;
mod nats_client;
mod seen;
mod suggested;

use std::process::ExitCode;

use postern_tests::Table;

fn main() -> ExitCode {
    if std::env::var_os("POSTERN_IN_NAMESPACE").is_none() {
        println!("This demo builds networks of its own, which this kernel does not let you do:");
        println!("`tests/in-namespace true` says what to allow.");
        return ExitCode::FAILURE;
    }
    let mut table = Table::new();
    let told = [nats::show(&mut table), mqtt::show(&mut table), kafka::show(&mut table)];
    table.print();
    println!("\nFrom /metrics and the logs of the brokers' proxies:\n{}", told.join("\n"));
    if table.conclude() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
