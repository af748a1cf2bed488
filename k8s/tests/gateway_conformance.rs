//! What is said of gateways and of what is attached to them: rows of the Gateway API's conformance suite (v1.6.1), by its
//! names, from the objects in the API server to the statuses there.

use std::collections::BTreeMap;

use api_server_stand_in::ApiServer;
use api_server_stand_in::objects::{namespace, service};
use controller_harness::until;
use serde_json::{Value, json};

use crate::gateways::{edge_scene, gateway, gateway_class, reconcile, secret};

const V1: &str = "gateway.networking.k8s.io/v1";
const OURS: &str = "postern.dev/gateway";

/// A certificate of its own, with its key.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["shop.example".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn good_secret() -> Value {
    let (certificate, key) = certificate();
    secret("cert", &certificate, &key)
}

/// A Gateway of the shop with these listeners.
fn with(listeners: Value) -> Value {
    let mut gateway = gateway();
    gateway["spec"]["listeners"] = listeners;
    gateway
}

fn plain(name: &str, port: u16) -> Value {
    json!({"name": name, "protocol": "HTTP", "port": port})
}

fn https(certificate: Value) -> Value {
    json!({"name": "https", "protocol": "HTTPS", "port": 443, "tls": {"certificateRefs": [certificate]}})
}

fn route(namespace: &str, name: &str, parent: Value, backend: Value) -> Value {
    json!({
        "apiVersion": V1, "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"parentRefs": [parent], "rules": [{"backendRefs": [backend]}]},
    })
}

fn to_edge() -> Value {
    json!({"name": "edge", "namespace": "shop"})
}

fn cart() -> Value {
    json!({"name": "cart", "port": 80})
}

fn grant(from: (&str, &str), to: Value) -> Value {
    json!({
        "apiVersion": V1, "kind": "ReferenceGrant",
        "metadata": {"name": "grant", "namespace": "bank"},
        "spec": {
            "from": [{"group": "gateway.networking.k8s.io", "kind": from.0, "namespace": from.1}],
            "to": [to],
        },
    })
}

/// As if a Deployment had its replicas, and a load balancer its address.
fn bring_up(api: &ApiServer) {
    if let Some(mut made) = api.get("apps/v1/deployments", "shop", "edge-postern") {
        made["status"] = json!({"availableReplicas": 2});
        api.put(made);
    }
    if let Some(mut made) = api.get("v1/services", "shop", "edge-postern") {
        made["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}});
        api.put(made);
    }
}

/// `Type=Status/Reason` of each condition, in the order of the alphabet.
fn told(conditions: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let conditions = conditions.as_array().into_iter().flatten();
    let mut told: Vec<String> = conditions
        .map(|of| format!("{}={}/{}", text(&of["type"]), text(&of["status"]), text(&of["reason"])))
        .collect();
    told.sort();
    told
}

fn status(api: &ApiServer, plural: &str, namespace: &str, name: &str) -> Value {
    let object = api.get(&format!("{V1}/{plural}"), namespace, name);
    object.map(|object| object["status"].clone()).unwrap_or_default()
}

/// What is said of a listener of the Gateway `edge`.
fn listener(api: &ApiServer, name: &str) -> Value {
    let status = status(api, "gateways", "shop", "edge");
    let listeners = status["listeners"].as_array().cloned().unwrap_or_default();
    listeners.into_iter().find(|listener| listener["name"] == name).unwrap_or_default()
}

/// What is said of a route at its first parent that is ours.
fn parent(api: &ApiServer, namespace: &str, name: &str) -> Value {
    let status = status(api, "httproutes", namespace, name);
    let parents = status["parents"].as_array().cloned().unwrap_or_default();
    parents.into_iter().find(|entry| entry["controllerName"] == OURS).unwrap_or_default()
}

/// Where a row looks.
enum At {
    Gateway,
    Listener(&'static str),
    Route(&'static str, &'static str),
}

/// The condition that is looked at, as [`told`] has it.
fn found(api: &ApiServer, at: &At, kind: &str) -> Option<String> {
    let conditions = match at {
        At::Gateway => status(api, "gateways", "shop", "edge")["conditions"].clone(),
        At::Listener(name) => listener(api, name)["conditions"].clone(),
        At::Route(namespace, name) => parent(api, namespace, name)["conditions"].clone(),
    };
    told(&conditions).into_iter().find(|condition| condition.starts_with(kind))
}

struct Row {
    test: &'static str,
    objects: Vec<Value>,
    expect: Vec<(At, &'static str)>,
}

fn rows() -> Vec<Row> {
    let row = |test, objects, expect| Row { test, objects, expect };
    let secret_of_bank = || json!({"name": "cert", "namespace": "bank"});
    let in_bank = |mut object: Value| {
        object["metadata"]["namespace"] = "bank".into();
        object
    };
    let teller = || json!({"name": "teller", "namespace": "bank", "port": 80});
    let any = |kind: &str| json!({"group": "", "kind": kind});
    vec![
        row(
            "HTTPRouteSimpleSameNamespace",
            vec![with(json!([plain("http", 80)])), route("shop", "cart", to_edge(), cart())],
            vec![
                (At::Gateway, "Accepted=True/Accepted"),
                (At::Gateway, "Programmed=True/Programmed"),
                (At::Listener("http"), "Accepted=True/Accepted"),
                (At::Listener("http"), "ResolvedRefs=True/ResolvedRefs"),
                (At::Route("shop", "cart"), "Accepted=True/Accepted"),
                (At::Route("shop", "cart"), "ResolvedRefs=True/ResolvedRefs"),
            ],
        ),
        row(
            "HTTPRouteHTTPSListener",
            vec![with(json!([https(json!({"name": "cert"}))])), good_secret()],
            vec![
                (At::Listener("https"), "ResolvedRefs=True/ResolvedRefs"),
                (At::Listener("https"), "Programmed=True/Programmed"),
            ],
        ),
        row(
            "GatewayInvalidTLSConfiguration: nonexistent secret",
            vec![with(json!([https(json!({"name": "missing"}))]))],
            vec![(At::Listener("https"), "ResolvedRefs=False/InvalidCertificateRef")],
        ),
        row(
            "GatewayInvalidTLSConfiguration: unsupported group",
            vec![
                with(json!([https(json!({"name": "cert", "group": "wrong.group"}))])),
                good_secret(),
            ],
            vec![(At::Listener("https"), "ResolvedRefs=False/InvalidCertificateRef")],
        ),
        row(
            "GatewayInvalidTLSConfiguration: unsupported kind",
            vec![with(json!([https(json!({"name": "cert", "kind": "WrongKind"}))])), good_secret()],
            vec![(At::Listener("https"), "ResolvedRefs=False/InvalidCertificateRef")],
        ),
        row(
            "GatewayInvalidTLSConfiguration: malformed secret",
            vec![
                with(json!([https(json!({"name": "cert"}))])),
                secret("cert", "Hello world", "no key"),
            ],
            vec![(At::Listener("https"), "ResolvedRefs=False/InvalidCertificateRef")],
        ),
        row(
            "GatewaySecretMissingReferenceGrant",
            vec![with(json!([https(secret_of_bank())])), in_bank(good_secret())],
            vec![(At::Listener("https"), "ResolvedRefs=False/RefNotPermitted")],
        ),
        row(
            "GatewaySecretInvalidReferenceGrant",
            vec![
                with(json!([https(secret_of_bank())])),
                in_bank(good_secret()),
                grant(("Gateway", "elsewhere"), any("Secret")),
            ],
            vec![(At::Listener("https"), "ResolvedRefs=False/RefNotPermitted")],
        ),
        row(
            "GatewaySecretReferenceGrantAllInNamespace",
            vec![
                with(json!([https(secret_of_bank())])),
                in_bank(good_secret()),
                grant(("Gateway", "shop"), any("Secret")),
            ],
            vec![(At::Listener("https"), "ResolvedRefs=True/ResolvedRefs")],
        ),
        row(
            "GatewayInvalidRouteKind",
            vec![{
                let mut listener = plain("http", 80);
                listener["allowedRoutes"] = json!({"kinds": [{"kind": "InvalidRoute"}]});
                with(json!([listener]))
            }],
            vec![(At::Listener("http"), "ResolvedRefs=False/InvalidRouteKinds")],
        ),
        row(
            "GatewayListenerUnsupportedProtocol",
            vec![with(json!([plain("http", 80), {"name": "odd", "protocol": "UDP", "port": 53}]))],
            vec![
                (At::Listener("odd"), "Accepted=False/UnsupportedProtocol"),
                (At::Gateway, "Accepted=True/ListenersNotValid"),
            ],
        ),
        row(
            "HTTPRouteInvalidCrossNamespaceParentRef",
            vec![with(json!([plain("http", 80)])), route("bank", "cart", to_edge(), teller())],
            vec![(At::Route("bank", "cart"), "Accepted=False/NotAllowedByListeners")],
        ),
        row(
            "HTTPRouteInvalidParentRefNotMatchingSectionName",
            vec![
                with(json!([plain("http", 80)])),
                route("shop", "cart", json!({"name": "edge", "sectionName": "none"}), cart()),
            ],
            vec![(At::Route("shop", "cart"), "Accepted=False/NoMatchingParent")],
        ),
        row(
            "HTTPRouteInvalidCrossNamespaceBackendRef",
            vec![with(json!([plain("http", 80)])), route("shop", "cart", to_edge(), teller())],
            vec![(At::Route("shop", "cart"), "ResolvedRefs=False/RefNotPermitted")],
        ),
        row(
            "HTTPRouteReferenceGrant",
            vec![
                with(json!([plain("http", 80)])),
                route("shop", "cart", to_edge(), teller()),
                grant(("HTTPRoute", "shop"), any("Service")),
            ],
            vec![(At::Route("shop", "cart"), "ResolvedRefs=True/ResolvedRefs")],
        ),
        row(
            "HTTPRouteInvalidReferenceGrant",
            vec![
                with(json!([plain("http", 80)])),
                route("shop", "cart", to_edge(), teller()),
                grant(("HTTPRoute", "elsewhere"), any("Service")),
            ],
            vec![(At::Route("shop", "cart"), "ResolvedRefs=False/RefNotPermitted")],
        ),
        row(
            "HTTPRouteInvalidNonExistentBackendRef",
            vec![
                with(json!([plain("http", 80)])),
                route("shop", "cart", to_edge(), json!({"name": "nobody", "port": 80})),
            ],
            vec![(At::Route("shop", "cart"), "ResolvedRefs=False/BackendNotFound")],
        ),
        row(
            "HTTPRouteInvalidBackendRefUnknownKind",
            vec![
                with(json!([plain("http", 80)])),
                route(
                    "shop",
                    "cart",
                    to_edge(),
                    json!({"name": "cart", "kind": "NonExistent", "port": 80}),
                ),
            ],
            vec![(At::Route("shop", "cart"), "ResolvedRefs=False/InvalidKind")],
        ),
        row(
            "HTTPRouteHostnameIntersection: none",
            vec![
                {
                    let mut listener = plain("http", 80);
                    listener["hostname"] = "very.specific.com".into();
                    with(json!([listener]))
                },
                {
                    let mut other = route("shop", "cart", to_edge(), cart());
                    other["spec"]["hostnames"] = json!(["specific.but.wrong.com"]);
                    other
                },
            ],
            vec![(At::Route("shop", "cart"), "Accepted=False/NoMatchingListenerHostname")],
        ),
        row(
            "a mistake of the route, told at its parent",
            vec![with(json!([plain("http", 80)])), {
                let mut mistaken = route("shop", "cart", to_edge(), cart());
                mistaken["spec"]["rulse"] = json!([]);
                mistaken
            }],
            vec![(At::Route("shop", "cart"), "Accepted=False/UnsupportedValue")],
        ),
        row(
            "a mistake of the Gateway",
            vec![with(json!([{"name": "http", "protocol": "HTTP", "port": 80, "prot": 1}]))],
            vec![
                (At::Gateway, "Accepted=False/Invalid"),
                (At::Gateway, "Programmed=False/Invalid"),
            ],
        ),
        row(
            "an annotation that is not understood",
            vec![{
                let mut mistaken = with(json!([plain("http", 80)]));
                let annotations = json!({"postern.dev/replicas": "many"});
                mistaken["spec"]["infrastructure"] = json!({"annotations": annotations});
                mistaken
            }],
            vec![(At::Gateway, "Accepted=False/InvalidParameters")],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statuses_by_the_names_of_the_conformance_suite() {
    for Row { test, mut objects, expect } in rows() {
        objects.extend([namespace("bank", true), service("bank", "teller", "10.96.0.9", 80)]);
        let (api, _trust, controller) = edge_scene(&objects).await;
        let _leads = reconcile(&controller, true);
        let watched = api.clone();
        // As a cluster would: whatever is made comes up.
        let cluster = tokio::spawn(async move {
            let mut up = BTreeMap::new();
            loop {
                for (plural, group) in [("deployments", "apps/v1"), ("services", "v1")] {
                    let made = watched.get(&format!("{group}/{plural}"), "shop", "edge-postern");
                    let is_new = made.is_some_and(|made| made["status"].is_null());
                    if is_new && up.insert(plural, ()).is_none() {
                        bring_up(&watched);
                    }
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
        for (at, condition) in &expect {
            let (kind, _) = condition.split_once('=').unwrap();
            let is_so = || found(&api, at, &format!("{kind}=")).as_deref() == Some(*condition);
            let begun = std::time::Instant::now();
            while !is_so() {
                assert!(
                    begun.elapsed() < std::time::Duration::from_secs(10),
                    "{test}: found {:?}, expected {condition}",
                    found(&api, at, &format!("{kind}="))
                );
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
        cluster.abort();
    }
}

/// The class says what there is, and each status of which generation it speaks.
#[tokio::test]
async fn observed_generations_follow_and_classes_are_accepted() {
    let objects = [with(json!([plain("http", 80)])), route("shop", "cart", to_edge(), cart())];
    let (api, _trust, controller) = edge_scene(&objects).await;
    let _leads = reconcile(&controller, true);
    let class = || status(&api, "gatewayclasses", "", "postern");
    until("the class", || {
        told(&class()["conditions"]).contains(&"Accepted=True/Accepted".to_owned())
    })
    .await;
    let features = class()["supportedFeatures"].as_array().unwrap().clone();
    assert!(features.contains(&json!({"name": "HTTPRoute"})), "{features:?}");

    // GatewayObservedGenerationBump, HTTPRouteObservedGenerationBump
    let generation = |conditions: &Value| {
        let all: Vec<i64> = conditions
            .as_array()
            .into_iter()
            .flatten()
            .map(|of| of["observedGeneration"].as_i64().unwrap_or_default())
            .collect();
        all.first().copied().filter(|first| all.iter().all(|of| of == first))
    };
    let of_gateway = || generation(&status(&api, "gateways", "shop", "edge")["conditions"]);
    let of_route = || generation(&parent(&api, "shop", "cart")["conditions"]);
    until("the first generation", || of_gateway() == Some(1) && of_route() == Some(1)).await;
    let mut edited = api.get(&format!("{V1}/gateways"), "shop", "edge").unwrap();
    edited["spec"]["listeners"].as_array_mut().unwrap().push(plain("more", 8080));
    api.put(edited);
    let mut edited = api.get(&format!("{V1}/httproutes"), "shop", "cart").unwrap();
    edited["spec"]["hostnames"] = json!(["shop.example"]);
    api.put(edited);
    until("the second", || of_gateway() == Some(2) && of_route() == Some(2)).await;
    assert_eq!(generation(&listener(&api, "more")["conditions"]), Some(2));

    // GatewayWithAttachedRoutes
    until("the count", || listener(&api, "http")["attachedRoutes"] == 1).await;
    api.delete(&format!("{V1}/httproutes"), "shop", "cart");
    until("none", || listener(&api, "http")["attachedRoutes"] == 0).await;

    // GatewayStatusAddress
    bring_up(&api);
    let address = json!([{"type": "IPAddress", "value": "192.0.2.7"}]);
    until("the address", || status(&api, "gateways", "shop", "edge")["addresses"] == address).await;

    // What is said is not said again.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let version = api.store.version();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(api.store.version(), version);
}

#[tokio::test]
async fn what_other_controllers_say_stays() {
    let theirs = json!({
        "parentRef": {"name": "other"}, "controllerName": "example.com/gateway",
        "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted"}],
    });
    let mut shared = route("shop", "cart", to_edge(), cart());
    let service = json!({"group": "", "kind": "Service", "name": "cart"});
    shared["spec"]["parentRefs"]
        .as_array_mut()
        .unwrap()
        .extend([json!({"name": "other"}), service]);
    shared["status"] = json!({"parents": [theirs]});
    let mut edge = with(json!([plain("http", 80)]));
    let odd = json!({"type": "example.com/Odd", "status": "True", "reason": "Odd"});
    edge["status"] = json!({"conditions": [odd]});
    // A Gateway of another class, and a route that is attached there alone, are nobody's of ours.
    let mut other = with(json!([plain("http", 80)]));
    other["metadata"]["name"] = "other".into();
    other["spec"]["gatewayClassName"] = "other".into();
    let mut elsewhere = gateway_class();
    elsewhere["metadata"]["name"] = "other".into();
    elsewhere["spec"]["controllerName"] = "example.com/gateway".into();
    let alone = route("shop", "alone", json!({"name": "other"}), cart());
    let objects = [edge, shared, other, elsewhere, alone];
    let (api, _trust, controller) = edge_scene(&objects).await;
    let _leads = reconcile(&controller, true);
    let (_of_services, leads) = tokio::sync::watch::channel(true);
    let (client, known) = (controller.client.clone(), controller.shared.clone());
    let credentials = controller.credentials.subscribe();
    tokio::spawn(k8s::controller::leader::write(client, known, credentials, leads));
    let parents = || {
        status(&api, "httproutes", "shop", "cart")["parents"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    until("three answers", || parents().len() == 3).await;
    assert!(parents().contains(&theirs));
    let by =
        |controller: &str| parents().iter().filter(|of| of["controllerName"] == controller).count();
    assert_eq!((by(OURS), by("postern.dev/controller")), (1, 1));
    until("the gateway", || {
        told(&status(&api, "gateways", "shop", "edge")["conditions"]).len() > 1
    })
    .await;
    let conditions =
        status(&api, "gateways", "shop", "edge")["conditions"].as_array().unwrap().clone();
    assert!(conditions.contains(&odd), "{conditions:?}");
    for (plural, name) in [("gateways", "other"), ("httproutes", "alone")] {
        assert_eq!(status(&api, plural, "shop", name), Value::Null, "{plural} {name}");
    }
    assert_eq!(status(&api, "gatewayclasses", "", "other"), Value::Null);
}
