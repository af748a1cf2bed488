//! What a pair of Postern proxies costs beside pairs of others that do the same job.
//!
//! ```text
//! load -> outbound proxy -> mutual TLS -> inbound proxy -> app
//! ```
//!
//! Everything is on loopback. Both proxies share one CPU with one worker each; load and app share another. The figure is
//! most often CPU time per request, taken in turn (a peer, Postern, another peer ...), because only ratios of neighbours
//! in time mean anything on a machine that others use too.
//!
//! Reading order: [`rows`] says what is measured and [`contender`] who; [`compare`] tells the story; [`proxies`] says how
//! each proxy is set up; [`pair`] runs two of them; [`loads`] are put on them; [`measure`] takes one run; [`results`]
//! keeps what was measured, [`table`], [`markdown`] and [`plot`] show it.

mod backend;
mod certificates;
mod checks;
mod compare;
mod contender;
mod context;
mod cpus;
mod credentials;
mod edge;
mod get;
mod hold;
mod loads;
mod markdown;
mod measure;
mod pair;
mod plot;
mod ports;
mod proc;
mod process;
mod programs;
mod proxies;
mod results;
mod rows;
mod statistics;
mod table;
mod testbed;
mod wait;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use results::Results;

/// Measures Postern beside its peers.
///
/// Exits 0 when it measured, however fast or slow; 1 when it could not measure; 2 on bad usage.
#[derive(Parser)]
#[command(name = "postern-benches", version)]
enum Command {
    /// Postern and its peers, in turn, row by row
    Compare(compare::Options),
    /// The page and the picture anew from the lines of earlier comparisons
    Show {
        /// Where they are kept
        results: PathBuf,
    },
    /// Crowds that hold connections, requests and answers beside HAProxy: what opening them costs, and who fails
    Hold(hold::Options),
    /// A gateway beside Envoy: TLS from clients, tokens, a limit, one route
    Edge(edge::Options),
    /// The app behind the proxies; `compare` starts it itself
    #[command(hide = true)]
    Backend,
    /// A load; `compare` starts it itself
    #[command(hide = true, subcommand)]
    Load(loads::Ours),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Compare(options) => compare::run(&options),
        Command::Show { results } => Results::read(Some(&results)).and_then(|all| all.write()),
        Command::Hold(options) => hold::run(&options),
        Command::Edge(options) => edge::run(&options),
        Command::Backend => backend::run(),
        Command::Load(load) => loads::ours(&load),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "postern-benches: {error:#}");
            ExitCode::FAILURE
        }
    }
}
