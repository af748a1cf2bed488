//! What is read of a TokenExchange, and what is said about the rest.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::{Resources, SourceFile};

fn parse(spec: &str) -> Result<Resources, String> {
    let text = format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: TokenExchange\nmetadata: {{name: users, namespace: shop}}\nspec: {spec}\n"
    );
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
    Resources::parse(&[file], "postern-system").map_err(|told| told.to_string())
}

fn read_rule(spec: &str) -> TokenExchangeRule {
    let resources = parse(spec).unwrap_or_else(|told| panic!("{spec}: {told}"));
    (**resources.token_exchanges()[0].rule()).clone()
}

#[test]
fn everything_has_a_default() {
    let rule = read_rule("{}");
    assert_eq!(*rule.name, *"shop/users");
    assert_eq!(rule.claims, ["email".into(), "groups".into()]);
    assert_eq!((rule.lifetime, rule.audience), (Duration::from_secs(300), None));
    assert!(rule.issuers.is_empty());
}

#[test]
fn everything_that_is_written_counts() {
    let rule = read_rule(
        "{selector: {matchLabels: {app: frontend}}, issuers: ['https://id.example'], claims: [role], lifetime: 30s, audience: 'spiffe://cluster.local/ns/shop/sa/cart'}",
    );
    assert_eq!(rule.issuers, ["https://id.example".into()]);
    assert_eq!(rule.claims, ["role".into()]);
    assert_eq!(rule.lifetime, Duration::from_secs(30));
    assert_eq!(rule.audience.as_deref(), Some("spiffe://cluster.local/ns/shop/sa/cart"));
    let at_a_gateway = "{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge, sectionName: https}], audience: 'spiffe://cluster.local'}";
    assert_eq!(read_rule(at_a_gateway).audience.as_deref(), Some("spiffe://cluster.local"));
}

#[test]
fn every_mistake_is_told() {
    for (row, spec, told) in [
        ("an unknown field", "{issuer: me}", "did you mean `issuers`?"),
        ("no issuer", "{issuers: []}", "an empty list"),
        ("an issuer twice", "{issuers: [a, a]}", "each once"),
        ("a claim of the issuer's own", "{claims: [sub]}", "says this claim itself"),
        ("the actor", "{claims: [act]}", "says this claim itself"),
        ("no claim", "{claims: ['']}", "text that is not empty"),
        ("a long life", "{lifetime: 10m}", "from 30s to 5m"),
        ("a short life", "{lifetime: 10s}", "from 30s to 5m"),
        ("for the web", "{audience: 'https://x'}", "spiffe://cluster.local/ns/shop/sa/cart"),
        ("for a name", "{audience: cart}", "spiffe://cluster.local/ns/shop/sa/cart"),
        (
            "both",
            "{selector: {matchLabels: {a: b}}, targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]}",
            "one of the two",
        ),
        (
            "a Service",
            "{targetRefs: [{group: '', kind: Service, name: cart}]}",
            "gateway.networking.k8s.io",
        ),
    ] {
        let found = parse(spec).map(drop).unwrap_err();
        assert!(found.contains(told), "{row}: {found}");
    }
}
