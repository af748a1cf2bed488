//! What endpoints that come and go cost a proxy: a cluster of ten thousand services, a real proxy whose app has called two
//! thousand of them (as many as a proxy asks for), a thousand changes of these services' endpoints a second, and meanwhile
//! traffic through the proxy to a service that does not change. Prints the proxy's CPU and the latencies of the traffic, without
//! changes and with them.
//!
//! `make -C benches churn`, or `cargo bench -p k8s --bench churn` after `cargo build --release --bins`. The options
//! `--services`, `--called`, `--changes` (a second) and `--seconds` make it smaller.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

mod machines;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use api_server_stand_in::ApiServer;
use api_server_stand_in::objects::slice;
use controller_harness::TestTrust;
use machines::{Machines, address_of, second_address_of};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Requests a second that are measured.
const REQUESTS: u32 = 100;
/// Changes are written in portions: a timer is no finer.
const PORTION: Duration = Duration::from_millis(20);
/// Requests at a time while services are called for the first time.
const CALLERS: u32 = 32;
/// How long it may take until a service that was called is known.
const FIRST_DEADLINE: Duration = Duration::from_secs(300);
/// Kernel ticks a second, as `/proc` counts CPU time.
const TICKS: f64 = 100.0;

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Services in the cluster.
    pub services: u32,
    /// Services that the app has called.
    pub called: u32,
    /// Changes of endpoints a second.
    pub changes: u32,
    /// How long is measured.
    pub seconds: u32,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().map(String::as_str) == Some("controller") {
        let directory = PathBuf::from(&arguments[1]);
        return runtime().block_on(machines::controller(&directory));
    }
    let number = |option: &str, default: u32| {
        let at = arguments.iter().position(|argument| argument == option);
        at.map_or(default, |at| arguments[at + 1].parse().expect("a number"))
    };
    runtime().block_on(measure(Scale {
        services: number("--services", 10_000),
        called: number("--called", 2_000),
        changes: number("--changes", 1_000),
        seconds: number("--seconds", 30),
    }));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn measure(scale: Scale) {
    let trust = TestTrust::generate();
    let api = ApiServer::start().await;
    let machines = Machines::start(&api, &trust, scale).await;
    let begun = Instant::now();
    call_all(machines.outbound, scale.called).await;
    println!("{} services called for the first time in {:?}", scale.called, begun.elapsed());
    let quiet = phase(&api, &machines, Scale { changes: 0, ..scale }).await;
    println!("without changes:            {quiet}");
    let before = machines.cpu_ticks();
    let busy = phase(&api, &machines, scale).await;
    println!("{} changes a second: {busy}", busy.changes);
    let ended = Instant::now();
    machines.caught_up(&api, scale.called).await;
    let used = seconds(machines.cpu_ticks() - before);
    let late = ended.elapsed();
    println!(
        "the last change is in force {late:.1?} after it was made; CPU until then {used:.1} s"
    );
}

/// What was measured in a phase.
struct Measured {
    changes: u32,
    cpu: f64,
    latencies: Vec<Duration>,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |part: usize| self.latencies[(self.latencies.len() - 1) * part / 100];
        write!(
            f,
            "CPU of the proxy {:.1} %, {} requests, p50 {:.2?}, p99 {:.2?}, slowest {:.2?}",
            self.cpu,
            self.latencies.len(),
            at(50),
            at(99),
            at(100)
        )
    }
}

async fn phase(api: &ApiServer, machines: &Machines, scale: Scale) -> Measured {
    let length = Duration::from_secs(u64::from(scale.seconds));
    let (before, begun) = (machines.cpu_ticks(), Instant::now());
    let traffic = requests(machines.outbound, length);
    let (mut latencies, written) = tokio::join!(traffic, changes(api, scale, length));
    let used = seconds(machines.cpu_ticks() - before);
    latencies.sort();
    let changes = written / scale.seconds.max(1);
    Measured { changes, cpu: 100.0 * used / begun.elapsed().as_secs_f64(), latencies }
}

fn seconds(ticks: u64) -> f64 {
    f64::from(u32::try_from(ticks).unwrap()) / TICKS
}

/// An endpoint of a called service comes, or goes, again and again; how many times it did. The first service, which traffic goes
/// to, does not change.
async fn changes(api: &ApiServer, scale: Scale, length: Duration) -> u32 {
    let until = Instant::now() + length;
    let portion = scale.changes * u32::try_from(PORTION.as_millis()).unwrap() / 1000;
    let mut timer = tokio::time::interval(PORTION);
    let mut written = 0;
    while Instant::now() < until {
        timer.tick().await;
        for _ in 0..portion {
            let (number, turn) = (1 + written % (scale.called - 1), written / (scale.called - 1));
            let (name, first, second) =
                (format!("app-{number}"), address_of(number), second_address_of(number));
            let other = format!("{name}-b");
            let both = [(&*first, &*name), (&*second, &*other)];
            api.put(slice("shop", &name, if turn % 2 == 0 { &both } else { &both[..1] }));
            written += 1;
        }
    }
    written
}

/// Calls every service once, so that the proxy asks for it. Nobody is at home but the first.
async fn call_all(outbound: SocketAddr, called: u32) {
    let callers = (0..CALLERS).map(|caller| {
        tokio::spawn(async move {
            let mut connection = BufReader::new(TcpStream::connect(outbound).await.unwrap());
            for number in (caller..called).step_by(CALLERS as usize) {
                let begun = Instant::now();
                while get(&mut connection, number).await.contains("unresolved") {
                    // A busy machine takes its time; the answer comes all the same.
                    assert!(begun.elapsed() < FIRST_DEADLINE, "app-{number} is not told of");
                }
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}

/// Requests to the first service at an even pace; the latency of each.
async fn requests(outbound: SocketAddr, length: Duration) -> Vec<Duration> {
    let mut connection = BufReader::new(TcpStream::connect(outbound).await.unwrap());
    let mut timer = tokio::time::interval(Duration::from_secs(1) / REQUESTS);
    let (until, mut latencies) = (Instant::now() + length, Vec::new());
    while Instant::now() < until {
        timer.tick().await;
        let begun = Instant::now();
        let answer = get(&mut connection, 0).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        latencies.push(begun.elapsed());
    }
    latencies
}

/// The head of the answer to a request on a connection that is kept.
async fn get(connection: &mut BufReader<TcpStream>, number: u32) -> String {
    let request = format!("GET / HTTP/1.1\r\nhost: app-{number}.shop.svc.cluster.local\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let before = head.len();
        let read = connection.read_line(&mut head).await.unwrap();
        assert!(read > 0, "the connection ended: {head}");
        let line = head[before..].trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.unwrap();
    head
}
