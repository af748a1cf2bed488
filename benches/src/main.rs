//! What a pair of Postern proxies costs beside a pair of HAProxy or Envoy ones that do the same job.
//!
//! ```text
//! load (wrk) -> outbound proxy -> mutual TLS -> inbound proxy -> backend
//! ```
//!
//! Everything is on loopback. Both proxies share one CPU with one worker each; load and backend share another.
//! The figure is CPU time per request, taken in turn (peer, Postern, peer, Postern ...), because only ratios of
//! neighbours in time mean anything on a machine that others use too.
//!
//! Reading order: [`compare`] tells the story; [`proxies`] says how each proxy is set up; [`pair`] runs two of them;
//! [`measure`] takes one run; [`report`] prints.

mod backend;
mod certificates;
mod checks;
mod compare;
mod cpus;
mod get;
mod hold;
mod measure;
mod pair;
mod ports;
mod proc;
mod process;
mod programs;
mod proxies;
mod report;
mod statistics;
mod testbed;
mod wait;
mod workload;
mod wrk;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

/// Measures Postern beside its peers.
///
/// Exits 0 when it measured, however fast or slow; 1 when it could not measure; 2 on bad usage.
#[derive(Parser)]
#[command(name = "postern-benches", version)]
enum Command {
    /// CPU per request of Postern and a peer, in turn, as a table
    Compare(compare::Options),
    /// Crowds that hold connections, requests and answers beside HAProxy: what opening them costs, and who fails
    Hold(hold::Options),
    /// The app behind the proxies; `compare` starts it itself
    #[command(hide = true)]
    Backend,
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Compare(options) => compare::run(&options),
        Command::Hold(options) => hold::run(&options),
        Command::Backend => backend::run(),
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
