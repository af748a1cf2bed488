//! How fast it is: `cargo test --release -p global-limits --test store -- --ignored --nocapture pace`.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use global_limits::{GlobalLimits, StoreSettings};
use tokio::runtime::Handle;

use crate::decisions::a_day;
use crate::server::{Redis, connected, until};

const TIME: Duration = Duration::from_secs(2);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn of_this_runtime(settings: StoreSettings) -> GlobalLimits {
    let limits = GlobalLimits::start_on(Handle::current(), settings).unwrap();
    until("it is up", || async { limits.is_up() }).await;
    limits
}

/// How long each decision took.
async fn decide_for(limits: &GlobalLimits, at_once: usize) -> Vec<Duration> {
    let begun = Instant::now();
    let one = |caller: usize| async move {
        let (key, quota) = (format!("caller {caller}"), a_day(1_000_000));
        let mut times = Vec::new();
        while begun.elapsed() < TIME {
            let asked = Instant::now();
            limits.decide(key.as_bytes(), &quota).await.unwrap();
            times.push(asked.elapsed());
        }
        times
    };
    join_all((0..at_once).map(one)).await.concat()
}

fn print(name: &str, at_once: usize, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 1000];
    let rate = times.len() as f64 / TIME.as_secs_f64();
    println!(
        "{name:36} {at_once:4} at once: {rate:8.0}/s, median {:?}, p99 {:?}",
        at(500),
        at(990)
    );
}

/// Two workers; `shared` is the one of a third thread, or each has its own.
fn workers(redis: &Redis, shared: Option<&GlobalLimits>, at_once: usize) -> Vec<Duration> {
    let work = || {
        let (shared, settings) = (shared.cloned(), redis.settings());
        std::thread::spawn(move || {
            runtime().block_on(async {
                let limits = match shared {
                    Some(limits) => limits,
                    None => of_this_runtime(settings).await,
                };
                decide_for(&limits, at_once / 2).await
            })
        })
    };
    let threads = [work(), work()];
    threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
}

#[test]
#[ignore = "a measurement"]
fn pace() {
    let redis = Redis::start();
    let shared = runtime().block_on(connected(redis.settings()));
    for _ in 0..2 {
        for at_once in [1, 64] {
            let times = runtime().block_on(async {
                let limits = of_this_runtime(redis.settings()).await;
                decide_for(&limits, at_once).await
            });
            print("one worker, own connection", at_once, times);
        }
        for at_once in [2, 64, 512] {
            print("two workers, a connection each", at_once, workers(&redis, None, at_once));
            print(
                "two workers, one of a third thread",
                at_once,
                workers(&redis, Some(&shared), at_once),
            );
        }
    }
}
