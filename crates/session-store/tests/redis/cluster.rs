//! A Redis Cluster takes every command: keys of one command have one slot.

use std::collections::BTreeSet;

use redis_harness::{Redis, until};

use crate::{MINUTE, connected, key, revocation, settings, subject};

#[tokio::test]
async fn every_key_has_a_slot_and_keys_of_one_command_have_one() {
    let arguments = [
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        "{bus}",
        "--cluster-config-file",
        "nodes.conf",
    ];
    let nodes = [(); 2].map(|()| Redis::start_with(&arguments));
    let [one, two] = &nodes;
    one.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "8191"]);
    two.command(&["CLUSTER", "ADDSLOTSRANGE", "8192", "16383"]);
    one.command(&["CLUSTER", "MEET", "127.0.0.1", &two.port.to_string(), &two.bus.to_string()]);
    for node in &nodes {
        until("the Cluster is whole", || async {
            node.command(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
        })
        .await;
    }
    // One node is known; the other is learned, each time in another process.
    let stores = [connected(settings(one)).await, connected(settings(two)).await];
    for index in 0..50 {
        let id = key(&index.to_string());
        for (put, get) in [(0, 1), (1, 0)] {
            until("it is kept", || async {
                stores[put].put(id, "sealed".into(), MINUTE).await.is_ok()
            })
            .await;
            until("it is found", || async {
                stores[get].get(id).await == Ok(Some("sealed".into()))
            })
            .await;
        }
        assert_eq!(stores[0].once(id, MINUTE).await, Ok(true), "{index}");
        assert_eq!(stores[1].once(id, MINUTE).await, Ok(false), "{index}");
        let held = stores[0].lease(id, MINUTE).await.unwrap().unwrap();
        assert!(stores[1].lease(id, MINUTE).await.unwrap().is_none());
        assert_eq!(held.renew().await, Ok(true));
    }
    stores[0].revoke(revocation("ann")).await.unwrap();
    until("it is revoked", || async {
        stores[1].is_revoked(&[subject("ann")], 0).await == Ok(true)
    })
    .await;
    let slot = |key: &&str| one.command(&["CLUSTER", "KEYSLOT", key]);
    let names = ["{postern:ss:revoked}", "{postern:ss:revoked}:order", "{postern:ss:revoked}:ends"];
    assert_eq!(names.iter().map(slot).collect::<BTreeSet<_>>().len(), 1);
    let count = |node: &Redis| node.command(&["DBSIZE"]).parse::<usize>().unwrap();
    assert!(count(one) > 20 && count(two) > 20, "{} and {}", count(one), count(two));
}
