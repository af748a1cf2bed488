//! How many signed answers an authority gives in a second, over connections that agents keep.
//!
//! A real `postern-authority` process serves on loopback; 32 TLS 1.3 connections ask it without pause. Authority and load
//! share two CPUs. Every answer is a new certificate: the authority verifies the evidence and the request's proof of
//! possession, signs, and logs. The requests (key, CSR, evidence) are made before the clock starts.
//!
//! Exits 0 when at least 2,000 answers a second came with X.509 evidence, 1 when fewer did or something failed.

mod authority;
mod load;
mod machines;
mod signer;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use authority::Authority;
use load::Evidence;

/// What must be reached.
const WANTED: f64 = 2000.0;

/// Measures how many certificates a second the authority signs over 32 kept connections.
#[derive(Parser)]
#[command(name = "prove-issuance", version)]
struct Options {
    /// Two seconds instead of ten, and any speed is good: to see that it works.
    #[arg(long)]
    quick: bool,
}

fn main() -> ExitCode {
    match prove(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "prove-issuance: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn prove(options: &Options) -> Result<bool> {
    let cpus = two_cpus()?;
    let time = Duration::from_secs(if options.quick { 2 } else { 10 });
    let authority = Authority::start()?;
    let signer = signer::rate(&authority, time / 5)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let x509 = runtime.block_on(load::rate(&authority, Evidence::Certificate, time))?;
    let renewal = runtime.block_on(load::rate(&authority, Evidence::Renewal, time))?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "issuance: {} signed answers/s over {} kept connections ({cpus} CPUs, load included; x509 evidence), \
         {} answers/s with renewal credentials; signer alone: {}/s on one CPU",
        grouped(x509),
        load::CONNECTIONS,
        grouped(renewal),
        grouped(signer),
    )?;
    Ok(options.quick || x509 >= WANTED)
}

/// Keeps this process, and so its children, on two CPUs where there are more.
fn two_cpus() -> Result<usize> {
    let ourselves = Pid::from_raw(0);
    let allowed = sched_getaffinity(ourselves).context("reading the CPU affinity")?;
    let mut chosen = CpuSet::new();
    let mut count = 0;
    for cpu in (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).take(2) {
        chosen.set(cpu)?;
        count += 1;
    }
    sched_setaffinity(ourselves, &chosen).context("setting the CPU affinity")?;
    Ok(count)
}

/// `2431.7` as `2,431`.
fn grouped(rate: f64) -> String {
    let digits = format!("{:.0}", rate.floor());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn numbers_are_grouped() {
        for (rate, expect) in [(0.0, "0"), (999.9, "999"), (2431.7, "2,431"), (1e6, "1,000,000")] {
            assert_eq!(grouped(rate), expect);
        }
    }
}
