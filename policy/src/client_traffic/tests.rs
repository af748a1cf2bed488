#![allow(clippy::unwrap_used)]
use super::*;
use crate::resources::{Resources, SourceFile};

fn resources(yaml: &str) -> Resources {
    let bytes = yaml.as_bytes().to_vec();
    Resources::parse(&[SourceFile { name: "edge.yaml".into(), bytes }], "postern-system").unwrap()
}

fn policy(name: &str, created: &str, target: &str, spec: &str) -> String {
    let created = match created {
        "" => String::new(),
        time => format!(", creationTimestamp: \"{time}\""),
    };
    format!(
        "---\napiVersion: policy.postern.dev/v1alpha1\nkind: ClientTrafficPolicy\n\
         metadata: {{name: {name}, namespace: shop{created}}}\nspec:\n  targetRefs:\n  - {{group: \
         gateway.networking.k8s.io, {target}}}\n  {spec}\n"
    )
}

const TLS: &str = "tls: {minimumVersion: \"1.3\"}";

#[test]
fn the_most_specific_policy_holds_as_a_whole() {
    let all = [
        policy("whole", "", "kind: Gateway, name: edge", TLS),
        policy("section", "", "kind: Gateway, name: edge, sectionName: https", TLS),
        policy("set", "", "kind: ListenerSet, name: more", TLS),
        policy("in-set", "", "kind: ListenerSet, name: more, sectionName: https", TLS),
        policy("younger", "2026-02-01T00:00:00Z", "kind: Gateway, name: old", TLS),
        policy("older", "2026-01-01T00:00:00Z", "kind: Gateway, name: old", TLS),
        policy("a-without-time", "", "kind: Gateway, name: old", TLS),
        policy("b", "", "kind: Gateway, name: twins", TLS),
        policy("a", "", "kind: Gateway, name: twins", TLS),
    ];
    let read = resources(&all.concat());
    let traffic = ClientTraffic::build(read.client_traffic_policies(), &[]);
    for (gateway, set, section, expect) in [
        ("edge", None, "http", Some("shop/whole")),
        ("edge", None, "https", Some("shop/section")),
        ("edge", Some("more"), "http", Some("shop/set")),
        ("edge", Some("more"), "https", Some("shop/in-set")),
        ("edge", Some("other"), "https", Some("shop/whole")),
        ("old", None, "http", Some("shop/older")),
        ("twins", None, "http", Some("shop/a")),
        ("nobodys", None, "http", None),
    ] {
        let listener = ListenerPlace {
            gateway: ("shop", gateway),
            listener_set: set.map(|set| ("shop", set)),
            section,
        };
        let found = traffic.of(&listener).policy.as_deref();
        assert_eq!(found, expect, "{gateway} {set:?} {section}");
    }
    let elsewhere =
        ListenerPlace { gateway: ("other", "edge"), listener_set: None, section: "http" };
    assert_eq!(traffic.of(&elsewhere).policy, None);
}
