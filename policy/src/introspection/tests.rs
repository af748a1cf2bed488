//! Which issuers are asked about whose tokens.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use crate::client_traffic::ListenerPlace;
use crate::gateway::ObjectName;
use crate::resources::DEFAULT_ROOT_NAMESPACE;
use crate::{PolicyDefaults, Resources, Snapshot, SourceFile, TokenClaims, Workload};

const LEAST: &str = "issuer: 'https://id.example', clientId: shop, clientSecretRef: {name: s}";
const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData: {client-secret: hush}\n";

fn resources(more: &str, objects: &[(&str, &str, &str)]) -> Resources {
    let documents = objects.iter().map(|(namespace, name, spec)| {
        format!("---\napiVersion: policy.postern.dev/v1alpha1\nkind: TokenIntrospection\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{LEAST}{spec}}}\n")
    });
    let bytes = format!("# none\n---\n{more}{}", documents.collect::<String>()).into_bytes();
    let files = [SourceFile { name: "r".into(), bytes }];
    Resources::parse(&files, DEFAULT_ROOT_NAMESPACE).unwrap()
}

fn snapshot(more: &str, objects: &[(&str, &str, &str)]) -> Snapshot {
    let workload = Workload {
        namespace: "shop".into(),
        service_account: "cart".into(),
        labels: [("app".to_owned(), "cart".to_owned())].into(),
    };
    Snapshot::build(&resources(more, objects), &workload, &PolicyDefaults::default())
}

fn asked(snapshot: &Snapshot, listener: Option<ListenerPlace<'_>>) -> Vec<String> {
    let rules = snapshot.introspections().about(listener);
    rules.map(|rule| rule.policy.to_string()).collect()
}

#[test]
fn who_is_asked_at_a_sidecar_and_at_a_listener() {
    let at = |kind: &str, more: &str| {
        format!(
            ", targetRefs: [{{group: gateway.networking.k8s.io, kind: {kind}, name: edge{more}}}]"
        )
    };
    let (gateway, section) = (at("Gateway", ""), at("Gateway", ", sectionName: https"));
    let snapshot = snapshot(
        "",
        &[
            ("shop", "z", ""),
            ("shop", "a", ", selector: {matchLabels: {app: cart}}"),
            ("shop", "other", ", selector: {matchLabels: {app: web}}"),
            ("bank", "b", ""),
            (DEFAULT_ROOT_NAMESPACE, "root", ""),
            ("shop", "gateway", &gateway),
            ("shop", "section", &section),
            ("bank", "theirs", &gateway),
        ],
    );
    let edge = ObjectName::new("shop", "edge");
    let section: [Arc<str>; 2] = ["https".into(), "http".into()];
    let place = |section| ListenerPlace { gateway: &edge, listener_set: None, section };
    assert_eq!(asked(&snapshot, None), ["postern-system/root", "shop/a", "shop/z"]);
    let all = ["postern-system/root", "shop/a", "shop/gateway", "shop/section", "shop/z"];
    assert_eq!(asked(&snapshot, Some(place(&section[0]))), all);
    assert_eq!(
        asked(&snapshot, Some(place(&section[1]))),
        ["postern-system/root", "shop/a", "shop/gateway", "shop/z"]
    );
}

#[test]
fn what_a_client_proves_itself_by() {
    for (row, secret, found) in [
        ("it is there", SECRET.to_owned(), true),
        ("it is not", String::new(), false),
        ("it is another's", SECRET.replace("namespace: shop", "namespace: bank"), false),
        ("it lacks the key", SECRET.replace("client-secret", "secret"), false),
    ] {
        let told = resources(&secret, &[("shop", "p", "")]).introspection_secret_problems();
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        assert_eq!(told.is_empty(), found, "{row}: {told:?}");
        assert!(told.iter().all(|told| told.contains("Secret shop/s: it ")), "{row}: {told:?}");
        let snapshot = snapshot(&secret, &[("shop", "p", "")]);
        let rule = &snapshot.introspections().all()[0];
        assert_eq!(rule.credential.is_ok(), found, "{row}");
        assert!(!format!("{snapshot:?}").contains("hush"), "{row}: it is not shown");
    }
}

#[test]
fn f12_policy_tightened_or_removed_for_a_token_that_was_active() {
    let claims = |issuer: &str, audience: &str| TokenClaims {
        issuer: issuer.into(),
        audiences: vec![audience.into()],
        ..TokenClaims::default()
    };
    let before = claims("https://id.example", "cart");
    for (row, name, spec, claims, goes_on) in [
        ("the same", "p", "", before.clone(), true),
        ("for this audience", "p", ", audiences: [cart]", before.clone(), true),
        ("for another one", "p", ", audiences: [web]", before.clone(), false),
        ("by the word of another policy", "q", "", before.clone(), false),
        ("of another issuer", "p", "", claims("https://other.example", "cart"), false),
        ("no longer selected", "p", ", selector: {matchLabels: {app: web}}", before, false),
    ] {
        let snapshot = snapshot("", &[("shop", name, spec)]);
        let accepts = snapshot.introspections().still_accepts("shop/p", &claims, None);
        assert_eq!(accepts, goes_on, "{row}");
    }
}

#[test]
fn a_new_secret_is_a_change_and_one_that_nobody_asks_with_is_none() {
    let other = SECRET.replace("hush", "hash");
    let asking = |secret: &str| resources(secret, &[("shop", "p", "")]);
    assert!(asking(SECRET).authorize_as(&asking(SECRET)));
    assert!(!asking(SECRET).authorize_as(&asking(&other)));
    assert!(resources(SECRET, &[]).authorize_as(&resources(&other, &[])));
}

/// What a client says in such a header is not trusted (S-16), and what a gateway has made stays.
#[test]
fn headers_that_are_made_are_taken_out_where_they_are_made() {
    let at = |kind: &str, name: &str, header: &str| {
        format!(
            ", claimHeaders: [{{header: {header}, claim: sub}}], \
                 targetRefs: [{{group: gateway.networking.k8s.io, kind: {kind}, name: {name}}}]"
        )
    };
    let (edge, set) = (at("Gateway", "edge", "x-edge"), at("ListenerSet", "guests", "x-set"));
    let (other, section) = (at("Gateway", "other", "x-other"), at("Gateway", "edge", "x-section"));
    let section = section.replace("name: edge", "name: edge, sectionName: http");
    let snapshot = snapshot(
        "",
        &[
            ("shop", "a", ", claimHeaders: [{header: x-cart, claim: sub}]"),
            ("shop", "b", &edge),
            ("shop", "c", &section),
            ("shop", "d", &set),
            ("shop", "e", &other),
        ],
    );
    let (gateway, name): (_, Arc<str>) = (ObjectName::new("shop", "edge"), "https".into());
    let listener = ListenerPlace { gateway: &gateway, listener_set: None, section: &name };
    for (row, place, expect) in [
        ("a sidecar", None, &["x-cart"][..]),
        ("a gateway", Some(listener), &["x-cart", "x-edge", "x-section", "x-set"]),
    ] {
        let made: Vec<_> = snapshot.introspections().made_headers(place).collect();
        assert_eq!(made, expect, "{row}");
    }
}
