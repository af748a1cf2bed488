//! The story of a comparison: find the programs, then row by row make a test bed, check that all pairs guard what they
//! should, and measure them in turn.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::contender::{Contender, DIRECT};
use crate::context::Context as Circumstances;
use crate::pair::{Identities, Pair};
use crate::programs::Programs;
use crate::proxies::Proxy;
use crate::results::{Format, Measured, Results};
use crate::rows::{self, Figure, Load, Protocol, ROWS, Row};
use crate::table::Table;
use crate::testbed::TestBed;
use crate::{checks, measure};

/// What to compare, and how long.
#[derive(Args)]
pub(crate) struct Options {
    /// How often each contender of a row is measured, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pairs: u32,
    /// Seconds each run is measured
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Rows, separated by commas: `h1-small,h2`; all of them by default
    #[arg(long, value_delimiter = ',', value_parser = row)]
    workload: Vec<&'static Row>,
    /// Whom to compare with, separated by commas: `haproxy`, `haproxy-h2`, `envoy`; all of them by default
    #[arg(long, value_delimiter = ',')]
    peer: Vec<String>,
    /// Few rows and peers, short runs, three of each: three minutes
    #[arg(long)]
    quick: bool,
    /// A table for people, or JSON lines
    #[arg(long, value_enum, default_value = "table")]
    output: Format,
    /// Where latest.md, latest.svg and latest.jsonl are kept; rows that are not measured now stay in them
    #[arg(long)]
    results: Option<PathBuf>,
}

fn row(name: &str) -> Result<&'static Row> {
    let names = || ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
    rows::named(name).with_context(|| format!("there are {}", names()))
}

/// Compares, and prints as it goes.
///
/// # Errors
/// Whatever keeps it from measuring: a program that is missing, a pair that does not guard its app, a failed run.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(
        !cfg!(debug_assertions),
        "a debug build measures nothing; write `cargo run --release -p postern-benches -- compare`"
    );
    let rows: Vec<(&Row, Vec<Contender>)> = options.rows()?;
    let contenders = || rows.iter().flat_map(|(_, contenders)| contenders);
    let mut wanted: Vec<Proxy> = contenders().filter_map(|contender| contender.proxy).collect();
    if rows.iter().any(|(row, _)| row.load == Load::HandshakesOut) {
        wanted.push(Proxy::Bare);
    }
    let programs = Programs::find(&wanted)?;
    let circumstances = Circumstances::look(&programs, &wanted);
    let mut results = Results::read(options.results.as_deref())?;
    let table = Table::new(options.output);
    table.beginning(&circumstances)?;
    let mut guards = Vec::new();
    for (row, contenders) in &rows {
        let bed = TestBed::new(&programs, row)?;
        table.row(row)?;
        check(&bed, contenders, &mut guards, &table)?;
        let measured = compare(&bed, contenders, options, &table)?;
        results.take(row, &circumstances, measured)?;
    }
    results.show(&table)
}

impl Options {
    fn rows(&self) -> Result<Vec<(&'static Row, Vec<Contender>)>> {
        for name in &self.peer {
            let known = ROWS.iter().flat_map(|row| row.contenders).any(|one| one.is_called(name));
            ensure!(known, "nobody is called `{name}`");
        }
        let mut rows = Vec::new();
        for row in ROWS.iter().filter(|row| self.wants(row)) {
            let contenders: Vec<Contender> = row
                .contenders
                .iter()
                .filter(|one| self.wants_contender(row, one))
                .copied()
                .collect();
            // A row without a peer says nothing; but what was named is not left out in silence.
            let is_peer = |one: &Contender| one.proxy.is_some() && !one.is_ours();
            match contenders.iter().any(is_peer) || row.is_pairwise() {
                true => rows.push((row, contenders)),
                false if self.workload.is_empty() => {}
                false => bail!("nobody of {} can do {}", self.peer.join(", "), row.name),
            }
        }
        Ok(rows)
    }

    fn wants(&self, row: &Row) -> bool {
        match self.workload.is_empty() {
            true => row.main || !self.quick,
            false => self.workload.iter().any(|one| one.name == row.name),
        }
    }

    fn wants_contender(&self, row: &Row, contender: &Contender) -> bool {
        let needed =
            contender.is_ours() || contender.proxy.is_none() && row.figure == Figure::AddedLatency;
        needed
            || match self.peer.is_empty() {
                true => {
                    !self.quick || matches!(contender.proxy, Some(Proxy::Haproxy | Proxy::Bare))
                }
                false => self.peer.iter().any(|name| contender.is_called(name)),
            }
    }

    fn pairs(&self) -> u32 {
        if self.quick { 3 } else { self.pairs }
    }

    fn seconds(&self) -> u32 {
        if self.quick { 1 } else { self.seconds }
    }
}

/// Those who have shown that they guard an app, in which protocol, and whether beside another's half: `guards`, which need
/// not show it again.
fn check(
    bed: &TestBed<'_>,
    contenders: &[Contender],
    guards: &mut Vec<(Contender, Protocol, bool)>,
    table: &Table,
) -> Result<()> {
    for contender in contenders.iter().filter(|contender| contender.proxy.is_some()) {
        let shown = (*contender, bed.row.protocol, bed.row.load == Load::HandshakesOut);
        if !guards.contains(&shown) {
            table.checked(bed.row, contender, &checks::run(bed, *contender)?)?;
            guards.push(shown);
        }
    }
    Ok(())
}

fn compare(
    bed: &TestBed<'_>,
    contenders: &[Contender],
    options: &Options,
    table: &Table,
) -> Result<Vec<Measured>> {
    let row = bed.row;
    let mut pairs = if row.figure.is_memory() { Vec::new() } else { start(bed, contenders)? };
    let mut all = Vec::new();
    for round in 1..=options.pairs() {
        let mut direct = 0.0;
        for (index, contender) in contenders.iter().enumerate() {
            // Memory that was used stays with a proxy.
            if row.figure.is_memory() {
                pairs.clear();
                pairs = start(bed, &[*contender])?;
            }
            let pair = if row.figure.is_memory() { pairs.first() } else { pairs.get(index) };
            let pair = pair.context("a pair was not started")?;
            let mut run = pair
                .measure(bed, options.seconds())
                .with_context(|| format!("{}, {}", row.name, contender.name))?;
            // Measured first in its round; what the proxies add is what the others take longer.
            if *contender == DIRECT {
                direct = run.value;
            } else {
                run.value -= direct;
            }
            let measured = Measured { round, contender: contender.name.to_owned(), run };
            table.run(row, &measured)?;
            all.push(measured);
        }
    }
    Ok(all)
}

/// A pair that is up and has been under load.
struct Warm {
    pair: Pair,
    /// What went through in a second of warm-up.
    rate: f64,
}

/// All pairs of a row run side by side, so that turns can be short and neighbours in time lie close: those that are not
/// measured have nothing to do.
fn start(bed: &TestBed<'_>, contenders: &[Contender]) -> Result<Vec<Warm>> {
    let warm = |contender: &Contender| {
        let mut pair = Pair::start(bed, *contender, Identities::GOOD)?;
        pair.wait_until_it_answers()?;
        let rate = if bed.row.figure.is_memory() { 0.0 } else { measure::warm_up(bed, &pair)? };
        anyhow::Ok(Warm { pair, rate })
    };
    let named = |contender: &Contender| {
        warm(contender).with_context(|| format!("{}, {}", bed.row.name, contender.name))
    };
    contenders.iter().map(named).collect()
}

impl Warm {
    fn measure(&self, bed: &TestBed<'_>, seconds: u32) -> Result<measure::Run> {
        measure::run(bed, &self.pair, seconds, self.rate)
    }
}
