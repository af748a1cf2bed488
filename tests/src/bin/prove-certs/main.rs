//! `make prove-certs`: proves the promises about certificates.

use std::process::ExitCode;

use postern_tests::proofs;

fn main() -> ExitCode {
    proofs::run("prove-certs", proofs::PROMISES)
}
