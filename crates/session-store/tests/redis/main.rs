//! Two processes on one real Redis, which the tests start, stop, kill and start again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod cluster;
mod revocations;
mod sharing;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis_harness::{Redis, until};
use session_store::{Revocation, RevokedKey, SessionStore, StoreKey, StoreSettings};

const MINUTE: Duration = Duration::from_secs(60);

fn key(text: &str) -> StoreKey {
    StoreKey::of(&[text.as_bytes()])
}

/// Waited for longer than by default: a busy machine is no trouble.
fn settings(redis: &Redis) -> StoreSettings {
    let settings = SessionStore::settings(vec![redis.address().parse().unwrap()]);
    StoreSettings { timeout: Duration::from_millis(500), ..settings }
}

/// Started, and connected.
async fn connected(settings: StoreSettings) -> SessionStore {
    let store = SessionStore::redis(settings).unwrap();
    until("it is up", || async { store.is_up() }).await;
    store
}

/// The stores of two processes.
async fn two(redis: &Redis) -> [SessionStore; 2] {
    [connected(settings(redis)).await, connected(settings(redis)).await]
}

/// Now, Unix time in milliseconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

fn subject(name: &str) -> RevokedKey {
    RevokedKey::subject("https://id.example", "shop", name)
}

/// Of all sessions that this user has, remembered for a minute.
fn revocation(name: &str) -> Revocation {
    let now = now();
    Revocation { key: subject(name), begun_until: now, until: now + 60_000 }
}
