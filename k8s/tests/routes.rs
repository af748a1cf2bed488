//! Routes from the API server to the proxies, and what is said of them there.

use std::time::{Duration, Instant};

use api_server_stand_in::ApiServer;
use api_server_stand_in::objects::{namespace, service, shop};
use controller_harness::{Controller, Proxy, TestTrust, until};
use k8s::controller::index::{ObjectKind, PolicyKind};
use k8s::controller::leader;
use k8s::controller::parent_status::CONTROLLER_NAME;
use k8s::controller::service::TRAFFIC_TYPE;
use k8s::controller::shared::KindState;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::controller::scene;

const FRONTEND: &str = "spiffe://cluster.local/ns/shop/sa/frontend";
const HTTP_ROUTES: &str = "gateway.networking.k8s.io/v1/httproutes";

/// The proxy of `frontend`, which has asked how destinations are called.
async fn frontend(controller: &Controller, trust: &TestTrust) -> Proxy {
    let pod = ("frontend-1", "uid-frontend-1");
    let mut proxy = Proxy::connect(controller.address, trust, FRONTEND, pod).await.unwrap();
    proxy.hear().await.unwrap();
    proxy.ask_for(TRAFFIC_TYPE, &["*"]).await;
    proxy
}

/// A route of the Service `cart`, to a backend of the shop.
fn route(name: &str, backend: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "parentRefs": [parent()],
            "rules": [{"backendRefs": [{"name": backend, "port": 80}]}],
        },
    })
}

fn parent() -> Value {
    json!({"group": "", "kind": "Service", "name": "cart"})
}

#[tokio::test]
async fn a_service_is_told_after_its_routes() {
    let (api, trust, controller) = scene().await;
    api.put(route("split", "frontend"));
    until("the route", || controller.shared.index().unreported_route_count() > 0).await;
    let mut proxy = frontend(&controller, &trust).await;
    proxy.ask(&["10.96.0.1:80"]).await;
    proxy.hear().await.unwrap();
    assert!(proxy.traffic.contains_key("HTTPRoute/shop/split") && proxy.services.is_empty());
    proxy.hear().await.unwrap();
    assert!(proxy.services.contains_key("10.96.0.1:80"));
}

#[tokio::test]
async fn an_edit_of_a_route_reaches_its_callers_at_once() {
    let (api, trust, controller) = scene().await;
    let mut proxy = frontend(&controller, &trust).await;
    proxy.ask(&["cart"]).await;
    proxy.hear().await.unwrap();
    let name = "HTTPRoute/shop/split";
    for backend in ["cart", "frontend"] {
        let edited = Instant::now();
        api.put(route("split", backend));
        let leads = |proxy: &Proxy| {
            let route = proxy.traffic.get(name)?;
            Some(route["spec"]["rules"][0]["backendRefs"][0]["name"] == backend)
        };
        proxy.hear_until(|proxy| leads(proxy) == Some(true)).await;
        assert!(edited.elapsed() < Duration::from_secs(1), "{:?}", edited.elapsed());
    }
    api.delete(HTTP_ROUTES, "shop", "split");
    proxy.hear_until(|proxy| !proxy.traffic.contains_key(name)).await;
}

/// The newest version that the API server has; where that is taken away, the next, and nothing is lost.
#[tokio::test]
async fn a_kind_is_watched_in_a_version_that_is_there() {
    let api = ApiServer::start().await;
    shop(&api);
    let (newer, older) = ("v1/tcproutes", "v1alpha2/tcproutes");
    let group = |of: &str| format!("gateway.networking.k8s.io/{of}");
    api.store.set_absent(&group(newer), true);
    let tcp = |version: &str| {
        let mut route = route("bytes", "cart");
        route["apiVersion"] = group(version).into();
        route["kind"] = "TCPRoute".into();
        route
    };
    api.put(tcp("v1alpha2"));
    let trust = TestTrust::generate();
    let controller = Controller::start(&api, &trust).await;
    controller.synced().await;
    let mut proxy = frontend(&controller, &trust).await;
    proxy.ask(&["cart"]).await;
    let read_as =
        |proxy: &Proxy| Some(proxy.traffic.get("TCPRoute/shop/bytes")?["apiVersion"].clone());
    proxy.hear_until(|proxy| read_as(proxy) == Some(json!(group("v1alpha2")))).await;
    api.put(tcp("v1"));
    api.store.set_absent(&group(newer), false);
    api.store.set_absent(&group(older), true);
    api.store.disconnect();
    proxy.hear_until(|proxy| read_as(proxy) != Some(json!(group("v1alpha2")))).await;
    assert_eq!(read_as(&proxy), Some(json!(group("v1"))), "it was never gone");
    let kinds = controller.shared.kinds();
    assert_eq!(kinds[&ObjectKind::Policy(PolicyKind::TCPRoute)], KindState::Watched);
}

/// The controller of the harness, as the leader.
fn lead(controller: &Controller) -> watch::Sender<bool> {
    let (sender, leads) = watch::channel(true);
    let (client, shared) = (controller.client.clone(), controller.shared.clone());
    tokio::spawn(leader::write(client, shared, controller.credentials.subscribe(), leads));
    sender
}

fn conditions(api: &ApiServer, name: &str, controller: &str) -> Option<[String; 2]> {
    let object = api.get(HTTP_ROUTES, "shop", name)?;
    let parents = object["status"]["parents"].as_array()?.clone();
    let ours = parents.iter().find(|entry| entry["controllerName"] == controller)?;
    let told = |kind: &str| {
        let conditions = ours["conditions"].as_array().unwrap();
        let said = conditions.iter().find(|condition| condition["type"] == kind);
        said.map(|said| said["reason"].as_str().unwrap().to_owned()).unwrap_or_default()
    };
    Some([told("Accepted"), told("ResolvedRefs")])
}

#[tokio::test]
async fn a_route_is_answered_at_its_parent_beside_what_others_say() {
    let (api, _trust, controller) = scene().await;
    let _leads = lead(&controller);
    let mut shared = route("split", "cart");
    shared["status"] = json!({"parents": [{
        "parentRef": {"name": "edge"}, "controllerName": "example.com/gateway",
        "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted"}],
    }]});
    let theirs = shared["status"]["parents"][0].clone();
    api.put(shared.clone());
    let said = |name: &str| conditions(&api, name, CONTROLLER_NAME);
    let is = |name: &str, expect: [&str; 2]| said(name).is_some_and(|said| said == expect);
    until("the answer", || is("split", ["Accepted", "ResolvedRefs"])).await;
    let parents = || api.get(HTTP_ROUTES, "shop", "split").unwrap()["status"]["parents"].clone();
    assert_eq!(parents()[0], theirs);
    assert_eq!(parents()[1]["parentRef"], parent());
    assert_eq!(parents()[1]["conditions"][0]["observedGeneration"], 1);
    let since = parents()[1]["conditions"][0]["lastTransitionTime"].clone();

    // A backend that is not there, and comes.
    let mut edited = api.get(HTTP_ROUTES, "shop", "split").unwrap();
    edited["spec"]["rules"][0]["backendRefs"][0]["name"] = "later".into();
    api.put(edited);
    until("a missing backend", || is("split", ["Accepted", "BackendNotFound"])).await;
    assert_eq!(parents()[1]["conditions"][0]["observedGeneration"], 2);
    assert_eq!(parents()[1]["conditions"][0]["lastTransitionTime"], since, "it held all the time");
    api.put(service("shop", "later", "10.96.0.7", 80));
    until("the backend", || is("split", ["Accepted", "ResolvedRefs"])).await;

    // A backend of another namespace, which lets it in.
    api.put(namespace("bank", true));
    api.put(service("bank", "teller", "10.96.0.9", 80));
    let mut edited = api.get(HTTP_ROUTES, "shop", "split").unwrap();
    edited["spec"]["rules"][0]["backendRefs"][0] =
        json!({"name": "teller", "namespace": "bank", "port": 80});
    api.put(edited);
    until("no grant", || is("split", ["Accepted", "RefNotPermitted"])).await;
    api.put(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "ReferenceGrant",
        "metadata": {"name": "from-shop", "namespace": "bank"},
        "spec": {
            "from": [{
                "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop",
            }],
            "to": [{"group": "", "kind": "Service"}],
        },
    }));
    until("the grant", || is("split", ["Accepted", "ResolvedRefs"])).await;
    assert_eq!(parents()[0], theirs, "through all of it");

    // A mistake; and another parent in the place of ours.
    let mut mistaken = api.get(HTTP_ROUTES, "shop", "split").unwrap();
    mistaken["spec"]["rulse"] = json!([]);
    api.put(mistaken);
    until("the mistake", || is("split", ["UnsupportedValue", ""])).await;
    let mut elsewhere = api.get(HTTP_ROUTES, "shop", "split").unwrap();
    elsewhere["spec"].as_object_mut().unwrap().remove("rulse");
    elsewhere["spec"]["parentRefs"] = json!([{"name": "edge"}]);
    api.put(elsewhere);
    until("our entry to be gone", || said("split").is_none()).await;
    assert_eq!(parents(), json!([theirs]));
    until("rest", || controller.shared.index().unreported_route_count() == 0).await;
    let version = api.store.version();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(api.store.version(), version, "nothing is written twice");
}

/// Whoever writes over an old version is refused by the API server and writes again over what is there.
#[tokio::test]
async fn of_two_that_write_at_once_none_is_lost() {
    use k8s::controller::parent_status;
    let (api, _trust, controller) = scene().await;
    api.put(route("split", "cart"));
    let verdicts = || controller.shared.index().unreported_routes(|_, _| true, 9);
    until("the route", || verdicts().len() == 1).await;
    let stale = verdicts().remove(0);
    let mut shared = api.get(HTTP_ROUTES, "shop", "split").unwrap();
    let theirs = json!({"parentRef": {"name": "edge"}, "controllerName": "example.com/gateway"});
    shared["status"]["parents"] = json!([theirs]);
    api.put(shared);
    let refused = parent_status::write(&controller.client, &stale).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 409));
    let _leads = lead(&controller);
    let ours = || conditions(&api, "split", CONTROLLER_NAME);
    until("ours beside theirs", || ours().is_some()).await;
    let parents = api.get(HTTP_ROUTES, "shop", "split").unwrap()["status"]["parents"].clone();
    assert_eq!((parents.as_array().unwrap().len(), &parents[0]), (2, &theirs));
}

/// Its times are told with `--nocapture`; more routes and edits make a measurement of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "figures for whoever asks for them")]
async fn an_edit_of_one_route_among_many_reaches_its_proxy_while_others_are_edited() {
    const ROUTES: usize = 1200;
    const EDITS: usize = 20;
    let api = ApiServer::start().await;
    shop(&api);
    for number in 0..ROUTES {
        api.put(route(&format!("route-{number}"), "cart"));
    }
    let trust = TestTrust::generate();
    let controller = Controller::start(&api, &trust).await;
    let begun = Instant::now();
    controller.synced().await;
    let listed = || controller.shared.index().unreported_route_count() == ROUTES;
    until("the routes", listed).await;
    println!("{ROUTES} routes are read after {:?}", begun.elapsed());
    let begun = Instant::now();
    let mut proxy = frontend(&controller, &trust).await;
    proxy.ask(&["cart"]).await;
    proxy.hear_until(|proxy| proxy.services.contains_key("cart")).await;
    println!("a proxy that asks has {} after {:?}", proxy.traffic.len(), begun.elapsed());
    let mut others = Vec::new();
    for _ in 0..3 {
        let mut other = frontend(&controller, &trust).await;
        other.ask(&["cart"]).await;
        others.push(tokio::spawn(async move { while other.hear().await.is_ok() {} }));
    }
    let store = api.store.clone();
    let load = tokio::spawn(async move {
        for number in 0.. {
            let backend = if number % 2 == 0 { "frontend" } else { "cart" };
            store.put(route(&format!("route-{}", 100 + number % 1000), backend));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let mut took = Vec::new();
    for number in 0..EDITS {
        let backend = format!("cart-{number}");
        let edited = Instant::now();
        api.put(route("route-7", &backend));
        let leads = |proxy: &Proxy| {
            let route = &proxy.traffic["HTTPRoute/shop/route-7"];
            route["spec"]["rules"][0]["backendRefs"][0]["name"] == *backend
        };
        proxy.hear_until(leads).await;
        took.push(edited.elapsed());
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    load.abort();
    took.sort();
    println!(
        "an edit among 500 a second is told after {:?} (half), {:?} (all)",
        took[EDITS / 2],
        took[EDITS - 1]
    );
}
