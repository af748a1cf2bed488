//! What is decided while nothing is wrong.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use futures_util::future::join_all;
use global_limits::Quota;
use rate_limit::{Buckets, KeyBudget, KeyDigests};

use crate::server::{Client, Redis, connected};

pub(crate) fn quota(requests: u32, per: Duration, burst: u32) -> Quota {
    let (requests, burst) = (NonZeroU32::new(requests).unwrap(), NonZeroU32::new(burst).unwrap());
    Quota { requests, per, burst }
}

/// So slow that nothing is given back while a test runs.
pub(crate) fn a_day(requests: u32) -> Quota {
    quota(requests, Duration::from_secs(86_400), requests)
}

/// When the bucket is full, as the store has it: since 1970. None where it has been full since.
fn full_at(client: &mut Client, key: &str) -> Option<Duration> {
    let value = client.command(&["GET", key]);
    let (seconds, nanos) = value.split_once(' ')?;
    Some(Duration::new(seconds.parse().unwrap(), nanos.parse().unwrap()))
}

/// The store and a proxy decide alike: each decision of the store is repeated by [`rate_limit`] at the very moment at
/// which the store made it, which its answer and what it keeps tell to the nanosecond.
#[tokio::test]
async fn every_decision_is_the_one_of_a_local_limit() {
    let redis = Redis::start();
    let (limits, mut client) = (redis.limits().await, redis.client());
    let mut random = fastrand::Rng::with_seed(7);
    let (mut compared, mut allowed, mut refused) = (0, 0, 0);
    for (key, quota) in [
        (&b"slow"[..], quota(100, Duration::from_secs(1), 3)),
        (b"fast", quota(3_000, Duration::from_secs(1), 10)),
        (b"uneven", quota(700, Duration::from_secs(3), 7)),
        (b"one", quota(1, Duration::from_millis(1), 1)),
    ] {
        let local = Buckets::new(quota, Arc::new(KeyBudget::new(1)));
        let digest = KeyDigests::default().of(key);
        let name = stored("postern:rl", key);
        for step in 0..1_000 {
            let found = limits.decide(key, &quota).await.unwrap();
            // Where it is full again, it is full for both: nothing is to be compared.
            if let Some(full_at) = full_at(&mut client, &name) {
                let now = full_at - found.reset_after;
                let expect = local.decide(digest, now);
                assert_eq!(found, expect, "step {step} of {}", key.escape_ascii());
                compared += 1;
            }
            if found.allowed {
                allowed += 1
            } else {
                refused += 1
            }
            if random.u8(..4) == 0 {
                tokio::time::sleep(Duration::from_micros(random.u64(..6_000))).await;
            }
        }
    }
    assert!(compared > 2_000, "{compared}");
    assert!(allowed > 500 && refused > 500, "{allowed} and {refused}");
}

/// A caller's key as a key of the store.
pub(crate) fn stored(prefix: &str, key: &[u8]) -> String {
    let digest = digest(&SHA256, key);
    let digits: String = digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{{{prefix}:{digits}}}")
}

#[tokio::test]
async fn proxies_share_one_bucket() {
    let redis = Redis::start();
    let proxies = [redis.limits().await, redis.limits().await, redis.limits().await];
    let quota = a_day(100);
    let decide = |index: usize| proxies[index % 3].decide(b"ann", &quota);
    let found = join_all((0..300).map(decide)).await;
    assert_eq!(found.iter().filter(|found| found.as_ref().unwrap().allowed).count(), 100);
    let last = proxies[0].decide(b"ann", &quota).await.unwrap();
    assert_eq!((last.allowed, last.remaining), (false, 0));
    assert!(
        last.retry_after <= Duration::from_secs(864) && last.retry_after > Duration::from_secs(800)
    );
    let other = proxies[0].decide(b"bob", &quota).await.unwrap();
    assert_eq!((other.allowed, other.remaining), (true, 99), "another caller");
}

#[tokio::test]
async fn a_bucket_expires_when_it_is_full() {
    let redis = Redis::start();
    let (limits, mut client) = (redis.limits().await, redis.client());
    limits.decide(b"ann", &quota(10, Duration::from_secs(60), 10)).await.unwrap();
    let left: u64 = client.command(&["PTTL", &stored("postern:rl", b"ann")]).parse().unwrap();
    assert!((5_000..=6_000).contains(&left), "{left} ms for the one request of ten a minute");
}

#[tokio::test]
async fn a_request_is_given_back() {
    let redis = Redis::start();
    let limits = redis.limits().await;
    let quota = a_day(1);
    assert!(limits.decide(b"ann", &quota).await.unwrap().allowed);
    limits.give_back(b"ann", &quota);
    assert!(limits.decide(b"ann", &quota).await.unwrap().allowed, "on one connection, in order");
    assert!(!limits.decide(b"ann", &quota).await.unwrap().allowed);
}

#[tokio::test]
async fn a_bucket_is_never_more_than_whole_when_the_limit_changes() {
    let redis = Redis::start();
    let limits = redis.limits().await;
    let daily = a_day(1);
    assert!(limits.decide(b"ann", &daily).await.unwrap().allowed);
    let hourly = quota(1, Duration::from_secs(3_600), 1);
    let found = limits.decide(b"ann", &hourly).await.unwrap();
    assert!(!found.allowed && found.retry_after <= Duration::from_secs(3_600), "{found:?}");
}

#[tokio::test]
async fn numbers_at_the_edge_are_counted() {
    let redis = Redis::start();
    let limits = redis.limits().await;
    for (name, quota, remaining) in [
        ("a century", quota(1, Duration::from_secs(3_153_600_000), 1), 0),
        ("longer than can be counted", quota(1, Duration::from_secs(u64::MAX), u32::MAX), 0),
        ("many at once", quota(1, Duration::from_secs(1), 4_000_000_000), 3_999_999_999),
        ("faster than can be counted", quota(u32::MAX, Duration::from_secs(1), 1_000_000), 999_999),
    ] {
        let found = limits.decide(name.as_bytes(), &quota).await.unwrap();
        assert_eq!((found.allowed, found.remaining), (true, remaining), "{name}");
    }
}

#[tokio::test]
async fn a_script_that_is_not_known_any_more_is_sent_again() {
    let redis = Redis::start();
    let limits = redis.limits().await;
    for remaining in [9, 8, 7] {
        redis.command(&["SCRIPT", "FLUSH"]);
        assert_eq!(limits.decide(b"ann", &a_day(10)).await.unwrap().remaining, remaining);
    }
}

#[tokio::test]
async fn keys_of_another_prefix_are_other_buckets() {
    let redis = Redis::start();
    let mut settings = redis.settings();
    settings.key_prefix = "staging:rl".to_owned();
    settings.database = 3;
    let (limits, others) = (redis.limits().await, connected(settings).await);
    for limits in [limits, others] {
        assert!(limits.decide(b"ann", &a_day(1)).await.unwrap().allowed);
    }
    let mut client = redis.client();
    client.command(&["SELECT", "3"]);
    assert_eq!(client.command(&["EXISTS", &stored("staging:rl", b"ann")]), "1");
}
