//! `postern-authority`: attests agents and signs their certificates.

use std::process::ExitCode;

use authority::cli::{Cli, execute};

fn main() -> ExitCode {
    program::run::<Cli>(execute)
}
