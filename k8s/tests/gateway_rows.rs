//! More rows of the Gateway API's conformance suite (v1.6.1), by its names: what only the API server can show.

use api_server_stand_in::ApiServer;
use controller_harness::until;
use serde_json::{Value, json};

use crate::gateways::{edge_scene, gateway, reconcile};

const V1: &str = "gateway.networking.k8s.io/v1";

/// A Gateway of the shop, in the clear, with these keys in its spec.
fn plain(more: Value) -> Value {
    let mut gateway = gateway();
    gateway["spec"]["listeners"] = json!([{"name": "http", "protocol": "HTTP", "port": 80}]);
    for (key, value) in more.as_object().into_iter().flatten() {
        gateway["spec"][key] = value.clone();
    }
    gateway
}

/// The generation of which all conditions speak.
fn generation(conditions: &Value) -> Option<i64> {
    let all = conditions.as_array()?.iter().map(|of| of["observedGeneration"].as_i64());
    let all: Vec<i64> = all.collect::<Option<_>>()?;
    all.first().copied().filter(|first| all.iter().all(|of| of == first))
}

fn condition(conditions: &Value, kind: &str) -> String {
    let found = conditions.as_array().into_iter().flatten().find(|of| of["type"] == kind);
    found.map(|of| of["status"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
}

fn edge(api: &ApiServer) -> Value {
    api.get(&format!("{V1}/gateways"), "shop", "edge").unwrap_or_default()
}

/// GatewayClassObservedGenerationBump.
#[tokio::test]
async fn a_class_is_accepted_anew() {
    let (api, _trust, controller) = edge_scene(&[]).await;
    let _leads = reconcile(&controller, true);
    let class = || api.get(&format!("{V1}/gatewayclasses"), "", "postern").unwrap();
    let of_class = || generation(&class()["status"]["conditions"]);
    until("the first generation", || of_class() == Some(1)).await;
    let mut edited = class();
    edited["spec"]["description"] = "new".into();
    api.put(edited);
    until("the second", || of_class() == Some(2)).await;
    assert_eq!(condition(&class()["status"]["conditions"], "Accepted"), "True");
}

/// BackendTLSPolicyObservedGenerationBump.
#[tokio::test]
async fn a_policy_of_a_backend_is_accepted_anew() {
    let route = json!({
        "apiVersion": V1, "kind": "HTTPRoute",
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {
            "parentRefs": [{"name": "edge"}],
            "rules": [{"backendRefs": [{"name": "cart", "port": 80}]}],
        },
    });
    let policy = json!({
        "apiVersion": V1, "kind": "BackendTLSPolicy",
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {
            "targetRefs": [{"group": "", "kind": "Service", "name": "cart"}],
            "validation": {"wellKnownCACertificates": "System", "hostname": "cart.example"},
        },
    });
    let (api, _trust, controller) = edge_scene(&[plain(json!({})), route, policy]).await;
    let _leads = reconcile(&controller, true);
    let policy = || api.get(&format!("{V1}/backendtlspolicies"), "shop", "cart").unwrap();
    let conditions = || policy()["status"]["ancestors"][0]["conditions"].clone();
    until("the first generation", || generation(&conditions()) == Some(1)).await;
    let mut edited = policy();
    edited["spec"]["validation"]["hostname"] = "other.example".into();
    api.put(edited);
    until("the second", || generation(&conditions()) == Some(2)).await;
    assert_eq!(condition(&conditions(), "Accepted"), "True");
}

/// GatewayInfrastructure.
#[tokio::test]
async fn what_runs_a_gateway_has_its_labels_and_annotations() {
    let own = json!({"labels": {"key2": "value2"}, "annotations": {"key1": "value1"}});
    let (api, _trust, controller) = edge_scene(&[plain(json!({"infrastructure": own}))]).await;
    let _leads = reconcile(&controller, true);
    let made = |kind: &str| api.get(kind, "shop", "edge-postern");
    until("its Service", || made("v1/services").is_some()).await;
    for kind in ["v1/serviceaccounts", "v1/services", "apps/v1/deployments"] {
        let object = made(kind).unwrap();
        let pods = &object["spec"]["template"]["metadata"];
        for metadata in [&object["metadata"], pods].into_iter().filter(|one| !one.is_null()) {
            let labels = &metadata["labels"];
            assert_eq!(labels["gateway.networking.k8s.io/gateway-name"], "edge", "{kind}");
            assert_eq!(labels["key2"], "value2", "{kind}: {metadata}");
            assert_eq!(metadata["annotations"]["key1"], "value1", "{kind}: {metadata}");
        }
    }
    until("it to be accepted", || {
        condition(&edge(&api)["status"]["conditions"], "Accepted") == "True"
    })
    .await;
}

/// GatewayOptionalAddressValue: any address will do.
#[tokio::test]
async fn a_gateway_that_asks_for_any_address_gets_one() {
    let any = json!({"addresses": [{"type": "IPAddress"}]});
    let (api, _trust, controller) = edge_scene(&[plain(any)]).await;
    let _leads = reconcile(&controller, true);
    until("its Service", || api.get("v1/services", "shop", "edge-postern").is_some()).await;
    let mut service = api.get("v1/services", "shop", "edge-postern").unwrap();
    service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}});
    api.put(service);
    let address = json!([{"type": "IPAddress", "value": "192.0.2.7"}]);
    until("the address", || edge(&api)["status"]["addresses"] == address).await;
    assert_eq!(condition(&edge(&api)["status"]["conditions"], "Accepted"), "True");
}
