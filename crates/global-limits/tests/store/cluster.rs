//! A Redis Cluster of two nodes, of which one is known.

use futures_util::future::join_all;

use crate::decisions::{a_day, stored};
use crate::server::{Redis, connected, until};

struct Cluster([Redis; 2]);

impl Cluster {
    /// Half of the slots each.
    async fn start() -> Self {
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
        let (port, bus) = (two.port.to_string(), two.bus.to_string());
        one.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        for node in &nodes {
            until("the Cluster is whole", || async {
                node.command(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
            })
            .await;
        }
        Self(nodes)
    }
}

#[tokio::test]
async fn every_slot_is_found_and_a_moved_one_again() {
    let cluster = Cluster::start().await;
    let Cluster([one, two]) = &cluster;
    let limits = connected(one.settings()).await;
    let quota = a_day(1_000);
    // The other node is connected on the way, which takes longer than one decision may.
    let keys: Vec<String> = (0..200).map(|index| format!("caller {index}")).collect();
    until("all are decided", || async {
        let found = join_all(keys.iter().map(|key| limits.decide(key.as_bytes(), &quota))).await;
        found.iter().all(Result::is_ok)
    })
    .await;
    let count = |node: &Redis| node.command(&["DBSIZE"]).parse::<usize>().unwrap();
    assert!(count(one) > 50 && count(two) > 50, "{} and {}", count(one), count(two));
    assert!(limits.is_up());

    let slot = one.command(&["CLUSTER", "KEYSLOT", &stored("postern:rl", b"ann")]);
    let (from, to) = if slot.parse::<u16>().unwrap() < 8_192 { (one, two) } else { (two, one) };
    let id = |node: &Redis| node.command(&["CLUSTER", "MYID"]);
    let (from_id, to_id) = (id(from), id(to));
    assert!(limits.decide(b"someone", &a_day(3)).await.unwrap().allowed);
    // While it is being moved, and the key is not there: ASK.
    to.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
    from.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
    assert_eq!(
        limits.decide(b"ann", &a_day(3)).await.unwrap().remaining,
        2,
        "asked at its new place"
    );
    // Moved.
    to.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
    from.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
    assert_eq!(limits.decide(b"ann", &a_day(3)).await.unwrap().remaining, 1);
    assert_eq!(limits.decide(b"ann", &a_day(3)).await.unwrap().remaining, 0);
}

#[tokio::test]
async fn a_node_that_is_killed_takes_its_slots_alone() {
    let mut cluster = Cluster::start().await;
    cluster.0[0].command(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    let limits = connected(cluster.0[0].settings()).await;
    let keys: Vec<String> = (0..100).map(|index| format!("caller {index}")).collect();
    let quota = a_day(1_000);
    let all = || join_all(keys.iter().map(|key| limits.decide(key.as_bytes(), &quota)));
    until("all are decided", || async { all().await.iter().all(Result::is_ok) }).await;
    cluster.0[1].kill();
    until("the other half is decided", || async {
        let decided = all().await.iter().filter(|found| found.is_ok()).count();
        (20..80).contains(&decided)
    })
    .await;
    assert!(!limits.is_up());
}
