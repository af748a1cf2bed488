//! The load: wrk, run for some seconds, and what it printed.

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::process::{self, tied_to_us};
use crate::testbed::TestBed;
use crate::{cpus, wait};

/// Connections kept busy at once.
const CONNECTIONS: u32 = 64;
/// How long an answer may take before wrk counts an error: a stall of a busy machine is in the latencies, not an error.
const TIMEOUT: &str = "10s";
/// How much longer than asked wrk may take: it waits for answers under way.
const GRACE: Duration = Duration::from_secs(20);

/// What wrk counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) requests_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// Puts load on `url` for `seconds`.
///
/// # Errors
/// When wrk fails, hangs, or saw a single error: what was measured then is not what was asked for.
pub(crate) fn run(bed: &TestBed<'_>, url: &str, seconds: u32) -> Result<Load> {
    let mut words: Vec<String> = vec![bed.programs.wrk.display().to_string()];
    words.extend(["-t1", "--latency", "--timeout", TIMEOUT].map(str::to_owned));
    words.extend([format!("-c{CONNECTIONS}"), format!("-d{seconds}s")]);
    if bed.workload.closes() {
        words.extend(["-H", "Connection: close"].map(str::to_owned));
    }
    words.push(url.to_owned());
    let mut command = tied_to_us(&bed.programs.setpriv, &words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = cpus::spawn_on(bed.cpus.load, &mut command).context("starting wrk")?;
    let output = output_of(child, Duration::from_secs(seconds.into()) + GRACE)?;
    parse(&output).with_context(|| format!("wrk printed:\n{output}"))
}

/// What it prints fits into the pipe, so it is read when wrk is done.
fn output_of(mut child: Child, patience: Duration) -> Result<String> {
    let ended = wait::until(patience, || child.try_wait().context("waiting for wrk"))?;
    if ended.is_none() {
        process::end(&mut child);
        bail!("wrk did not come to an end");
    }
    let mut text = String::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_string(&mut text).context("reading what wrk printed")?;
    }
    Ok(text)
}

fn parse(output: &str) -> Result<Load> {
    let line = |what: &str| output.lines().map(str::trim).find(|line| line.contains(what));
    for trouble in ["Socket errors:", "Non-2xx or 3xx responses:"] {
        if let Some(line) = line(trouble) {
            bail!("{line}");
        }
    }
    let after = |start: &str| {
        let found = output.lines().map(str::trim).find_map(|line| line.strip_prefix(start));
        found.map(str::trim).with_context(|| format!("no line `{start}`"))
    };
    let counted = line("requests in").context("no number of requests")?;
    let requests = counted.split(' ').next().unwrap_or_default().parse()?;
    ensure!(requests > 0, "not one request was answered");
    Ok(Load {
        requests,
        requests_per_second: after("Requests/sec:")?.parse()?,
        p50_us: microseconds(after("50%")?)?,
        p99_us: microseconds(after("99%")?)?,
    })
}

/// `812.00us`, `2.81ms`, `1.02s` or `1.00m`.
fn microseconds(text: &str) -> Result<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 60e6)];
    let found = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let (number, factor) = found.with_context(|| format!("`{text}` is no time"))?;
    Ok(number.parse::<f64>().with_context(|| format!("`{text}` is no time"))? * factor)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const GOOD: &str = "Running 4s test @ http://127.0.0.1:7001/128
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.87ms  612.00us  12.00ms   90.00%
    Req/Sec    22.01k     1.20k   24.00k    75.00%
  Latency Distribution
     50%    2.81ms
     75%    3.00ms
     90%    3.40ms
     99%  812.00us
  88044 requests in 4.00s, 18.39MB read
Requests/sec:  22005.12
Transfer/sec:      4.60MB
";

    #[test]
    fn what_wrk_prints() {
        let load = parse(GOOD).unwrap();
        let expect =
            Load { requests: 88044, requests_per_second: 22005.12, p50_us: 2810.0, p99_us: 812.0 };
        assert_eq!(load, expect);
    }

    #[test]
    fn trouble_is_an_error() {
        let check = |more: &str| {
            let error = parse(&format!("{GOOD}  {more}\n")).unwrap_err();
            assert_eq!(error.to_string(), more);
        };
        check("Socket errors: connect 0, read 3, write 0, timeout 0");
        check("Non-2xx or 3xx responses: 88044");
        assert!(parse("unable to connect").is_err());
    }
}
