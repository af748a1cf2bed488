//! Crowds that hold what they have, through one pair of proxies: what opening them costs, whether anybody fails, and what
//! a small request takes beside them.

use std::io::{Error, ErrorKind, Result as IoResult, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::backend::WAIT;
use crate::contender::{Contender, HAPROXY_H1, POSTERN};
use crate::loads::idle::rest;
use crate::pair::{Identities, Pair};
use crate::programs::Programs;
use crate::proxies::Proxy;
use crate::results::Format;
use crate::rows::{self, Row, UNREAD};
use crate::statistics::spread;
use crate::testbed::TestBed;

/// How many clients of a crowd open at a time.
const OPENING: usize = 64;
/// How long one step of a client may take.
const PATIENCE: Duration = Duration::from_secs(40);
/// Small requests that are timed, one after the other.
const SMALL_REQUESTS: usize = 500;

/// Asks to switch protocols, with the key of RFC 6455 §1.3.
const SWITCH: &str = "GET / HTTP/1.1\r\nhost: b\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Whom to hold, and how often.
#[derive(Args)]
pub(crate) struct Options {
    /// What each client of a crowd does; several are separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "tcp,websocket,slow")]
    crowd: Vec<Crowd>,
    /// Clients in a crowd; by default 5,000 of tcp and websocket, 2,000 of slow, 400 of unread
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=9_000))]
    clients: Option<u32>,
    /// Pairs of runs, HAProxy's and then ours, per crowd
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pairs: u32,
    /// A table for people, or JSON lines
    #[arg(long, value_enum, default_value = "table")]
    output: Format,
}

/// What each client of a crowd does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Crowd {
    /// Holds an opaque TCP connection
    Tcp,
    /// Holds a connection that has switched protocols
    Websocket,
    /// Waits for an answer that takes its time
    Slow,
    /// Asks for a large answer and reads no more than its head
    Unread,
}

/// What one run showed.
struct Held {
    /// User and system time of both proxies for each client, in microseconds.
    cpu_us: f64,
    failed: usize,
    /// 99th percentile of small requests before the crowd came, and beside it.
    idle: Duration,
    beside: Duration,
}

impl Crowd {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Websocket => "websocket",
            Self::Slow => "slow",
            Self::Unread => "unread",
        }
    }

    fn clients(self) -> usize {
        match self {
            Self::Tcp | Self::Websocket => 5_000,
            Self::Slow => 2_000,
            Self::Unread => 400,
        }
    }

    /// The row whose pairs it comes to.
    fn row(self) -> Result<&'static Row> {
        let name = if self == Self::Tcp { "tcp" } else { "h1-small" };
        rows::named(name).with_context(|| format!("no row {name}"))
    }

    /// Opens a connection and comes as far as it can be held.
    async fn open(self, address: SocketAddr) -> IoResult<TcpStream> {
        let mut stream = TcpStream::connect(address).await?;
        match self {
            Self::Tcp => exchange(&mut stream, &get("/128"), b"x").await?,
            Self::Websocket => {
                exchange(&mut stream, SWITCH, b"\r\n\r\n").await?;
            }
            Self::Slow => stream.write_all(get(WAIT).as_bytes()).await?,
            Self::Unread => {
                exchange(&mut stream, &get(&format!("/{UNREAD}")), b"\r\n\r\n").await?;
            }
        }
        Ok(stream)
    }

    /// Shows that what was held is alive still.
    async fn conclude(self, mut stream: TcpStream) -> IoResult<()> {
        match self {
            Self::Tcp => exchange(&mut stream, &get("/128"), b"x").await,
            Self::Websocket => exchange(&mut stream, "still here", b"still here").await,
            Self::Slow => exchange(&mut stream, "", b"x").await,
            Self::Unread => Ok(()),
        }
    }
}

/// Holds crowds, and prints as it goes.
///
/// # Errors
/// Whatever keeps it from measuring. That clients fail is a figure.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(!cfg!(debug_assertions), "a debug build measures nothing");
    let programs = Programs::find(&[Proxy::Haproxy, Proxy::Postern])?;
    for crowd in &options.crowd {
        let clients = options.clients.and_then(|clients| usize::try_from(clients).ok());
        let clients = clients.unwrap_or_else(|| crowd.clients());
        let bed = TestBed::new(&programs, crowd.row()?)?;
        let mut ratios = Vec::new();
        for number in 1..=options.pairs {
            let both = [HAPROXY_H1, POSTERN].map(|contender| {
                let held = one_run(&bed, contender, *crowd, clients)?;
                tell(options.output, *crowd, clients, number, contender, &held)?;
                Ok::<_, anyhow::Error>(held.cpu_us)
            });
            let [theirs, ours] = both;
            ratios.push(ours? / theirs?);
        }
        let ratio = spread(ratios).context("no pair was measured")?;
        if options.output == Format::Table {
            write(&format!(
                "CPU per held client, postern / haproxy: median {:.2} (min {:.2}, max {:.2}) of {} pairs\n",
                ratio.median, ratio.min, ratio.max, options.pairs
            ))?;
        }
    }
    Ok(())
}

fn one_run(bed: &TestBed<'_>, contender: Contender, crowd: Crowd, clients: usize) -> Result<Held> {
    let mut pair = Pair::start(bed, contender, Identities::GOOD)?;
    pair.wait_until_it_answers()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(hold(&pair, crowd, clients))
}

async fn hold(pair: &Pair, crowd: Crowd, clients: usize) -> Result<Held> {
    let address = pair.address();
    let idle = small_requests(address).await.context("a small request beside nobody")?;
    let before = pair.cpu_time()?;
    let turns = Arc::new(Semaphore::new(OPENING));
    let mut opening = JoinSet::new();
    for _ in 0..clients {
        let turns = turns.clone();
        opening.spawn(async move {
            let _turn = turns.acquire().await;
            timeout(PATIENCE, crowd.open(address)).await.map_err(|_| ErrorKind::TimedOut)?
        });
    }
    let opened = opening.join_all().await;
    // What is under way still, to the app or into the buffers of those who do not read, belongs to it.
    rest(pair).await?;
    let cpu_us = (pair.cpu_time()? - before).as_secs_f64() * 1e6 / clients as f64;
    let beside = small_requests(address).await.context("a small request beside the crowd")?;
    let mut concluding = JoinSet::new();
    for stream in opened.into_iter().flatten() {
        concluding.spawn(async move { timeout(PATIENCE, crowd.conclude(stream)).await });
    }
    let concluded = concluding.join_all().await;
    let good = concluded.iter().filter(|one| matches!(one, Ok(Ok(())))).count();
    Ok(Held { cpu_us, failed: clients - good, idle, beside })
}

/// The 99th percentile of small requests, one after the other on one connection.
async fn small_requests(address: SocketAddr) -> IoResult<Duration> {
    let mut stream = TcpStream::connect(address).await?;
    let mut took = Vec::with_capacity(SMALL_REQUESTS);
    let small = get("/128");
    for _ in 0..SMALL_REQUESTS {
        let start = Instant::now();
        let asked = exchange(&mut stream, &small, b"x");
        timeout(PATIENCE, asked).await.map_err(|_| Error::from(ErrorKind::TimedOut))??;
        took.push(start.elapsed());
    }
    took.sort_unstable();
    Ok(took[SMALL_REQUESTS * 99 / 100])
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: b\r\n\r\n")
}

/// Says something and hears an answer that ends with this: one of ours comes in one piece.
async fn exchange(stream: &mut TcpStream, say: &str, end: &[u8]) -> IoResult<()> {
    stream.write_all(say.as_bytes()).await?;
    let mut heard = Vec::with_capacity(512);
    while !heard.ends_with(end) {
        // Of a large answer no more than its head is read.
        if heard.len() > 400 && end == b"\r\n\r\n" {
            break;
        }
        if stream.read_buf(&mut heard).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    match heard.starts_with(b"HTTP/1.1 200") || heard.starts_with(b"HTTP/1.1 101") || heard == end {
        true => Ok(()),
        false => Err(Error::other("refused")),
    }
}

fn tell(
    format: Format,
    crowd: Crowd,
    clients: usize,
    number: u32,
    contender: Contender,
    held: &Held,
) -> Result<()> {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    if format == Format::Json {
        return write(
            &json!({
                "kind": "held", "crowd": crowd.name(), "clients": clients, "pair": number,
                "proxy": contender.name, "failed": held.failed, "cpu_us_per_client": held.cpu_us,
                "small_p99_ms": {"idle": ms(held.idle), "beside": ms(held.beside)},
            })
            .to_string(),
        );
    }
    write(&format!(
        "{number:>3}  {clients:>5} {:<10} {:<8} failed {:>5}  CPU {:>7.1} µs each  small request p99 {:>6.2} ms idle, {:>6.2} ms beside",
        crowd.name(),
        contender.name,
        held.failed,
        held.cpu_us,
        ms(held.idle),
        ms(held.beside),
    ))
}

fn write(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context("writing the results")
}
