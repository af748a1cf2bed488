//! Deltas: the difference of two full states, whatever happened in between.

use super::*;

#[test]
fn nothing_new_is_nothing_told() {
    let mut index = index(shop());
    let mut subscriber = Subscriber::new(name("shop", "frontend-1"), "frontend-1".into());
    subscriber.ask_policies(HashMap::new());
    subscriber.ask_services(vec!["cart".into(), "nobody".into()], HashMap::new()).unwrap();
    let first = index.delta(&mut subscriber).unwrap();
    assert_eq!(first.services.unwrap().removed, ["nobody"], "so that a dial is refused quickly");
    assert_eq!(index.delta(&mut subscriber), Some(Delta::default()));
    index.apply(service("shop", "other", "10.96.0.7", 80));
    assert_eq!(index.delta(&mut subscriber), Some(Delta::default()));
    index.apply(service("shop", "nobody", "10.96.0.8", 80));
    let delta = index.delta(&mut subscriber).unwrap();
    assert_eq!(delta.services.unwrap().changed[0].0, "nobody");
    index.apply(Event::Service(name("shop", "nobody"), None));
    assert_eq!(index.delta(&mut subscriber).unwrap().services.unwrap().removed, ["nobody"]);
}

#[test]
fn a_proxy_that_comes_back_is_told_only_what_changed() {
    let index = index(shop());
    let first = asks(&index, "shop", "frontend-1", &["cart", "frontend"]);
    let versions = |delta: TypeDelta| -> HashMap<String, String> {
        delta.changed.into_iter().map(|(name, document)| (name, document.version.clone())).collect()
    };
    let has = versions(first.services.unwrap());
    let mut policies = versions(first.policies.unwrap());
    policies.insert("AuthorizationPolicy/shop/gone".into(), "1".into());
    let mut events = shop();
    events.push(slice("shop", "cart", &[]));
    let index = super::index(events);
    let mut subscriber = Subscriber::new(name("shop", "frontend-1"), "frontend-1".into());
    subscriber.ask_policies(policies);
    subscriber.ask_services(vec!["cart".into(), "frontend".into()], has).unwrap();
    let delta = index.delta(&mut subscriber).unwrap();
    let changed: Vec<String> =
        delta.services.unwrap().changed.into_iter().map(|(name, _)| name).collect();
    assert_eq!(changed, ["cart"]);
    let policies = delta.policies.expect("the first answer is given though little is in it");
    assert_eq!(policies.removed, ["AuthorizationPolicy/shop/gone"]);
    assert!(policies.changed.is_empty());
}

#[test]
fn a_pod_that_is_gone_or_another_one_has_no_right_to_anything() {
    let mut index = index(shop());
    let mut subscriber = Subscriber::new(name("shop", "cart-1"), "cart-1".into());
    assert!(index.delta(&mut subscriber).is_some());
    index.apply(Event::Pod(name("shop", "cart-1"), None));
    assert!(index.delta(&mut subscriber).is_none());
    let Event::Pod(of, Some(mut pod)) = pod("shop", "cart-1", "cart", "10.1.0.1") else {
        panic!("a pod")
    };
    pod.uid = "another".into();
    index.apply(Event::Pod(of, Some(pod)));
    assert!(index.delta(&mut subscriber).is_none());
}

#[test]
fn what_vanished_while_nobody_watched_is_gone_after_the_list() {
    let mut index = index(shop());
    index.apply(allow("shop", "p", &json!({})));
    let only =
        |kind: ObjectKind, names: &[ObjectName]| Event::Only(kind, names.iter().cloned().collect());
    index.apply(only(ObjectKind::Service, &[name("shop", "frontend")]));
    assert!(spec(&index, ("shop", "frontend-1"), "cart").is_none());
    assert!(spec(&index, ("shop", "frontend-1"), "frontend").is_some());
    let kind = PolicyKind::AuthorizationPolicy;
    index.apply(only(ObjectKind::Policy(kind), &[]));
    assert!(policies(&index, "shop", "cart-1").is_empty());
    index.apply(only(ObjectKind::Slice, &[]));
    index.apply(only(ObjectKind::Pod, &[name("shop", "frontend-1")]));
    assert!(spec(&index, ("shop", "frontend-1"), "10.1.0.1:8080").is_none());
}

#[test]
fn a_proxy_may_not_ask_for_more_than_one_needs() {
    let many = |names: std::ops::Range<usize>| names.map(|n| format!("host-{n}:80")).collect();
    let mut subscriber = Subscriber::new(name("shop", "frontend-1"), "uid-frontend-1".into());
    assert!(subscriber.ask_services(many(0..4096), HashMap::new()).is_ok());
    assert!(subscriber.ask_services(many(0..10), HashMap::new()).is_ok(), "the same again");
    let error = subscriber.ask_services(many(4096..4097), HashMap::new()).unwrap_err();
    assert!(error.to_string().contains("4096 destinations"), "{error}");
    assert_eq!(subscriber.destinations(), 4096, "nothing of it is kept");
    subscriber.forget_services(&["host-0:80".to_owned()]);
    assert!(subscriber.ask_services(many(4096..4097), HashMap::new()).is_ok(), "there is room");
    subscriber.forget_services(&["host-0:80".to_owned()]);
    assert!(subscriber.ask_services(many(4096..4097), HashMap::new()).is_ok(), "there is room");
}

#[test]
fn a_name_longer_than_any_is_answered_and_not_kept() {
    let index = index(shop());
    let mut subscriber = Subscriber::new(name("shop", "frontend-1"), "frontend-1".into());
    let long = "h".repeat(262);
    subscriber.ask_services(vec![long.clone()], HashMap::new()).unwrap();
    assert_eq!(subscriber.destinations(), 0);
    assert_eq!(index.delta(&mut subscriber).unwrap().services.unwrap().removed, [long]);
    assert_eq!(index.delta(&mut subscriber), Some(Delta::default()));
}
