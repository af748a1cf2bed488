//! Which keys are taken, and when.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::SourceFile;
use crate::gateway::ObjectName;

const OLD: ApiKeyHash = ApiKeyHash([1; 32]);
const NEW: ApiKeyHash = ApiKeyHash([2; 32]);

/// Two keys of one client whose times overlap, as in a rotation.
fn rules(mode: &str) -> ApiKeyTable {
    table(&format!(
        "mode: {mode}, keys: [{{id: a1, client: acme, hash: '{OLD}', notAfter: \"1970-01-01T00:03:20Z\"}}, \
         {{id: a2, client: acme, hash: '{NEW}', notBefore: \"1970-01-01T00:01:40Z\"}}]"
    ))
}

fn table(spec: &str) -> ApiKeyTable {
    let text = format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: ApiKeyPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {{{spec}}}\n"
    );
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
    let resources = Resources::parse(&[file], "postern-system").unwrap();
    ApiKeyTable::build(&resources, &workload())
}

fn workload() -> Workload {
    let (namespace, service_account) = ("shop".to_owned(), "cart".to_owned());
    Workload { namespace, service_account, labels: [].into() }
}

#[test]
fn a_rotation_is_two_keys_of_one_client() {
    use ApiKeyRefusal::{Expired, Invalid, Missing};
    let other = ApiKeyHash([3; 32]);
    for (row, mode, sent, now, expect) in [
        ("the old one", "required", Some(&OLD), 50, Ok(Some("a1"))),
        ("the new one, too early", "required", Some(&NEW), 99, Err(Invalid)),
        ("both", "required", Some(&OLD), 100, Ok(Some("a1"))),
        ("both", "required", Some(&NEW), 100, Ok(Some("a2"))),
        ("the old one, at its end", "required", Some(&OLD), 200, Err(Expired)),
        ("the new one", "required", Some(&NEW), 200, Ok(Some("a2"))),
        ("another", "required", Some(&other), 150, Err(Invalid)),
        ("none", "required", None, 150, Err(Missing)),
        ("none where it is optional", "optional", None, 150, Ok(None)),
        ("another where it is optional", "optional", Some(&other), 150, Err(Invalid)),
    ] {
        let rules = rules(mode);
        let place = ApiKeyPlace::Header("x-api-key".into());
        let judged = rules.rules(None).judge(sent.map(|hash| (&place, hash)), now);
        let judged = judged.map(|key| key.map(|key| &*key.facts.id));
        assert_eq!(judged, expect, "{row} at {now}");
    }
}

#[test]
fn f12_policy_tightened_or_removed_keys_are_judged_again() {
    use ApiKeyRefusal::{Expired, Invalid, Missing};
    let place = ApiKeyPlace::Header("x-api-key".into());
    let accepted = rules("required");
    let accepted = accepted.rules(None).judge(Some((&place, &OLD)), 50).unwrap().cloned();
    let changed = |spec: &str| table(spec);
    let elsewhere =
        changed(&format!("from: {{query: k}}, keys: [{{id: a1, client: other, hash: '{OLD}'}}]"));
    let removed = changed(&format!("keys: [{{id: a2, client: acme, hash: '{NEW}'}}]"));
    for (row, rules, accepted, now, expect) in [
        ("nothing changes", &rules("required"), accepted.as_deref(), 60, Ok(Some("acme"))),
        ("its time is over", &rules("required"), accepted.as_deref(), 300, Err(Expired)),
        ("it is removed", &removed, accepted.as_deref(), 60, Err(Invalid)),
        ("it is another's, elsewhere", &elsewhere, accepted.as_deref(), 60, Ok(Some("other"))),
        ("nothing is asked", &ApiKeyTable::default(), accepted.as_deref(), 60, Ok(None)),
        ("one is asked for from now on", &rules("required"), None, 60, Err(Missing)),
    ] {
        let judged = rules.rules(None).judge_again(accepted, now);
        let judged = judged.map(|key| key.map(|key| &*key.facts.client));
        assert_eq!(judged, expect, "{row}");
    }
}

#[test]
fn a_listener_asks_for_what_its_gateway_asks_for() {
    let spec = |target: &str| {
        format!(
            "targetRefs: [{{group: gateway.networking.k8s.io, {target}}}], keys: [{{id: k, client: c, hash: '{OLD}'}}]"
        )
    };
    for (target, in_gateway, in_set) in [
        ("kind: Gateway, name: edge", true, true),
        ("kind: Gateway, name: edge, sectionName: https", true, false),
        ("kind: Gateway, name: edge, sectionName: http", false, false),
        ("kind: Gateway, name: other", false, false),
        ("kind: ListenerSet, name: more", false, true),
        ("kind: ListenerSet, name: more, sectionName: https", false, true),
        ("kind: ListenerSet, name: more, sectionName: http", false, false),
    ] {
        let table = table(&spec(target));
        assert!(table.rules(None).is_empty(), "{target}");
        let (edge, more) = (ObjectName::new("shop", "edge"), ObjectName::new("shop", "more"));
        let asks = |listener_set| {
            let place =
                ListenerPlace { gateway: &edge, listener_set, section: &Arc::from("https") };
            table.rules(Some(place)).are_required()
        };
        assert_eq!(asks(None), in_gateway, "{target}");
        assert_eq!(asks(Some(&more)), in_set, "{target}");
    }
}
