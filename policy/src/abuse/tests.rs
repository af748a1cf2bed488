//! Which policies are about what, and whom they hold a request to be of.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::gateway::ObjectName;
use crate::resources::DEFAULT_ROOT_NAMESPACE;
use crate::{ApiKeyFacts, SourceFile, TokenClaims};

fn policies(is_gateway: bool, objects: &[(&str, &str, &str)]) -> AbusePolicies {
    let documents = objects.iter().map(|(namespace, name, spec)| {
        format!("---\napiVersion: policy.postern.dev/v1alpha1\nkind: AbusePolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n")
    });
    let bytes = documents.collect::<String>().into_bytes();
    let files = [SourceFile { name: "r".into(), bytes }];
    let resources = Resources::parse(&files, DEFAULT_ROOT_NAMESPACE).unwrap();
    let workload = Workload {
        namespace: "shop".into(),
        service_account: "cart".into(),
        labels: [("app".to_owned(), "cart".to_owned())].into(),
    };
    AbusePolicies::build(&resources, &workload, is_gateway)
}

fn about(policies: &AbusePolicies, listener: Option<ListenerPlace<'_>>) -> Vec<String> {
    let about = policies.policies().iter().filter(|policy| policy.is_about(listener.as_ref()));
    about.map(|policy| policy.policy.to_string()).collect()
}

#[test]
fn which_policies_are_about_a_sidecar_and_a_listener() {
    let at = |more: &str| {
        format!(
            "key: clientAddress, targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: edge{more}}}]"
        )
    };
    let (gateway, section) = (at(""), at(", sectionName: https"));
    let objects = [
        ("shop", "a", "key: clientAddress, selector: {matchLabels: {app: cart}}"),
        ("shop", "other", "key: clientAddress, selector: {matchLabels: {app: web}}"),
        ("bank", "b", "key: clientAddress"),
        (DEFAULT_ROOT_NAMESPACE, "root", "key: clientAddress"),
        ("shop", "gateway", &*gateway),
        ("shop", "section", &*section),
        ("bank", "theirs", &*gateway),
    ];
    let (sidecar, edge) = (policies(false, &objects), policies(true, &objects));
    assert_eq!(about(&sidecar, None), ["postern-system/root", "shop/a"]);
    assert_eq!(sidecar.policies().len(), 2, "a sidecar has no listeners of a gateway");
    let name = ObjectName::new("shop", "edge");
    let sections: [Arc<str>; 2] = ["https".into(), "http".into()];
    let place = |section| ListenerPlace { gateway: &name, listener_set: None, section };
    let all = ["postern-system/root", "shop/a", "shop/gateway", "shop/section"];
    assert_eq!(about(&edge, Some(place(&sections[0]))), all);
    assert_eq!(about(&edge, Some(place(&sections[1]))), &all[..3]);
}

#[test]
fn s48_a_caller_is_a_verified_identity_or_its_address() {
    let token = TokenClaims {
        issuer: "https://id".into(),
        claims: [("sub".to_owned(), json!("ann")), ("n".to_owned(), json!([1]))]
            .into_iter()
            .collect(),
        ..TokenClaims::default()
    };
    let key = ApiKeyFacts { policy: "shop/keys".into(), id: "k1".into(), ..Default::default() };
    let address: IpAddr = "2001:db8::1:2:3:4".parse().unwrap();
    let nobody =
        CallerFacts { principal: None, client: address, token: None, api_key: None, route: None };
    let all = CallerFacts {
        principal: Some("td/ns/a/sa/b"),
        token: Some(&token),
        api_key: Some(&key),
        ..nobody
    };
    for (key, expect) in [
        ("principal", ("principal", "td/ns/a/sa/b")),
        ("clientAddress", ("clientAddress", "2001:db8::/64")),
        ("claim, claim: sub", ("claim", "sub ann of https://id")),
        ("claim, claim: n", ("claim", "n [1] of https://id")),
        ("claim, claim: none", ("clientAddress", "2001:db8::/64")),
        ("apiKey", ("apiKey", "key k1 of shop/keys")),
    ] {
        let table = policies(false, &[("shop", "p", &format!("key: {key}"))]);
        let policy = &table.policies()[0];
        let found = policy.caller(&all);
        assert_eq!((found.kind(), &*found.to_string()), expect, "{key}");
        assert_eq!(policy.caller(&nobody).kind(), "clientAddress", "{key}: without it");
        let bytes = |facts: &CallerFacts<'_>| {
            let mut key = Vec::new();
            policy.key(facts, &mut key);
            key
        };
        let is_address = expect.0 == "clientAddress";
        assert_eq!(bytes(&all) == bytes(&nobody), is_address, "{key}");
        let neighbour = CallerFacts { client: "2001:db8::9".parse().unwrap(), ..nobody };
        assert_eq!(bytes(&neighbour), bytes(&nobody), "{key}: of the same /64");
        let other = CallerFacts { client: "2001:db8:1::9".parse().unwrap(), ..nobody };
        assert_ne!(bytes(&other), bytes(&nobody), "{key}: of another one");
    }
}
