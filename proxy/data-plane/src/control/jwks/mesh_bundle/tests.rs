//! The mesh's own keys, from a file and from an agent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};
use http::Response;
use policy::{Resources, SourceFile};
use prost::Message as _;
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::control::credentials::workload_api::JwtBundlesResponse;
use crate::control::installer::ResourceInstaller;
use crate::control::jwks::keep;
use crate::control::jwks::mesh_bundle::*;

/// A set of one key, of this `kid`, with this member more.
fn keys(id: &str, member: &str) -> String {
    let x = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
    let y = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";
    format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}","kid":"{id}"{member}}}]}}"#)
}

fn rule(domain: &str) -> Resources {
    let text = format!(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: r, namespace: shop}}\n\
         spec: {{jwtRules: [{{issuer: 'spiffe://{domain}'}}]}}\n"
    );
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
    Resources::parse(&[file], "postern-system").unwrap()
}

fn installer(identity: &str) -> ResourceInstaller {
    let text = format!(
        "workload: {{namespace: shop, serviceAccount: cart}}\nidentity: {identity}\nlimits: {{resourcePoll: 100ms}}\n"
    );
    let config = Config::parse("p", text.as_bytes()).unwrap_or_else(|told| panic!("{told}"));
    ResourceInstaller::new(config, 1).unwrap()
}

fn source(domain: &str) -> KeySource {
    KeySource::MeshBundle(TrustDomain::parse(domain).unwrap())
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited ten seconds for {what}");
}

#[tokio::test]
async fn f31_a_file_of_the_meshs_keys_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwt.json");
    std::fs::write(&path, keys("a", r#","use":"jwt-svid""#)).unwrap();
    let installer = installer(&format!(
        "{{files: {{certificate: /c, key: /k, bundle: /b, jwtBundle: {}}}}}",
        path.display()
    ));
    let state = &installer.state;
    installer.install(&rule("cluster.local"));
    let held = || state.token_keys.keys().get(&source("cluster.local")).cloned();
    let first = held().expect("read before the rule is in force");
    tokio::spawn(keep(state.clone(), installer.config.clone()));
    std::fs::write(&path, "{\"keys\": [").unwrap();
    let counted = "postern_token_key_updates_total{result=\"failure\"} 1";
    let page = || String::from_utf8(state.metrics.render(&[])).unwrap();
    until("the torn file to be seen", || page().contains(counted)).await;
    assert!(Arc::ptr_eq(&first, &held().unwrap()), "a torn file changes nothing");
    std::fs::write(&path, keys("b", "")).unwrap();
    until("the new keys", || held().is_some_and(|now| !Arc::ptr_eq(&first, &now))).await;
}

#[tokio::test]
async fn s28_keys_of_another_trust_domain_are_not_taken() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwt.json");
    std::fs::write(&path, keys("a", "")).unwrap();
    let named = format!(", jwtBundle: {}", path.display());
    for (row, file, domain, expect) in [
        ("the own one", &*named, "cluster.local", true),
        ("another one", &*named, "partner.example", false),
        ("no file", "", "cluster.local", false),
    ] {
        let installer =
            installer(&format!("{{files: {{certificate: /c, key: /k, bundle: /b{file}}}}}"));
        installer.install(&rule(domain));
        let held = installer.state.token_keys.keys().get(&source(domain)).is_some();
        assert_eq!(held, expect, "{row}");
    }
}

/// Sends each answer on one stream; `None` ends the stream.
async fn agent(listener: UnixListener, answers: watch::Receiver<Option<JwtBundlesResponse>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut answers = answers.clone();
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                assert_eq!(request.uri().path(), "/SpiffeWorkloadAPI/FetchJWTBundles");
                assert_eq!(request.headers()["workload.spiffe.io"], "true");
                let head = Response::builder().header("content-type", "application/grpc");
                let head = head.body(()).unwrap();
                let mut answers = answers.clone();
                tokio::spawn(async move {
                    let mut stream = respond.send_response(head, false).unwrap();
                    loop {
                        let Some(answer) = answers.borrow_and_update().clone() else {
                            stream.send_reset(h2::Reason::CANCEL);
                            return;
                        };
                        let mut frame = BytesMut::new();
                        frame.put_u8(0);
                        frame.put_u32(u32::try_from(answer.encoded_len()).unwrap());
                        answer.encode(&mut frame).unwrap();
                        stream.send_data(frame.freeze(), false).unwrap();
                        if answers.changed().await.is_err() {
                            return;
                        }
                    }
                });
            }
            let _ = answers.changed().await;
        });
    }
}

fn answer(name: &str, jwks: &str) -> Option<JwtBundlesResponse> {
    let bundles = HashMap::from([(name.to_owned(), jwks.as_bytes().to_vec())]);
    Some(JwtBundlesResponse { bundles: bundles.into_iter().collect() })
}

#[tokio::test]
async fn an_agents_keys_are_followed_and_the_last_good_ones_kept() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let (say, answers) = watch::channel(answer("spiffe://cluster.local", &keys("a", "")));
    tokio::spawn(agent(UnixListener::bind(&socket).unwrap(), answers));
    let installer = installer(&format!("{{workloadApi: 'unix://{}'}}", socket.display()));
    let state = &installer.state;
    tokio::spawn(keep(state.clone(), installer.config.clone()));
    installer.install(&rule("cluster.local"));
    let held = || state.token_keys.keys().get(&source("cluster.local")).cloned();
    until("the first keys", || held().is_some()).await;
    let first = held().unwrap();
    // Neither garbage nor a broken stream takes them away.
    say.send(answer("spiffe://cluster.local", "<html>")).unwrap();
    let failures = || {
        let page = String::from_utf8(state.metrics.render(&[])).unwrap();
        page.contains("postern_token_key_updates_total{result=\"failure\"}")
            && !page.contains("postern_token_key_updates_total{result=\"failure\"} 0")
    };
    until("the garbage to be seen", failures).await;
    say.send(None).unwrap();
    assert!(Arc::ptr_eq(&first, &held().unwrap()));
    say.send(answer("spiffe://cluster.local", &keys("b", r#","use":"jwt-svid""#))).unwrap();
    until("the next keys", || held().is_some_and(|now| !Arc::ptr_eq(&first, &now))).await;
    // What the agent says is the whole truth: no keys are no keys.
    say.send(answer("spiffe://partner.example", &keys("c", ""))).unwrap();
    until("the keys to be withdrawn", || held().is_none()).await;
}
