//! A second opinion on policy: the same policies translated for Envoy's RBAC filter, the same requests, the same verdicts.
//!
//! Envoy judges real requests on real mutual TLS connections; we are asked through `postern-proxy explain`, whose code is
//! the one that decides live traffic. Where we mean to differ is the table in `differences`.

mod ask;
mod differences;
mod generate;
mod listeners;
mod translate;

use std::net::Ipv4Addr;

use postern_tests::{Mesh, wait};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::envoy::start_envoy;
use generate::Dice;

/// The ports of the workload that is called.
const PORTS: [u16; 2] = [8080, 8081];

/// The callers. The first has no certificate, the last two have names that merely look like a workload's.
const PEERS: &[Option<&str>] = &[
    None,
    Some("cluster.local/ns/shop/sa/web"),
    Some("cluster.local/ns/bank/sa/web"),
    Some("partner.example/ns/shop/sa/batch"),
    Some("cluster.local/ns/shop-eu/sa/web.v2"),
    Some("cluster.local/vm/printer"),
    Some("cluster.local/tenant/ns/shop/sa/web"),
    Some("cluster.local/ns/shop/sa/web/extra"),
];

/// Sets of policies, and requests to each.
const SETS: usize = 80;
const REQUESTS: usize = 40;

/// A request and the set of policies that judges it.
#[derive(Debug, Clone)]
struct Question {
    set: usize,
    peer: usize,
    port: u16,
    method: String,
    host: String,
    path: String,
    headers: Vec<(&'static str, &'static str)>,
}

/// The address a caller calls from.
fn source_ip(peer: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, 9 + u8::try_from(peer).unwrap())
}

impl Question {
    /// The request as Envoy gets it.
    fn bytes(&self) -> Vec<u8> {
        let Self { method, host, path, set, .. } = self;
        let fields: String =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nx-set: {set}\r\n{fields}");
        format!("{head}content-length: 0\r\n\r\n").into_bytes()
    }

    /// The request as `explain` gets it.
    fn line(&self) -> Value {
        let mut headers = serde_json::Map::new();
        for (name, value) in &self.headers {
            let values = headers.entry(*name).or_insert_with(|| json!([]));
            values.as_array_mut().unwrap().push(json!(value));
        }
        json!({
            "source": {"principal": PEERS[self.peer], "ip": source_ip(self.peer)},
            "destination": {"ip": "127.0.0.1", "port": self.port},
            "request": {"method": self.method, "host": self.host, "path": self.path, "headers": headers},
        })
    }
}

/// A policy of the shop for the workload that is called.
fn policy(name: &str, action: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "cart"}}, "action": action, "rules": rules},
    })
}

/// Both opinions on each question, ours with its reason.
fn opinions(sets: &[Vec<Value>], questions: &[Question]) -> Vec<(Value, Value)> {
    let mesh = Mesh::start();
    let pod = mesh.pod("second").outside().start();
    let _envoy = start_envoy(&pod, "cart", &listeners::configuration(sets));
    wait::until_true("Envoy to listen", || {
        pod.run(async { TcpStream::connect((Ipv4Addr::LOCALHOST, PORTS[1])).await.is_ok() })
    });
    let envoy = ask::envoy(&pod, mesh.test_authority(), questions);
    let ours = ask::explain(&pod, sets, questions);
    assert_eq!((ours.len(), envoy.len()), (questions.len(), questions.len()));
    ours.into_iter().zip(envoy).collect()
}

#[test]
fn s18_policy_semantics_as_envoy_reads_them() {
    let mut dice = Dice(20);
    let sets: Vec<Vec<Value>> = (0..SETS).map(|_| dice.policies()).collect();
    let questions: Vec<Question> = (0..SETS)
        .flat_map(|set| std::iter::repeat_n(set, REQUESTS))
        .map(|set| dice.question(set))
        .collect();
    let opinions = opinions(&sets, &questions);
    let mut allowed = 0;
    for (question, (ours, envoy)) in questions.iter().zip(&opinions) {
        let policies: Vec<String> =
            sets[question.set].iter().map(|policy| policy["spec"].to_string()).collect();
        let said = format!("{}\nwe: {ours}\n{}", question.line(), policies.join("\n"));
        assert_eq!(&ours["decision"], envoy, "Envoy differs on {said}");
        allowed += usize::from(envoy == "allow");
    }
    let share = allowed * 100 / opinions.len();
    assert!((15..=85).contains(&share), "{share} % allowed: these policies tell little");
}
