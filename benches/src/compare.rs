//! The story of a comparison: find the programs, make a test bed, check that both pairs guard what they should, then
//! measure them in turn.

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use crate::pair::{Identities, Pair};
use crate::programs::Programs;
use crate::proxies::Proxy;
use crate::report::{Format, Report};
use crate::testbed::TestBed;
use crate::workload::Workload;
use crate::{checks, measure};

/// What to compare, and how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Pairs of runs, the peer's and then ours, per workload
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pairs: u32,
    /// Seconds each run is measured, after one second of warm-up
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// What the load asks for; several are separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "h1-small")]
    workload: Vec<Workload>,
    /// Whom to compare with
    #[arg(long, value_enum, default_value = "haproxy")]
    peer: Peer,
    /// A table for people, or JSON lines
    #[arg(long, value_enum, default_value = "table")]
    output: Format,
}

/// Whom Postern is compared with.
#[derive(Clone, Copy, ValueEnum)]
enum Peer {
    /// The package `haproxy` of Debian
    Haproxy,
    /// The program named by ENVOY_BIN, or the one `make test` fetched
    Envoy,
}

impl Peer {
    fn proxy(self) -> Proxy {
        match self {
            Self::Haproxy => Proxy::Haproxy,
            Self::Envoy => Proxy::Envoy,
        }
    }
}

/// Compares, and prints as it goes.
///
/// # Errors
/// Whatever keeps it from measuring: a program that is missing, a pair that does not guard its backend, a failed run.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(
        !cfg!(debug_assertions),
        "a debug build measures nothing; write `cargo run --release -p postern-benches -- compare`"
    );
    let peer = options.peer.proxy();
    let programs = Programs::find(peer)?;
    let mut report = Report::new(options.output);
    for workload in &options.workload {
        let bed = TestBed::new(&programs, *workload)?;
        compare(&bed, peer, options, &mut report)?;
    }
    Ok(())
}

fn compare(bed: &TestBed<'_>, peer: Proxy, options: &Options, report: &mut Report) -> Result<()> {
    report.heading(bed, peer)?;
    for proxy in [peer, Proxy::Postern] {
        report.checked(bed.workload, proxy, &checks::run(bed, proxy)?)?;
    }
    report.columns(peer)?;
    let mut pairs = Vec::new();
    for number in 1..=options.pairs {
        let theirs = one_run(bed, peer, options.seconds)?;
        let ours = one_run(bed, Proxy::Postern, options.seconds)?;
        report.pair(bed.workload, number, peer, &theirs, &ours)?;
        pairs.push((theirs, ours));
    }
    report.conclusion(bed.workload, peer, &pairs)
}

/// A pair of its own for each run: no run inherits what another one left behind.
fn one_run(bed: &TestBed<'_>, proxy: Proxy, seconds: u32) -> Result<measure::Run> {
    let mut pair = Pair::start(bed, proxy, Identities::GOOD)?;
    pair.wait_until_it_answers()?;
    measure::run(bed, &pair, seconds)
}
