//! wrk, run for some seconds, and what it printed.

use anyhow::{Context, Result, bail, ensure};

use super::{Counted, output_of};
use crate::testbed::TestBed;

/// Connections kept busy at once.
const CONNECTIONS: u32 = 64;
/// How long an answer may take before wrk counts an error: a stall of a busy machine is in the latencies, not an error.
const TIMEOUT: &str = "10s";

/// Makes each request one on a connection of its own.
pub(super) const CLOSING: &str = "Connection: close";

/// Puts load on `url` for `seconds`, each request with these fields.
///
/// # Errors
/// When wrk fails, hangs, or saw a single error.
pub(crate) fn run(
    bed: &TestBed<'_>,
    url: &str,
    seconds: u32,
    fields: &[String],
) -> Result<Counted> {
    let mut words: Vec<String> = vec![bed.programs.wrk.display().to_string()];
    words.extend(["-t1", "--latency", "--timeout", TIMEOUT].map(str::to_owned));
    words.extend([format!("-c{CONNECTIONS}"), format!("-d{seconds}s")]);
    words.extend(fields.iter().flat_map(|field| ["-H".to_owned(), field.clone()]));
    words.push(url.to_owned());
    let output = output_of(bed, &words, seconds)?;
    parse(&output).with_context(|| format!("wrk printed:\n{output}"))
}

fn parse(output: &str) -> Result<Counted> {
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
    let requests: f64 = counted.split(' ').next().unwrap_or_default().parse()?;
    ensure!(requests > 0.0, "not one request was answered");
    Ok(Counted {
        units: requests,
        p50_us: Some(microseconds(after("50%")?)?),
        p99_us: Some(microseconds(after("99%")?)?),
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
        let expect = Counted { units: 88044.0, p50_us: Some(2810.0), p99_us: Some(812.0) };
        assert_eq!(parse(GOOD).unwrap(), expect);
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
