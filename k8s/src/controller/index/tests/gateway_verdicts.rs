//! What is said of what gateways do not serve.

use super::gateways::{GROUP, attached, edge, https, listener_set, scene};
use super::*;
use crate::controller::gateways::review::ReadDocuments;

const TO_SHOP: [(&str, &str); 2] = [("name", "edge"), ("namespace", "shop")];

/// `type: reason` of the conditions that do not hold, by the object's name.
fn refusals(index: &Index) -> BTreeMap<String, Vec<String>> {
    let reviewed = index.reviewed_gateways();
    let mut read = ReadDocuments::new("postern-system");
    read.take(&reviewed.documents);
    let review = read.review(&reviewed, &index.status_facts());
    let now = "2026-11-01T00:00:00Z".parse().unwrap();
    let of_one = |status: &Value| {
        let conditions = match &status["ancestors"] {
            Value::Null => status["conditions"].clone(),
            ancestors => {
                assert_eq!(ancestors[0]["ancestorRef"]["name"], "edge");
                ancestors[0]["conditions"].clone()
            }
        };
        let failing = conditions.as_array().unwrap().clone().into_iter();
        let failing = failing.filter(|condition| condition["status"] == "False");
        let told =
            failing.map(|condition| format!("{}: {}", condition["type"], condition["reason"]));
        told.map(|told| told.replace('"', "")).collect::<Vec<_>>()
    };
    let writes = index.gateway_statuses(&review, now).into_iter();
    writes.map(|write| (write.name.to_string(), of_one(&write.status))).collect()
}

/// The gateway runs, and shows any certificate.
fn running() -> Index {
    let mut index = index(scene());
    let mut http = https("shop", "cert");
    http["protocol"] = "HTTP".into();
    http.as_object_mut().unwrap().remove("tls");
    index.apply(edge(json!([http])));
    let made = Deployment { applied: None, available: 1 };
    index.apply(Event::Deployment(name("shop", "edge-postern"), Some(made)));
    index.apply(service("shop", "edge-postern", "192.0.2.1", 443));
    index
}

#[test]
fn a_listener_set_that_is_not_served_is_told_why() {
    let set = || listener_set("bank", "extra");
    let named = "ListenerSet/bank/extra";
    let broken = |kind: PolicyKind, of: &str| {
        let targets = json!([{"group": GROUP, "kind": "ListenerSet", "name": of}]);
        policy(kind, "bank", "p", &json!({"targetRefs": targets}))
    };
    let parent: Value = TO_SHOP.into_iter().collect();
    let mistaken = json!({"parentRef": parent, "listeners": [], "mistake": 1});
    let both = |reason: &str| [format!("Accepted: {reason}"), format!("Programmed: {reason}")];
    for (row, events, expect) in [
        ("without a mistake", vec![set()], vec![]),
        ("closed", vec![set(), broken(PolicyKind::ApiKeyPolicy, "extra")], both("Invalid").into()),
        ("keys of another", vec![set(), broken(PolicyKind::ApiKeyPolicy, "other")], vec![]),
        (
            "never without a mistake",
            vec![policy(PolicyKind::ListenerSet, "bank", "extra", &mistaken)],
            both("Invalid").into(),
        ),
        (
            "of a gateway with a mistake",
            vec![model::without(edge(json!([]))), edge(json!([])), set()],
            vec!["Accepted: ParentNotAccepted".into(), "Programmed: ParentNotProgrammed".into()],
        ),
    ] {
        let mut index = running();
        let before = index.gateway_revision();
        for event in events {
            index.apply(event);
        }
        assert!(index.gateway_revision() > before, "{row}");
        assert_eq!(refusals(&index).get(named), Some(&expect), "{row}");
    }
    let mut index = running();
    for number in 10..75 {
        index.apply(listener_set("bank", &format!("set-{number}")));
    }
    let refusals = refusals(&index);
    let beyond = "ListenerSet/bank/set-74";
    assert_eq!(refusals[beyond], both("NotAllowed"), "there is room for 64");
}

#[test]
fn a_policy_of_a_backend_is_told_its_mistakes_at_the_gateway() {
    let mut index = running();
    let parent: Value = TO_SHOP.into_iter().collect();
    index.apply(attached("shop", "cart", parent, ("shop", "cart")));
    let targets = |of: &str| json!({"targetRefs": [{"group": "", "kind": "Service", "name": of}]});
    index.apply(policy(PolicyKind::BackendTLSPolicy, "shop", "p", &targets("cart")));
    index.apply(policy(PolicyKind::BackendTLSPolicy, "shop", "unused", &targets("pay")));
    let refusals = refusals(&index);
    assert_eq!(refusals["BackendTLSPolicy/shop/p"], ["Accepted: Invalid"]);
    assert!(!refusals.contains_key("BackendTLSPolicy/shop/unused"), "no gateway's");
}

/// Its Gateways are not made; what runs already goes on.
#[test]
fn the_gateways_of_a_class_that_is_not_accepted_are_not_made() {
    let mut index = running();
    assert_eq!(index.gateways_to_run(&BTreeMap::new()).len(), 1);
    let parameters = json!({"group": "", "kind": "ConfigMap", "name": "p"});
    let spec = json!({"controllerName": "postern.dev/gateway", "parametersRef": parameters});
    index.apply(policy(PolicyKind::GatewayClass, "", "postern", &spec));
    let refusals = refusals(&index);
    assert_eq!(refusals["GatewayClass//postern"], ["Accepted: InvalidParameters"]);
    assert_eq!(refusals["Gateway/shop/edge"], ["Accepted: Invalid"]);
    assert!(index.gateways_to_run(&BTreeMap::new()).is_empty());
    assert!(index.unwanted_objects().is_empty());
}
