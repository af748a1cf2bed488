//! Lines over one long TCP connection: the price ticker of the shop, asked again and again.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shop::ticker::{GREETING, price};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use super::{Load, LoadReport};
use crate::pod::Pod;

/// Between two lines: a connection that is used, and does not take the machine from the others.
const PACE: Duration = Duration::from_millis(20);
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl Load {
    /// Starts `connections` TCP connections from inside `pod` to the shop's price ticker. Each is meant to live as long
    /// as the load: one that ends earlier counts as failed, with its age.
    #[must_use]
    pub fn start_lines(pod: &Pod, address: SocketAddr, connections: usize) -> Self {
        Self::lanes(pod, connections, |stop| async move { run_lane(address, &stop).await })
    }
}

async fn run_lane(address: SocketAddr, stop: &AtomicBool) -> LoadReport {
    let mut report = LoadReport::default();
    let mut pace = interval(PACE);
    while !stop.load(Ordering::Relaxed) {
        let opened = Instant::now();
        report.connections += 1;
        if let Err(error) = talk(address, stop, &mut report).await {
            let age = opened.elapsed().as_secs_f32();
            report.fail(format!("a TCP connection broke after {age:.1} s: {error}"));
            pace.tick().await;
        }
    }
    report
}

/// Asks until it is told to stop; every answer must be right.
async fn talk(address: SocketAddr, stop: &AtomicBool, report: &mut LoadReport) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader).lines();
    let mut hear = async || -> io::Result<String> {
        let line = timeout(PATIENCE, lines.next_line()).await??;
        line.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    };
    expect(&hear().await?, GREETING)?;
    let mut pace = interval(PACE);
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let item = format!("item-{}", report.requests);
        writer.write_all(format!("{item}\n").as_bytes()).await?;
        expect(&hear().await?, &format!("{item} {}", price(&item)))?;
        report.requests += 1;
    }
    Ok(())
}

fn expect(heard: &str, expected: &str) -> io::Result<()> {
    if heard == expected {
        return Ok(());
    }
    Err(io::Error::other(format!("heard `{heard}`, expected `{expected}`")))
}
