//! `make prove-traffic`: proves the promises about traffic.

use std::process::ExitCode;

use postern_tests::proofs;

fn main() -> ExitCode {
    proofs::run("prove-traffic", proofs::TRAFFIC_PROMISES)
}
