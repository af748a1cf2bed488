//! A store that is dead, slow, full, or none at all.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use global_limits::{Decision, GlobalLimits, StoreError, StoreSettings};

use crate::decisions::a_day;
use crate::server::{Redis, connected, free_port, until};

const DEADLINE: Duration = Duration::from_millis(20);
/// Beside it: what a busy machine may need to notice it.
const SLACK: Duration = Duration::from_millis(200);

async fn decide(limits: &GlobalLimits) -> Result<Decision, StoreError> {
    let begun = Instant::now();
    let found = limits.decide(b"ann", &a_day(1_000_000)).await;
    let took = begun.elapsed();
    assert!(took < DEADLINE + SLACK, "{took:?} for {found:?}");
    found
}

/// With all defaults, and connected.
async fn limits_of(redis: &Redis) -> GlobalLimits {
    connected(redis.default_settings()).await
}

/// Decides until the circuit is open; what was said until then.
async fn until_open(limits: &GlobalLimits) -> Vec<StoreError> {
    let mut errors = Vec::new();
    loop {
        match decide(limits).await {
            Err(StoreError::CircuitOpen) => return errors,
            Err(error) => errors.push(error),
            Ok(_) => panic!("decided, after {errors:?}"),
        }
    }
}

async fn until_back(limits: &GlobalLimits) {
    until("it decides again", || async { decide(limits).await.is_ok() }).await;
    assert!(limits.is_up());
    assert_eq!(limits.trouble(), None);
}

async fn open_costs_nothing(limits: &GlobalLimits) {
    let begun = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(limits.decide(b"ann", &a_day(10)).await, Err(StoreError::CircuitOpen));
    }
    let each = begun.elapsed() / 1_000;
    assert!(each < Duration::from_micros(200), "{each:?}");
}

#[tokio::test]
async fn killed_it_costs_little_then_nothing_and_comes_back() {
    let mut redis = Redis::start();
    let limits = limits_of(&redis).await;
    until_back(&limits).await;
    redis.kill();
    let errors = until_open(&limits).await;
    assert!(errors.len() <= 5, "{errors:?}");
    open_costs_nothing(&limits).await;
    assert!(!limits.is_up());
    until("why is known", || async {
        matches!(limits.trouble(), Some(StoreError::Unreachable { reason, .. }) if reason.contains("refused"))
    })
    .await;
    redis.start_again();
    let begun = Instant::now();
    until_back(&limits).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn it_is_known_to_be_back_without_any_decision() {
    let mut redis = Redis::start();
    let limits = limits_of(&redis).await;
    redis.kill();
    until("it is away", || async { !limits.is_up() }).await;
    redis.start_again();
    until("it is back", || async { limits.is_up() }).await;
}

#[tokio::test]
async fn stopped_it_costs_five_deadlines_then_nothing_and_comes_back() {
    let redis = Redis::start();
    let limits = limits_of(&redis).await;
    redis.stop_answering();
    let begun = Instant::now();
    let errors = until_open(&limits).await;
    assert_eq!(errors, [const { StoreError::Timeout(DEADLINE) }; 5]);
    assert!(
        (5 * DEADLINE..6 * DEADLINE + SLACK).contains(&begun.elapsed()),
        "{:?}",
        begun.elapsed()
    );
    open_costs_nothing(&limits).await;
    redis.go_on();
    until_back(&limits).await;
}

/// Long enough that the connection is given up, and another one waits for a store that takes it and says nothing.
#[tokio::test]
async fn stopped_for_long_it_is_connected_anew() {
    let redis = Redis::start();
    let limits = limits_of(&redis).await;
    redis.stop_answering();
    until_open(&limits).await;
    until("the new connection is given up, too", || async {
        matches!(limits.trouble(), Some(StoreError::Unreachable { reason, .. }) if reason.contains("no connection"))
    })
    .await;
    redis.go_on();
    until_back(&limits).await;
}

#[tokio::test]
async fn slow_for_a_moment_it_keeps_its_connection() {
    let redis = Redis::start();
    let limits = limits_of(&redis).await;
    let connections = || redis.command(&["INFO", "stats"]).lines().nth(1).map(str::to_owned);
    let before = connections().unwrap();
    redis.client().send(&["DEBUG", "SLEEP", "0.15"]);
    until("it is slow", || async { decide(&limits).await.is_err() }).await;
    until_back(&limits).await;
    let count = |line: &str| line.split_once(':').unwrap().1.parse::<u32>().unwrap();
    // The two commands of this test, and the one that slept.
    assert_eq!(count(&connections().unwrap()), count(&before) + 2);
}

#[tokio::test]
async fn what_does_not_fit_is_told_so_at_once() {
    let redis = Redis::start();
    let mut settings = redis.settings();
    settings.failures_to_open = NonZeroU32::MAX;
    settings.timeout = Duration::from_millis(400);
    let limits = connected(settings).await;
    redis.stop_answering();
    let (begun, quota) = (Instant::now(), a_day(10));
    let found = join_all((0..5_000).map(|_| limits.decide(b"ann", &quota))).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    let overflows = found.iter().filter(|found| **found == Err(StoreError::Overflow)).count();
    assert!(
        (5_000 - 2 * 1_024..=5_000 - 1_024).contains(&overflows),
        "{overflows} of 5000, with room for 1024 twice"
    );
    redis.go_on();
    until_back(&limits).await;
}

#[tokio::test]
async fn nothing_listens() {
    let limits = start(free_port());
    let errors = until_open(&limits).await;
    assert!(errors.len() <= 5 && !limits.is_up());
}

#[tokio::test]
async fn what_listens_is_no_redis() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let limits = start(listener.local_addr().unwrap().port());
    let answer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 100]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    until("it is known", || async {
        matches!(limits.trouble(), Some(StoreError::Unreachable { reason, .. })
            if &*reason == "it does not answer as a Redis does")
    })
    .await;
    answer.join().unwrap();
}

#[tokio::test]
async fn a_name_that_means_nothing() {
    let settings = StoreSettings::new(vec!["no-such-host.invalid:6379".parse().unwrap()]);
    let limits = GlobalLimits::start(settings).unwrap();
    until("it is known", || async { limits.trouble().is_some() }).await;
    assert!(!until_open(&limits).await.is_empty());
}

#[tokio::test]
async fn the_connection_ends_with_the_last_handle() {
    let redis = Redis::start();
    let limits = limits_of(&redis).await;
    let connected = || redis.command(&["CLIENT", "LIST"]).lines().count();
    assert_eq!(connected(), 2);
    drop(limits);
    until("it is closed", || async { connected() == 1 }).await;
}

#[tokio::test]
async fn what_another_thread_computes_takes_no_time_from_connections() {
    let mut redis = Redis::start();
    let limits = limits_of(&redis).await;
    redis.kill();
    redis.start_again();
    // Nothing of this runtime goes on meanwhile.
    let begun = Instant::now();
    while !limits.is_up() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", limits.trouble());
    }
}

fn start(port: u16) -> GlobalLimits {
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    GlobalLimits::start(StoreSettings::new(vec![address])).unwrap()
}
