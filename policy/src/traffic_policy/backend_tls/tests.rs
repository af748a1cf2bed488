//! Which policy holds for a port, and what cannot be followed.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::core_group::TEST_AUTHORITY;
use crate::traffic_policy::{BalancingAlgorithm, SubjectAltName};
use crate::{SourceFile, TrafficPolicies, Workload};

const HOST: &str = "pay.bank.svc.cluster.local";

fn parsed(text: &str) -> Resources {
    let file = SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() };
    Resources::parse(&[file], "root").unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
}

fn policies(resources: &Resources) -> TrafficPolicies {
    let workload =
        Workload { namespace: "shop".into(), service_account: "a".into(), labels: BTreeMap::new() };
    TrafficPolicies::build(resources, &workload)
}

/// A policy `bank/<name>` of Service `pay`, with more of its metadata, target and validation.
fn policy(name: &str, created: &str, target: &str, validation: &str) -> String {
    let created = match created {
        "" => String::new(),
        created => format!(", creationTimestamp: '{created}'"),
    };
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{name: {name}, namespace: bank{created}}}\nspec: {{targetRefs: [{{group: '', kind: Service, name: pay{target}}}], validation: {{hostname: {name}.example, {validation}}}}}\n"
    )
}

fn config_map(namespace: &str, name: &str, pem: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\ndata: {{ca.crt: {pem:?}}}\n"
    )
}

const SYSTEM: &str = "wellKnownCACertificates: System";

#[test]
fn the_policy_that_holds() {
    let whole = policy("b", "2026-02-01T00:00:00Z", "", SYSTEM);
    let older = policy("c", "2026-01-01T00:00:00Z", "", SYSTEM);
    let file = policy("a", "", "", SYSTEM);
    let port = policy("p", "", ", sectionName: https", SYSTEM);
    for (row, text, port_name, expect) in [
        ("one", whole.clone(), "https", "b.example"),
        ("the older of two", whole.clone() + &older, "https", "c.example"),
        ("whatever their order", older.clone() + &whole, "https", "c.example"),
        ("one of a file after those with a time", file.clone() + &whole, "https", "b.example"),
        ("a port's before the whole", whole.clone() + &port, "https", "p.example"),
        ("another port", whole + &port, "grpc", "b.example"),
        ("a port's alone", port, "https", "p.example"),
    ] {
        let policies = policies(&parsed(&text));
        let tls = policies.of(HOST, 443, port_name).and_then(|policy| policy.tls.as_ref());
        assert_eq!(tls.and_then(|tls| tls.sni.as_deref()), Some(expect), "{row}");
        assert!(policies.of("pay.shop.svc.cluster.local", 443, port_name).is_none(), "{row}");
        assert!(!policies.is_empty(), "{row}");
    }
    let policies = policies(&parsed(&policy("p", "", ", sectionName: https", SYSTEM)));
    assert!(policies.of(HOST, 443, "grpc").is_none());
}

#[test]
fn what_a_destination_rule_says_beside_it() {
    let rule = format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: r, namespace: shop}}\nspec: {{host: {HOST}, trafficPolicy: {{loadBalancer: {{simple: RANDOM}}, portLevelSettings: [{{port: {{number: 90}}, loadBalancer: {{simple: ROUND_ROBIN}}}}]}}}}\n"
    );
    let policies = policies(&parsed(&(rule + &policy("b", "", "", SYSTEM))));
    for (port, algorithm) in
        [(80, BalancingAlgorithm::Random), (90, BalancingAlgorithm::RoundRobin)]
    {
        let found = policies.of(HOST, port, "x").unwrap();
        assert_eq!(found.load_balancing.algorithm, algorithm);
        assert!(found.tls.is_some());
        // Whoever keeps what was made of it asks whether it is the same value.
        assert!(Arc::ptr_eq(found, policies.of(HOST, port, "x").unwrap()));
    }
    assert_eq!(policies.rule_of(HOST).map(|rule| &**rule), Some("shop/r"));
}

#[test]
fn names_and_authorities() {
    let names = "subjectAltNames: [{type: Hostname, hostname: '*.pay.example'}, {type: URI, uri: 'spiffe://a.example/pay'}]";
    let validation =
        format!("caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}], {names}");
    let text = policy("b", "", "", &validation) + &config_map("bank", "ca", TEST_AUTHORITY);
    let tls = policies(&parsed(&text)).of(HOST, 443, "").unwrap().tls.clone().unwrap();
    let CaCertificates::Pem(pem) = &tls.ca_certificates else { panic!("{tls:?}") };
    assert_eq!(pem.trim(), TEST_AUTHORITY.trim());
    assert_eq!(
        *tls.subject_alt_names,
        [
            SubjectAltName::Host("*.pay.example".into()),
            SubjectAltName::Uri("spiffe://a.example/pay".into())
        ]
    );
}

#[test]
fn what_cannot_be_followed_lets_nothing_through() {
    let refs = |refs: &str| policy("b", "", "", &format!("caCertificateRefs: [{refs}]"));
    let one = "{group: '', kind: ConfigMap, name: ca}";
    let two = "{group: '', kind: ConfigMap, name: ca}, {group: '', kind: Secret, name: ca}";
    let right = config_map("bank", "ca", TEST_AUTHORITY);
    let options = policy("b", "", "", SYSTEM).replace("spec: {", "spec: {options: {a.b/c: d}, ");
    for (row, text, reasons, refuses) in [
        ("there", refs(one) + &right, "", false),
        ("no such ConfigMap", refs(one), "InvalidCACertificateRef", true),
        (
            "in another namespace",
            refs(one) + &config_map("shop", "ca", TEST_AUTHORITY),
            "InvalidCACertificateRef",
            true,
        ),
        (
            "no certificate",
            refs(one) + &config_map("bank", "ca", "hello"),
            "InvalidCACertificateRef",
            true,
        ),
        ("another kind", refs("{group: '', kind: Secret, name: ca}"), "InvalidKind", true),
        ("one of two", refs(two) + &right, "InvalidKind", false),
        (
            "a set that is not known",
            policy("b", "", "", "wellKnownCACertificates: a.b/c"),
            "",
            true,
        ),
        ("an option", options, "", true),
        ("the system's", policy("b", "", "", SYSTEM), "", false),
    ] {
        let resources = parsed(&text);
        let planned = PlannedBackendTls::all(&resources);
        let told: Vec<_> = planned[0].unresolved.iter().map(|why| why.reason.as_str()).collect();
        assert_eq!((told.join(" ").as_str(), planned[0].refuses()), (reasons, refuses), "{row}");
        let tls = policies(&resources).of(HOST, 443, "").unwrap().tls.clone().unwrap();
        let nowhere = matches!(tls.ca_certificates, CaCertificates::Nowhere(_));
        assert_eq!(nowhere, refuses, "{row}");
    }
}

#[test]
fn a_target_that_another_policy_has() {
    let text = policy("b", "2026-02-01T00:00:00Z", "", SYSTEM)
        + &policy("a", "2026-01-01T00:00:00Z", "", SYSTEM)
        + &policy("c", "2026-03-01T00:00:00Z", ", sectionName: x", SYSTEM);
    let resources = parsed(&text);
    let planned = PlannedBackendTls::all(&resources);
    let told: Vec<_> =
        planned.iter().map(|planned| (&*planned.policy.id.name, planned.holds[0])).collect();
    assert_eq!(told, [("a", true), ("b", false), ("c", true)]);
}
