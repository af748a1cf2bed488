//! What a request costs, counted and not timed: instructions, allocations and system calls, for each side of a pair of
//! proxies with everything on. The same on every machine with the same tools, also on a busy one.
//!
//! ```text
//! client -> outbound proxy -> mutual TLS -> inbound proxy -> app       (both proxies: the release program, under callgrind)
//! ```
//!
//! Reading order: [`check`] is the guard; [`rows`] says what is sent; [`rounds`] sends it through a [`pair`] that
//! [`callgrind`] watches; [`baseline`] is what was accepted; [`profile`] says where it goes.

mod app;
mod baseline;
mod callgrind;
mod certificates;
mod check;
mod counts;
mod events;
mod load;
mod pair;
mod profile;
mod rounds;
mod rows;
mod settings;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser};

use crate::rows::{ROWS, Row};

/// Counts what a request costs.
///
/// Exits 0 when no row costs more than accepted; 1 when one does, or could not be counted; 2 on bad usage.
#[derive(Parser)]
#[command(name = "postern-cost", version)]
enum Command {
    /// The guard: count all rows beside the accepted counts
    Check {
        #[command(flatten)]
        options: Options,
        /// Write what is counted as the accepted counts
        #[arg(long)]
        accept: bool,
    },
    /// Messages of a broker that are judged one by one, beside the same bytes as opaque ones
    Events {
        #[command(flatten)]
        options: Options,
    },
    /// Where the instructions and allocations of rows come from, as tables
    Profile {
        #[command(flatten)]
        options: Options,
    },
}

/// What is common to all commands.
#[derive(Args)]
struct Options {
    /// The release program
    #[arg(long, default_value = "target/release/postern-proxy")]
    proxy: PathBuf,
    /// The accepted counts
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/cost/baseline.json"))]
    baseline: PathBuf,
    /// Rows to count; several are separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_parser = named_row)]
    row: Vec<&'static Row>,
}

impl Options {
    fn rows(&self) -> Vec<&'static Row> {
        if self.row.is_empty() { ROWS.iter().collect() } else { self.row.clone() }
    }
}

fn named_row(name: &str) -> Result<&'static Row, String> {
    let names = || ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
    ROWS.iter().find(|row| row.name == name).ok_or_else(|| format!("the rows are {}", names()))
}

fn main() -> ExitCode {
    match run(&Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "postern-cost: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        match command {
            Command::Check { options, accept } => check::run(options, *accept).await,
            Command::Events { options } => events::run(options).await,
            Command::Profile { options } => profile::run(options).await,
        }
    })
}
