#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use prost::Message as _;

use super::service_message::proto;
use super::*;

fn cache() -> ServiceCache {
    let workload = Workload {
        namespace: "shop".into(),
        service_account: "frontend".into(),
        labels: BTreeMap::new(),
    };
    ServiceCache::new("postern-system", &workload, &TrustDomain::parse("cluster.local").unwrap())
}

fn message(of: &str, address: &str) -> proto::Service {
    proto::Service {
        namespace: "postern-system".into(),
        name: format!("{of}.shop"),
        hosts: vec![format!("{of}.shop.svc.cluster.local")],
        location: proto::Location::Internal.into(),
        ports: vec![proto::Port {
            number: 80,
            target_port: 8080,
            name: "http".into(),
            protocol: proto::Protocol::Http.into(),
        }],
        resolution: proto::Resolution::Static.into(),
        endpoints: vec![proto::Endpoint { address: address.into(), ..Default::default() }],
        identities: Some(proto::Identities {
            ids: vec![format!("spiffe://cluster.local/ns/shop/sa/{of}")],
        }),
        ..Default::default()
    }
}

fn service_document(key: &str, message: &proto::Service) -> ResourceDocument {
    ResourceDocument { name: key.into(), version: "1".into(), bytes: message.encode_to_vec() }
}

fn at(cache: &ServiceCache, address: &str) -> bool {
    cache.table().by_address(address.parse().unwrap()).is_some()
}

fn refused(cache: &ServiceCache) -> String {
    cache.refused().collect::<Vec<_>>().join("; ")
}

#[test]
fn a_change_of_one_service_leaves_the_others_what_they_are() {
    let mut cache = cache();
    let all = ["cart", "payments"].map(|of| service_document(of, &message(of, "10.1.0.1")));
    let hosts = cache.take(all.to_vec(), &[]);
    assert_eq!(hosts.len(), 2);
    let found = |cache: &ServiceCache, of: &str| cache.table().by_host(of, 80).unwrap().clone();
    let (cart, payments) = (found(&cache, "cart"), found(&cache, "payments"));
    let hosts = cache.take(vec![service_document("cart", &message("cart", "10.1.0.2"))], &[]);
    assert_eq!(hosts, BTreeSet::from([cart.host.clone()]));
    assert!(Arc::ptr_eq(&payments, &found(&cache, "payments")));
    assert!(!Arc::ptr_eq(&cart, &found(&cache, "cart")));
    let version = cache.table().version();
    cache.take(vec![service_document("cart", &message("cart", "10.1.0.2"))], &[]);
    assert_eq!(cache.table().version(), version, "the same again is no change");
}

#[test]
fn a_bad_message_refuses_its_own_service_and_the_last_accepted_one_stays() {
    let mut cache = cache();
    cache.take(vec![service_document("cart", &message("cart", "10.1.0.1"))], &[]);
    let bad = service_document("cart", &message("cart", "no address!"));
    let (good, unread) = (message("payments", "10.1.0.3"), message("unread", ""));
    cache.take(
        vec![bad, service_document("payments", &good), service_document("unread", &unread)],
        &[],
    );
    assert!(at(&cache, "10.1.0.1:8080") && at(&cache, "10.1.0.3:8080"));
    assert!(refused(&cache).contains("cart: the endpoint"), "{}", refused(&cache));
    assert!(refused(&cache).contains("unread: "), "{}", refused(&cache));
    assert_eq!(cache.destinations().len(), 2, "nothing is known of the third");
    assert_eq!(cache.versions().len(), 3, "what was refused is not asked for again");
    cache
        .take(vec![service_document("cart", &message("cart", "10.1.0.2"))], &["unread".to_owned()]);
    assert_eq!(refused(&cache), "");
    assert!(at(&cache, "10.1.0.2:8080") && !at(&cache, "10.1.0.1:8080"));
}

#[test]
fn two_destinations_of_one_service_are_one_service() {
    let mut cache = cache();
    let cart = |key| service_document(key, &message("cart", "10.1.0.1"));
    cache.take(vec![cart("cart"), cart("10.0.0.1:80")], &[]);
    assert_eq!((cache.table().len(), cache.destinations().len()), (1, 2));
    cache.forget_unused(&["cart".to_owned()]);
    assert_eq!((cache.table().len(), cache.destinations().len()), (1, 1));
    cache.forget_unused(&["10.0.0.1:80".to_owned()]);
    assert!(cache.table().is_empty() && cache.destinations().is_empty());
    assert!(cache.claims.is_empty() && cache.versions.is_empty() && cache.claiming.is_empty());
}

#[test]
fn services_that_contradict_each_other_are_left_out() {
    let mut cache = cache();
    let cart = |address| message("cart", address);
    cache.take(
        vec![service_document("cart", &cart("10.1.0.1")), service_document("b", &cart("10.1.0.2"))],
        &[],
    );
    assert!(at(&cache, "10.1.0.1:8080") && !at(&cache, "10.1.0.2:8080"));
    assert!(refused(&cache).contains("two destinations"), "{}", refused(&cache));
    cache.take(vec![service_document("b", &cart("10.1.0.1"))], &[]);
    assert_eq!(refused(&cache), "");
    // Another entry of the namespace describes the same host and port.
    let mut thief = message("thief", "10.1.0.66");
    thief.hosts = cart("").hosts;
    thief.name = "zz".into();
    cache.take(vec![service_document("c", &thief)], &[]);
    assert!(at(&cache, "10.1.0.1:8080") && !at(&cache, "10.1.0.66:8080"));
    assert!(refused(&cache).contains("postern-system/cart.shop has it"), "{}", refused(&cache));
    cache.take(Vec::new(), &["cart".to_owned(), "b".to_owned()]);
    assert!(at(&cache, "10.1.0.66:8080"), "the way is free");
    assert_eq!(refused(&cache), "");
}

/// Invariant 12, in the proxy as well: an entry of a third namespace does not apply here.
#[test]
fn s21_tenant_reach_of_told_services() {
    let mut cache = cache();
    let mut foreign = message("api", "10.1.0.1");
    foreign.namespace = "bank".into();
    foreign.hosts = vec!["api.example.org".into()];
    cache.take(vec![service_document("api", &foreign)], &[]);
    assert!(cache.table().is_empty());
}
