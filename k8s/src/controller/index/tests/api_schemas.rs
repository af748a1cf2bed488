//! Who is told of an ApiSchema: the sidecars that it selects, and the proxies of the gateways that it names.

use super::gateways::{GROUP, attached, listener_set, scene, to_edge};
use super::*;

fn schema(namespace: &str, scope: &Value) -> Event {
    let mut spec = scope.clone();
    spec["document"] = json!({"path": "/etc/postern/api.yaml"});
    policy(PolicyKind::ApiSchema, namespace, "api", &spec)
}

fn names(index: &Index, of: &str) -> Vec<String> {
    let mut subscriber = Subscriber::new(name("shop", of), of.into());
    subscriber.ask_policies(HashMap::new());
    let changed = index.delta(&mut subscriber).unwrap().policies.unwrap().changed;
    changed.into_iter().map(|(name, _)| name).filter(|name| name.starts_with("ApiSchema")).collect()
}

#[test]
fn an_api_schema_is_told_to_whom_it_is_about() {
    let targets = |kind: &str, name: &str| json!({"targetRefs": [{"group": GROUP, "kind": kind, "name": name}]});
    let (shop, bank) = (["ApiSchema/shop/api"], ["ApiSchema/bank/api"]);
    for (row, event, edge, cart) in [
        (
            "by a selector",
            schema("shop", &json!({"selector": {"matchLabels": {"app": "cart"}}})),
            &[][..],
            &shop[..],
        ),
        (
            "by another",
            schema("shop", &json!({"selector": {"matchLabels": {"app": "b"}}})),
            &[],
            &[],
        ),
        ("its Gateway", schema("shop", &targets("Gateway", "edge")), &shop, &[]),
        ("another Gateway", schema("shop", &targets("Gateway", "other")), &[], &[]),
        ("a guest's route", schema("bank", &targets("HTTPRoute", "teller")), &bank, &[]),
        ("somebody else's Gateway", schema("bank", &targets("Gateway", "edge")), &[], &[]),
    ] {
        let mut index = index(scene());
        index.apply(listener_set("bank", "extra"));
        index.apply(attached("bank", "teller", to_edge(), ("bank", "teller")));
        index.apply(event);
        assert!(index.refused().is_empty(), "{row}: {:?}", index.refused());
        assert_eq!(names(&index, "edge-1"), edge, "{row}");
        assert_eq!(names(&index, "cart-1"), cart, "{row}");
    }
}
