//! A gateway beside Envoy with the same features: TLS from the clients, a token checked with each request, a local limit
//! that is not met, one route, and the app behind it in the clear.
//!
//! ```text
//! wrk -> TLS 1.3 -> gateway -> app
//! ```
//!
//! Each gateway has one worker on a CPU of its own; load and app share another. The figure is the gateway's CPU time per
//! request; they take turns of some seconds, because only ratios of neighbours in time mean anything.

mod envoy;
mod postern;
mod token;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::loads::wrk;
use crate::pair::wait_until_it_listens;
use crate::process::Process;
use crate::programs::Programs;
use crate::proxies::Proxy;
use crate::results::Format;
use crate::rows;
use crate::statistics::spread;
use crate::testbed::TestBed;
use crate::{ports, wait};
use token::Token;

/// How long a gateway may take until it answers.
const START: Duration = Duration::from_secs(15);
/// Seconds of load that do not count, and those that do, in each turn.
const WARM_UP: u32 = 1;
const TURN: u32 = 3;
/// Our CPU time per request over Envoy's, at most.
const MOST: f64 = 0.4;

/// How often.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds: each measures every gateway once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// A table for people, or JSON lines
    #[arg(long, value_enum, default_value = "table")]
    output: Format,
    /// Exit with 1 when the ratio is above the bar
    #[arg(long)]
    prove: bool,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Postern,
    /// As it is set up by most: each token's signature is checked with each request.
    Envoy,
    /// With its cache of checked tokens.
    EnvoyCache,
}

impl Contender {
    const ALL: [Self; 3] = [Self::Postern, Self::Envoy, Self::EnvoyCache];

    fn name(self) -> &'static str {
        match self {
            Self::Postern => "postern",
            Self::Envoy => "envoy",
            Self::EnvoyCache => "envoy-cache",
        }
    }
}

/// What a gateway is set up with.
struct Job<'a> {
    bed: &'a TestBed<'a>,
    token: &'a Token,
    name: &'static str,
    port: u16,
    /// For what else it serves.
    others: [u16; 3],
}

impl Job<'_> {
    /// Writes a file of the gateway's own folder.
    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let folder = self.folder();
        std::fs::create_dir_all(&folder).with_context(|| format!("creating {name}"))?;
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    fn folder(&self) -> PathBuf {
        self.bed.directory().join(self.name)
    }
}

/// A gateway that runs.
struct Gateway {
    contender: Contender,
    process: Process,
    port: u16,
}

/// Measures, and prints as it goes.
///
/// # Errors
/// Whatever keeps it from measuring; with `--prove`, a ratio above the bar.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(!cfg!(debug_assertions), "a debug build measures nothing");
    let programs = Programs::find(&[Proxy::Postern, Proxy::Envoy])?;
    let bed = TestBed::new(&programs, rows::named("h1-small").context("no row h1-small")?)?;
    let token = Token::new()?;
    let started = Contender::ALL.map(|contender| start(&bed, &token, contender));
    let mut gateways = started.into_iter().collect::<Result<Vec<_>>>()?;
    for gateway in &mut gateways {
        turn(&bed, gateway, &token, WARM_UP)?;
    }
    let mut rounds: Vec<Vec<f64>> = Vec::new();
    for round in 1..=options.rounds {
        let turns = gateways.iter_mut().map(|gateway| turn(&bed, gateway, &token, TURN));
        let costs = turns.collect::<Result<Vec<_>>>()?;
        tell(options.output, round, &costs)?;
        rounds.push(costs);
    }
    conclude(options, &rounds)
}

fn start(bed: &TestBed<'_>, token: &Token, contender: Contender) -> Result<Gateway> {
    let [port, others @ ..] = ports::free::<4>()?;
    let job = Job { bed, token, name: contender.name(), port, others };
    let invocation = match contender {
        Contender::Postern => postern::prepare(&job),
        Contender::Envoy => envoy::prepare(&job, false),
        Contender::EnvoyCache => envoy::prepare(&job, true),
    }?;
    let (setpriv, cpu) = (&bed.programs.setpriv, bed.proxies_cpu());
    let mut process = Process::start(job.name, &invocation, setpriv, cpu, bed.directory())?;
    wait_until_it_listens(&mut process, port)?;
    let mut gateway = Gateway { contender, process, port };
    gateway.ensure_it_judges(bed, token)?;
    Ok(gateway)
}

impl Gateway {
    fn url(&self, bed: &TestBed<'_>) -> String {
        format!("https://127.0.0.1:{}{}", self.port, bed.row.path())
    }

    /// A request with the token gets through, and one without it, or with another one, does not.
    fn ensure_it_judges(&mut self, bed: &TestBed<'_>, token: &Token) -> Result<()> {
        let mut last = None;
        let answered = wait::until(START, || {
            self.process.ensure_alive()?;
            let asked = wrk::run(bed, &self.url(bed), 1, &[token.field()]);
            last = asked.as_ref().err().map(ToString::to_string);
            Ok(asked.ok())
        })?;
        let name = self.contender.name();
        if answered.is_none() {
            bail!("{name} lets no request through: {last:?}\n{}", self.process.last_words());
        }
        for (what, fields) in [("no", vec![]), ("a foreign", vec![Token::new()?.field()])] {
            let asked = wrk::run(bed, &self.url(bed), 1, &fields);
            ensure!(asked.is_err(), "{name} lets a request with {what} token through");
        }
        Ok(())
    }
}

/// CPU time per request, µs.
fn turn(bed: &TestBed<'_>, gateway: &mut Gateway, token: &Token, seconds: u32) -> Result<f64> {
    gateway.process.ensure_alive()?;
    let before = gateway.process.cpu_time()?;
    let counted = wrk::run(bed, &gateway.url(bed), seconds, &[token.field()])?;
    let used = gateway.process.cpu_time()?.saturating_sub(before);
    Ok(used.as_secs_f64() * 1e6 / counted.units)
}

fn tell(format: Format, round: u32, costs: &[f64]) -> Result<()> {
    let each = Contender::ALL.iter().zip(costs);
    if format == Format::Json {
        let lines = each.map(|(contender, cost)| {
            serde_json::json!({
                "kind": "edge", "round": round, "gateway": contender.name(), "cpu_us": cost,
            })
            .to_string()
        });
        return write(&lines.collect::<Vec<_>>().join("\n"));
    }
    let each = each.map(|(contender, cost)| format!("{} {cost:.1} µs", contender.name()));
    write(&format!("{round:>3}  CPU per request: {}", each.collect::<Vec<_>>().join("  ")))
}

fn conclude(options: &Options, rounds: &[Vec<f64>]) -> Result<()> {
    let mut is_good = true;
    for (place, peer) in Contender::ALL.iter().enumerate().skip(1) {
        let ratios = rounds.iter().filter_map(|costs| Some(costs.first()? / costs.get(place)?));
        let ratio = spread(ratios).context("nothing was measured")?;
        let bar = if *peer == Contender::Envoy { format!(", bar {MOST}") } else { String::new() };
        is_good &= *peer != Contender::Envoy || ratio.median <= MOST;
        write(&format!(
            "CPU per request at the edge, postern / {}: median {:.2} (min {:.2}, max {:.2}) of {} rounds{bar}",
            peer.name(),
            ratio.median,
            ratio.min,
            ratio.max,
            rounds.len(),
        ))?;
    }
    ensure!(is_good || !options.prove, "above the bar");
    Ok(())
}

fn write(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context("writing the results")
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
