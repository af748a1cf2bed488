//! What is printed: a table for people or JSON lines for programs, as it comes to be.

use std::io::Write;
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::checks::Refusals;
use crate::measure::Run;
use crate::pair::Resident;
use crate::proxies::Proxy;
use crate::statistics::spread;
use crate::testbed::TestBed;
use crate::workload::Workload;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for people
    Table,
    /// One JSON object a line: `setup`, `check`, `run` and `result` by their `kind`
    Json,
}

/// Writes to standard output.
pub(crate) struct Report {
    format: Format,
}

/// A peer's run and ours, neighbours in time.
pub(crate) type Neighbours = (Run, Run);

impl Report {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// What is compared, and how.
    pub(crate) fn heading(&self, bed: &TestBed<'_>, peer: Proxy) -> Result<()> {
        let versions = [peer, Proxy::Postern].map(|proxy| version(bed, proxy));
        let (workload, cpus) = (bed.workload, bed.cpus);
        self.line(
            || {
                format!(
                    "{}: {}\n{} against {}; both proxies of a pair on CPU {}, one worker each; load and backend on CPU {}",
                    workload.name(), workload.description(), versions[1], versions[0], cpus.proxies, cpus.load,
                )
            },
            || {
                json!({
                    "kind": "setup", "workload": workload.name(), "peer": peer.name(),
                    "versions": {peer.name(): versions[0], "postern": versions[1]},
                })
            },
        )
    }

    /// A pair guards what it should.
    pub(crate) fn checked(
        &self,
        workload: Workload,
        proxy: Proxy,
        refusals: &Refusals,
    ) -> Result<()> {
        let (client, server) =
            (refusals.wrong_client.to_string(), refusals.wrong_server.to_string());
        self.line(
            || {
                format!(
                    "{:<8} lets the allowed identity through; another client: {client}, another server: {server}",
                    proxy.name(),
                )
            },
            || {
                json!({
                    "kind": "check", "workload": workload.name(), "proxy": proxy.name(),
                    "allowed": "200", "wrong_client": client, "wrong_server": server,
                })
            },
        )
    }

    /// The head of the table.
    pub(crate) fn columns(&self, peer: Proxy) -> Result<()> {
        if self.format == Format::Json {
            return Ok(());
        }
        let (theirs, ours) = (peer.name(), Proxy::Postern.name());
        self.write(&format!(
            "\n      CPU µs per request          latency p50 / p99 ms          others' CPU\n\
             pair {theirs:>8} {ours:>8}  ratio  {theirs:>14} {ours:>14}  {theirs:>8} {ours:>8}",
        ))
    }

    /// A row of the table, or two lines.
    pub(crate) fn pair(
        &self,
        workload: Workload,
        number: u32,
        peer: Proxy,
        theirs: &Run,
        ours: &Run,
    ) -> Result<()> {
        if self.format == Format::Json {
            self.write(&run_object(workload, number, peer, theirs).to_string())?;
            return self.write(&run_object(workload, number, Proxy::Postern, ours).to_string());
        }
        self.write(&format!(
            "{number:>4} {:>8.1} {:>8.1} {:>6.2}  {:>14} {:>14}  {:>7.0}% {:>7.0}%",
            theirs.cpu_us,
            ours.cpu_us,
            ours.cpu_us / theirs.cpu_us,
            latency(theirs),
            latency(ours),
            theirs.others_busy * 100.0,
            ours.others_busy * 100.0,
        ))
    }

    /// The median ratio with its spread, and idle memory.
    pub(crate) fn conclusion(
        &self,
        workload: Workload,
        peer: Proxy,
        pairs: &[Neighbours],
    ) -> Result<()> {
        let ratio = spread(pairs.iter().map(|(theirs, ours)| ours.cpu_us / theirs.cpu_us))
            .context("no pair was measured")?;
        let theirs = idle(pairs.iter().map(|(theirs, _)| theirs.resident))?;
        let ours = idle(pairs.iter().map(|(_, ours)| ours.resident))?;
        self.line(
            || {
                format!(
                    "\nCPU per request, postern / {}: median {:.2} (min {:.2}, max {:.2}) of {} pairs\n\
                     idle memory in MB, outbound / inbound: {} {:.1} / {:.1}, postern {:.1} / {:.1}\n",
                    peer.name(), ratio.median, ratio.min, ratio.max, pairs.len(),
                    peer.name(), theirs.0, theirs.1, ours.0, ours.1,
                )
            },
            || {
                json!({
                    "kind": "result", "workload": workload.name(), "peer": peer.name(), "pairs": pairs.len(),
                    "cpu_ratio": {"median": ratio.median, "min": ratio.min, "max": ratio.max},
                    "idle_mb": {
                        peer.name(): {"outbound": theirs.0, "inbound": theirs.1},
                        "postern": {"outbound": ours.0, "inbound": ours.1},
                    },
                })
            },
        )
    }

    fn line(&self, table: impl FnOnce() -> String, object: impl FnOnce() -> Value) -> Result<()> {
        match self.format {
            Format::Table => self.write(&table()),
            Format::Json => self.write(&object().to_string()),
        }
    }

    fn write(&self, text: &str) -> Result<()> {
        writeln!(std::io::stdout(), "{text}").context("writing the results")
    }
}

/// One run as JSON.
fn run_object(workload: Workload, pair: u32, proxy: Proxy, run: &Run) -> Value {
    json!({
        "kind": "run", "workload": workload.name(), "pair": pair, "proxy": proxy.name(),
        "cpu_us_per_request": run.cpu_us,
        "requests": run.load.requests,
        "requests_per_second": run.load.requests_per_second,
        "p50_us": run.load.p50_us,
        "p99_us": run.load.p99_us,
        "proxies_busy": run.proxies_busy,
        "others_busy": run.others_busy,
        "idle_kib": {"outbound": run.resident.outbound, "inbound": run.resident.inbound},
    })
}

fn latency(run: &Run) -> String {
    format!("{:.2} / {:.2}", run.load.p50_us / 1e3, run.load.p99_us / 1e3)
}

/// The median idle memory of outbound and inbound proxies, in MB.
fn idle(all: impl Iterator<Item = Resident> + Clone) -> Result<(f64, f64)> {
    let megabytes = |kib: u64| kib as f64 * 1024.0 / 1e6;
    let outbound = spread(all.clone().map(|resident| megabytes(resident.outbound)));
    let inbound = spread(all.map(|resident| megabytes(resident.inbound)));
    let (outbound, inbound) = outbound.zip(inbound).context("no pair was measured")?;
    Ok((outbound.median, inbound.median))
}

/// The first line of what a program says of itself, for the reader only.
fn version(bed: &TestBed<'_>, proxy: Proxy) -> String {
    let output = Command::new(bed.programs.of(proxy)).arg(proxy.version_flag()).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or(proxy.name()).to_owned()
}
