//! The webhook over HTTPS, as an API server meets it; and the CA bundle that it writes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use controller_harness::TestTrust;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s::injector::certificate::ServingCertificate;
use k8s::injector::metrics::Metrics;
use k8s::injector::server::{self, Webhook};
use k8s::injector::webhook_configuration;
use k8s::workload_api::X509Context;
use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support;

const NAME: &str = "postern-injector.postern-system.svc";

const ID: &str = "spiffe://cluster.local/ns/postern-system/sa/postern-injector";

fn serving(trust: &TestTrust, dns_name: &str) -> anyhow::Result<ServingCertificate> {
    let (svid, key) = trust.svid_for(ID, Some(dns_name));
    ServingCertificate::new(&X509Context { svid, key, bundles: trust.bundles() }, NAME)
}

async fn connect(trust: &TestTrust, address: SocketAddr) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(trust.root.as_ref().der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(identity::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(NAME).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

struct Running {
    address: SocketAddr,
    trust: TestTrust,
    serving: watch::Sender<Option<Arc<ServingCertificate>>>,
}

async fn running() -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let trust = TestTrust::generate();
    let first = Arc::new(serving(&trust, NAME).unwrap());
    let (sender, current) = watch::channel(Some(first));
    let metrics = Arc::new(Metrics::new().unwrap());
    let webhook = Webhook::new(support::settings(), None, metrics);
    tokio::spawn(server::serve(listener, current, Arc::new(webhook)));
    Running { address, trust, serving: sender }
}

impl Running {
    async fn open(&self) -> (SendRequest<Full<Bytes>>, CertificateDer<'static>) {
        let stream = connect(&self.trust, self.address).await;
        let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        (sender, leaf)
    }

    async fn post(&self, body: impl Into<Bytes>) -> (StatusCode, String) {
        let (mut sender, _) = self.open().await;
        post(&mut sender, body.into()).await
    }
}

async fn post(sender: &mut SendRequest<Full<Bytes>>, body: Bytes) -> (StatusCode, String) {
    let request = Request::post("/inject?timeout=10s").header("host", NAME).body(Full::new(body));
    let answer = sender.send_request(request.unwrap()).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn review() -> String {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/admission/02-create-plain.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    file["body"].to_string()
}

fn is_injected(answer: &(StatusCode, String)) -> bool {
    let body: Value = serde_json::from_str(&answer.1).unwrap_or_default();
    answer.0 == StatusCode::OK && body["response"]["patch"].is_string()
}

#[tokio::test]
async fn a_review_is_answered_over_https() {
    let running = running().await;
    let answer = running.post(review()).await;
    assert!(is_injected(&answer), "{answer:?}");
}

#[tokio::test]
async fn f37_webhook_certificate_is_rotated_without_a_restart() {
    let running = running().await;
    let (mut old, first) = running.open().await;
    let next = serving(&running.trust, NAME).unwrap();
    running.serving.send_replace(Some(Arc::new(next)));
    let (mut new, second) = running.open().await;
    assert_ne!(first, second, "the next handshake shows the new certificate");
    for sender in [&mut old, &mut new] {
        assert!(is_injected(&post(sender, review().into()).await), "both connections serve");
    }
}

#[tokio::test]
async fn f37_a_certificate_without_our_dns_name_is_not_taken() {
    let error =
        serving(&TestTrust::generate(), "other.postern-system.svc").unwrap_err().to_string();
    assert!(error.contains(NAME) && error.contains("registry"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s33_ca_dos_floods_do_not_keep_a_good_review_waiting() {
    let running = Arc::new(running().await);
    let huge = Bytes::from(vec![b' '; 64 << 20]);
    let deep = Bytes::from(format!("{{\"a\":{}", "[".repeat(10_000)));
    let floods: Vec<_> = (0..4)
        .map(|_| {
            let (running, huge, deep) = (running.clone(), huge.clone(), deep.clone());
            tokio::spawn(async move {
                let (mut sender, _) = running.open().await;
                let request = Request::post("/inject").header("host", NAME).body(Full::new(huge));
                // Refused by its length; the rest may be cut off before it is sent.
                if let Ok(answer) = sender.send_request(request.unwrap()).await {
                    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
                }
                let (status, says) = running.post(deep).await;
                assert_eq!(status, StatusCode::BAD_REQUEST, "{says}");
            })
        })
        .collect();
    let many: Vec<_> = (0..200)
        .map(|_| {
            let running = running.clone();
            tokio::spawn(async move { running.post(review()).await })
        })
        .collect();
    for one in many {
        let answer = tokio::time::timeout(Duration::from_secs(60), one).await.unwrap().unwrap();
        assert!(is_injected(&answer), "{answer:?}");
    }
    for flood in floods {
        flood.await.unwrap();
    }
}

#[tokio::test]
async fn s33_ca_dos_other_requests_are_turned_away() {
    let running = running().await;
    for (method, path, expect) in [
        (Method::GET, "/inject", StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/", StatusCode::NOT_FOUND),
        (Method::POST, "/inject/../metrics", StatusCode::NOT_FOUND),
    ] {
        let (mut sender, _) = running.open().await;
        let request = Request::builder().method(&method).uri(path).header("host", NAME);
        let answer = sender.send_request(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), expect, "{method} {path}");
    }
    assert_eq!(running.post("not a review").await.0, StatusCode::BAD_REQUEST);
}

/// What the fake API server holds, and the patches it got.
type Held = Arc<Mutex<(Value, Vec<Value>)>>;

async fn api(held: Held, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path =
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/postern-injector";
    assert_eq!(request.uri().path(), path, "by its name, and nothing else");
    let patches = request.method() == Method::PATCH;
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut held = held.lock();
    if patches {
        let patch: Value = serde_json::from_slice(&body).unwrap();
        let operations: json_patch::Patch = serde_json::from_value(patch.clone()).unwrap();
        json_patch::patch(&mut held.0, &operations).unwrap();
        held.1.push(patch);
    }
    Ok(Response::new(Full::from(held.0.to_string())))
}

async fn api_server(held: Held) -> kube::Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let held = held.clone();
            let service = service_fn(move |request| api(held.clone(), request));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    let config = kube::Config::new(format!("http://{address}").parse().unwrap());
    kube::Client::try_from(config).unwrap()
}

#[tokio::test]
async fn f37_the_ca_bundle_follows_into_our_own_webhook_only() {
    let webhook = |name: &str| json!({ "name": name, "clientConfig": { "url": "https://x/" }, "sideEffects": "None", "admissionReviewVersions": ["v1"] });
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": "postern-injector" },
        "webhooks": [webhook("other.example"), webhook("inject.postern.dev")],
    });
    let held: Held = Arc::new(Mutex::new((configuration, Vec::new())));
    let client = api_server(held.clone()).await;
    let trust = TestTrust::generate();
    let first = Arc::new(serving(&trust, NAME).unwrap());
    let (sender, current) = watch::channel(Some(first));
    let (written, mut is_written) = watch::channel(false);
    let name = "postern-injector".to_owned();
    tokio::spawn(webhook_configuration::keep_ca_bundle(client, name, current, written));
    is_written.wait_for(|written| *written).await.unwrap();
    assert!(held.lock().0["webhooks"][0]["clientConfig"].get("caBundle").is_none());
    let before = held.lock().0["webhooks"][1]["clientConfig"]["caBundle"].clone();
    assert!(before.is_string());

    // A certificate of the same roots changes nothing; one of other roots does.
    sender.send_replace(Some(Arc::new(serving(&trust, NAME).unwrap())));
    sender.send_replace(Some(Arc::new(serving(&TestTrust::generate(), NAME).unwrap())));
    let changed = async {
        while held.lock().0["webhooks"][1]["clientConfig"]["caBundle"] == before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), changed).await.unwrap();
    let patches = held.lock().1.clone();
    assert_eq!(patches.len(), 2, "{patches:?}");
    assert_eq!(
        patches[0][0],
        json!({ "op": "test", "path": "/webhooks/1/name", "value": "inject.postern.dev" })
    );
}
