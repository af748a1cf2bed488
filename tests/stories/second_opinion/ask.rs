//! The two who are asked: Envoy over real connections, and `postern-proxy explain`.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::join_all;
use postern_tests::certificates::{Leaf, TestAuthority};
use postern_tests::{Pod, binary, tls};
use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{PEERS, PORTS, Question, source_ip};

/// A question's place in the list, and the request it makes.
type Call = (usize, Vec<u8>);

/// What Envoy does with each question, in order. Each caller has one connection for each port, with its certificate, from
/// an address of its own.
pub(super) fn envoy(pod: &Pod, authority: &TestAuthority, questions: &[Question]) -> Vec<Value> {
    let mut calls: BTreeMap<(usize, u16), Vec<Call>> = BTreeMap::new();
    for (index, question) in questions.iter().enumerate() {
        let key = (question.peer, question.port);
        calls.entry(key).or_default().push((index, question.bytes()));
    }
    let callers: Vec<_> = calls
        .into_iter()
        .map(|((peer, port), requests)| call_all(client(authority, peer), peer, port, requests))
        .collect();
    let mut answers: Vec<_> =
        pod.run(async move { join_all(callers).await }).into_iter().flatten().collect();
    answers.sort_unstable();
    let verdict = |status| if status == 200 { "allow" } else { "deny" };
    answers.into_iter().map(|(_, status)| verdict(status).into()).collect()
}

fn client(authority: &TestAuthority, peer: usize) -> Arc<ClientConfig> {
    let svid = PEERS[peer].map(|id| authority.issue(&Leaf::of(&format!("spiffe://{id}"))));
    tls::client(svid.as_ref(), &["http/1.1"])
}

async fn call_all(
    config: Arc<ClientConfig>,
    peer: usize,
    port: u16,
    requests: Vec<Call>,
) -> Vec<(usize, u16)> {
    let mut stream = connect(config.clone(), peer, port).await;
    let mut answers = Vec::with_capacity(requests.len());
    for (index, request) in requests {
        stream.write_all(&request).await.unwrap();
        let (status, goes_on) = read_answer(&mut stream).await;
        let asked = String::from_utf8_lossy(&request).into_owned();
        assert!(matches!(status, 200 | 400 | 403), "{status} for {asked}");
        answers.push((index, status));
        if !goes_on {
            stream = connect(config.clone(), peer, port).await;
        }
    }
    answers
}

async fn connect(
    config: Arc<ClientConfig>,
    peer: usize,
    port: u16,
) -> BufReader<TlsStream<TcpStream>> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((source_ip(peer), 0).into()).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = socket.connect(address).await.unwrap();
    let stream = TlsConnector::from(config).connect(address.ip().into(), stream).await;
    BufReader::new(stream.unwrap())
}

/// The status of an answer, read to its end, and whether the connection goes on.
async fn read_answer(stream: &mut BufReader<TlsStream<TcpStream>>) -> (u16, bool) {
    let (mut status, mut length, mut goes_on) = (0, 0, true);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if line.starts_with("http/") {
            status = line.split(' ').nth(1).unwrap().parse().unwrap();
        } else if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        goes_on &= line != "connection: close";
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (status, goes_on)
}

/// What `explain` says of each question, in order, with each set of policies as its resources.
pub(super) fn explain(pod: &Pod, sets: &[Vec<Value>], questions: &[Question]) -> Vec<Value> {
    let folder = pod.directory();
    fs::write(folder.join("explain.yaml"), configuration().to_string()).unwrap();
    for (number, policies) in sets.iter().enumerate() {
        let resources = folder.join(format!("sets/{number}"));
        fs::create_dir_all(&resources).unwrap();
        for (index, policy) in policies.iter().enumerate() {
            fs::write(resources.join(format!("{index}.yaml")), policy.to_string()).unwrap();
        }
        let lines = questions.iter().filter(|question| question.set == number);
        let lines: String = lines.map(|question| format!("{}\n", question.line())).collect();
        fs::write(folder.join(format!("sets/{number}.jsonl")), lines).unwrap();
    }
    let script = format!(
        "cd /run/postern; for set in $(seq 0 {}); do \
         \"$0\" explain --config explain.yaml --resources sets/$set < sets/$set.jsonl || exit 1; done",
        sets.len() - 1
    );
    let program = binary("postern-proxy");
    let answers = pod.command("sh", &["-c", &script, program.to_str().unwrap()]).ok();
    answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The workload that is called. Plaintext is a caller without a name here, so that rules judge that, too.
fn configuration() -> Value {
    let file = |name: &str| format!("/run/postern/{name}");
    let ports: serde_json::Map<_, _> =
        PORTS.iter().map(|port| (port.to_string(), json!({"protocol": "http"}))).collect();
    json!({
        "workload": {"namespace": "shop", "serviceAccount": "cart", "labels": {"app": "cart"}},
        "identity": {"files": {
            "certificate": file("svid.pem"), "key": file("key.pem"), "bundle": file("bundle.pem"),
        }},
        "defaults": {"mtls": "PERMISSIVE"},
        "inbound": {"ports": ports},
    })
}
