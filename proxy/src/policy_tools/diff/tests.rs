//! One log under two sets of policies.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::policy_tools::diff::*;
use policy::{Resources, SourceFile};

const CONFIG: &str = "workload: {namespace: shop, serviceAccount: cart}\nidentity: {workloadApi: unix:///run/a}\ninbound: {ports: {8080: {protocol: http}, 9000: {protocol: tcp}}}\n";

const LOG: &str = r#"{"kind":"request","direction":"inbound","source_ip":"10.0.0.2","source_principal":"cluster.local/ns/shop/sa/frontend","destination":"10.0.0.3:8080","method":"GET","host":"cart","path":"/a","status":200,"decision":"allow"}
{"kind":"request","direction":"inbound","source_ip":"10.0.0.2","source_principal":"cluster.local/ns/shop/sa/frontend","destination":"10.0.0.3:8080","method":"GET","host":"cart","path":"/a","status":200,"decision":"allow"}
{"kind":"request","direction":"outbound","source_ip":"10.0.0.2","source_principal":"cluster.local/ns/shop/sa/frontend","destination":"10.0.0.3:8080","method":"GET","host":"cart","path":"/b","status":200}
{"kind":"request","direction":"inbound","source_ip":"10.0.0.2","source_principal":"cluster.local/ns/shop/sa/reports","destination":"10.0.0.3:8080","method":"GET","host":"cart","path":"/a","status":403,"decision":"deny"}
{"kind":"connection","direction":"inbound","source_ip":"10.0.0.2","source_principal":"cluster.local/ns/shop/sa/frontend","destination":"10.0.0.3:9000","decision":"allow"}
"#;

fn policy(rules: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {{rules: [{rules}]}}\n"
    )
}

fn report(old: &str, new: &str) -> DiffReport {
    let config = Config::parse("c", CONFIG.as_bytes()).unwrap_or_else(|m| panic!("{m}"));
    let snapshot = |rules: &str| {
        let file = SourceFile { name: "r".into(), bytes: policy(rules).into_bytes() };
        let resources =
            Resources::parse(&[file], &config.root_namespace).unwrap_or_else(|m| panic!("{m}"));
        Snapshot::build(&resources, &config.workload, &config.defaults)
    };
    let seen = recorded::read(LOG.as_bytes()).unwrap().seen;
    compare(&config, &snapshot(old), &snapshot(new), &seen)
}

#[test]
fn every_verdict_that_changes() {
    let by = |sa: &str| {
        format!("{{from: [{{source: {{principals: [cluster.local/ns/shop/sa/{sa}]}}}}]}}")
    };
    let (frontend, reports) = (by("frontend"), by("reports"));
    let same = report(&frontend, &frontend);
    assert_eq!((same.replayed, same.changed, same.changes.len()), (4, 0, 0));
    let turned = report(&frontend, &reports);
    assert_eq!((turned.replayed, turned.changed), (4, 4));
    let mut text = Vec::new();
    write_text(&mut text, &turned).unwrap();
    let text = String::from_utf8(text).unwrap();
    let words: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        words,
        [
            "COUNT CALLER REQUEST OLD NEW",
            "2 cluster.local/ns/shop/sa/frontend :8080 GET /a allow (shop/p rule 0) deny (no_matching_allow)",
            "1 cluster.local/ns/shop/sa/frontend :9000 (opaque) allow (shop/p rule 0) deny (no_matching_allow)",
            "1 cluster.local/ns/shop/sa/reports :8080 GET /a deny (no_matching_allow) allow (shop/p rule 0)",
            "4 of 4 replayed have another verdict",
        ]
    );
}

#[test]
fn operations_at_a_broker() {
    let line = r#"{"kind":"message","timestamp":"t","direction":"inbound","destination":"10.0.0.3:9000","source_principal":"cluster.local/ns/shop/sa/frontend","protocol":"kafka","operation":"subscribe","group":"g","decision":"allow"}"#;
    let config = Config::parse("c", CONFIG.as_bytes()).unwrap_or_else(|m| panic!("{m}"));
    let snapshot = |group: &str| {
        let topics = format!(
            "---\napiVersion: policy.postern.dev/v1alpha1\nkind: TopicPolicy\nmetadata: {{name: t, namespace: shop}}\nspec: {{protocol: kafka, rules: [{{to: [{{operation: {{operations: [subscribe], groups: [{group}]}}}}]}}]}}\n"
        );
        let file = SourceFile { name: "r".into(), bytes: (policy("{}") + &topics).into_bytes() };
        let resources =
            Resources::parse(&[file], &config.root_namespace).unwrap_or_else(|m| panic!("{m}"));
        Snapshot::build(&resources, &config.workload, &config.defaults)
    };
    let seen = recorded::read(line.as_bytes()).unwrap().seen;
    assert_eq!(compare(&config, &snapshot("g"), &snapshot("g*"), &seen).changed, 0);
    let changed = compare(&config, &snapshot("g"), &snapshot("h"), &seen);
    let mut text = Vec::new();
    write_text(&mut text, &changed).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains(":9000 subscribe (group g)"), "{text}");
    assert!(text.contains("deny (group_denied)"), "{text}");
}
