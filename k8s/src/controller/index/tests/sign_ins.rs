//! Who is told of a SignIn, and with it of the Secrets that it names.

use super::gateways::{GROUP, attached, listener_set, scene, to_edge};
use super::*;

fn credentials(namespace: &str, of: &str, data: &Value) -> Event {
    let metadata = json!({"name": of, "namespace": namespace});
    let value = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data});
    let document = Arc::new(ResourceDocument::of_policy(&value));
    Event::Credentials(name(namespace, of), Some(document))
}

fn secrets(namespace: &str) -> [Event; 3] {
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    [
        credentials(namespace, "oidc", &json!({"client-secret": "aHVudGVyMg=="})),
        credentials(namespace, "session", &json!({"current": key})),
        credentials(namespace, "unnamed", &json!({"client-secret": "aHVudGVyMg=="})),
    ]
}

fn sign_in(namespace: &str, of: &str, (kind, target): (&str, &str)) -> Event {
    let spec = json!({
        "targetRefs": [{"group": GROUP, "kind": kind, "name": target}],
        "issuer": "https://id.example", "clientId": "shop",
        "clientSecretRef": {"name": "oidc"},
        "session": {"keysSecretRef": {"name": "session"}},
    });
    policy(PolicyKind::SignIn, namespace, of, &spec)
}

fn told(index: &Index, of: &str) -> BTreeMap<String, Value> {
    let mut subscriber = Subscriber::new(name("shop", of), of.into());
    subscriber.ask_policies(HashMap::new());
    let changed = index.delta(&mut subscriber).unwrap().policies.unwrap().changed;
    let read = |document: &ResourceDocument| serde_json::from_slice(&document.bytes).unwrap();
    let told = changed.iter().map(|(name, document)| (name.clone(), read(document)));
    told.filter(|(name, _)| name != "Workload").collect()
}

fn names(index: &Index, of: &str) -> Vec<String> {
    told(index, of).into_keys().collect()
}

#[test]
fn s21_tenant_reach_the_secrets_of_a_sign_in_are_told_to_its_gateway_alone() {
    let of_shop = ["Secret/shop/oidc", "Secret/shop/session", "SignIn/shop/staff"];
    let of_bank = ["Secret/bank/oidc", "Secret/bank/session", "SignIn/bank/staff"];
    let with_route = [&["HTTPRoute/bank/teller"][..], &of_bank].concat();
    for (row, event, expect) in [
        ("its Gateway", sign_in("shop", "staff", ("Gateway", "edge")), &of_shop[..]),
        ("another Gateway", sign_in("shop", "staff", ("Gateway", "other")), &[]),
        ("a guest's ListenerSet", sign_in("bank", "staff", ("ListenerSet", "extra")), &of_bank),
        ("a guest's route", sign_in("bank", "staff", ("HTTPRoute", "teller")), &with_route),
        ("a route that is not attached", sign_in("bank", "staff", ("HTTPRoute", "other")), &[]),
        ("somebody else's Gateway", sign_in("bank", "staff", ("Gateway", "edge")), &[]),
    ] {
        let mut index = index(scene());
        index.apply(listener_set("bank", "extra"));
        index.apply(attached("bank", "teller", to_edge(), ("bank", "teller")));
        for secret in secrets("shop").into_iter().chain(secrets("bank")) {
            index.apply(secret);
        }
        index.apply(event);
        assert!(index.refused().is_empty(), "{row}: {:?}", index.refused());
        assert_eq!(names(&index, "edge-1"), expect, "{row}");
        assert!(names(&index, "cart-1").is_empty(), "{row}: a sidecar");
    }
}

/// What a proxy makes of what it is told is what was written.
#[test]
fn what_is_told_is_read_as_one_set() {
    let mut index = index(scene());
    index.apply(attached("shop", "cart", to_edge(), ("shop", "cart")));
    for secret in secrets("shop") {
        index.apply(secret);
    }
    index.apply(sign_in("shop", "staff", ("HTTPRoute", "cart")));
    let files = told(&index, "edge-1")
        .into_iter()
        .map(|(name, value)| policy::SourceFile { name, bytes: value.to_string().into_bytes() });
    let read = policy::Resources::parse(&files.collect::<Vec<_>>(), "postern-system").unwrap();
    assert!(read.sign_in_secret_problems().is_empty());
    assert_eq!(read.routes()[0].parents.len(), 1);
    assert!(read.routes()[0].rules.iter().all(|rule| rule.rule.backends.is_empty()));
}

#[test]
fn a_secret_that_comes_changes_and_goes_is_told() {
    let mut index = index(scene());
    index.apply(sign_in("shop", "staff", ("Gateway", "edge")));
    let mut subscriber = Subscriber::new(name("shop", "edge-1"), "edge-1".into());
    subscriber.ask_policies(HashMap::new());
    assert!(index.delta(&mut subscriber).unwrap().policies.is_some());
    let mut next = |index: &Index| {
        let delta = index.delta(&mut subscriber).unwrap().policies;
        delta
            .map(|delta| (delta.changed.into_iter().map(|(name, _)| name).collect(), delta.removed))
    };
    let told = |name: &str| Some((vec![name.to_owned()], vec![]));
    let other = credentials("shop", "oidc", &json!({"client-secret": "b3RoZXI="}));
    for event in [secrets("shop")[0].clone(), other] {
        assert!(index.apply(event));
        assert_eq!(next(&index), told("Secret/shop/oidc"));
    }
    index.apply(secrets("shop")[2].clone());
    assert_eq!(next(&index), None, "nobody names it");
    index.apply(Event::Only(ObjectKind::Credentials, std::collections::HashSet::new()));
    assert_eq!(next(&index), Some((vec![], vec!["Secret/shop/oidc".to_owned()])));
}

/// One that was never without a mistake closes the gateway, and brings no Secret along.
#[test]
fn a_sign_in_with_a_mistake_is_told_as_it_is() {
    let mut index = index(scene());
    for secret in secrets("shop") {
        index.apply(secret);
    }
    index.apply(policy(
        PolicyKind::SignIn,
        "shop",
        "staff",
        &json!({
            "targetRefs": [{"group": GROUP, "kind": "Gateway", "name": "edge"}],
            "clientSecretRef": {"name": "oidc"},
        }),
    ));
    assert_eq!(index.refused().len(), 1);
    assert_eq!(names(&index, "edge-1"), ["SignIn/shop/staff"]);
}

#[test]
fn policies_about_tokens_are_told_to_whom_they_select() {
    let introspection = |more: Value| {
        let mut spec = json!({
            "issuer": "https://id.example", "clientId": "shop", "clientSecretRef": {"name": "oidc"},
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let cart = json!({"selector": {"matchLabels": {"app": "cart"}}});
    let edge = json!({"targetRefs": [{"group": GROUP, "kind": "Gateway", "name": "edge"}]});
    let revocation = json!({"tokens": [{"issuer": "https://id.example", "id": "a"}]});
    let asks = |namespace: &str| {
        vec![format!("Secret/{namespace}/oidc"), format!("TokenIntrospection/{namespace}/p")]
    };
    let one = |name: &str| vec![name.to_owned()];
    use PolicyKind::{ClientCredentials, TokenExchange, TokenIntrospection, TokenRevocation};
    let egress = json!({
        "selector": {"matchLabels": {"app": "cart"}}, "hosts": ["api.example.com"],
        "issuer": "https://id.example", "clientId": "shop", "clientSecretRef": {"name": "oidc"},
    });
    let with_token = ["ClientCredentials/shop/p", "Secret/shop/oidc"].map(str::to_owned).to_vec();
    for (row, kind, namespace, spec, at_edge, beside) in [
        ("labels", TokenIntrospection, "shop", introspection(cart), vec![], asks("shop")),
        (
            "a gateway",
            TokenIntrospection,
            "shop",
            introspection(edge.clone()),
            asks("shop"),
            vec![],
        ),
        ("elsewhere", TokenIntrospection, "bank", introspection(json!({})), vec![], vec![]),
        (
            "the whole mesh",
            TokenRevocation,
            "postern-system",
            revocation,
            one("TokenRevocation/postern-system/p"),
            one("TokenRevocation/postern-system/p"),
        ),
        ("tokens of its own", ClientCredentials, "shop", egress, vec![], with_token),
        ("an exchange", TokenExchange, "shop", edge, one("TokenExchange/shop/p"), vec![]),
    ] {
        let mut index = index(scene());
        for secret in secrets("shop").into_iter().chain(secrets("bank")) {
            index.apply(secret);
        }
        index.apply(policy(kind, namespace, "p", &spec));
        assert!(index.refused().is_empty(), "{row}: {:?}", index.refused());
        assert_eq!(names(&index, "edge-1"), at_edge, "{row}");
        assert_eq!(names(&index, "cart-1"), beside, "{row}");
    }
}

/// One Secret for everything is allowed, and no proxy gets more of it than its policies need.
#[test]
fn of_a_secret_each_proxy_is_told_what_its_policies_need() {
    let all = json!({"client-secret": "YQ==", "private-key": "Yg==", "current": "Yw==", "previous": "ZA=="});
    let with = |more: Value| {
        let mut spec = json!({
            "issuer": "https://id.example", "clientId": "shop", "clientSecretRef": {"name": "one"},
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let edge = json!([{"group": GROUP, "kind": "Gateway", "name": "edge"}]);
    let staff = with(json!({"targetRefs": edge, "session": {"keysSecretRef": {"name": "one"}}}));
    let asks = with(json!({"selector": {"matchLabels": {"app": "cart"}}}));
    let calls = with(json!({
        "selector": {"matchLabels": {"app": "cart"}}, "hosts": ["api.example.com"],
        "clientAuth": "private_key_jwt",
    }));
    use PolicyKind::{ClientCredentials, SignIn, TokenIntrospection};
    let staff = policy(SignIn, "shop", "staff", &staff);
    let asks = policy(TokenIntrospection, "shop", "asks", &asks);
    let calls = policy(ClientCredentials, "shop", "calls", &calls);
    let keys_of = |index: &Index, pod: &str| {
        let told = told(index, pod);
        let secret = told.get("Secret/shop/one").map(|secret| secret["data"].clone());
        let data = secret.unwrap_or_default().as_object().cloned().unwrap_or_default();
        data.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    const AT_EDGE: &[&str] = &["client-secret", "current", "previous"];
    for (row, policies, at_edge, beside) in [
        ("nobody names it", vec![], &[][..], &[][..]),
        ("a gateway's", vec![&staff], AT_EDGE, &[]),
        ("and a sidecar's", vec![&staff, &asks], AT_EDGE, &["client-secret"]),
        ("two of a sidecar", vec![&calls, &asks], &[], &["client-secret", "private-key"]),
        ("another way to prove it", vec![&calls, &staff], AT_EDGE, &["private-key"]),
    ] {
        let mut index = index(scene());
        index.apply(credentials("shop", "one", &all));
        for policy in policies {
            index.apply(policy.clone());
        }
        assert!(index.refused().is_empty(), "{row}: {:?}", index.refused());
        assert_eq!(keys_of(&index, "edge-1"), at_edge, "{row}");
        assert_eq!(keys_of(&index, "cart-1"), beside, "{row}");
    }
}

/// What is too much for a proxy is refused before it gets there, where it would let nobody in.
#[test]
fn revocations_beyond_what_a_proxy_takes_are_refused_and_wait_for_room() {
    let list = |namespace: &str, of: &str, count: usize| {
        let tokens =
            (0..count).map(|at| json!({"issuer": "https://id.example", "id": at.to_string()}));
        let spec = json!({"tokens": tokens.collect::<Vec<_>>()});
        policy(PolicyKind::TokenRevocation, namespace, of, &spec)
    };
    let gone = |namespace: &str, of: &str| {
        let object = name(namespace, of);
        Event::Policy(PolicyName { kind: PolicyKind::TokenRevocation, object }, None)
    };
    let mut index = index(scene());
    let refused = |index: &Index| {
        let refused = index.refused().into_iter();
        refused.map(|(name, _)| name.object.to_string()).collect::<Vec<_>>()
    };
    let counted = |index: &Index| {
        let lists = told(index, "cart-1").into_values();
        lists.map(|list| list["spec"]["tokens"].as_array().unwrap().len()).collect::<Vec<_>>()
    };
    for (row, event, waiting, in_force) in [
        ("half", list("shop", "a", 60_000), &[][..], &[60_000][..]),
        ("of another namespace", list("bank", "b", 60_000), &[], &[60_000]),
        (
            "too much of the mesh's",
            list("postern-system", "c", 40_001),
            &["postern-system/c"],
            &[60_000],
        ),
        ("as much as there is room", list("postern-system", "c", 40_000), &[], &[40_000, 60_000]),
        ("a change without room", list("shop", "a", 60_001), &["shop/a"], &[40_000, 60_000]),
        ("room", list("postern-system", "c", 39_999), &[], &[39_999, 60_001]),
        ("another one without", list("shop", "d", 1), &["shop/d"], &[39_999, 60_001]),
        ("whose room comes", gone("shop", "a"), &[], &[39_999, 1]),
    ] {
        index.apply(event);
        assert_eq!(refused(&index), waiting, "{row}");
        assert_eq!(counted(&index), in_force, "{row}");
    }
}
