//! The controller against a fake API server over HTTPS and simulated proxies over mutual TLS.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use api_server_stand_in::objects::{allow, pod, shop, slice};
use api_server_stand_in::{ApiServer, answers, store};
use controller_harness::{Controller, Proxy, TestTrust, until};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s::controller::index::{ObjectKind, PolicyKind};
use k8s::controller::shared::KindState;
use k8s::controller::{leader, lease};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Code;

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";
pub(crate) const FRONTEND: &str = "spiffe://cluster.local/ns/shop/sa/frontend";
/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(20);
const POLICIES: &str = "security.istio.io/v1/authorizationpolicies";

/// The shop in an API server, and a controller that has read it.
pub(crate) async fn scene() -> (ApiServer, TestTrust, Controller) {
    let api = ApiServer::start().await;
    shop(&api);
    let trust = TestTrust::generate();
    let controller = Controller::start(&api, &trust).await;
    controller.synced().await;
    (api, trust, controller)
}

pub(crate) async fn cart(controller: &Controller, trust: &TestTrust) -> Proxy {
    let pod = ("cart-1", "uid-cart-1");
    let mut proxy = Proxy::connect(controller.address, trust, CART, pod).await.unwrap();
    proxy.hear().await.unwrap();
    proxy
}

#[tokio::test]
async fn a_policy_edit_reaches_the_proxy_it_is_about_within_a_second() {
    let (api, trust, controller) = scene().await;
    let mut proxy = cart(&controller, &trust).await;
    assert!(proxy.policies.contains_key("Workload"), "{:?}", proxy.policies);
    let name = "AuthorizationPolicy/shop/cart-allow";
    let edited = Instant::now();
    api.put(allow("shop", "cart-allow", &["cluster.local/ns/shop/sa/frontend"]));
    proxy.hear_until(|proxy| proxy.policies.contains_key(name)).await;
    assert!(edited.elapsed() < Duration::from_secs(1), "{:?}", edited.elapsed());
    api.delete(POLICIES, "shop", "cart-allow");
    proxy.hear_until(|proxy| !proxy.policies.contains_key(name)).await;
}

#[tokio::test]
async fn destinations_are_told_on_demand() {
    let (api, trust, controller) = scene().await;
    let mut proxy = cart(&controller, &trust).await;
    proxy.ask(&["10.96.0.2:80", "10.9.9.9:1"]).await;
    proxy.hear().await.unwrap();
    let service = &proxy.services["10.96.0.2:80"];
    assert_eq!(service.identities.as_ref().unwrap().ids, [FRONTEND]);
    assert_eq!(proxy.unknown, ["10.9.9.9:1"]);
    api.put(pod("shop", "frontend-2", "frontend", "10.1.0.3"));
    api.put(slice("shop", "frontend", &[("10.1.0.2", "frontend-1"), ("10.1.0.3", "frontend-2")]));
    let two = |proxy: &Proxy| proxy.services["10.96.0.2:80"].endpoints.len() == 2;
    proxy.hear_until(two).await;
}

/// A proxy of the version before asks for ServiceEntries as text. It gets no answer: it would take a removal for a word that the
/// destination means nothing.
#[tokio::test]
async fn a_type_of_another_version_is_not_answered() {
    let (_api, trust, controller) = scene().await;
    let mut proxy = cart(&controller, &trust).await;
    let older = "type.googleapis.com/postern.dev.v1.Service";
    proxy.ask_for(older, &["10.96.0.2:80", "10.9.9.9:1"]).await;
    proxy.ask(&["10.96.0.2:80"]).await;
    proxy.hear().await.unwrap();
    assert_eq!(proxy.services.len(), 1, "the first that is told answers the second question");
    assert!(proxy.unknown.is_empty());
}

#[tokio::test]
async fn the_controller_tells_what_it_costs() {
    use k8s::status_pages::StatusPages as _;
    let (_api, _trust, controller) = scene().await;
    let page = k8s::controller::status_pages::ControllerPages {
        shared: controller.shared.clone(),
        credentials: controller.credentials.subscribe(),
        leads: watch::channel(false).1,
        with_status: false,
    };
    let text = page.metrics();
    for name in ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "threads"] {
        assert!(text.contains(&format!("\nprocess_{name} ")), "{name}: {text}");
    }
}

/// What is logged, for one test: all of its tasks run on its own thread.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn count(&self, words: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap()).matches(words).count()
    }
}

#[tokio::test]
async fn a_pods_end_is_told_in_plain_words() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (_api, trust, controller) = scene().await;
    cart(&controller, &trust).await.cut_off();
    until("the end of one that was killed", || log.count("the proxy has gone") == 1).await;
    drop(cart(&controller, &trust).await);
    until("the end of one that said goodbye", || log.count("the proxy has gone") == 2).await;
    for words in ["Unknown", "h2 protocol error", "stream closed", "ERROR", "WARN"] {
        assert_eq!(log.count(words), 0, "{words}");
    }
}

#[tokio::test]
async fn waiting_for_the_first_certificate_is_no_warning() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (current, _) = watch::channel::<Option<Arc<()>>>(None);
    let nobody = "unix:///nowhere/agent.sock".to_owned();
    let following = tokio::spawn(k8s::workload_api::follow(nobody, current, |_| Ok(())));
    until("a line about it", || log.count("waiting for the first certificate") > 0).await;
    following.abort();
    assert_eq!(log.count("WARN") + log.count("ERROR"), 0);
}

#[tokio::test]
async fn only_the_proxy_of_the_pod_itself_is_told_anything() {
    let (_api, trust, controller) = scene().await;
    let check = |row: &'static str, id: &'static str, pod: (&'static str, &'static str), expect| {
        let (address, trust) = (controller.address, &trust);
        async move {
            let connected = Proxy::connect(address, trust, id, pod).await;
            let heard = match connected {
                Ok(mut proxy) => proxy.hear().await,
                Err(status) => Err(status),
            };
            assert_eq!(heard.map_err(|status| status.code()), expect, "{row}");
        }
    };
    let denied = Err(Code::PermissionDenied);
    check("its own", CART, ("cart-1", "uid-cart-1"), Ok(())).await;
    check("another uid", CART, ("cart-1", "uid-cart-2"), denied).await;
    check("another service account", FRONTEND, ("cart-1", "uid-cart-1"), denied).await;
    let bank = "spiffe://cluster.local/ns/bank/sa/cart";
    check("another namespace", bank, ("cart-1", "uid-cart-1"), Err(Code::Unavailable)).await;
    check("no uid", CART, ("cart-1", ""), Err(Code::InvalidArgument)).await;
    let vm = "spiffe://cluster.local/vm/1";
    check("no service account", vm, ("cart-1", "uid-cart-1"), denied).await;
}

#[tokio::test]
async fn a_pod_has_a_few_streams_and_no_more() {
    let (_api, trust, controller) = scene().await;
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(cart(&controller, &trust).await);
    }
    let one_more = async || {
        let pod = ("cart-1", "uid-cart-1");
        let mut proxy = Proxy::connect(controller.address, &trust, CART, pod).await?;
        proxy.hear().await
    };
    assert_eq!(one_more().await.unwrap_err().code(), Code::ResourceExhausted);
    assert_eq!(controller.shared.connected(), 1, "one proxy, however many streams");
    open.pop();
    let begun = Instant::now();
    while one_more().await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "an ended stream makes room");
    }
}

#[tokio::test]
async fn a_connection_without_a_stream_ends_and_one_with_a_stream_goes_on() {
    let api = ApiServer::start().await;
    shop(&api);
    let trust = TestTrust::generate();
    let client = controller_harness::client(&api).await;
    let age = Duration::from_millis(300);
    let controller = Controller::with(client, trust.credentials(), age).await;
    controller.synced().await;
    let mut proxy = cart(&controller, &trust).await;
    let over = |row: &'static str, ended: bool| assert!(ended, "{row}, and it is still open");
    let mut silent = Proxy::handshake(controller.address, &trust, CART).await.unwrap();
    let read = silent.read_u8();
    over("nothing was said on it", tokio::time::timeout(LONG, read).await.is_ok());
    let lively = TokioIo::new(Proxy::handshake(controller.address, &trust, CART).await.unwrap());
    let (_sender, lively) =
        http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), lively).await.unwrap();
    over("no stream was opened on it", tokio::time::timeout(LONG, lively).await.is_ok());
    // Older than the others, which are over.
    api.put(allow("shop", "cart-allow", &["cluster.local/ns/shop/sa/frontend"]));
    let name = "AuthorizationPolicy/shop/cart-allow";
    proxy.hear_until(|proxy| proxy.policies.contains_key(name)).await;
    proxy.ask(&["10.96.0.2:80"]).await;
    proxy.hear_until(|proxy| proxy.services.contains_key("10.96.0.2:80")).await;
}

#[tokio::test]
async fn a_stranger_has_no_connection() {
    let (_api, _trust, controller) = scene().await;
    let stranger = TestTrust::generate();
    let pod = ("cart-1", "uid-cart-1");
    assert!(Proxy::connect(controller.address, &stranger, CART, pod).await.is_err());
}

#[tokio::test]
async fn a_pod_that_goes_takes_its_stream_with_it() {
    let (api, trust, controller) = scene().await;
    let mut proxy = cart(&controller, &trust).await;
    api.delete("v1/pods", "shop", "cart-1");
    let ended = loop {
        if let Err(status) = proxy.hear().await {
            break status;
        }
    };
    assert_eq!(ended.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn f24_watches_survive_a_disconnect_an_outage_and_410() {
    let (api, trust, controller) = scene().await;
    let mut proxy = cart(&controller, &trust).await;
    let has = |name: &'static str| {
        move |proxy: &Proxy| {
            proxy.policies.contains_key(&format!("AuthorizationPolicy/shop/{name}"))
        }
    };
    api.put(allow("shop", "first", &["*"]));
    proxy.hear_until(has("first")).await;

    api.store.disconnect();
    api.put(allow("shop", "second", &["*"]));
    proxy.hear_until(has("second")).await;

    api.store.set_down(true);
    let watched =
        || controller.shared.kinds()[&ObjectKind::Policy(PolicyKind::AuthorizationPolicy)].clone();
    until("the outage to be seen", || matches!(watched(), KindState::Stale(_))).await;
    api.store.lose(POLICIES, "shop", "second");
    api.store.compact();
    assert!(proxy.policies.contains_key("AuthorizationPolicy/shop/first"), "the stream lives on");
    let mut another = cart(&controller, &trust).await;
    another.hear_until(has("first")).await;
    api.put(allow("shop", "third", &["*"]));
    let lists = api.store.lists.load(SeqCst);
    api.store.set_down(false);
    proxy.hear_until(has("third")).await;
    proxy.hear_until(|proxy| !has("second")(proxy)).await;
    assert!(api.store.lists.load(SeqCst) > lists, "after 410 it is listed again");
    until("the watch", || watched() == KindState::Watched).await;
}

#[tokio::test]
async fn a_proxy_that_comes_back_is_told_only_what_changed() {
    let (api, trust, controller) = scene().await;
    api.put(allow("shop", "same", &["*"]));
    let mut proxy = cart(&controller, &trust).await;
    proxy.hear_until(|p| p.policies.contains_key("AuthorizationPolicy/shop/same")).await;
    let has = proxy.versions.clone();
    drop(proxy);
    api.put(allow("shop", "new", &["*"]));
    let named = controller.shared.clone();
    until("the policy", move || named.index().unreported().len() == 2).await;
    let pod = ("cart-1", "uid-cart-1");
    let mut back = Proxy::resume(controller.address, &trust, CART, pod, has).await.unwrap();
    back.hear().await.unwrap();
    let told: Vec<&String> = back.policies.keys().collect();
    assert_eq!(told, ["AuthorizationPolicy/shop/new"]);
}

#[tokio::test]
async fn a_kind_that_is_not_installed_keeps_nobody_waiting() {
    let api = ApiServer::start().await;
    shop(&api);
    for kind in [PolicyKind::AuthorizationPolicy, PolicyKind::ServiceEntry] {
        let (group, version, plural) = kind.resource();
        api.store.set_absent(&format!("{group}/{version}/{plural}"), true);
    }
    let trust = TestTrust::generate();
    let controller = Controller::start(&api, &trust).await;
    controller.synced().await;
    let kinds = controller.shared.kinds();
    let state = &kinds[&ObjectKind::Policy(PolicyKind::AuthorizationPolicy)];
    assert_eq!(*state, KindState::Absent);
    assert!(cart(&controller, &trust).await.policies.contains_key("Workload"));
}

#[tokio::test]
async fn conditions_say_every_mistake_and_bundles_come_back() {
    let (api, trust, controller) = scene().await;
    let (_leads, leads) = watch::channel(true);
    let credentials = controller.credentials.subscribe();
    tokio::spawn(leader::write(
        controller.client.clone(),
        controller.shared.clone(),
        credentials,
        leads,
    ));
    let condition = |name: &str| {
        let object = api.get(POLICIES, "shop", name)?;
        Some(object["status"]["conditions"][0].clone()).filter(|found| !found.is_null())
    };
    api.put(allow("shop", "good", &["*"]));
    let mut bad = allow("shop", "bad", &["*"]);
    bad["spec"]["action"] = "ALOW".into();
    bad["spec"]["selektor"] = json!({});
    api.put(bad);
    until("the conditions", || condition("good").is_some() && condition("bad").is_some()).await;
    assert_eq!(condition("good").unwrap()["status"], "True");
    let refused = condition("bad").unwrap();
    assert_eq!((&refused["status"], &refused["reason"]), (&json!("False"), &json!("Invalid")));
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("ALOW") && message.contains("selektor"), "{message}");
    until("the watch to show them", || controller.shared.index().unreported().is_empty()).await;
    let version = api.store.version();

    let bundle = || api.get("v1/configmaps", "shop", "postern-trust-bundle");
    until("the trust bundle", || bundle().is_some()).await;
    let pem = trust.credentials().bundle_pem.clone();
    assert_eq!(bundle().unwrap()["data"]["bundle.pem"], pem.as_str());
    assert!(api.get("v1/configmaps", "postern-system", "postern-trust-bundle").is_none());
    api.delete("v1/configmaps", "shop", "postern-trust-bundle");
    until("the trust bundle again", || bundle().is_some()).await;
    let rolled = TestTrust::generate().credentials();
    controller.credentials.send_replace(Some(rolled.clone()));
    until("the new bundle", || {
        bundle().is_some_and(|found| found["data"]["bundle.pem"] == rolled.bundle_pem.as_str())
    })
    .await;
    assert!(api.store.version() < version + 6, "nothing is written twice");
}

#[tokio::test]
async fn the_lease_goes_to_one_and_at_once_to_the_next_when_it_is_left() {
    let api = ApiServer::start().await;
    let client = controller_harness::client(&api).await;
    let campaign = |me: &str| {
        let (sender, leads) = watch::channel(false);
        let ended = CancellationToken::new();
        let namespace = "postern-system".to_owned();
        let task = leader::campaign(client.clone(), namespace, me.into(), sender, ended.clone());
        (tokio::spawn(task), leads, ended)
    };
    let (first, first_leads, first_ended) = campaign("a");
    until("a to lead", || *first_leads.borrow()).await;
    let (second, second_leads, second_ended) = campaign("b");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!*second_leads.borrow());
    let leases = "coordination.k8s.io/v1/leases";
    let lease = || api.get(leases, "postern-system", "postern-controller").unwrap();
    assert_eq!(lease()["spec"]["holderIdentity"], "a");
    // One that dies is waited for (`lease/tests.rs`); one that ends leaves it.
    let told = Instant::now();
    first_ended.cancel();
    first.await.unwrap();
    assert!(!*first_leads.borrow(), "it stops before it leaves");
    assert_eq!(lease()["spec"]["holderIdentity"], "");
    until("b to lead", || *second_leads.borrow()).await;
    assert!(told.elapsed() < lease::DURATION / 2, "{:?}", told.elapsed());
    assert_eq!(lease()["spec"]["holderIdentity"], "b");
    assert_eq!(lease()["spec"]["leaseTransitions"], 1);
    // One that does not hold it leaves it alone.
    let (third, _third_leads, third_ended) = campaign("c");
    third_ended.cancel();
    third.await.unwrap();
    assert_eq!(lease()["spec"]["holderIdentity"], "b");
    second_ended.cancel();
    second.await.unwrap();
}

/// What agents and API servers read: RFC 7468, one line feed a line.
#[test]
fn the_trust_bundle_is_written_as_pem() {
    let trust = TestTrust::generate();
    let pem = trust.credentials().bundle_pem.clone();
    assert_eq!(pem, trust.root.as_ref().pem());
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n"), "{pem}");
    assert!(pem.ends_with("\n-----END CERTIFICATE-----\n"), "{pem}");
    assert!(pem.lines().all(|line| line.len() <= 64) && !pem.contains('\r'), "{pem}");
}

#[tokio::test]
async fn two_that_write_at_once_are_told_by_the_conflict() {
    use k8s::controller::lease::{LeaseCandidate, ObservedLease};
    let api = ApiServer::start().await;
    let store: Arc<store::ObjectStore> = api.store.clone();
    let target = store::RequestTarget::of(
        "/apis/coordination.k8s.io/v1/namespaces/postern-system/leases/postern-controller",
    )
    .unwrap();
    let collection = store::RequestTarget { name: None, ..target.clone() };
    let mut a = LeaseCandidate::new("a".into());
    let mut b = LeaseCandidate::new("b".into());
    let at = Duration::from_secs(0);
    let now = MicroTime("2026-11-23T12:00:00Z".parse().unwrap());
    let write = |candidate: &mut LeaseCandidate, seen: Option<&ObservedLease>| {
        let step = candidate.step(at, seen);
        let lease = candidate.lease("postern-controller", "postern-system", &step, now.clone());
        serde_json::to_value(lease).unwrap()
    };
    let (from_a, from_b) = (write(&mut a, None), write(&mut b, None));
    assert_eq!(answers::create(&store, &collection, from_a).status(), 201);
    assert_eq!(answers::create(&store, &collection, from_b).status(), 409);
    let mut left =
        store.get(&collection.collection, "postern-system", "postern-controller").unwrap();
    left["spec"]["holderIdentity"] = "".into();
    let left = store.put_in(&collection.collection, left);
    let seen = ObservedLease::of(serde_json::from_value(left).unwrap());
    let (from_a, from_b) = (write(&mut a, Some(&seen)), write(&mut b, Some(&seen)));
    assert_eq!(answers::replace(&store, &target, from_b).status(), 200);
    assert_eq!(answers::replace(&store, &target, from_a).status(), 409);
}
