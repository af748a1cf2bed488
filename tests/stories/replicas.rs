//! Two authorities of one trust domain that share their state: what one has done, the other knows.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;

use postern_tests::{Mesh, Pod, Process, binary, wait};
use serde_json::Value;
use tempfile::TempDir;

/// The name under which agents know both.
const BOTH: &str = "authorities:15012";

struct Replicas {
    /// The second one: a pod, and the authority in it.
    second: Process,
    second_address: SocketAddr,
    pod: Pod,
    mesh: Mesh,
    state: TempDir,
}

fn replicas() -> Replicas {
    let state = tempfile::tempdir().unwrap();
    let shared = state.path().to_str().unwrap().to_owned();
    let mesh = Mesh::with_authority_and(&["--state", &shared, "--replicas", "2"]);
    let first = mesh.authority();
    let pod = mesh.pod("second").outside().start();
    let directory = first.directory().join("state");
    let directory = directory.to_str().unwrap();
    let address: SocketAddr = (pod.ipv4(), first.address().port()).into();
    let listen = address.to_string();
    let second = pod.start_program(
        "authority",
        &binary("postern-authority"),
        &["run", "--dir", directory, "--state", &shared, "--replicas", "2", "--listen", &listen],
    );
    wait::until_true("the second authority to listen", || second.stderr().contains("\"serving\""));
    Replicas { second, second_address: address, pod, mesh, state }
}

impl Replicas {
    /// A pod with this token and an agent that asks `authority`.
    fn agent(&self, name: &str, token: &str, authority: &str) -> (Pod, Process) {
        let pod = self.mesh.pod(name).outside().start();
        fs::copy(self.mesh.authority().bundle(), pod.directory().join("roots.pem")).unwrap();
        fs::write(pod.directory().join("join-token"), token).unwrap();
        let mut hosts =
            OpenOptions::new().append(true).open(pod.directory().join("hosts")).unwrap();
        for address in [self.mesh.authority().address(), self.second_address] {
            writeln!(hosts, "{} authorities", address.ip()).unwrap();
        }
        let process = pod.start_program(
            "agent",
            &binary("postern-cert-agent"),
            &[
                "run",
                "--authority",
                authority,
                "--trust-bundle",
                "/run/postern/roots.pem",
                "--socket",
                "/run/postern/agent.sock",
                "--state-dir",
                "/run/postern/agent-state",
                "--join-token-file",
                "/run/postern/join-token",
            ],
        );
        (pod, process)
    }
}

fn shown(pod: &Pod) -> Value {
    serde_json::from_str(&pod.agent_command("show").stdout).unwrap_or_default()
}

#[test]
fn a_join_token_used_at_one_replica_is_used_at_the_other() {
    let replicas = replicas();
    let token = replicas.mesh.authority().token("spiffe://cluster.local/ns/shop/sa/cart");
    let first = replicas.mesh.authority().address().to_string();
    let (pod, _agent) = replicas.agent("joined", &token, &first);
    wait::until_true("the first to join", || shown(&pod)["ready"] == Value::Bool(true));
    let (thief, _agent) = replicas.agent("thief", &token, &replicas.second_address.to_string());
    wait::until_true("the second to be refused", || shown(&thief)["failures"].as_u64() > Some(0));
    let shown = shown(&thief);
    assert_eq!(shown["identity"], Value::Null, "{shown}");
    assert!(shown["lastError"].to_string().contains("Unauthenticated"), "{shown}");
}

#[test]
fn agents_renew_at_the_replica_that_is_left() {
    let mut replicas = replicas();
    let token = replicas.mesh.authority().token("spiffe://cluster.local/ns/shop/sa/cart");
    let (pod, _agent) = replicas.agent("cart", &token, BOTH);
    wait::until_true("the agent to join", || shown(&pod)["ready"] == Value::Bool(true));
    let serial = shown(&pod)["serial"].clone();

    replicas.mesh.authority().kill();
    pod.renew_certificate();
    assert_ne!(shown(&pod)["serial"], serial, "the credential of the one is good at the other");

    replicas.mesh.authority().start_again();
    replicas.second.kill();
    pod.renew_certificate();
    assert_eq!(replicas.pod.name(), "second");
    assert!(replicas.state.path().is_dir());
}
