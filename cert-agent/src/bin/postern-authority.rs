//! `postern-authority`: attests agents and signs their certificates.

use std::process::ExitCode;

use cert_agent::authority::cli::{Cli, execute};
use cert_agent::program;

fn main() -> ExitCode {
    program::run::<Cli>(execute)
}
