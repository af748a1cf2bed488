//! Addresses that are known, but outside of the mesh (ARCHITECTURE, invariants 10 and 12).

use super::*;

/// What a proxy of this namespace is told of an address.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// That it means nothing.
    Nothing,
    /// A service of the mesh.
    Service(String),
    /// A service without any identity: the proxy refuses it by this name.
    Outside(String),
}

fn told(index: &Index, client: (&str, &str), key: &str) -> Told {
    let Some(spec) = spec(index, client, key) else { return Told::Nothing };
    let host = spec["hosts"][0].as_str().unwrap().to_owned();
    match spec["subjectAltNames"].is_null() {
        false => Told::Service(host),
        true => Told::Outside(host),
    }
}

fn with_pod(change: impl Fn(&mut Pod)) -> Vec<Event> {
    let mut events = shop();
    events.push(pod("bank", "teller-1", "teller", "10.1.0.9"));
    if let Event::Pod(_, Some(pod)) = &mut events[0] {
        change(pod);
    }
    events
}

fn unready(event: Event) -> Event {
    let Event::Slice(name, Some(mut slice)) = event else { panic!("a slice") };
    slice.endpoints.iter_mut().for_each(|endpoint| endpoint.ready = false);
    Event::Slice(name, Some(slice))
}

const CART: &str = "cart.shop.svc.cluster.local";
const CART_POD: &str = "10-1-0-1.shop.pod.cluster.local";

#[test]
fn what_is_known_but_outside_of_the_mesh_is_told_so() {
    let check = |row: &str, events: Vec<Event>, key: &str, expect: Told| {
        let index = index(events);
        for client in [("shop", "frontend-1"), ("bank", "teller-1")] {
            assert_eq!(told(&index, client, key), expect, "{row}, from {}", client.0);
        }
    };
    let outside = |host: &str| Told::Outside(host.to_owned());
    let cart = || slice("shop", "cart", &[("10.1.0.1", "cart-1")]);
    let at = "10.1.0.1:8080";
    check("an endpoint of the mesh", with_pod(|_| {}), at, Told::Service(CART.into()));
    let without = || with_pod(|pod| pod.has_proxy = false);
    check("an endpoint without a proxy", without(), at, outside(CART_POD));
    check("its service", without(), "10.96.0.1:80", outside(CART));
    check("its service, by name", without(), "cart.shop", outside(CART));
    let mut waits = with_pod(|_| {});
    waits.push(unready(cart()));
    check("one that is not ready", waits.clone(), at, outside(CART_POD));
    check("its service", waits, "10.96.0.1:80", outside(CART));
    check("a port that no service has", with_pod(|_| {}), "10.1.0.1:9", outside(CART_POD));
    check("a cluster IP's other port", with_pod(|_| {}), "10.96.0.1:81", outside(CART));
    let mut left = with_pod(|_| {});
    left.push(slice("shop", "cart", &[]));
    check("a pod that left its service", left, at, outside(CART_POD));
    let mut alone = without();
    alone.push(Event::Service(name("shop", "cart"), None));
    check("a pod without a service", alone, at, outside(CART_POD));
    let mut ended = with_pod(|pod| pod.ended = true);
    ended.push(slice("shop", "cart", &[]));
    check("one that has ended", ended, at, Told::Nothing);
    let mut gone = with_pod(|_| {});
    gone.extend([slice("shop", "cart", &[]), Event::Pod(name("shop", "cart-1"), None)]);
    check("one that is gone", gone, at, Told::Nothing);
    let on_host = || with_pod(|pod| (pod.on_host, pod.has_proxy) = (true, false));
    check("on the host, a port of its service", on_host(), at, outside(CART_POD));
    check("on the host, another port of the node", on_host(), "10.1.0.1:6443", Told::Nothing);
    check("an address nobody has", with_pod(|_| {}), "10.1.0.77:8080", Told::Nothing);
    let mut v6 = with_pod(|_| {});
    v6.push(pod("shop", "old-1", "old", "fd00::7"));
    check("IPv6", v6, "[fd00::7]:80", outside("fd00-0-0-0-0-0-0-7.shop.pod.cluster.local"));
}

#[test]
fn a_service_entry_may_name_what_is_outside() {
    let mut events = with_pod(|pod| pod.has_proxy = false);
    let entry = json!({
        "hosts": ["old-cart.example.com"], "addresses": ["10.1.0.1"], "location": "MESH_EXTERNAL",
        "ports": [{"number": 8080, "name": "tcp"}], "resolution": "NONE",
    });
    events.push(policy(PolicyKind::ServiceEntry, "shop", "old-cart", &entry));
    let index = index(events);
    let spec = spec(&index, ("shop", "frontend-1"), "10.1.0.1:8080").unwrap();
    assert_eq!(spec["location"], "MESH_EXTERNAL");
    let elsewhere = told(&index, ("bank", "teller-1"), "10.1.0.1:8080");
    assert_eq!(elsewhere, Told::Outside(CART_POD.into()), "only for its own namespace");
}

/// What `docs/from-istio-and-linkerd.md` tells people to write.
#[test]
fn the_entry_of_the_guide_to_moving_lets_calls_through_to_what_has_not_moved() {
    let page = include_str!("../../../../../docs/from-istio-and-linkerd.md");
    let block = page.split("```yaml\n").find(|block| block.contains("not-moved-yet")).unwrap();
    let block = block.split("```").next().unwrap();
    let entry: Value = serde_saphyr::from_str(block).unwrap();
    let mut events = shop();
    let Event::Pod(of, Some(mut ledger)) = pod("bank", "ledger-1", "ledger", "10.1.0.7") else {
        panic!("a pod")
    };
    ledger.has_proxy = false;
    events.extend([
        Event::Pod(of, Some(ledger)),
        service("bank", "ledger", "10.96.0.7", 80),
        slice("bank", "ledger", &[("10.1.0.7", "ledger-1")]),
    ]);
    let mut index = index(events);
    let client = ("shop", "frontend-1");
    let keys = ["10.96.0.7:80", "ledger.bank:80", "ledger.bank.svc.cluster.local:80"];
    let location = |index: &Index, key: &str| spec(index, client, key).unwrap()["location"].clone();
    for key in keys {
        assert_eq!(location(&index, key), "MESH_INTERNAL", "{key}: no plaintext to it");
    }
    let namespace = entry["metadata"]["namespace"].as_str().unwrap();
    index.apply(policy(PolicyKind::ServiceEntry, namespace, "ledger", &entry["spec"]));
    assert!(index.refused().is_empty(), "{:?}", index.refused());
    for key in keys {
        assert_eq!(location(&index, key), "MESH_EXTERNAL", "{key}");
    }
}

#[test]
fn s21_tenant_reach_a_slice_changes_no_address_for_other_namespaces() {
    let mut events = with_pod(|_| {});
    events.push(service("bank", "a-thief", "10.96.0.66", 80));
    let claimed = [("10.1.0.1", "teller-1"), ("198.51.100.7", "teller-1")];
    events.push(slice("bank", "a-thief", &claimed));
    let index = index(events);
    let shop = ("shop", "frontend-1");
    assert_eq!(told(&index, shop, "10.1.0.1:8080"), Told::Service(CART.into()));
    assert_eq!(told(&index, shop, "198.51.100.7:8080"), Told::Nothing);
    let own = told(&index, ("bank", "teller-1"), "198.51.100.7:8080");
    assert_eq!(own, Told::Outside("198-51-100-7.bank.pod.cluster.local".into()));
}

#[test]
fn of_two_entries_with_one_host_the_older_is_in_force_and_the_other_is_told() {
    let entry = |of: &str, created: &str, hosts: &[&str]| {
        let spec = json!({
            "hosts": hosts, "ports": [{"number": 443, "name": "tls"}], "resolution": "NONE",
        });
        let event = policy(PolicyKind::ServiceEntry, "shop", of, &spec);
        let Event::Policy(name, Some(mut object)) = event else { panic!("a policy") };
        Arc::make_mut(&mut object.document)["metadata"]["creationTimestamp"] = created.into();
        Event::Policy(name, Some(object))
    };
    let check = |row: &str, entries: &[Event], loser: &str, winner: &str| {
        for turned in [false, true] {
            let mut events = with_pod(|_| {});
            events.extend(entries.iter().cloned());
            if turned {
                events.reverse();
            }
            let mut index = index(events);
            let refused = index.refused();
            assert_eq!(refused.len(), 1, "{row}: {refused:?}");
            assert_eq!(&*refused[0].0.object.name, loser, "{row}");
            let host = "the host api.example.com";
            let named = refused[0].1.contains(&format!("ServiceEntry/shop/{winner}"));
            assert!(named && refused[0].1.contains(host), "{row}: {}", refused[0].1);
            let verdicts = index.unreported();
            let verdict = verdicts.iter().find(|verdict| &*verdict.name.object.name == loser);
            assert_eq!(verdict.unwrap().mistakes.as_ref(), Some(&refused[0].1), "{row}");
            let other = spec(&index, ("shop", "frontend-1"), "other.example.com");
            assert!(other.is_none(), "{row}: nothing of the loser is in force");
            assert!(spec(&index, ("shop", "frontend-1"), "api.example.com").is_some(), "{row}");
            let kind = PolicyKind::ServiceEntry;
            index.apply(Event::Policy(PolicyName { kind, object: name("shop", winner) }, None));
            assert!(index.refused().is_empty(), "{row}: the way is free");
            assert!(spec(&index, ("shop", "frontend-1"), "other.example.com").is_some(), "{row}");
        }
    };
    let (one, two) = (&["api.example.com"][..], &["other.example.com", "api.example.com"][..]);
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    check("age", &[entry("b", early, one), entry("a", late, two)], "a", "b");
    check("name", &[entry("a", early, one), entry("b", early, two)], "b", "a");
}

#[test]
fn entries_share_a_host_when_each_has_ports_of_its_own() {
    let entry = |of: &str, port: u16| {
        let spec = json!({
            "hosts": ["api.example.com"], "ports": [{"number": port, "name": of}], "resolution": "NONE",
        });
        policy(PolicyKind::ServiceEntry, "shop", of, &spec)
    };
    let mut events = with_pod(|_| {});
    events.extend([entry("a", 443), entry("b", 8443)]);
    let index = index(events);
    assert!(index.refused().is_empty(), "{:?}", index.refused());
    let port = |key: &str| {
        let spec = spec(&index, ("shop", "frontend-1"), key)?;
        spec["ports"][0]["number"].as_u64()
    };
    assert_eq!(port("api.example.com:443"), Some(443));
    assert_eq!(port("API.example.com:8443"), Some(8443));
    assert_eq!(port("api.example.com:80"), None, "nobody has it");
    assert_eq!(port("api.example.com"), Some(443), "any of them");
    assert_eq!(port("cart:80"), Some(80), "a Service, by name and port");
}

#[test]
fn short_names_work_under_any_cluster_domain() {
    let settings = IndexSettings { cluster_domain: "k8s.example".into(), ..settings() };
    let mut index = Index::new(settings);
    for event in shop() {
        index.apply(event);
    }
    let workload = policy::Workload {
        namespace: "shop".into(),
        service_account: "frontend".into(),
        labels: BTreeMap::new(),
    };
    for key in ["cart", "cart.shop", "cart.shop.svc", "cart.shop.svc.k8s.example"] {
        let delta = asks(&index, "shop", "frontend-1", &[key]).services.unwrap();
        let entry = messages::checked(&messages::read(&delta.changed[0].1), "postern-system");
        let domain = &index.settings().trust_domain;
        let mut table = policy::ServiceTable::new(&workload, "postern-system", domain);
        table.set(&entry);
        let found = table.by_host(key, 80).expect(key);
        assert_eq!(&*found.host, "cart.shop.svc.k8s.example");
    }
}
