//! Whom an object may be about (SECURITY-CASES S-21; ARCHITECTURE, invariants 2 and 12).

use super::*;

fn two_tenants() -> Vec<Event> {
    let mut events = shop();
    events.push(pod("bank", "teller-1", "teller", "10.1.0.9"));
    events.push(service("bank", "teller", "10.96.0.9", 80));
    events.push(slice("bank", "teller", &[("10.1.0.9", "teller-1")]));
    events
}

fn with(event: Event) -> Index {
    let mut events = two_tenants();
    events.push(event);
    index(events)
}

#[test]
fn s21_tenant_reach_a_policy_is_about_its_own_namespace() {
    let check = |row: &str, event: Event, shop: &[&str], bank: &[&str]| {
        let index = with(event);
        assert_eq!(policies(&index, "shop", "cart-1"), shop, "{row}");
        assert_eq!(policies(&index, "bank", "teller-1"), bank, "{row}");
    };
    let of = "AuthorizationPolicy/shop/p";
    let root = "AuthorizationPolicy/postern-system/p";
    check("a namespace", allow("shop", "p", &json!({})), &[of], &[]);
    check("the root namespace", allow("postern-system", "p", &json!({})), &[root], &[root]);
    let cart = json!({"selector": {"matchLabels": {"app": "cart"}}});
    check("labels", allow("shop", "p", &cart), &[of], &[]);
    let teller = json!({"selector": {"matchLabels": {"app": "teller"}}});
    check("labels of another namespace's pods", allow("shop", "p", &teller), &[], &[]);
    check("labels, in the root", allow("postern-system", "p", &teller), &[], &[root]);
    let sources = json!({"rules": [{"from": [{"source": {"namespaces": ["bank"]}}]}]});
    check("another namespace as a source", allow("shop", "p", &sources), &[of], &[]);
}

#[test]
fn s21_tenant_reach_a_target_in_another_namespace_is_refused() {
    let target =
        json!({"targetRefs": [{"kind": "Service", "name": "teller", "namespace": "bank"}]});
    let index = with(allow("shop", "p", &target));
    assert!(policies(&index, "shop", "cart-1").is_empty());
    assert!(policies(&index, "bank", "teller-1").is_empty());
    let refused = index.refused();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].1.contains("a Service of the policy's namespace"), "{}", refused[0].1);
    let sources = json!({"rules": [{"from": [{"source": {"namespaces": ["bank"]}}]}]});
    assert!(
        with(allow("shop", "p", &sources)).refused().is_empty(),
        "naming it as a source is fine"
    );
}

#[test]
fn s21_tenant_reach_a_service_entry_for_another_namespaces_host_is_refused() {
    let entry = |host: &str| {
        json!({
            "hosts": [host],
            "ports": [{"number": 80, "name": "http"}],
            "resolution": "STATIC",
            "endpoints": [{"address": "10.6.6.6"}],
            "subjectAltNames": ["spiffe://cluster.local/ns/shop/sa/thief"],
        })
    };
    let stolen = "teller.bank.svc.cluster.local";
    let index = with(policy(PolicyKind::ServiceEntry, "shop", "e", &entry(stolen)));
    assert_eq!(index.refused().len(), 1);
    for client in [("shop", "cart-1"), ("bank", "teller-1")] {
        let spec = spec(&index, client, stolen).unwrap();
        assert_eq!(spec["endpoints"], json!([{"address": "10.1.0.9"}]));
    }
    let index = with(policy(PolicyKind::ServiceEntry, "shop", "e", &entry("api.example.com")));
    assert!(index.refused().is_empty());
    assert!(spec(&index, ("shop", "cart-1"), "api.example.com").is_some());
    assert!(spec(&index, ("bank", "teller-1"), "api.example.com").is_none(), "only its namespace");
}

#[test]
fn s21_tenant_reach_a_host_of_another_namespace_under_the_clusters_own_domain_is_refused() {
    let check = |row: &str, namespace: &str, host: &str, refused: bool| {
        let settings = IndexSettings { cluster_domain: "k8s.example".into(), ..settings() };
        let mut index = Index::new(settings);
        let spec = json!({
            "hosts": [host], "ports": [{"number": 80, "name": "http"}], "resolution": "STATIC",
            "endpoints": [{"address": "10.6.6.6"}],
        });
        index.apply(policy(PolicyKind::ServiceEntry, namespace, "e", &spec));
        let found = index.refused();
        assert_eq!(!found.is_empty(), refused, "{row}: {found:?}");
        if let Some((_, why)) = found.first() {
            assert!(why.contains(host) && why.contains("define it in namespace bank"), "{why}");
        }
    };
    check("another namespace's", "shop", "teller.bank.svc.k8s.example", true);
    check("below it", "shop", "one.teller.bank.svc.k8s.example", true);
    check("as the reader of files knows it", "shop", "teller.bank.svc.cluster.local", true);
    check("its own", "bank", "teller.bank.svc.k8s.example", false);
    check("by the root namespace", "postern-system", "teller.bank.svc.k8s.example", false);
    check("outside of the cluster", "shop", "teller.bank.svc.example.com", false);
}

#[test]
fn a_target_becomes_the_labels_of_the_service() {
    let target = json!({"targetRefs": [{"kind": "Service", "name": "cart"}]});
    let index = with(allow("shop", "p", &target));
    assert!(index.refused().is_empty(), "{:?}", index.refused());
    assert_eq!(policies(&index, "shop", "frontend-1"), Vec::<String>::new());
    let delta = asks(&index, "shop", "cart-1", &[]).policies.unwrap();
    let (_, document) = &delta.changed[0];
    let value: Value = serde_json::from_slice(&document.bytes).unwrap();
    assert_eq!(value["spec"], json!({"selector": {"matchLabels": {"app": "cart"}}}));
}

#[test]
fn limits_are_about_whom_they_select_and_a_broken_one_refuses_nobody() {
    let limits = |more: &Value| {
        let mut spec =
            json!({"limits": [{"name": "l", "key": "principal", "requests": 1, "per": "1s"}]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        with(policy(PolicyKind::RateLimitPolicy, "shop", "p", &spec))
    };
    let of: &[&str] = &["RateLimitPolicy/shop/p"];
    let gateway = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "cart"});
    let cart = json!({"kind": "Service", "name": "cart"});
    for (row, more, expect, refused) in [
        ("a namespace", json!({}), of, false),
        ("labels", json!({"selector": {"matchLabels": {"app": "cart"}}}), of, false),
        ("others' labels", json!({"selector": {"matchLabels": {"app": "teller"}}}), &[], false),
        ("a Service", json!({"targetRefs": [cart]}), of, false),
        ("a Gateway of the Service's name", json!({"targetRefs": [gateway]}), &[], false),
        ("with a mistake", json!({"window": "1s"}), &[], true),
    ] {
        let index = limits(&more);
        assert_eq!(policies(&index, "shop", "cart-1"), expect, "{row}");
        assert!(policies(&index, "bank", "teller-1").is_empty(), "{row}");
        assert_eq!(!index.refused().is_empty(), refused, "{row}: {:?}", index.refused());
    }
}

#[test]
fn a_bad_version_leaves_the_last_accepted_one_and_a_bad_first_one_is_told_as_it_is() {
    let mut index = with(allow("shop", "p", &json!({"action": "DENY", "rules": [{}]})));
    let document = |index: &Index| {
        let delta = asks(index, "shop", "cart-1", &[]).policies.unwrap();
        let found = delta.changed.into_iter().find(|(name, _)| name != "Workload");
        found.map(|(_, document)| String::from_utf8(document.bytes.to_vec()).unwrap())
    };
    let good = document(&index);
    index.apply(allow("shop", "p", &json!({"action": "DENI"})));
    assert_eq!(document(&index), good);
    assert_eq!(index.refused().len(), 1);
    // Well formed, and it would never fire: refused, and the version before it stays.
    index.apply(allow("shop", "p", &json!({"action": "DENY"})));
    assert_eq!(document(&index), good);
    assert_eq!(index.refused().len(), 1);
    index.apply(allow("shop", "p", &json!({"action": "DENY", "rules": [{}, {}]})));
    assert!(index.refused().is_empty());
    let index = with(allow("shop", "p", &json!({"action": "DENI"})));
    assert!(document(&index).unwrap().contains("DENI"), "its workloads deny, so they must know");
    assert!(policies(&index, "bank", "teller-1").is_empty());
}

#[test]
fn what_is_said_of_a_policy_is_said_once() {
    let mut index =
        with(allow("shop", "p", &json!({"action": "DENI", "selector": {"labels": {}}})));
    let verdicts = index.unreported();
    assert_eq!(verdicts.len(), 1);
    let mistakes = verdicts[0].mistakes.clone().unwrap();
    assert!(mistakes.contains("DENI") && mistakes.contains("labels"), "every mistake: {mistakes}");
    let Event::Policy(name, Some(mut object)) =
        allow("shop", "p", &json!({"action": "DENI", "selector": {"labels": {}}}))
    else {
        panic!("a policy")
    };
    object.reported = Some(ReportedCondition { accepted: false, message: mistakes, generation: 1 });
    assert!(!index.apply(Event::Policy(name, Some(object))), "a status is no change for proxies");
    assert!(index.unreported().is_empty());
}

/// Nothing is opened because of a mistake: what a policy may have meant is closed.
#[test]
fn a_target_that_cannot_be_read_is_about_every_kind_of_its_name() {
    let of: &[&str] = &["AuthorizationPolicy/shop/p"];
    for (row, targets, cart, frontend) in [
        ("a Service", json!([{"kind": "Service", "name": "cart"}]), of, &[][..]),
        ("in another case", json!([{"kind": "service", "name": "cart"}]), of, &[]),
        ("without a kind", json!([{"name": "cart"}]), of, &[]),
        ("of a kind that is none", json!([{"kind": "Deployment", "name": "cart"}]), of, &[]),
        ("without a name", json!([{"kind": "Service"}]), of, of),
        ("no targets", json!([]), of, of),
        ("no list", json!("cart"), of, of),
    ] {
        let spec = json!({"action": "DENY", "targetRefs": targets, "rules": [{}]});
        let index = with(allow("shop", "p", &spec));
        assert_eq!(index.refused().is_empty(), row == "a Service", "{row}");
        assert_eq!(policies(&index, "shop", "cart-1"), cart, "{row}");
        assert_eq!(policies(&index, "shop", "frontend-1"), frontend, "{row}");
        assert!(policies(&index, "bank", "teller-1").is_empty(), "{row}");
    }
}

/// One whose targets alone cannot be read is not made one that can be.
#[test]
fn a_policy_that_cannot_be_read_is_told_as_it_is() {
    let targets = json!([{"kind": "service", "name": "cart"}]);
    let index = with(allow("shop", "p", &json!({"targetRefs": targets, "rules": [{}]})));
    let delta = asks(&index, "shop", "cart-1", &[]).policies.unwrap();
    let value: Value = serde_json::from_slice(&delta.changed[0].1.bytes).unwrap();
    assert_eq!(value["spec"]["targetRefs"], targets);
}

#[test]
fn s24_trust_domain_confusion_a_partner_mapped_into_the_mesh_is_refused() {
    let mapped = |principal: &str| {
        let spec = json!({
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}],
            "clientCertificates": {
                "mode": "required",
                "authorities": [{"kind": "ConfigMap", "name": "partners"}],
                "principals": [{"subjectAltName": {"dns": "a.example"}, "principal": principal}],
            },
        });
        with(policy(PolicyKind::ClientTrafficPolicy, "shop", "c", &spec)).refused().len()
    };
    assert_eq!(mapped("cluster.local/ns/shop/sa/cart"), 1, "the mesh's own domain");
    assert_eq!(mapped("partner.example/acme"), 0, "the partner's");
}
