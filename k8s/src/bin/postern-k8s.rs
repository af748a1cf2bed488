//! `postern-k8s`: the command.

use std::process::ExitCode;

fn main() -> ExitCode {
    k8s::cli::run()
}
