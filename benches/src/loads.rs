//! The loads. Each is a process on the CPU of the load: wrk, h2load, or this very program in another process, which prints
//! one line of JSON.

mod bulk;
mod grpc;
mod h2load;
mod handshakes;
pub(crate) mod idle;
mod rate;
pub(crate) mod wrk;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde_json::{Value, json};

use crate::pair::Pair;
use crate::process::{self, tied_to_us};
use crate::rows::{Direction, Load};
use crate::testbed::TestBed;
use crate::{cpus, wait};

/// How much longer than asked a load may take: it waits for answers under way.
const GRACE: Duration = Duration::from_secs(20);

/// What a load counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counted {
    /// Requests, MB or whatever the row is about.
    pub(crate) units: f64,
    /// How long one took, µs, where the load says.
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
}

impl Counted {
    fn only(units: f64) -> Self {
        Self { units, p50_us: None, p99_us: None }
    }
}

/// Puts the row's load on a pair for `seconds`. `rate` is what an earlier run reached in a second, for loads that are
/// told how much, not how long.
///
/// # Errors
/// When the load fails, hangs, or saw a single error: what was measured then is not what was asked for.
pub(crate) fn run(bed: &TestBed<'_>, pair: &Pair, seconds: u32, rate: f64) -> Result<Counted> {
    let ours = |kind: &[String]| {
        let mut words = vec![bed.programs.ourselves.display().to_string(), "load".to_owned()];
        words.extend_from_slice(kind);
        words.push(format!("--seconds={seconds}"));
        parse(&output_of(bed, &words, seconds)?)
    };
    let client = pair.address().port();
    match bed.row.load {
        Load::Wrk(_) => wrk::run(bed, &pair.url(), seconds, &[]),
        Load::WrkClosing | Load::HandshakesOut => {
            wrk::run(bed, &pair.url(), seconds, &[wrk::CLOSING.to_owned()])
        }
        Load::H2load | Load::GrpcUnary => h2load::run(bed, pair, rate * f64::from(seconds)),
        Load::GrpcStream => ours(&["grpc-stream".to_owned(), format!("--port={client}")]),
        Load::Bulk(direction) => {
            let direction = match direction {
                Direction::Down => "down",
                Direction::Up => "up",
            };
            let port = format!("--port={client}");
            ours(&["bulk".to_owned(), port, format!("--direction={direction}")])
        }
        Load::HandshakesIn => {
            let certificates = bed.certificates.directory().display();
            let port = format!("--port={}", pair.inbound_port());
            ours(&["handshakes".to_owned(), port, format!("--certificates={certificates}")])
        }
        Load::Rate => ours(&["rate".to_owned(), format!("--port={client}")]),
        Load::Idle | Load::Nothing => Ok(Counted::only(0.0)),
    }
}

/// The loads that are this very program.
#[derive(Parser)]
pub(crate) enum Ours {
    /// As many bytes as go through one connection
    Bulk {
        #[command(flatten)]
        to: To,
        /// Whence they go
        #[arg(long, value_enum)]
        direction: Direction,
    },
    /// gRPC calls of many messages
    GrpcStream(To),
    /// A new mTLS connection for each request
    Handshakes {
        #[command(flatten)]
        to: To,
        /// The folder of the certificates
        #[arg(long)]
        certificates: PathBuf,
    },
    /// A thousand requests a second
    Rate(To),
}

/// Where to, and how long.
#[derive(clap::Args)]
pub(crate) struct To {
    /// Of 127.0.0.1
    #[arg(long)]
    port: u16,
    #[arg(long)]
    seconds: u32,
}

impl To {
    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

/// Runs one of ours to its end and prints what it counted.
///
/// # Errors
/// When anything at all fails.
pub(crate) fn ours(load: &Ours) -> Result<()> {
    let counted = match load {
        Ours::Bulk { to, direction } => bulk::run(to, *direction),
        Ours::GrpcStream(to) => grpc::run(to),
        Ours::Handshakes { to, certificates } => handshakes::run(to, certificates),
        Ours::Rate(to) => rate::run(to),
    }?;
    let line = json!({"units": counted.units, "p50_us": counted.p50_us, "p99_us": counted.p99_us});
    writeln!(std::io::stdout(), "{line}").context("telling what was counted")
}

fn parse(line: &str) -> Result<Counted> {
    let value: Value =
        serde_json::from_str(line).with_context(|| format!("a load printed `{line}`"))?;
    let units = value["units"].as_f64().filter(|units| *units > 0.0).context("nothing was done")?;
    Ok(Counted { units, p50_us: value["p50_us"].as_f64(), p99_us: value["p99_us"].as_f64() })
}

/// Runs a load on its CPU to its end. What it prints fits into the pipe, so it is read when it is done.
fn output_of(bed: &TestBed<'_>, words: &[String], seconds: u32) -> Result<String> {
    let mut command = tied_to_us(&bed.programs.setpriv, words);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let name = words.first().map_or("", String::as_str);
    let mut child: Child =
        cpus::spawn_on(bed.load_cpu(), &mut command).with_context(|| format!("starting {name}"))?;
    let patience = Duration::from_secs(seconds.into()) + GRACE;
    let ended = wait::until(patience, || child.try_wait().context("waiting for a load"))?;
    let Some(status) = ended else {
        process::end(&mut child);
        bail!("{name} did not come to an end");
    };
    let mut text = String::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_string(&mut text).context("reading what a load printed")?;
    }
    if !status.success() {
        bail!("{} ended ({status}):\n{text}", words.join(" "));
    }
    Ok(text)
}

/// The value below which this share of the sorted values lies.
fn percentile(sorted: &[u32], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let index = (last as f64 * share).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between zero and the last index"
    )]
    sorted.get(index as usize).map(|value| f64::from(*value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let hundred: Vec<u32> = (0..=100).collect();
        assert_eq!(percentile(&hundred, 0.5), Some(50.0));
        assert_eq!(percentile(&hundred, 0.99), Some(99.0));
        assert_eq!(percentile(&[7], 0.99), Some(7.0));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn what_ours_print() {
        let good = parse(r#"{"units": 2.5, "p50_us": 7.0, "p99_us": null}"#).ok();
        assert_eq!(good, Some(Counted { units: 2.5, p50_us: Some(7.0), p99_us: None }));
        assert!(parse(r#"{"units": 0.0}"#).is_err());
        assert!(parse("").is_err());
    }
}
