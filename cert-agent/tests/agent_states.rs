//! What a person, a probe and a scraper see of the agent: states, numbers, and no secret.

use std::net::SocketAddr;

use crate::support::{Agent, CART, Ca, eventually, free_address, within};
use agent::cli::fetch::fetch;
use agent::cli::show::{self, AgentReport};
use agent::proto::own::StatusResponse;
use agent::proto::sds::{DataSource, Packed};
use agent::proto::workload::{Jwtsvid, ValidateJwtsvidRequest, X509svid};
use authority::clock::wall_clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An agent with metrics.
async fn metered(ca: &Ca, authority: SocketAddr) -> Agent {
    let mut agent = Agent::joining(ca, authority, CART);
    agent.settings.metrics = Some(free_address().await);
    agent.start()
}

/// The whole answer, head and body.
async fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer)).await.ok()?;
    Some(answer)
}

async fn until(address: SocketAddr, path: &str, expect: &str) -> String {
    eventually(expect, || async {
        get(address, path).await.filter(|answer| answer.contains(expect))
    })
    .await
}

#[tokio::test]
async fn f05_certificate_expires_in_every_view_of_it() {
    let ca = Ca::new().lifetime(4);
    let authority = ca.start().await;
    let address = authority.address;
    let agent = metered(&ca, address).await;
    let metrics = agent.settings.metrics.unwrap();
    until(metrics, "/ready", "200 OK").await;
    let page = until(metrics, "/metrics", "postern_certificate_state{state=\"fresh\"} 1").await;
    for name in ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "threads"] {
        assert!(page.contains(&format!("\nprocess_{name} ")), "{name}: {page}");
    }
    for line in [
        "postern_certificate_renewals_total{result=\"success\"} 1",
        "postern_certificate_renewals_total{result=\"failure\"} 0",
        "postern_certificate_state{state=\"expired\"} 0",
        "postern_clock_skew_seconds",
        "postern_bundle_roots 1",
        "postern_bundle_domains 1",
        "postern_sds_responses_total{result=\"sent\"} 0",
    ] {
        assert!(page.contains(line), "{line} in {page}");
    }
    authority.stop().await;
    until(metrics, "/ready", "expired").await;
    assert!(get(metrics, "/ready").await.unwrap().starts_with("HTTP/1.1 503"));
    assert!(get(metrics, "/live").await.unwrap().starts_with("HTTP/1.1 200"), "alive all the same");
    let shown = agent.status().await.unwrap();
    assert_eq!((shown.ready, shown.state.as_str()), (false, "expired"));
    until(metrics, "/metrics", "postern_certificate_state{state=\"expired\"} 1").await;

    let _authority = ca.start_at(address).await;
    until(metrics, "/ready", "200 OK").await;
}

#[tokio::test]
async fn f01_ca_down_at_start_is_absent_and_not_ready() {
    let ca = Ca::new();
    let agent = metered(&ca, free_address().await).await;
    let metrics = agent.settings.metrics.unwrap();
    let answer = until(metrics, "/ready", "absent").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(get(metrics, "/nothing").await.unwrap().starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn show_is_a_table_for_people() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let agent = Agent::joining(&ca, authority.address, CART).started().await;
    let status = show::status(agent.socket()).await.unwrap();
    let table = AgentReport::of(&status, wall_clock()).unwrap().table();
    for row in
        ["identity", "state", "valid until", "next renewal", "clock", "trusted", "bundle stream"]
    {
        assert!(table.lines().any(|line| line.starts_with(row)), "{row} in\n{table}");
    }
    assert!(table.contains("cluster.local ("), "{table}");
}

#[tokio::test]
async fn s36_local_secrets_and_rights_no_secret_in_show_and_metrics() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let agent = metered(&ca, authority.address).await;
    agent.until_ready().await;
    let svid = fetch(agent.socket()).await.unwrap();
    let stored = agent.settings.state_dir.join("renewal-credential.json");
    let stored: serde_json::Value =
        serde_json::from_slice(&std::fs::read(stored).unwrap()).unwrap();
    let credential = stored["renewalCredential"].as_str().unwrap().to_owned();
    let token = std::fs::read_to_string(agent.settings.join_token_file.as_ref().unwrap()).unwrap();
    let status: StatusResponse = show::status(agent.socket()).await.unwrap();
    let shown = AgentReport::of(&status, wall_clock()).unwrap();
    let page = get(agent.settings.metrics.unwrap(), "/metrics").await.unwrap();
    let everything =
        format!("{status:?}{}{}{page}", serde_json::to_string(&shown).unwrap(), shown.table());
    let hex = |bytes: &[u8]| format!("{bytes:?}").trim_matches(['[', ']']).to_owned();
    // The middle of the key: its beginning is the same for every P-256 key.
    let key = hex(&svid.x509_svid_key[40..60]);
    for canary in [credential.as_str(), token.trim(), key.as_str()] {
        assert!(canary.len() > 20);
        assert!(!everything.contains(canary), "a secret is shown");
    }
}

#[test]
fn s36_local_secrets_and_rights_messages_print_no_secret() {
    let canary = || "canary".to_owned();
    let messages = [
        format!("{:?}", X509svid { x509_svid_key: b"canary".to_vec(), ..X509svid::default() }),
        format!("{:?}", Jwtsvid { svid: canary(), ..Jwtsvid::default() }),
        format!("{:?}", ValidateJwtsvidRequest { svid: canary(), audience: String::new() }),
        format!("{:?}", Packed { type_url: String::new(), value: b"canary".to_vec() }),
        format!("{:?}", DataSource { inline_bytes: b"canary".to_vec() }),
    ];
    for message in messages {
        assert!(!message.contains("canary") && !message.contains("99, 97"), "{message}");
    }
}
