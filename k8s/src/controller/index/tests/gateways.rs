//! What the proxies of gateways are told, and that nobody else is.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

pub(super) const GROUP: &str = "gateway.networking.k8s.io";

fn class(controller: &str) -> Event {
    policy(PolicyKind::GatewayClass, "", "postern", &json!({"controllerName": controller}))
}

pub(super) fn listener(name: &str, protocol: &str, port: u16) -> Value {
    json!({"name": name, "protocol": protocol, "port": port})
}

/// A listener with a certificate of this namespace.
pub(super) fn https(namespace: &str, secret: &str) -> Value {
    let mut https = listener("https", "HTTPS", 443);
    https["tls"] = json!({"certificateRefs": [{"name": secret, "namespace": namespace}]});
    https["allowedRoutes"] = json!({"namespaces": {"from": "All"}});
    https
}

pub(super) fn edge(listeners: Value) -> Event {
    let spec = json!({
        "gatewayClassName": "postern",
        "listeners": listeners,
        "allowedListeners": {"namespaces": {"from": "All"}},
        "addresses": [{"value": "192.0.2.1"}],
    });
    policy(PolicyKind::Gateway, "shop", "edge", &spec)
}

/// A route of one backend, attached to one parent.
pub(super) fn attached(namespace: &str, of: &str, parent: Value, backend: (&str, &str)) -> Event {
    let backend = json!({"namespace": backend.0, "name": backend.1, "port": 80});
    let spec = json!({"parentRefs": [parent], "rules": [{"backendRefs": [backend]}]});
    policy(PolicyKind::HTTPRoute, namespace, of, &spec)
}

pub(super) fn to_edge() -> Value {
    json!({"name": "edge", "namespace": "shop"})
}

pub(super) fn listener_set(namespace: &str, of: &str) -> Event {
    let spec = json!({
        "parentRef": {"name": "edge", "namespace": "shop"},
        "listeners": [listener("extra", "HTTP", 8080)],
    });
    policy(PolicyKind::ListenerSet, namespace, of, &spec)
}

fn document(kind: &str, namespace: &str, of: &str, data: Value) -> Arc<ResourceDocument> {
    let metadata = json!({"name": of, "namespace": namespace});
    let mut value = json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data});
    if kind == "Secret" {
        value["type"] = "kubernetes.io/tls".into();
    }
    Arc::new(ResourceDocument::of_policy(&value))
}

pub(super) fn secret(namespace: &str, of: &str, key: &str) -> Event {
    let data = json!({"tls.crt": "AA==", "tls.key": key});
    Event::Secret(name(namespace, of), Some(document("Secret", namespace, of, data)))
}

fn authorities(namespace: &str, of: &str) -> Event {
    let data = json!({"ca.crt": "-"});
    Event::Authorities(name(namespace, of), Some(document("ConfigMap", namespace, of, data)))
}

fn grant(namespace: &str, of: &str, (kind, from): (&str, &str), to: Value) -> Event {
    let from = json!([{"group": GROUP, "kind": kind, "namespace": from}]);
    policy(PolicyKind::ReferenceGrant, namespace, of, &json!({"from": from, "to": [to]}))
}

fn any_secret() -> Value {
    json!({"group": "", "kind": "Secret"})
}

fn labels(pairs: &[(&str, &str)]) -> Arc<BTreeMap<String, String>> {
    Arc::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

pub(super) fn in_namespace(of: &str, label: &str) -> Event {
    let namespace = Namespace { member: false, labels: labels(&[("team", label)]) };
    Event::Namespace(of.into(), Some(namespace))
}

/// A pod of this service account, with the label of this gateway.
fn proxy_of(gateway: &str, namespace: &str, of: &str, account: &str) -> Event {
    let Event::Pod(name, Some(mut pod)) = pod(namespace, of, account, "10.1.0.7") else {
        panic!("a pod")
    };
    pod.labels = labels(&[(crate::controller::convert::GATEWAY_LABEL, gateway)]);
    pod.has_proxy = false;
    Event::Pod(name, Some(pod))
}

/// The shop behind the gateway `edge`, whose proxy is `edge-1`.
pub(super) fn scene() -> Vec<Event> {
    let mut events = shop();
    events.extend([
        class("postern.dev/gateway"),
        edge(json!([https("shop", "cert")])),
        proxy_of("edge", "shop", "edge-1", "edge-postern"),
        secret("shop", "cert", "a2V5"),
        in_namespace("shop", "shop"),
    ]);
    events
}

fn told_in_full(index: &Index, namespace: &str, of: &str) -> Delta {
    let mut subscriber = Subscriber::new(name(namespace, of), of.into());
    subscriber.ask_policies(HashMap::new());
    subscriber.ask_traffic(HashMap::new());
    subscriber.ask_gateway(HashMap::new());
    let keys = model::KEYS.iter().map(ToString::to_string).collect();
    subscriber.ask_services(keys, HashMap::new()).unwrap();
    index.delta(&mut subscriber).expect("the pod is there")
}

/// What a proxy is told that asks as a gateway's, by name.
pub(super) fn told(index: &Index, namespace: &str, of: &str) -> BTreeMap<String, Value> {
    let delta = told_in_full(index, namespace, of).gateway.expect("an answer, though empty");
    let read = |document: &ResourceDocument| serde_json::from_slice(&document.bytes).unwrap();
    delta.changed.iter().map(|(name, document)| (name.clone(), read(document))).collect()
}

pub(super) fn names(index: &Index, namespace: &str, of: &str) -> Vec<String> {
    told(index, namespace, of).into_keys().collect()
}

#[test]
fn a_gateways_proxy_is_told_what_is_attached() {
    let mut index = index(scene());
    let check = |row: &str, index: &Index, expect: &[&str]| {
        let whole =
            ["Gateway/shop/edge", "GatewayClass//postern", "Namespace/shop", "Secret/shop/cert"];
        let mut expect: Vec<&str> = whole.iter().chain(expect).copied().collect();
        expect.sort_unstable();
        assert_eq!(names(index, "shop", "edge-1"), expect, "{row}");
    };
    check("the gateway itself", &index, &[]);
    index.apply(attached("shop", "cart", to_edge(), ("shop", "cart")));
    check("a route", &index, &["HTTPRoute/shop/cart"]);
    index.apply(in_namespace("bank", "bank"));
    index.apply(attached("bank", "teller", to_edge(), ("bank", "teller")));
    let of_bank = ["HTTPRoute/bank/teller", "HTTPRoute/shop/cart", "Namespace/bank"];
    check("a route of another namespace, with its labels", &index, &of_bank);
    index.apply(model::without(attached("bank", "teller", to_edge(), ("bank", "teller"))));
    index.apply(attached("shop", "other", json!({"name": "other"}), ("shop", "cart")));
    check("another gateway's route is not", &index, &["HTTPRoute/shop/cart"]);
    index.apply(listener_set("bank", "extra"));
    let to_set = json!({"group": GROUP, "kind": "ListenerSet", "name": "extra"});
    index.apply(attached("bank", "teller", to_set, ("bank", "teller")));
    let with_set = [&of_bank[..], &["ListenerSet/bank/extra"]].concat();
    check("what is attached to its ListenerSet", &index, &with_set);
    let tls = |namespace: &str, service: &str| {
        let spec = json!({
            "targetRefs": [{"group": "", "kind": "Service", "name": service}],
            "validation": {
                "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "roots"}],
                "hostname": "teller.example",
            },
        });
        policy(PolicyKind::BackendTLSPolicy, namespace, service, &spec)
    };
    for event in [
        tls("bank", "teller"),
        tls("bank", "vault"),
        authorities("bank", "roots"),
        authorities("bank", "others"),
    ] {
        index.apply(event);
    }
    let with_tls =
        [&with_set[..], &["BackendTLSPolicy/bank/teller", "ConfigMap/bank/roots"]].concat();
    check("how its backends are called", &index, &with_tls);
    let clients = |of: &str, target: &str| {
        let spec = json!({
            "targetRefs": [{"group": GROUP, "kind": "Gateway", "name": target}],
            "hsts": {"maxAge": "1h"},
        });
        policy(PolicyKind::ClientTrafficPolicy, "shop", of, &spec)
    };
    index.apply(clients("own", "edge"));
    index.apply(clients("theirs", "other"));
    let with_clients = [&with_tls[..], &["ClientTrafficPolicy/shop/own"]].concat();
    check("what its clients may do", &index, &with_clients);

    let all = told(&index, "shop", "edge-1");
    assert!(
        all["Gateway/shop/edge"]["spec"].get("addresses").is_none(),
        "they are the load balancer's"
    );
    let last = told_in_full(&index, "shop", "edge-1").gateway.unwrap().changed.pop().unwrap().0;
    assert_eq!(last, "Gateway/shop/edge", "what the others are for comes last");
    let files = all.iter().map(|(name, value)| policy::SourceFile {
        name: name.clone(),
        bytes: value.to_string().into_bytes(),
    });
    let read = policy::Resources::parse(&files.collect::<Vec<_>>(), "postern-system").unwrap();
    let selection = policy::GatewaySelection {
        gateway: Some(policy::gateway::ObjectName::new("shop", "edge")),
        ..policy::GatewaySelection::default()
    };
    let table = policy::GatewayTable::build(&read, &selection);
    let ports: Vec<u16> = table.ports().map(|port| port.number).collect();
    assert_eq!(ports, [443, 8080]);
}

fn policies_told(index: &Index, of: &str) -> Vec<(String, Value)> {
    let changed = told_in_full(index, "shop", of).policies.unwrap().changed;
    let read = |document: &ResourceDocument| serde_json::from_slice(&document.bytes).unwrap();
    let told = changed.iter().map(|(name, document)| (name.clone(), read(document)));
    told.filter(|(name, _)| name != "Workload").collect()
}

/// Limits and keys that are asked for at a gateway, one of its listeners or a route of it, whoever's namespace that is in.
#[test]
fn policies_about_parts_of_a_gateway() {
    let target = |kind: &str, name: &str| json!({"group": GROUP, "kind": kind, "name": name});
    let service = json!({"group": "", "kind": "Service", "name": "cart"});
    let limit = |namespace: &str, of: &str, targets: Value| {
        let limits = json!([{"name": "all", "key": "clientAddress", "requests": 5, "per": "1s"}]);
        let spec = json!({"targetRefs": targets, "limits": limits});
        policy(PolicyKind::RateLimitPolicy, namespace, of, &spec)
    };
    let mut events = scene();
    events.extend([
        listener_set("bank", "extra"),
        attached("bank", "teller", to_edge(), ("bank", "teller")),
        limit("shop", "gateway", json!([target("Gateway", "edge")])),
        limit("shop", "other", json!([target("Gateway", "other")])),
        limit("shop", "both", json!([service, target("Gateway", "edge")])),
        limit("bank", "route", json!([target("HTTPRoute", "teller")])),
        limit("bank", "elsewhere", json!([target("HTTPRoute", "not-attached")])),
        limit("bank", "gateway", json!([target("Gateway", "edge")])),
    ]);
    let mut index = index(events);
    let at_edge = policies_told(&index, "edge-1");
    let names: Vec<&str> = at_edge.iter().map(|(name, _)| &**name).collect();
    let expect =
        ["RateLimitPolicy/bank/route", "RateLimitPolicy/shop/both", "RateLimitPolicy/shop/gateway"];
    assert_eq!(names, expect);
    let targets = at_edge[1].1["spec"]["targetRefs"].as_array().unwrap();
    assert_eq!(targets.len(), 1, "no Service, behind which it is not");
    let beside: Vec<String> =
        policies_told(&index, "cart-1").into_iter().map(|(name, _)| name).collect();
    assert_eq!(beside, ["RateLimitPolicy/shop/both"]);

    // A guest's mistake closes the guest's own listeners, and nobody else's.
    let keys = |spec: &Value| policy(PolicyKind::ApiKeyPolicy, "bank", "keys", spec);
    let broken = json!({"targetRefs": [target("ListenerSet", "extra")], "kesy": []});
    let is_closed = |index: &Index| {
        let told = told(index, "shop", "edge-1");
        let listener = &told["ListenerSet/bank/extra"]["spec"]["listeners"][0];
        listener["allowedRoutes"]["namespaces"]["selector"].is_object()
    };
    assert!(!is_closed(&index));
    index.apply(keys(&broken));
    assert_eq!(policies_told(&index, "edge-1").len(), 3);
    assert!(is_closed(&index));
    index.apply(model::without(keys(&broken)));
    let of_set = json!({"targetRefs": [target("ListenerSet", "extra")], "tsl": {}});
    let clients = policy(PolicyKind::ClientTrafficPolicy, "bank", "clients", &of_set);
    index.apply(clients.clone());
    assert!(is_closed(&index));
    assert!(!names_of(&index).contains(&"ClientTrafficPolicy/bank/clients".to_owned()));
    index.apply(model::without(clients));
    let of_backend = json!({
        "targetRefs": [{"group": "", "kind": "Service", "name": "teller"}], "validatoin": {},
    });
    let tls = policy(PolicyKind::BackendTLSPolicy, "bank", "tls", &of_backend);
    assert!(names_of(&index).contains(&"HTTPRoute/bank/teller".to_owned()));
    index.apply(tls.clone());
    assert!(!names_of(&index).contains(&"HTTPRoute/bank/teller".to_owned()), "not in the clear");
    index.apply(model::without(tls));
    assert!(!is_closed(&index));
}

/// A policy of the gateway's namespace whose target cannot be read is told as it is, and then nothing is opened.
#[test]
fn a_target_that_cannot_be_read_closes_what_it_may_mean() {
    let edge = |kind: &str| json!([{"group": GROUP, "kind": kind, "name": "edge"}]);
    for (row, kind, targets, expect) in [
        ("keys", PolicyKind::ApiKeyPolicy, edge("gateway"), true),
        (
            "keys of another gateway",
            PolicyKind::ApiKeyPolicy,
            json!([{"kind": "gateway", "name": "other"}]),
            false,
        ),
        ("clients", PolicyKind::ClientTrafficPolicy, edge("gateway"), true),
        (
            "clients, of a wrong group",
            PolicyKind::ClientTrafficPolicy,
            json!([{"kind": "Gateway", "name": "edge"}]),
            true,
        ),
        (
            "clients, without a name",
            PolicyKind::ClientTrafficPolicy,
            json!([{"kind": "Gateway"}]),
            true,
        ),
        (
            "clients of another gateway",
            PolicyKind::ClientTrafficPolicy,
            json!([{"kind": "gateway", "name": "other"}]),
            false,
        ),
        (
            "how a backend is called",
            PolicyKind::BackendTLSPolicy,
            json!([{"kind": "service", "name": "cart"}]),
            true,
        ),
        ("of any backend", PolicyKind::BackendTLSPolicy, json!([{"kind": "Service"}]), true),
        (
            "of another",
            PolicyKind::BackendTLSPolicy,
            json!([{"kind": "service", "name": "pay"}]),
            false,
        ),
    ] {
        let mut index = index(scene());
        index.apply(attached("shop", "cart", to_edge(), ("shop", "cart")));
        index.apply(policy(kind, "shop", "p", &json!({"targetRefs": targets})));
        assert_eq!(index.refused().len(), 1, "{row}: {:?}", index.refused());
        let closes = match kind {
            PolicyKind::BackendTLSPolicy => {
                !names_of(&index).contains(&"HTTPRoute/shop/cart".to_owned())
            }
            PolicyKind::ApiKeyPolicy => {
                policies(&index, "shop", "edge-1").contains(&"ApiKeyPolicy/shop/p".to_owned())
            }
            _ => names_of(&index).contains(&format!("{}/shop/p", kind.as_str())),
        };
        assert_eq!(closes, expect, "{row}");
    }
}

pub(super) fn names_of(index: &Index) -> Vec<String> {
    names(index, "shop", "edge-1")
}

/// The key of a certificate leaves the controller for the proxies of one gateway alone.
#[test]
fn a_secret_goes_to_no_other_proxy() {
    let mut index = index(scene());
    for event in [
        proxy_of("edge", "bank", "edge-2", "edge-postern"),
        proxy_of("edge", "shop", "thief-1", "thief"),
        proxy_of("other", "shop", "other-1", "edge-postern"),
        proxy_of("edge", "shop", "edge-3", "edge-postern"),
        secret("shop", "not-named", "c2VjcmV0"),
        secret("bank", "cert", "dGhlaXJz"),
    ] {
        index.apply(event);
    }
    for (row, namespace, of, expect) in [
        ("the gateway's proxy", "shop", "edge-1", true),
        ("another one of it", "shop", "edge-3", true),
        ("a sidecar", "shop", "cart-1", false),
        ("of the same name in another namespace", "bank", "edge-2", false),
        ("with the label alone", "shop", "thief-1", false),
        ("with the service account alone", "shop", "other-1", false),
    ] {
        let delta = told_in_full(&index, namespace, of);
        let all = [delta.policies, delta.traffic, delta.gateway, delta.services];
        let all = all.into_iter().flatten().flat_map(|delta| delta.changed);
        let texts = all.map(|(_, document)| String::from_utf8_lossy(&document.bytes).into_owned());
        let texts: Vec<String> = texts.collect();
        let has = |key: &str| texts.iter().any(|text| text.contains(key));
        assert_eq!(has("a2V5"), expect, "{row}");
        assert!(!has("c2VjcmV0") && !has("dGhlaXJz"), "{row}: a Secret that nothing names");
    }
    let shown = format!("{index:?}");
    assert!(!shown.contains("a2V5"), "nor is it shown");
    index.apply(class("example.com/other"));
    assert!(names(&index, "shop", "edge-1").is_empty(), "another controller's class");
}

#[test]
fn a_secret_of_another_namespace_is_granted() {
    let from_edge = ("Gateway", "shop");
    let named = |name: &str| json!({"group": "", "kind": "Secret", "name": name});
    for (row, grant, expect) in [
        ("none", None, false),
        ("for any Secret", Some(grant("bank", "g", from_edge, any_secret())), true),
        ("for this one", Some(grant("bank", "g", from_edge, named("cert"))), true),
        ("for another one", Some(grant("bank", "g", from_edge, named("vault"))), false),
        (
            "for Gateways elsewhere",
            Some(grant("bank", "g", ("Gateway", "post"), any_secret())),
            false,
        ),
        ("for routes", Some(grant("bank", "g", ("HTTPRoute", "shop"), any_secret())), false),
        ("of the wrong namespace", Some(grant("shop", "g", from_edge, any_secret())), false),
    ] {
        let mut events = scene();
        events.extend([edge(json!([https("bank", "cert")])), secret("bank", "cert", "dGhlaXJz")]);
        let mut index = index(events.into_iter().chain(grant));
        let all = told(&index, "shop", "edge-1");
        assert_eq!(all.contains_key("Secret/bank/cert"), expect, "{row}");
        assert_eq!(
            all["Gateway/shop/edge"]["kind"] == "List",
            expect,
            "{row}: the grant comes along"
        );
        index.apply(model::without(policy(PolicyKind::ReferenceGrant, "bank", "g", &json!({}))));
        assert!(
            !told(&index, "shop", "edge-1").contains_key("Secret/bank/cert"),
            "{row}: it is taken back"
        );
    }
}

#[test]
fn a_rotated_certificate_is_told_at_once() {
    let mut index = index(scene());
    let mut subscriber = Subscriber::new(name("shop", "edge-1"), "edge-1".into());
    subscriber.ask_gateway(HashMap::new());
    let mut hear = |index: &Index| {
        let delta = index.delta(&mut subscriber).unwrap().gateway;
        delta.map(|delta| delta.changed.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
    };
    assert_eq!(hear(&index).map(|names| names.len()), Some(4));
    assert_eq!(hear(&index), None);
    assert!(index.apply(secret("shop", "cert", "bmV3")), "proxies are woken");
    assert_eq!(hear(&index), Some(vec!["Secret/shop/cert".to_owned()]));
    index.apply(secret("shop", "another", "bmV3"));
    assert_eq!(hear(&index), None, "not named");
}

/// The controller began anew and knows no version without a mistake: proxies keep what they have.
#[test]
fn a_mistake_takes_nothing_away() {
    let mut broken = json!([https("shop", "cert")]);
    broken[0]["tls"]["certificates"] = json!([]);
    let mut events = scene();
    events.push(edge(broken.clone()));
    let mut index = index(events);
    let good = told(&index, "shop", "edge-1");
    assert!(good["Gateway/shop/edge"]["spec"]["listeners"][0]["tls"].get("certificates").is_none());
    index.apply(model::without(edge(broken.clone())));
    index.apply(edge(broken));
    assert_eq!(names(&index, "shop", "edge-1"), good.into_keys().collect::<Vec<_>>());
    assert!(index.unwanted_objects().is_empty(), "nor is what runs it");
}

/// Whoever writes routes in one namespace fills no gateway's memory.
#[test]
fn routes_have_room_by_gateway_and_namespace() {
    let mut index = index(scene());
    let long = "a".repeat(900_000);
    for number in 0..12 {
        let of = format!("route-{number:02}");
        let Event::Policy(name, Some(mut object)) =
            attached("shop", &of, to_edge(), ("shop", "cart"))
        else {
            panic!("a policy")
        };
        let mut document = (*object.document).clone();
        let created = format!("2026-11-{:02}T00:00:00Z", number + 1);
        document["metadata"]["creationTimestamp"] = created.into();
        document["metadata"]["annotations"] = json!({"istio.io/note": long});
        object.document = Arc::new(document);
        index.apply(Event::Policy(name, Some(object)));
    }
    let routes = names(&index, "shop", "edge-1");
    let routes: Vec<&String> =
        routes.iter().filter(|name| name.starts_with("HTTPRoute/")).collect();
    assert!((1..12).contains(&routes.len()), "{}", routes.len());
    assert_eq!(routes[0], "HTTPRoute/shop/route-00", "the oldest have it");
}

#[test]
fn what_is_to_run() {
    let mut index = index(scene());
    let ports = BTreeMap::from([(443, "https".to_owned())]);
    let ports = BTreeMap::from([(name("shop", "edge"), ports)]);
    let run = index.gateways_to_run(&ports);
    assert_eq!(run.len(), 1);
    assert_eq!(run[0].uid, "uid-edge".into());
    assert_eq!(run[0].ports, BTreeMap::from([(443, "https".to_owned())]));
    assert_eq!(run[0].address, Some([192, 0, 2, 1].into()));
    let made = Deployment { applied: Some("1".to_owned()), available: 0 };
    let theirs = Deployment::default();
    index.apply(Event::Deployment(name("shop", "edge-postern"), Some(made.clone())));
    index.apply(Event::Deployment(name("shop", "old-postern"), Some(made)));
    index.apply(Event::Deployment(name("shop", "theirs-postern"), Some(theirs)));
    assert_eq!(index.unwanted_objects(), [name("shop", "old-postern")]);
    let members: Vec<_> = index.members().map(|(name, _)| name.to_string()).collect();
    assert_eq!(members, ["shop"], "agents of a gateway need the trust bundle as well");
    index.apply(class("example.com/other"));
    assert!(index.gateways_to_run(&ports).is_empty());
    assert_eq!(index.unwanted_objects().len(), 2);
    assert_eq!(index.members().count(), 0);
}

fn some_event() -> impl Strategy<Value = Event> {
    let namespace = || select(vec!["shop", "bank"]);
    let of = || select(vec!["cert", "cart", "extra"]);
    let parent = select(vec![
        to_edge(),
        json!({"group": GROUP, "kind": "ListenerSet", "name": "extra"}),
        json!({"name": "other"}),
    ]);
    prop_oneof![
        select(vec!["postern.dev/gateway", "example.com/other"]).prop_map(class),
        namespace().prop_map(|ns| edge(json!([https(ns, "cert")]))),
        select(vec!["edge-postern", "cart"])
            .prop_map(|account| proxy_of("edge", "shop", "edge-1", account)),
        (namespace(), of(), select(vec!["b25l", "dHdv"]))
            .prop_map(|(ns, of, key)| secret(ns, of, key)),
        (namespace(), of()).prop_map(|(ns, of)| listener_set(ns, of)),
        (namespace(), of(), parent).prop_map(|(ns, of, parent)| attached(
            ns,
            of,
            parent,
            (ns, "cart")
        )),
        namespace().prop_map(|ns| grant(ns, "g", ("Gateway", "shop"), any_secret())),
        (namespace(), select(vec!["one", "two"])).prop_map(|(ns, label)| in_namespace(ns, label)),
    ]
}

fn without(event: Event) -> Event {
    match event {
        Event::Secret(name, _) => Event::Secret(name, None),
        Event::Namespace(name, _) => Event::Namespace(name, None),
        other => model::without(other),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_gateways_are_told_adds_up_whatever_happens(
        history in prop::collection::vec((some_event(), prop::bool::weighted(0.2)), 1..40),
    ) {
        let mut index = index([proxy_of("edge", "shop", "edge-1", "edge-postern")]);
        let mut subscriber = Subscriber::new(name("shop", "edge-1"), "edge-1".into());
        subscriber.ask_gateway(HashMap::new());
        let mut known: BTreeMap<String, Value> = BTreeMap::new();
        for (event, gone) in history {
            index.apply(if gone { without(event) } else { event });
            let Some(delta) = index.delta(&mut subscriber) else { break };
            let delta = delta.gateway.unwrap_or_default();
            for name in delta.removed {
                known.remove(&name);
            }
            for (name, document) in delta.changed {
                known.insert(name, serde_json::from_slice(&document.bytes).unwrap());
            }
            prop_assert_eq!(&known, &told(&index, "shop", "edge-1"));
        }
    }
}

/// Keys and limits are told as policies of servers, to the proxy of the gateway that they are about and to nobody else.
#[test]
fn what_a_gateway_lets_in_is_told_to_its_proxy() {
    let hash = format!("sha256:{}", "1".repeat(64));
    let keys = |target: Value| json!({"targetRefs": [target], "keys": [{"id": "a", "client": "c", "hash": hash}]});
    let limits = |target: Value| {
        let limit = json!({"name": "l", "key": "clientAddress", "requests": 1, "per": "1s"});
        json!({"targetRefs": [target], "limits": [limit]})
    };
    let at = |kind: &str, of: &str| json!({"group": GROUP, "kind": kind, "name": of});
    for (row, kind, namespace, spec, expect) in [
        ("keys", PolicyKind::ApiKeyPolicy, "shop", keys(at("Gateway", "edge")), true),
        (
            "another gateway's",
            PolicyKind::ApiKeyPolicy,
            "shop",
            keys(at("Gateway", "other")),
            false,
        ),
        (
            "of another namespace",
            PolicyKind::ApiKeyPolicy,
            "bank",
            keys(at("Gateway", "edge")),
            false,
        ),
        (
            "a ListenerSet's",
            PolicyKind::ApiKeyPolicy,
            "bank",
            keys(at("ListenerSet", "extra")),
            true,
        ),
        ("limits", PolicyKind::RateLimitPolicy, "shop", limits(at("Gateway", "edge")), true),
    ] {
        let mut index = index(scene());
        index.apply(listener_set("bank", "extra"));
        index.apply(policy(kind, namespace, "p", &spec));
        assert!(index.refused().is_empty(), "{row}: {:?}", index.refused());
        let name = format!("{}/{namespace}/p", kind.as_str());
        let told = policies(&index, "shop", "edge-1");
        assert_eq!(told.contains(&name), expect, "{row}: {told:?}");
        assert!(!policies(&index, "shop", "cart-1").contains(&name), "{row}");
        assert!(!names(&index, "shop", "edge-1").contains(&name), "{row}");
    }
}
