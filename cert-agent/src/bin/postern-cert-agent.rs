//! `postern-cert-agent`: keeps a workload's certificate fresh and serves it on a unix socket.

use std::process::ExitCode;

use cert_agent::agent::cli::{Cli, execute};
use cert_agent::program;

fn main() -> ExitCode {
    program::run::<Cli>(execute)
}
