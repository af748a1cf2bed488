//! h2load, told how many requests to send: at the end of a time it would reset the streams that are open, and what proxies
//! do about a burst of resets is not what is measured.

use std::fs;

use anyhow::{Context, Result, bail, ensure};

use super::{Counted, output_of};
use crate::backend::http2::{CALL, message};
use crate::pair::Pair;
use crate::rows::Load;
use crate::testbed::TestBed;

/// The fewest requests of a run: with fewer, opening the connections would show.
const FEWEST: f64 = 2000.0;
/// The longest that any number of requests may take, in seconds.
const PATIENCE: u32 = 60;

/// Sends about this many requests over 16 connections of 32 streams.
///
/// # Errors
/// When h2load fails, hangs, or a request was not answered well.
pub(super) fn run(bed: &TestBed<'_>, pair: &Pair, requests: f64) -> Result<Counted> {
    let mut words: Vec<String> = vec![bed.programs.h2load.display().to_string()];
    words.extend(["-t1", "-c16", "-m32"].map(str::to_owned));
    words.push(format!("-n{:.0}", requests.max(FEWEST)));
    let mut url = pair.url();
    if bed.row.load == Load::GrpcUnary {
        let file = bed.directory().join("message");
        fs::write(&file, message()).context("writing a message")?;
        words.extend(["-d".to_owned(), file.display().to_string()]);
        for header in ["content-type: application/grpc", "te: trailers"] {
            words.extend(["-H".to_owned(), header.to_owned()]);
        }
        url = format!("http://{}{CALL}", pair.address());
    }
    words.push(url);
    let output = output_of(bed, &words, PATIENCE)?;
    parse(&output).with_context(|| format!("h2load printed:\n{output}"))
}

fn parse(output: &str) -> Result<Counted> {
    let line = |start: &str| {
        let found = output.lines().find_map(|line| line.strip_prefix(start));
        found.with_context(|| format!("no line `{start}`"))
    };
    // `4 total, 4 started, 4 done, 4 succeeded, 0 failed, 0 errored, 0 timeout`
    let requests = line("requests:")?;
    let count = |of: &str| -> Result<f64> {
        let found = requests.split(',').find_map(|part| part.trim().strip_suffix(of));
        Ok(found.with_context(|| format!("no number of{of}"))?.parse()?)
    };
    let (total, succeeded) = (count(" total")?, count(" succeeded")?);
    ensure!(total > 0.0, "nothing was asked");
    if succeeded < total || !line("status codes:")?.trim().starts_with(&format!("{total} 2xx")) {
        bail!("{requests}; {}", line("status codes:")?);
    }
    Ok(Counted::only(total))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const GOOD: &str = "starting benchmark...
Application protocol: h2c

finished in 1.10s, 18202.12 req/s, 2.01MB/s
requests: 20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 20000 2xx, 0 3xx, 0 4xx, 0 5xx
";

    #[test]
    fn what_h2load_prints() {
        assert_eq!(parse(GOOD).unwrap(), Counted::only(20000.0));
    }

    #[test]
    fn trouble_is_an_error() {
        let check =
            |good: &str, bad: &str| assert!(parse(&GOOD.replace(good, bad)).is_err(), "{bad}");
        check("20000 succeeded, 0 failed", "19999 succeeded, 1 failed");
        check("20000 2xx, 0 3xx, 0 4xx", "19999 2xx, 0 3xx, 1 4xx");
        check("20000 total", "0 total");
        check("requests:", "");
    }
}
