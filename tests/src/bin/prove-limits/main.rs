//! `make prove-limits`: proves the promises about limits of callers.

use std::process::ExitCode;

use postern_tests::proofs;

fn main() -> ExitCode {
    proofs::run("prove-limits", proofs::LIMIT_PROMISES)
}
