//! F-28: a gigabyte each way, and to a client that reads slowly and rests: byte for byte the same, and the proxies need
//! no more memory for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Finding, Progress, Size};
use crate::known_bytes::{self, Slowness, Transfer, Way};
use crate::mesh::Mesh;
use crate::pod::Pod;
use crate::process::Process;
use crate::wait;

/// What a stream may add to what a proxy holds, in KiB.
const LIMIT_KIB: u64 = 4 << 10;
const MIB: u64 = 1 << 20;

/// What one kind of transfer took.
struct Measured {
    name: &'static str,
    outcome: Result<(), String>,
    took: Duration,
    /// What a proxy held at most beyond what it had held before, in KiB: of the two, the one that held more.
    grown: u64,
}

pub(crate) fn prove(size: Size, progress: &Progress) -> Finding {
    let bytes = size.pick(48 * MIB, 1024 * MIB);
    // Longer than the kernel keeps a connection over the network that nobody reads.
    let rest = Duration::from_secs(size.pick(3, 40));
    let mesh = Mesh::start();
    mesh.policy("store", &crate::shop::allow("store", "frontend"));
    let store = mesh.pod("store").port(8080, "http").port(9000, "tcp").start();
    let frontend = mesh.pod("frontend").start();
    for port in [8080, 9000] {
        known_bytes::serve(&store, port);
    }
    let pods = [&store, &frontend];
    let slow = Slowness { each_mib: Duration::from_millis(size.pick(5, 10)), rest };
    let rows = [
        ("down", 8080, Transfer::new(Way::Down, bytes)),
        ("up", 8080, Transfer::new(Way::Up, bytes)),
        ("both", 8080, Transfer::new(Way::Both, bytes)),
        ("both as opaque bytes", 9000, Transfer::new(Way::Both, bytes)),
        ("slowly", 8080, Transfer { slowness: slow, ..Transfer::new(Way::Down, bytes / 4) }),
        (
            "slowly as opaque bytes",
            9000,
            Transfer { slowness: slow, ..Transfer::new(Way::Down, bytes / 4) },
        ),
    ];
    // The first of each fills pools, caches and the allocator's own.
    for (name, port, transfer) in &rows {
        let small = Transfer::new(transfer.way, 16 * MIB);
        measure(name, &pods, *port, small).outcome.expect("a small body arrives");
    }
    let mut all = Vec::new();
    for (name, port, transfer) in rows {
        let measured = measure(name, &pods, port, transfer);
        progress.say(&measured.words());
        all.push(measured);
    }
    told(bytes, rest, &all)
}

/// Transfers, and looks at the proxies' memory meanwhile.
fn measure(name: &'static str, pods: &[&Pod; 2], port: u16, transfer: Transfer) -> Measured {
    let held = || pods.map(|pod| pod.with_proxy(|proxy| Process::resident_kib(proxy)));
    let [store, frontend] = pods;
    let (before, start) = (held(), Instant::now());
    let (address, ended) = (store.at(port), Arc::new(AtomicBool::new(false)));
    let end = Arc::clone(&ended);
    let task = frontend.spawn(async move {
        let outcome = transfer.run(address, &AtomicU64::new(0)).await;
        end.store(true, Ordering::Relaxed);
        outcome
    });
    let mut grown = 0;
    let done = wait::holds_within(Duration::from_secs(600), || {
        let more = held().into_iter().zip(before).map(|(now, before)| now.saturating_sub(before));
        grown = more.max().unwrap_or(0).max(grown);
        ended.load(Ordering::Relaxed)
    });
    let outcome = if done { task.join() } else { Err("it takes too long".to_owned()) };
    Measured { name, outcome, took: start.elapsed(), grown }
}

impl Measured {
    fn good(&self) -> bool {
        self.outcome.is_ok() && self.grown <= LIMIT_KIB
    }

    fn words(&self) -> String {
        let seconds = self.took.as_secs_f32();
        let grown = format!("{}.{} MiB", self.grown >> 10, ((self.grown & 1023) * 10) >> 10);
        match &self.outcome {
            Ok(()) => format!("{} {seconds:.1} s, +{grown}", self.name),
            Err(error) => format!("{} broke after {seconds:.1} s: {error}", self.name),
        }
    }
}

fn told(bytes: u64, rest: Duration, all: &[Measured]) -> Finding {
    let words: Vec<_> = all.iter().map(Measured::words).collect();
    Finding {
        line: format!(
            "F-28 {} MiB each, byte for byte; a quarter of it slowly, with a rest of {} s: {} (limit +4 MiB a stream)",
            bytes / MIB,
            rest.as_secs(),
            words.join("; ")
        ),
        good: all.iter().all(Measured::good),
    }
}
