//! Gateways from the API server to what runs them and to their proxies.

use std::time::Duration;

use api_server_stand_in::ApiServer;
use api_server_stand_in::objects::{namespace, pod, shop};
use controller_harness::{Controller, Proxy, TestTrust, until};
use k8s::controller::gateways::reconcile;
use k8s::controller::service::GATEWAY_TYPE;
use k8s::inject::InjectionSettings;
use k8s::inject::settings::{PullPolicy, TracingSettings};
use serde_json::{Value, json};
use tokio::sync::watch;

const EDGE: &str = "spiffe://cluster.local/ns/shop/sa/edge-postern";
const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

pub(crate) fn gateway_class() -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
        "metadata": {"name": "postern"},
        "spec": {"controllerName": "postern.dev/gateway"},
    })
}

/// The Gateway `edge` of the shop: HTTPS on 443, with the certificate `cert`.
pub(crate) fn gateway() -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "shop"},
        "spec": {
            "gatewayClassName": "postern",
            "listeners": [{
                "name": "https", "protocol": "HTTPS", "port": 443,
                "tls": {"certificateRefs": [{"name": "cert"}]},
            }],
        },
    })
}

pub(crate) fn secret(name: &str, certificate: &str, key: &str) -> Value {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": "shop"},
        "data": {"tls.crt": encode(certificate), "tls.key": encode(key)},
    })
}

/// A pod of the gateway `edge`.
pub(crate) fn edge_pod(name: &str) -> Value {
    let mut pod = pod("shop", name, "edge-postern", "10.1.0.7");
    pod["metadata"]["labels"] = json!({"gateway.networking.k8s.io/gateway-name": "edge"});
    pod
}

/// The shop, a class of ours, and a controller that has read it.
pub(crate) async fn edge_scene(objects: &[Value]) -> (ApiServer, TestTrust, Controller) {
    let api = ApiServer::start().await;
    shop(&api);
    api.put(gateway_class());
    objects.iter().for_each(|object| api.put(object.clone()));
    let trust = TestTrust::generate();
    let controller = Controller::start(&api, &trust).await;
    controller.synced().await;
    (api, trust, controller)
}

fn settings() -> InjectionSettings {
    InjectionSettings::of_control_plane(
        identity::TrustDomain::parse("cluster.local").unwrap(),
        "postern-system",
        "localhost/postern".to_owned(),
        PullPolicy::IfNotPresent,
        TracingSettings::default(),
    )
}

/// The controller of the harness, which leads as long as `true` was sent last.
pub(crate) fn reconcile(controller: &Controller, leads: bool) -> watch::Sender<bool> {
    let (sender, leads) = watch::channel(leads);
    let (client, shared) = (controller.client.clone(), controller.shared.clone());
    tokio::spawn(reconcile::follow(client, shared, settings(), leads));
    sender
}

async fn proxy_of(controller: &Controller, trust: &TestTrust, id: &str, pod: &str) -> Proxy {
    let uid = format!("uid-{pod}");
    let mut proxy = Proxy::connect(controller.address, trust, id, (pod, &uid)).await.unwrap();
    proxy.hear().await.unwrap();
    proxy.ask_for(GATEWAY_TYPE, &["*"]).await;
    proxy.hear_until(|proxy| proxy.gateway.is_some()).await;
    proxy
}

#[tokio::test]
async fn what_runs_a_gateway_is_made_by_the_leader() {
    let (api, _trust, controller) = edge_scene(&[gateway()]).await;
    let leads = reconcile(&controller, false);
    let deployment = || api.get("apps/v1/deployments", "shop", "edge-postern");
    let service = || api.get("v1/services", "shop", "edge-postern");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(deployment().is_none(), "another replica leads");
    leads.send_replace(true);
    until("its Service", || service().is_some()).await;
    let uid = api.get("gateway.networking.k8s.io/v1/gateways", "shop", "edge").unwrap();
    let made = deployment().unwrap();
    assert_eq!(made["metadata"]["ownerReferences"][0]["uid"], uid["metadata"]["uid"]);
    let account = api.get("v1/serviceaccounts", "shop", "edge-postern").unwrap();
    assert_eq!(account["automountServiceAccountToken"], false);
    assert_eq!(service().unwrap()["spec"]["ports"][0]["port"], 443);

    // An edit of listeners changes the Service alone.
    let version = || deployment().unwrap()["metadata"]["resourceVersion"].clone();
    let template = deployment().unwrap()["spec"]["template"].clone();
    let mut edited = gateway();
    let plain = json!({"name": "http", "protocol": "HTTP", "port": 80});
    edited["spec"]["listeners"].as_array_mut().unwrap().push(plain);
    api.put(edited.clone());
    let ports = || service().unwrap()["spec"]["ports"].as_array().unwrap().len();
    until("its second port", || ports() == 2).await;
    assert_eq!(deployment().unwrap()["spec"]["template"], template);

    // What is in place is not written again.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = (version(), api.store.version());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((version(), api.store.version()), before, "nothing is written twice");

    // One that is no longer ours leaves nothing behind; what others have made under such a name stays.
    let mut theirs = made.clone();
    theirs["metadata"]["name"] = "old-postern".into();
    theirs["metadata"]["annotations"] = json!({});
    api.put(theirs);
    edited["spec"]["gatewayClassName"] = "another".into();
    api.put(edited);
    until("nothing to be left", || deployment().is_none() && service().is_none()).await;
    until("its account to go", || api.get("v1/serviceaccounts", "shop", "edge-postern").is_none())
        .await;
    assert!(api.get("apps/v1/deployments", "shop", "old-postern").is_some());
}

#[tokio::test]
async fn a_rotated_certificate_reaches_the_gateways_proxies_and_nobody_else() {
    let objects = [gateway(), secret("cert", "first", "key one"), edge_pod("edge-1")];
    let (api, trust, controller) = edge_scene(&objects).await;
    let mut edge = proxy_of(&controller, &trust, EDGE, "edge-1").await;
    let mut cart = proxy_of(&controller, &trust, CART, "cart-1").await;
    let names = |proxy: &Proxy| proxy.gateway.as_ref().unwrap().keys().cloned().collect::<Vec<_>>();
    let expect =
        ["Gateway/shop/edge", "GatewayClass//postern", "Namespace/shop", "Secret/shop/cert"];
    assert_eq!(names(&edge), expect);
    assert!(names(&cart).is_empty(), "it is told that there is nothing for it");
    api.put(secret("cert", "second", "key two"));
    let data = |proxy: &Proxy| {
        proxy.gateway.as_ref().unwrap()["Secret/shop/cert"]["data"]["tls.crt"].clone()
    };
    let second = secret("", "second", "")["data"]["tls.crt"].clone();
    edge.hear_until(|proxy| data(proxy) == second).await;
    cart.ask(&["frontend"]).await;
    cart.hear().await.unwrap();
    assert!(names(&cart).is_empty() && cart.services.contains_key("frontend"));
    api.delete("v1/secrets", "shop", "cert");
    edge.hear_until(|proxy| !names(proxy).contains(&"Secret/shop/cert".to_owned())).await;
}

/// A Secret of another type is not even asked for.
#[tokio::test]
async fn other_secrets_are_not_watched() {
    let mut password = secret("cert", "a", "hunter2");
    password["type"] = "Opaque".into();
    let (_api, trust, controller) = edge_scene(&[gateway(), password, edge_pod("edge-1")]).await;
    let edge = proxy_of(&controller, &trust, EDGE, "edge-1").await;
    assert!(!edge.gateway.unwrap().contains_key("Secret/shop/cert"));
}

#[tokio::test]
async fn a_namespace_with_a_gateway_gets_the_trust_bundle() {
    use k8s::controller::{leader, trust_bundle};
    let (api, _trust, controller) = edge_scene(&[]).await;
    api.put(namespace("edges", false));
    let mut elsewhere = gateway();
    elsewhere["metadata"]["namespace"] = "edges".into();
    api.put(elsewhere);
    let (_leads, leads) = watch::channel(true);
    let (client, shared) = (controller.client.clone(), controller.shared.clone());
    tokio::spawn(leader::write(client, shared, controller.credentials.subscribe(), leads));
    let bundle = || api.get("v1/configmaps", "edges", trust_bundle::CONFIG_MAP);
    until("the bundle", || bundle().is_some()).await;
}

/// Who may write Gateways takes over nothing by naming them.
#[tokio::test]
async fn what_others_have_made_is_not_taken_over() {
    let theirs = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "edge-postern", "namespace": "shop", "labels": {"app": "theirs"}},
    });
    let (api, _trust, controller) = edge_scene(&[theirs]).await;
    let account = || api.get("v1/serviceaccounts", "shop", "edge-postern").unwrap();
    let before = account();
    let _leads = reconcile(&controller, true);
    let mut second = gateway();
    second["metadata"]["name"] = "second".into();
    api.put(gateway());
    api.put(second);
    until("the other gateway", || api.get("v1/services", "shop", "second-postern").is_some()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(account(), before);
    assert!(api.get("apps/v1/deployments", "shop", "edge-postern").is_none());
}
