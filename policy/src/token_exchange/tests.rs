//! Which rule holds where, and for whose users.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use super::*;
use crate::gateway::ObjectName;
use crate::{PolicyDefaults, Snapshot, SourceFile};

fn object(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: policy.postern.dev/v1alpha1\nkind: TokenExchange\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

fn table(text: &str) -> Arc<TokenExchangeTable> {
    let file = SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() };
    let resources =
        Resources::parse(&[file], "postern-system").unwrap_or_else(|told| panic!("{told}\n{text}"));
    let workload = Workload {
        namespace: "shop".into(),
        service_account: "frontend".into(),
        labels: BTreeMap::from([("app".into(), "frontend".into())]),
    };
    let snapshot = Snapshot::build(&resources, &workload, &PolicyDefaults::default());
    Arc::clone(snapshot.token_exchange())
}

#[test]
fn whose_users_a_rule_is_about() {
    let text = [
        object("a-all", "shop", "{}"),
        object("b-one", "shop", "{issuers: ['https://id.example']}"),
        object("c-other", "shop", "{selector: {matchLabels: {app: cart}}, issuers: [other]}"),
        object("d-mesh", "postern-system", "{issuers: [partner]}"),
        object("e-elsewhere", "bank", "{issuers: [bank]}"),
    ];
    let table = table(&text.concat());
    for (row, issuer, expect) in [
        ("a rule that names the issuer", "https://id.example", "shop/b-one"),
        ("of the root namespace", "partner", "postern-system/d-mesh"),
        ("named by another workload's rule", "other", "shop/a-all"),
        ("named in another namespace", "bank", "shop/a-all"),
        ("named nowhere", "x", "shop/a-all"),
    ] {
        assert_eq!(&*table.rule(None, issuer).unwrap().name, expect, "{row}");
    }
}

#[test]
fn a_rule_of_a_listener_holds_there_alone() {
    let target = |section: &str| {
        format!(
            "{{targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: edge{section}}}], issuers: [me]}}"
        )
    };
    let table = table(&object("edge", "shop", &target(", sectionName: https")));
    let gateway = ObjectName::new("shop", "edge");
    let [https, http]: [Arc<str>; 2] = ["https".into(), "http".into()];
    let place = |section| ListenerPlace { gateway: &gateway, listener_set: None, section };
    for (row, listener, holds) in [
        ("the listener", Some(place(&https)), true),
        ("another one", Some(place(&http)), false),
        ("no gateway", None, false),
    ] {
        assert_eq!(table.holds_at(listener.as_ref()), holds, "{row}");
        let rule = table.rule(listener.as_ref(), "me").is_some();
        assert_eq!(rule, holds, "{row}");
    }
    assert!(table.rule(Some(&place(&https)), "another").is_none(), "no rule is about its users");
    assert!(!table.is_empty() && TokenExchangeTable::default().is_empty());
}
