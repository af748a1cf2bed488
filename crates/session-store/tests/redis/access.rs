//! Who may: all that a proxy needs, as the documentation has it.

use redis_harness::{Redis, until};
use session_store::StoreSettings;
use zeroize::Zeroizing;

use crate::{MINUTE, connected, key, revocation, settings, two};

const USER: [&str; 24] = [
    "on",
    ">secret",
    "resetkeys",
    "~{postern:ss:*",
    "resetchannels",
    "-@all",
    "+get",
    "+set",
    "+del",
    "+eval",
    "+evalsha",
    "+pexpire",
    "+pexpireat",
    "+time",
    "+hsetnx",
    "+hmget",
    "+hincrby",
    "+zadd",
    "+zrem",
    "+zcard",
    "+zrange",
    "+zrangebyscore",
    "+zpopmin",
    "+asking",
];

#[test]
fn the_documentation_names_these_permissions() {
    let documented = include_str!("../../../../docs/session-store.md");
    let words = USER.join(" ").replace(">secret", ">PASSWORD");
    let documented = documented.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(documented.contains(&format!("ACL SETUSER postern-sessions {words}")), "{words}");
}

#[tokio::test]
async fn a_user_of_few_permissions_is_enough() {
    let redis = Redis::start();
    redis.command(&[&["ACL", "SETUSER", "postern"], &USER[..]].concat());
    let settings = StoreSettings {
        username: Some("postern".to_owned()),
        password: Some(Zeroizing::new("secret".to_owned())),
        ..settings(&redis)
    };
    let store = connected(settings).await;
    store.put(key("a"), "sealed".into(), MINUTE).await.unwrap();
    assert_eq!(store.get(key("a")).await, Ok(Some("sealed".into())));
    store.remove(key("a")).await.unwrap();
    assert_eq!(store.once(key("a"), MINUTE).await, Ok(true));
    let lease = store.lease(key("a"), MINUTE).await.unwrap().unwrap();
    assert_eq!(lease.renew().await, Ok(true));
    drop(lease);
    until("it is given back", || async { store.lease(key("a"), MINUTE).await.unwrap().is_some() })
        .await;
    store.revoke(revocation("ann")).await.unwrap();
    let [other, _] = two(&redis).await;
    until("it is known", || async { other.revocations() == 1 }).await;
    assert_eq!(store.trouble(), None);
}
