//! P-05: SIGTERM while a large body goes down and another up, a WebSocket and a gRPC stream are open: what ends within
//! the grace completes, and the proxy is gone a second after it at the latest.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use shop::proto::FollowRequest;

use super::{Finding, Progress, Size};
use crate::grpc;
use crate::inside::Task;
use crate::known_bytes::{self, Slowness, Transfer, Way};
use crate::mesh::Mesh;
use crate::payment_desk;
use crate::pod::Pod;
use crate::wait;
use crate::websocket;

/// After the grace the proxy may take so long to end.
const LAST_WORDS: Duration = Duration::from_secs(1);
const MIB: u64 = 1 << 20;

/// What the proof plays with.
#[derive(Clone, Copy)]
struct Play {
    /// `limits.drainTimeout`.
    grace: Duration,
    /// How long, from its beginning, a WebSocket and a gRPC stream last.
    open: Duration,
    /// Of each body.
    bytes: u64,
    /// How fast bodies are read.
    slowness: Slowness,
}

/// What became of one ending.
struct Ending {
    whose: &'static str,
    broken: Vec<String>,
    requests: usize,
    /// From SIGTERM.
    took: Duration,
    code: i32,
}

pub(crate) fn prove(size: Size, progress: &Progress) -> Finding {
    let second = Duration::from_secs(1);
    let play = Play {
        grace: second * size.pick(8, 60),
        open: second * size.pick(3, 15),
        bytes: size.pick(32, 1024) * MIB,
        slowness: Slowness {
            each_mib: Duration::from_millis(size.pick(80, 12)),
            rest: Duration::ZERO,
        },
    };
    let mut all = Vec::new();
    for whose in ["the server's", "the client's"] {
        all.push(end_in_time(whose, play));
        progress.say(&all.iter().map(Ending::words).collect::<Vec<_>>().join("; "));
    }
    let endless = end_at_the_deadline(size.pick(2, 10));
    told(play, &all, endless)
}

struct Scene {
    store: Pod,
    frontend: Pod,
    _mesh: Mesh,
}

fn scene(grace: Duration) -> Scene {
    let mesh = Mesh::start();
    mesh.policy("store", &crate::shop::allow("store", "frontend"));
    let limits = json!({"limits": {
        "drainTimeout": format!("{}s", grace.as_secs()), "drainDelay": "1s",
    }});
    let store = mesh.pod("store").port(8080, "http").port(8081, "http").port(50051, "grpc");
    let store = store.config(limits.clone()).start();
    known_bytes::serve(&store, 8080);
    websocket::serve_echo(&store, 8081);
    payment_desk::open(&store, 50051);
    let frontend = mesh.pod("frontend").config(limits).start();
    Scene { store, frontend, _mesh: mesh }
}

/// Everything that is under way at SIGTERM ends within the grace, and is whole.
fn end_in_time(whose: &'static str, play: Play) -> Ending {
    let Scene { store, frontend, _mesh } = scene(play.grace);
    let ways = [Way::Down, Way::Up, Way::Both];
    let mut requests: Vec<_> =
        ways.into_iter().map(|way| transfer(&store, &frontend, way, play)).collect();
    requests.push(talk(&store, &frontend, play.open));
    requests.push(follow(&store, &frontend, play.open));
    wait::until_true("everything to be on its way", || requests.iter().all(UnderWay::has_begun));
    let ends = if whose == "the server's" { &store } else { &frontend };
    let told = Instant::now();
    ends.with_proxy(|proxy| proxy.terminate());
    let patience = play.grace + play.open;
    let outcomes = requests.into_iter().map(|request| request.task.join_within(patience));
    let outcomes: Vec<_> = outcomes.collect();
    let code = ends.with_proxy(|proxy| proxy.exit_code(patience));
    Ending {
        whose,
        requests: outcomes.len(),
        broken: outcomes.into_iter().filter_map(Result::err).collect(),
        took: told.elapsed(),
        code,
    }
}

/// A request, and how far it is: bytes of a body, or messages.
struct UnderWay {
    task: Task<Result<(), String>>,
    progress: Arc<AtomicU64>,
    /// From here on it counts as begun.
    begun: u64,
}

impl UnderWay {
    fn start<F>(pod: &Pod, begun: u64, request: impl FnOnce(Arc<AtomicU64>) -> F) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let progress = Arc::new(AtomicU64::new(0));
        Self { task: pod.spawn(request(Arc::clone(&progress))), progress, begun }
    }

    fn has_begun(&self) -> bool {
        self.progress.load(Ordering::Relaxed) >= self.begun
    }
}

fn transfer(store: &Pod, frontend: &Pod, way: Way, play: Play) -> UnderWay {
    let address = store.at(8080);
    let transfer = Transfer { way, bytes: play.bytes, slowness: play.slowness };
    UnderWay::start(frontend, MIB, |progress| async move { transfer.run(address, &progress).await })
}

/// A WebSocket on which something is said again and again.
fn talk(store: &Pod, frontend: &Pod, lasts: Duration) -> UnderWay {
    let address = store.at(8081);
    UnderWay::start(frontend, 1, |heard_so_far| async move {
        let mut socket = websocket::open(address, "ws://store:8081/").await?;
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        let end = Instant::now() + lasts;
        while Instant::now() < end {
            pace.tick().await;
            let said = heard_so_far.fetch_add(1, Ordering::Relaxed).to_string();
            let heard = socket.ask(&said).await.map_err(|error| format!("WebSocket: {error}"))?;
            if heard != said {
                return Err(format!("WebSocket: {heard} for {said}"));
            }
        }
        Ok(())
    })
}

/// A gRPC stream with its status at the end.
fn follow(store: &Pod, frontend: &Pod, lasts: Duration) -> UnderWay {
    let address = store.at(50051);
    // One message every 20 ms.
    let messages = u64::try_from(lasts.as_millis() / 20).unwrap_or(1);
    UnderWay::start(frontend, 1, |heard_so_far| async move {
        let broke = |error: &dyn std::fmt::Display| format!("gRPC: {error}");
        let mut client = grpc::payments(address).await.map_err(|error| broke(&error))?;
        let request = FollowRequest { id: messages.to_string() };
        let answer = client.follow(request).await.map_err(|error| broke(&error))?;
        let mut stream = answer.into_inner();
        for number in 0..messages {
            match stream.message().await.map_err(|error| broke(&error))? {
                Some(event) if event.id == number.to_string() => {
                    heard_so_far.store(number + 1, Ordering::Relaxed);
                }
                other => return Err(format!("gRPC: message {number} is {other:?}")),
            }
        }
        match stream.message().await.map_err(|error| broke(&error))? {
            None => Ok(()),
            more => Err(format!("gRPC: {more:?} after the end")),
        }
    })
}

/// A WebSocket that nobody ends: how long after SIGTERM it was cut and the proxy had ended, and the grace.
fn end_at_the_deadline(grace: u64) -> (Duration, Duration, bool) {
    let grace = Duration::from_secs(grace);
    let Scene { store, frontend, _mesh } = scene(grace);
    let endless = talk(&store, &frontend, Duration::from_secs(600));
    wait::until_true("the WebSocket to be open", || endless.has_begun());
    let told = Instant::now();
    store.with_proxy(|proxy| proxy.terminate());
    let code = store.with_proxy(|proxy| proxy.exit_code(grace + wait::PATIENCE));
    let took = told.elapsed();
    let cut = endless.task.join_within(wait::PATIENCE).is_err();
    (grace, took, cut && code == 0)
}

impl Ending {
    fn good(&self, grace: Duration) -> bool {
        self.broken.is_empty() && self.code == 0 && self.took <= grace + LAST_WORDS
    }

    fn words(&self) -> String {
        let Self { whose, requests, broken, took, code } = self;
        let mut words = format!(
            "{whose} proxy: {requests} under way, {} broke, exit {code} after {:.1} s",
            broken.len(),
            took.as_secs_f32()
        );
        if let Some(first) = broken.first() {
            words.push_str(": ");
            words.push_str(first);
        }
        words
    }
}

fn told(play: Play, all: &[Ending], (grace, took, cut): (Duration, Duration, bool)) -> Finding {
    let at_the_deadline = cut && took >= grace && took <= grace + LAST_WORDS;
    let endings: Vec<_> = all.iter().map(Ending::words).collect();
    Finding {
        line: format!(
            "P-05 SIGTERM within bodies of {} MiB down, up and both, a WebSocket and a gRPC stream, grace {} s: {}; one \
             that does not end was cut, exit {:.2} s after SIGTERM with a grace of {} s",
            play.bytes / MIB,
            play.grace.as_secs(),
            endings.join("; "),
            took.as_secs_f32(),
            grace.as_secs()
        ),
        good: all.iter().all(|ending| ending.good(play.grace)) && at_the_deadline,
    }
}
