//! Which rule holds for a call.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::SourceFile;

struct Rule(&'static str, &'static str, &'static str, &'static str);

/// The rules as one file; the last field is `creationTimestamp`.
fn resources(rules: &[Rule]) -> Resources {
    let rule = |Rule(namespace, name, host, created): &Rule| {
        let created = match *created {
            "" => String::new(),
            created => format!(", creationTimestamp: '{created}'"),
        };
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: {namespace}{created}}}\nspec: {{host: '{host}', trafficPolicy: {{portLevelSettings: [{{port: {{number: 9000}}, loadBalancer: {{simple: RANDOM}}}}]}}}}\n"
        )
    };
    parsed(&rules.iter().map(rule).collect::<String>())
}

fn parsed(text: &str) -> Resources {
    let file = SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() };
    Resources::parse(&[file], "root").unwrap()
}

fn workload(namespace: &str) -> Workload {
    Workload { namespace: namespace.into(), service_account: "a".into(), labels: BTreeMap::new() }
}

#[test]
fn the_rule_that_holds() {
    const CART: &str = "cart.shop.svc.cluster.local";
    let of = |row: &str, rules: &[Rule], namespace: &str, host: &str, expect: Option<&str>| {
        let policies = TrafficPolicies::build(&resources(rules), &workload(namespace));
        assert_eq!(policies.rule_of(host).map(|rule| &**rule), expect, "{row}");
        assert_eq!(policies.of(host, 80, "http").is_some(), expect.is_some(), "{row}");
    };
    let two = [Rule("shop", "a", CART, ""), Rule("root", "b", CART, "")];
    of("the own namespace's", &two, "shop", CART, Some("shop/a"));
    of("the root namespace's elsewhere", &two, "web", CART, Some("root/b"));
    of("the root namespace itself", &two, "root", CART, Some("root/b"));
    of("another namespace's is nobody's", &two[..1], "web", CART, None);
    of("another host", &two, "shop", "api.example.com", None);
    of(
        "a short name is of the rule's namespace",
        &[Rule("web", "a", "cart", "")],
        "web",
        CART,
        None,
    );
    let wild = [
        Rule("shop", "all", "*", ""),
        Rule("shop", "com", "*.com", ""),
        Rule("shop", "example", "*.example.com", ""),
        Rule("root", "exact", "api.example.com", ""),
    ];
    of("the longest suffix", &wild, "shop", "www.example.com", Some("shop/example"));
    of(
        "the own namespace before the exact host",
        &wild,
        "shop",
        "api.example.com",
        Some("shop/example"),
    );
    of("a suffix ends at a dot", &wild, "shop", "badexample.com", Some("shop/com"));
    of("a suffix is no host", &wild, "shop", "example.com", Some("shop/com"));
    of("any host", &wild, "shop", CART, Some("shop/all"));
    of("the root's for others", &wild, "web", "api.example.com", Some("root/exact"));
    let dated = [
        Rule("shop", "a", CART, ""),
        Rule("shop", "b", CART, "2026-01-02T00:00:00Z"),
        Rule("shop", "c", CART, "2026-01-01T00:00:00Z"),
    ];
    of("the oldest", &dated, "shop", CART, Some("shop/c"));
    of("dated before undated", &dated[..2], "shop", CART, Some("shop/b"));
}

#[test]
fn a_port_of_its_own() {
    let resources = resources(&[Rule("shop", "a", "cart", "")]);
    let policies = TrafficPolicies::build(&resources, &workload("shop"));
    let algorithm = |port| {
        policies.of("cart.shop.svc.cluster.local", port, "http").unwrap().load_balancing.algorithm
    };
    assert_eq!(algorithm(80), BalancingAlgorithm::PeakEwma);
    assert_eq!(algorithm(9000), BalancingAlgorithm::Random);
}

#[test]
fn faults_are_the_own_namespaces() {
    let fault = |namespace: &str, name: &str| {
        format!(
            "---\napiVersion: policy.postern.dev/v1alpha1\nkind: FaultInjection\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{targetRefs: [{{kind: Service, name: cart, namespace: shop}}], delay: {{percentage: 100, duration: 1s}}}}\n"
        )
    };
    let resources = parsed(&(fault("web", "b") + &fault("web", "a") + &fault("root", "c")));
    let first = |namespace: &str| {
        let policies = TrafficPolicies::build(&resources, &workload(namespace));
        let faults = policies.faults("cart.shop.svc.cluster.local")?;
        faults.decide(&(), 0).map(|fault| fault.injection.to_string())
    };
    assert_eq!(first("web").as_deref(), Some("web/a"));
    assert_eq!(first("shop"), None);
    assert_eq!(first("root").as_deref(), Some("root/c"));
}

#[test]
fn what_says_the_same_is_told() {
    let build = |rules: &[Rule]| {
        let resources = if rules.is_empty() { Resources::empty("root") } else { resources(rules) };
        TrafficPolicies::build(&resources, &workload("shop"))
    };
    let one = || build(&[Rule("shop", "a", "cart", "")]);
    assert!(one().say_same(&one()) && one().say_same(&one().clone()));
    assert!(!one().say_same(&TrafficPolicies::default()) && !one().is_empty());
    assert!(TrafficPolicies::default().say_same(&build(&[])) && build(&[]).is_empty());
}
