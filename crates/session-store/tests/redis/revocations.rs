//! What one process revokes, all others know.

use std::time::{Duration, Instant};

use redis_harness::{Redis, until};
use session_store::{MOST_REVOKED, Revocation, RevokedKey, SessionStore, SessionStoreError};

use crate::{connected, key, now, revocation, settings, subject, two};

/// All others know it within so long.
const SOON: Duration = Duration::from_secs(2);

async fn until_revoked(store: &SessionStore, name: &str) {
    let revoked = || async { store.is_revoked(&[subject(name)], 0).await == Ok(true) };
    until("it is revoked", revoked).await;
}

#[tokio::test]
async fn s41_a_revocation_is_known_to_all_within_two_seconds() {
    let redis = Redis::start();
    let [one, other] = two(&redis).await;
    assert_eq!(other.is_revoked(&[subject("ann")], 0).await, Ok(false));
    let revoked = revocation("ann");
    one.revoke(revoked).await.unwrap();
    assert_eq!(one.is_revoked(&[subject("ann")], 0).await, Ok(true), "here at once");
    let begun = Instant::now();
    until_revoked(&other, "ann").await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let keys = [RevokedKey::session(&key("a")), subject("ann")];
    assert_eq!(other.is_revoked(&keys, revoked.begun_until).await, Ok(true));
    assert_eq!(other.is_revoked(&keys, revoked.begun_until + 1).await, Ok(false), "signed in anew");
    assert_eq!(other.is_revoked(&[subject("bob")], 0).await, Ok(false));
}

#[tokio::test]
async fn s41_a_process_that_starts_knows_what_was_revoked_before_it_answers() {
    let redis = Redis::start();
    let one = connected(settings(&redis)).await;
    // More than one page of them.
    for index in 0..900 {
        one.revoke(revocation(&index.to_string())).await.unwrap();
    }
    let other = SessionStore::redis(settings(&redis)).unwrap();
    let mut heard = other.is_revoked(&[subject("899")], 0).await;
    while heard == Err(SessionStoreError::NotHeard) {
        heard = other.is_revoked(&[subject("899")], 0).await;
    }
    assert_eq!(heard, Ok(true), "it never said no");
    assert_eq!(other.revocations(), 900);
}

#[tokio::test]
async fn s41_without_the_store_what_is_known_stays_and_what_is_not_is_no_answer() {
    let mut redis = Redis::start();
    let [one, other] = two(&redis).await;
    one.revoke(revocation("ann")).await.unwrap();
    until_revoked(&other, "ann").await;
    redis.kill();
    until("it is away", || async { !other.is_up() }).await;
    assert_eq!(other.is_revoked(&[subject("ann")], 0).await, Ok(true));
    assert_eq!(other.is_revoked(&[subject("bob")], 0).await, Ok(false), "users go on");
    // One that starts meanwhile knows nothing.
    let third = SessionStore::redis(settings(&redis)).unwrap();
    let found = third.is_revoked(&[subject("bob")], 0).await;
    assert_eq!(found, Err(SessionStoreError::NotHeard));
    // And what is revoked meanwhile is known here, and told later.
    let found = other.revoke(revocation("bob")).await;
    assert!(matches!(found, Err(SessionStoreError::Store(_))), "{found:?}");
    assert_eq!(other.is_revoked(&[subject("bob")], 0).await, Ok(true));
    redis.start_again();
    // The store came back empty: those who know tell it.
    for store in [&one, &third] {
        until_revoked(store, "bob").await;
        until_revoked(store, "ann").await;
    }
}

#[tokio::test]
async fn revocations_end_and_are_dropped() {
    let redis = Redis::start();
    let store = connected(settings(&redis)).await;
    let short = Revocation { until: now() + 300, ..revocation("ann") };
    store.revoke(short).await.unwrap();
    assert_eq!(redis.command(&["ZCARD", "{postern:ss:revoked}:order"]), "1");
    until("all of them have ended", || async {
        redis.command(&["EXISTS", "{postern:ss:revoked}:order", "{postern:ss:revoked}:ends"]) == "0"
    })
    .await;
    store.revoke(revocation("bob")).await.unwrap();
    assert_eq!(redis.command(&["HGET", "{postern:ss:revoked}", "last"]), "2", "numbers go on");
    let other = connected(settings(&redis)).await;
    until_revoked(&other, "bob").await;
    assert_eq!(store.revocations(), 1);
}

#[tokio::test]
async fn the_store_keeps_as_many_as_there_may_be_and_the_next_to_end_goes() {
    let redis = Redis::start();
    let store = connected(settings(&redis)).await;
    // As many as there may be, none of which is one of ours: the store does not look into them.
    let fill = format!(
        "for i = 1, {MOST_REVOKED} do local e = string.format('%032d%020d%020d', i, i, ARGV[1] + i)
         redis.call('ZADD', KEYS[1], ARGV[1] + i, e) redis.call('ZADD', KEYS[2], i, e) end
         return redis.call('HSET', KEYS[3], 'last', {MOST_REVOKED})"
    );
    let (ends, order) = ("{postern:ss:revoked}:ends", "{postern:ss:revoked}:order");
    let end = (now() + 3_600_000).to_string();
    redis.command(&["EVAL", &fill, "3", ends, order, "{postern:ss:revoked}", &end]);
    let last = Revocation { until: now() + 7_200_000, ..revocation("ann") };
    store.revoke(last).await.unwrap();
    let most = MOST_REVOKED.to_string();
    assert_eq!([ends, order].map(|set| redis.command(&["ZCARD", set])), [most.clone(), most]);
    let first = format!("{:032}{:020}{:020}", 1, 1, end.parse::<u64>().unwrap() + 1);
    assert_eq!(redis.command(&["ZSCORE", order, &first]), "-1", "the next to end has gone");
    // A process reads all of them in its first moments.
    let other = connected(settings(&redis)).await;
    until_revoked(&other, "ann").await;
    until("all are known", || async { other.revocations() == MOST_REVOKED }).await;
}
