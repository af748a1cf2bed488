//! The authority in a cluster: service-account tokens judged by the API server (S-31, F-24), and what replicas share
//! in Secrets. The answers are those that a real API server gave.

use std::sync::Arc;
use std::time::Instant;

use crate::support::kube_api::{KubeApi, Mood, recorded};
use crate::support::{Agent, CART, Ca, within};
use authority::attest::Caller;
use authority::attest::refusal::Refusal;
use authority::attest::service_account::ServiceAccountSettings;
use authority::clock::{RequestTime, wall_clock};
use authority::serve::issue::Authority;
use authority::serve::run::service_accounts;
use authority::store::kubernetes_store::{KubernetesStore, SecretsLocation};
use authority::store::{EntryKey, Store};
use identity::X509Svid;
use issuance_messages::issue_request::Evidence;
use issuance_messages::{IssueRequest, ServiceAccountEvidence};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

const POD_UID: &str = "0d27b8a2-9bc4-45c3-80cb-b7cd882b083e";
const POD_ADDRESS: &str = "10.0.0.7";
/// Never to be seen in a log.
const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.canary-of-a-token.c2lnbmF0dXJl";

fn pod(uid: &str, account: &str, address: Option<&str>) -> Value {
    let addresses: Vec<_> = address.iter().map(|ip| json!({ "ip": ip })).collect();
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": "plain", "namespace": "shop", "uid": uid},
        "spec": {"serviceAccountName": account, "containers": []},
        "status": {"phase": "Running", "podIP": address, "podIPs": addresses},
    })
}

/// What the API server said of a token bound to the pod `plain`, changed.
fn bound(change: impl Fn(&mut Value)) -> Value {
    let mut status = recorded("tokenreview/06-bound-to-pod.json")["status"].clone();
    change(&mut status);
    status
}

struct Cluster {
    api: KubeApi,
    ca: Ca,
}

impl Cluster {
    async fn new() -> Self {
        let api = KubeApi::start().await;
        let mut ca = Ca::new();
        ca.settings.kubeconfig = Some(api.kubeconfig(ca.dir.path()));
        let audience = "postern-authority".to_owned();
        ca.settings.service_accounts = Some(ServiceAccountSettings { audience, check_pod: true });
        api.review(TOKEN, bound(|_| {}));
        api.pod("plain", Some(pod(POD_UID, "cart", Some(POD_ADDRESS))));
        Self { api, ca }
    }

    async fn authority(&self) -> Authority {
        let mut authority = self.ca.load();
        authority.remote.service_accounts =
            service_accounts(&self.ca.settings, &authority).await.unwrap();
        authority
    }
}

async fn ask(authority: &Authority, token: &str, from: &str) -> Result<String, Refusal> {
    let key = KeyPair::generate().unwrap();
    let csr_der = CertificateParams::default().serialize_request(&key).unwrap().der().to_vec();
    let evidence = Evidence::ServiceAccount(ServiceAccountEvidence { token: token.to_owned() });
    let request = IssueRequest { evidence: Some(evidence), csr_der };
    let caller = Caller::Remote(format!("{from}:40000").parse().unwrap());
    let now = RequestTime { wall: wall_clock(), monotonic: Instant::now() };
    let answer = within("an answer", authority.issue(&request, &caller, now)).await?;
    let chain = answer.certificate_chain.into_iter().map(Into::into).collect();
    Ok(X509Svid::parse(chain).unwrap().id().to_string())
}

/// `expect`: the identity, or a part of the refusal.
async fn check(name: &str, status: Value, expect: Result<&str, &str>) {
    let cluster = Cluster::new().await;
    cluster.api.review(TOKEN, status);
    expect_answer(name, &cluster, POD_ADDRESS, expect).await;
}

async fn expect_answer(name: &str, cluster: &Cluster, from: &str, expect: Result<&str, &str>) {
    let seen = ask(&cluster.authority().await, TOKEN, from).await.map_err(|r| r.to_string());
    match (seen, expect) {
        (Ok(identity), Ok(expect)) => assert_eq!(identity, expect, "{name}"),
        (Err(reason), Err(expect)) => assert!(reason.contains(expect), "{name}: {reason}"),
        (seen, expect) => panic!("{name}: {seen:?} instead of {expect:?}"),
    }
}

#[tokio::test]
async fn s31_token_checks_a_token_bound_to_its_pod_gets_the_pods_identity() {
    let cluster = Cluster::new().await;
    expect_answer("IPv4", &cluster, POD_ADDRESS, Ok(CART)).await;
    expect_answer("IPv4 in IPv6", &cluster, "[::ffff:10.0.0.7]", Ok(CART)).await;
}

#[tokio::test]
async fn s31_token_checks_recorded_refusals() {
    for (name, file, expect) in [
        ("not bound to a pod", "01-right-audience", "not bound to a pod"),
        ("asked for another audience", "02-wrong-audience", "does not take it"),
        ("no audience asked", "03-no-audience-asked", "does not take it"),
        ("default audience", "04-default-audience-token", "does not take it"),
        ("tampered", "05-tampered", "does not take it"),
        ("garbage", "08-garbage", "does not take it"),
        ("pod deleted", "09-bound-pod-deleted-13s-ago", "does not take it"),
    ] {
        let status = recorded(&format!("tokenreview/{file}.json"))["status"].clone();
        check(name, status, Err(expect)).await;
    }
}

#[tokio::test]
async fn s31_token_checks_the_audience_must_be_confirmed() {
    let audiences = |audiences: Value| bound(move |s| s["audiences"] = audiences.clone());
    let unconfirmed = Err("does not confirm our audience");
    check("empty audiences", audiences(json!([])), unconfirmed).await;
    check(
        "absent audiences",
        bound(|s| drop(s.as_object_mut().unwrap().remove("audiences"))),
        unconfirmed,
    )
    .await;
    check("another audience", audiences(json!(["https://kubernetes.default.svc"])), unconfirmed)
        .await;
    check("among others", audiences(json!(["a", "postern-authority"])), Ok(CART)).await;
    check(
        "not authenticated",
        bound(|s| s["authenticated"] = json!(false)),
        Err("does not take it"),
    )
    .await;
}

#[tokio::test]
async fn s31_token_checks_only_service_accounts() {
    let user = |name: &'static str| bound(move |s| s["user"]["username"] = json!(name));
    let nobody = Err("not a service account's");
    check("node token", user("system:node:worker-1"), nobody).await;
    check("a person", user("cart"), nobody).await;
    check("named almost like one", user("xsystem:serviceaccount:shop:cart"), nobody).await;
    check("one part more", user("system:serviceaccount:shop:cart:x"), nobody).await;
    check("one part less", user("system:serviceaccount:shop"), nobody).await;
    check("empty name", user("system:serviceaccount:shop:"), nobody).await;
    check("empty namespace", user("system:serviceaccount::cart"), nobody).await;
    check("path in the name", user("system:serviceaccount:shop:cart/../x"), nobody).await;
    check("path in the namespace", user("system:serviceaccount:a/b:cart"), nobody).await;
    let groups = bound(|s| s["user"]["groups"] = json!(["system:authenticated"]));
    check("a user named exactly like one", groups, nobody).await;
    check("no user", bound(|s| drop(s.as_object_mut().unwrap().remove("user"))), nobody).await;
}

#[tokio::test]
async fn s31_token_checks_only_bound_tokens() {
    let extra = |key: &'static str, value: Value| {
        bound(move |s| {
            s["user"]["extra"][format!("authentication.kubernetes.io/{key}")] = value.clone()
        })
    };
    let unbound = Err("not bound to a pod");
    check("no pod", bound(|s| drop(s["user"].as_object_mut().unwrap().remove("extra"))), unbound)
        .await;
    check("no uid", extra("pod-uid", json!([])), unbound).await;
    check("two uids", extra("pod-uid", json!([POD_UID, "x"])), unbound).await;
    check("empty name", extra("pod-name", json!([""])), unbound).await;
}

#[tokio::test]
async fn s31_token_checks_the_pod_must_be_there_and_call_itself() {
    let cluster = Cluster::new().await;
    expect_answer(
        "replay from another pod",
        &cluster,
        "10.0.0.8",
        Err("does not have its pod's address"),
    )
    .await;

    // The API server still says yes some seconds after the pod is gone.
    cluster.api.review(TOKEN, recorded("tokenreview/07-bound-pod-deleted.json")["status"].clone());
    cluster.api.pod("plain", None);
    expect_answer("deleted pod", &cluster, POD_ADDRESS, Err("its pod is gone")).await;
    cluster.api.pod("plain", Some(pod("another-uid", "cart", Some(POD_ADDRESS))));
    expect_answer("its name's next pod", &cluster, POD_ADDRESS, Err("another has its name")).await;
    cluster.api.pod("plain", Some(pod(POD_UID, "other", Some(POD_ADDRESS))));
    expect_answer("another account", &cluster, POD_ADDRESS, Err("another service account")).await;
    cluster.api.pod("plain", Some(pod(POD_UID, "cart", None)));
    expect_answer("no address yet", &cluster, POD_ADDRESS, Err("ask again")).await;
}

#[tokio::test]
async fn s31_token_checks_what_is_no_token_costs_no_review() {
    let cluster = Cluster::new().await;
    let authority = cluster.authority().await;
    let long = format!("a.b.{}", "c".repeat(9000));
    for token in ["", "a", "a.b", "a.b.c.d", "a..c", "a.b.ü", "a.b.c d", &long] {
        let reason = ask(&authority, token, POD_ADDRESS).await.unwrap_err().to_string();
        assert!(reason.contains("no JSON Web Token"), "{token}: {reason}");
    }
    assert!(cluster.api.asked().is_empty());
}

#[tokio::test]
async fn s31_token_checks_the_rate_is_the_pods() {
    let mut cluster = Cluster::new().await;
    cluster.ca.settings.issue_rate = authority::ca::rate::PerMinute(2);
    let authority = cluster.authority().await;
    for _ in 0..2 {
        assert_eq!(ask(&authority, TOKEN, POD_ADDRESS).await.unwrap(), CART);
    }
    assert!(matches!(ask(&authority, TOKEN, POD_ADDRESS).await, Err(Refusal::Limited(_))));
}

#[tokio::test]
async fn f24_kubernetes_api_down_is_neither_yes_nor_no() {
    let cluster = Cluster::new().await;
    let authority = cluster.authority().await;
    for mood in [
        Mood::Status(500),
        Mood::Status(401),
        Mood::Status(403),
        Mood::Status(429),
        Mood::Garbage,
        Mood::Silent,
    ] {
        cluster.api.mood(mood);
        let refusal = ask(&authority, TOKEN, POD_ADDRESS).await.unwrap_err().to_string();
        assert!(refusal.contains("cannot be asked now"), "{mood:?}: {refusal}");
    }
    cluster.api.mood(Mood::Well);
    assert_eq!(ask(&authority, TOKEN, POD_ADDRESS).await.unwrap(), CART, "and good again at once");
}

#[tokio::test]
async fn f24_kubernetes_api_down_an_agent_waits_and_others_go_on() {
    let cluster = Cluster::new().await;
    cluster.api.pod("plain", Some(pod(POD_UID, "cart", Some("127.0.0.1"))));
    let authority = cluster.ca.start().await;
    cluster.api.mood(Mood::Status(503));
    let mut agent = Agent::new(&cluster.ca, authority.address);
    let token = agent.dir.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    agent.settings.lasting_proof =
        Some(agent::renewal::evidence::LastingProof::ServiceAccountToken(token));
    let agent = agent.start();
    let waiting = agent.until("a refusal", |status| status.failures > 0).await;
    let error = waiting.last_error.unwrap();
    assert!(error.contains("Unavailable") && error.contains("Kubernetes API"), "{error}");
    let other = Agent::joining(&cluster.ca, authority.address, CART).started().await;
    assert!(other.renew().await.unwrap().ready, "whoever needs no API is not concerned");
    cluster.api.mood(Mood::Well);
    agent.until_ready().await;
}

#[tokio::test]
async fn s31_token_checks_the_token_is_never_logged() {
    let log = Log::default();
    tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(log.clone()).init();
    let cluster = Cluster::new().await;
    let authority = cluster.authority().await;
    assert!(ask(&authority, TOKEN, POD_ADDRESS).await.is_ok());
    let telling = bound(|s| {
        s["authenticated"] = json!(false);
        s["error"] = json!(format!("bad token {TOKEN}"));
    });
    cluster.api.review(TOKEN, telling);
    assert!(ask(&authority, TOKEN, POD_ADDRESS).await.is_err());
    cluster.api.mood(Mood::Status(500));
    assert!(ask(&authority, TOKEN, POD_ADDRESS).await.is_err());
    let text = String::from_utf8(log.0.lock().clone()).unwrap();
    assert!(text.contains("issued"), "{text}");
    assert!(!text.contains("canary"), "{text}");
}

#[derive(Clone, Default)]
struct Log(Arc<parking_lot::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn store(api: &KubeApi, dir: &std::path::Path) -> Arc<KubernetesStore> {
    let place = SecretsLocation::parse("mesh/authority-state").unwrap();
    Arc::new(KubernetesStore::open(place, Some(&api.kubeconfig(dir))).unwrap())
}

fn key(name: &str) -> EntryKey {
    EntryKey::new("things", name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_secrets_keeps_compares_and_swaps() {
    let api = KubeApi::start().await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(&api, dir.path());
    assert!(store.get(&key("a")).unwrap().is_none());
    assert!(store.list("things").unwrap().is_empty());
    assert!(store.create(&key("a"), b"one").unwrap());
    assert!(!store.create(&key("a"), b"two").unwrap());
    let one = store.get(&key("a")).unwrap().unwrap();
    assert_eq!(one.value.as_slice(), b"one");
    assert!(store.replace(&key("a"), b"two", &one.version).unwrap());
    assert!(!store.replace(&key("a"), b"three", &one.version).unwrap());
    assert!(!store.remove(&key("a"), &one.version).unwrap());
    for number in 0..40 {
        assert!(store.create(&key(&format!("n{number}")), b"x").unwrap());
    }
    assert!(store.create(&EntryKey::new("others", "a").unwrap(), b"y").unwrap());
    assert_eq!(store.list("things").unwrap().len(), 41);
    assert!(api.secrets().len() > 8, "spread over many Secrets");
    let two = store.get(&key("a")).unwrap().unwrap();
    assert!(store.remove(&key("a"), &two.version).unwrap());
    assert!(!store.remove(&key("a"), &two.version).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_secrets_tries_again_when_another_was_faster() {
    let api = KubeApi::start().await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(&api, dir.path());
    api.conflicts(3);
    assert!(store.create(&key("a"), b"one").unwrap(), "409 AlreadyExists three times");
    let one = store.get(&key("a")).unwrap().unwrap();
    api.conflicts(3);
    assert!(store.replace(&key("a"), b"two", &one.version).unwrap(), "409 Conflict three times");
    api.conflicts(10_000);
    let two = store.get(&key("a")).unwrap().unwrap();
    let error = store.remove(&key("a"), &two.version).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "tries are bounded: {error}");
    api.conflicts(0);
    api.mood(Mood::Status(403));
    let error = store.get(&key("a")).unwrap_err().to_string();
    assert!(error.contains("needs the rights get, create and update on secrets"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s32_attestation_confusion_of_two_replicas_one_redeems_a_token_in_secrets() {
    let api = KubeApi::start().await;
    let dir = tempfile::tempdir().unwrap();
    let replicas = [store(&api, dir.path()), store(&api, dir.path())];
    assert!(replicas[0].create(&key("token"), b"once").unwrap());
    let version = replicas[0].get(&key("token")).unwrap().unwrap().version;
    let calls: Vec<_> = (0..20)
        .map(|number| {
            let (store, version) = (Arc::clone(&replicas[number % 2]), version.clone());
            tokio::task::spawn_blocking(move || store.remove(&key("token"), &version).unwrap())
        })
        .collect();
    let mut won = 0;
    for call in calls {
        won += usize::from(call.await.unwrap());
    }
    assert_eq!(won, 1);
}
