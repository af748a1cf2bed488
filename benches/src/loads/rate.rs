//! A thousand requests a second, each sent when it is due, whatever became of the others. A request's time counts from
//! the moment it was due: one that had to wait for the answer before it is late by that much.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Counted, To, percentile};
use crate::rows::SMALL;

/// Requests a second, all connections together.
const RATE: u32 = 1000;
const CONNECTIONS: u32 = 16;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The kernel may wake a thread so much later than asked, in nanoseconds; by default it takes 50 µs.
const SLACK: u64 = 1;

/// A thread a connection: it sleeps until its next request is due.
pub(super) fn run(to: &To) -> Result<Counted> {
    let start = Instant::now() + Duration::from_millis(50);
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let (port, time) = (to.port, to.time());
            std::thread::spawn(move || connection(port, start + due(number), time))
        })
        .collect();
    let mut took = Vec::new();
    for thread in threads {
        took.extend(thread.join().ok().context("a connection's thread ended early")??);
    }
    took.sort_unstable();
    let (p50_us, p99_us) = (percentile(&took, 0.5), percentile(&took, 0.99));
    Ok(Counted { units: took.len() as f64, p50_us, p99_us })
}

/// When the request of this number is due.
fn due(number: u32) -> Duration {
    Duration::from_secs(1) * number / RATE
}

/// How long each request of one connection took, µs.
fn connection(port: u16, first: Instant, time: Duration) -> Result<Vec<u32>> {
    nix::sys::prctl::set_timerslack(SLACK).context("asking for exact timers")?;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).context("connecting")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut took = Vec::new();
    let mut next = first;
    while next < first + time {
        sleep_until(next);
        ask(&mut stream)?;
        took.push(u32::try_from(next.elapsed().as_micros()).unwrap_or(u32::MAX));
        next += due(CONNECTIONS);
    }
    Ok(took)
}

/// A request, and its answer to the end: a head and a small body.
fn ask(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(format!("GET /{SMALL} HTTP/1.1\r\nhost: app\r\n\r\n").as_bytes())?;
    let mut answer = [0; 2048];
    let mut read = 0;
    loop {
        let space =
            answer.get_mut(read..).filter(|space| !space.is_empty()).context("a long answer")?;
        let more = stream.read(space).context("no answer")?;
        ensure!(more > 0, "the connection ended");
        read += more;
        let so_far = answer.get(..read).unwrap_or_default();
        if so_far
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .is_some_and(|head| read >= head + 4 + SMALL)
        {
            ensure!(so_far.starts_with(b"HTTP/1.1 200 "), "another status than 200");
            return Ok(());
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own, which serves nobody while it waits"
)]
fn sleep_until(when: Instant) {
    std::thread::sleep(when.saturating_duration_since(Instant::now()));
}
