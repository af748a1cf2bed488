//! `postern-cert-agent`: keeps a workload's certificate fresh and serves it on a unix socket.

use std::process::ExitCode;

use agent::cli::Cli;
use agent::cli::execute;

fn main() -> ExitCode {
    program::run::<Cli>(execute)
}
