//! Sessions, leases and values that count once.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use redis_harness::{Redis, until};
use session_store::{MOST_SEALED, SessionStoreError};

use crate::{MINUTE, connected, key, settings, two};

#[tokio::test]
async fn a_session_is_seen_by_all_until_it_is_removed() {
    let redis = Redis::start();
    let [one, other] = two(&redis).await;
    assert_eq!(one.get(key("a")).await, Ok(None));
    one.put(key("a"), "sealed".into(), MINUTE).await.unwrap();
    assert_eq!(other.get(key("a")).await, Ok(Some("sealed".into())));
    other.put(key("a"), "sealed anew\r\n".into(), MINUTE).await.unwrap();
    assert_eq!(one.get(key("a")).await, Ok(Some("sealed anew\r\n".into())));
    one.remove(key("a")).await.unwrap();
    assert_eq!(other.get(key("a")).await, Ok(None));
    one.remove(key("a")).await.unwrap();
}

#[tokio::test]
async fn the_largest_session_and_the_shortest_time() {
    let redis = Redis::start();
    let [one, other] = two(&redis).await;
    let largest = Bytes::from(vec![b'x'; MOST_SEALED]);
    one.put(key("a"), largest.clone(), Duration::MAX).await.unwrap();
    assert_eq!(other.get(key("a")).await, Ok(Some(largest)));
    one.put(key("a"), "short".into(), Duration::ZERO).await.unwrap();
    until("it has ended", || async { other.get(key("a")).await == Ok(None) }).await;
}

#[tokio::test]
async fn a_lease_has_one_holder_among_all() {
    let redis = Redis::start();
    let [one, other] = two(&redis).await;
    let held = one.lease(key("a"), MINUTE).await.unwrap().unwrap();
    assert!(other.lease(key("a"), MINUTE).await.unwrap().is_none());
    assert!(other.lease(key("b"), MINUTE).await.unwrap().is_some());
    assert_eq!(held.renew().await, Ok(true));
    drop(held);
    until("it is given back", || async { other.lease(key("a"), MINUTE).await.unwrap().is_some() })
        .await;
}

#[tokio::test]
async fn a_lease_ends_by_itself_and_is_not_taken_from_the_next_holder() {
    let redis = Redis::start();
    let [one, other] = two(&redis).await;
    let term = Duration::from_millis(200);
    let lost = one.lease(key("a"), term).await.unwrap().unwrap();
    let mut next = None;
    for _ in 0..1_000 {
        next = other.lease(key("a"), MINUTE).await.unwrap();
        if next.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let next = next.unwrap();
    assert_eq!(lost.renew().await, Ok(false), "it is the next one's");
    drop(lost);
    // Behind the release on the same connection.
    assert_eq!(one.get(key("a")).await, Ok(None));
    assert_eq!(next.renew().await, Ok(true), "the late release took nothing");
}

#[tokio::test]
async fn a_lease_is_held_for_as_long_as_the_work_takes() {
    let redis = Redis::start();
    let [one, other] = two(&redis).await;
    let term = Duration::from_millis(600);
    let lease = one.lease(key("a"), term).await.unwrap().unwrap();
    let work = async {
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(other.lease(key("a"), MINUTE).await.unwrap().is_none());
        }
    };
    lease.hold(work).await;
}

#[tokio::test]
async fn s41_what_counts_once_counts_once_among_all() {
    let redis = Redis::start();
    let [one, other] = two(&redis).await;
    let (one, other) = (&one, &other);
    let tries = (0..100).map(|index| {
        let store = if index % 2 == 0 { one } else { other };
        store.once(key("jti"), MINUTE)
    });
    let firsts = join_all(tries).await.into_iter().filter(|found| *found == Ok(true)).count();
    assert_eq!(firsts, 1);
    assert_eq!(one.once(key("another"), Duration::from_millis(1)).await, Ok(true));
    until("it is forgotten", || async { other.once(key("another"), MINUTE).await == Ok(true) })
        .await;
}

#[tokio::test]
async fn away_it_says_so_and_comes_back() {
    let mut redis = Redis::start();
    let store = connected(settings(&redis)).await;
    store.put(key("a"), "sealed".into(), MINUTE).await.unwrap();
    redis.kill();
    until("it is away", || async { !store.is_up() }).await;
    assert!(matches!(store.get(key("a")).await, Err(SessionStoreError::Store(_))));
    assert!(matches!(store.once(key("a"), MINUTE).await, Err(SessionStoreError::Store(_))));
    assert!(matches!(store.lease(key("a"), MINUTE).await, Err(SessionStoreError::Store(_))));
    redis.start_again();
    until("it is back", || async { store.get(key("a")).await == Ok(None) }).await;
    assert!(store.is_up() && store.trouble().is_none());
}

#[tokio::test]
async fn the_connection_ends_with_the_last_clone() {
    let redis = Redis::start();
    let store = connected(settings(&redis)).await;
    let connected = || redis.command(&["CLIENT", "LIST"]).lines().count();
    assert_eq!(connected(), 2);
    drop(store.clone());
    assert_eq!(connected(), 2);
    drop(store);
    until("it is closed", || async { connected() == 1 }).await;
}
