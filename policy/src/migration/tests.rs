//! What is otherwise here, and the line that makes it alike: with that line nothing is told any more.
#![allow(clippy::panic)]

use super::*;
use crate::SourceFile;
use crate::resources::{ReadOptions, survey};

/// `code: objects` of each difference of a set.
fn told(text: &str, namespace: Option<&str>, root_namespace: &str) -> Vec<String> {
    let file = SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() };
    let read = survey(&[file], &ReadOptions { root_namespace, namespace, from_istio: true });
    assert!(read.diagnostics.is_empty(), "{:?}\n{text}", read.diagnostics);
    let lines = differences(&read, false).into_iter().map(|found| {
        let objects: Vec<&str> = found.objects.iter().map(|object| &**object).collect();
        format!("{}{}: {}", if found.is_unsafe { "!" } else { "" }, found.code, objects.join(", "))
    });
    lines.collect()
}

#[track_caller]
fn check(documents: &[&str], expect: &[&str]) {
    assert_eq!(told(&documents.join("---\n"), None, "postern-system"), expect, "{documents:?}");
}

fn object(kind: &str, metadata: &str, spec: &str) -> String {
    let version = match kind {
        "ServiceEntry" => "networking.istio.io/v1",
        "TokenPolicy" => "policy.postern.dev/v1alpha1",
        _ => "security.istio.io/v1",
    };
    format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{{metadata}}}\nspec: {spec}\n")
}

/// STRICT for the mesh, so that only what a test is about is told.
fn strict() -> String {
    object(
        "PeerAuthentication",
        "name: default, namespace: postern-system",
        "{mtls: {mode: STRICT}}",
    )
}

#[test]
fn tokens_need_an_audience() {
    let authentication = |rules: &str| {
        object(
            "RequestAuthentication",
            "name: r, namespace: shop",
            &format!("{{selector: {{matchLabels: {{app: cart}}}}, jwtRules: [{rules}]}}"),
        )
    };
    let policy = |namespace: &str, spec: &str| {
        object("TokenPolicy", &format!("name: t, namespace: {namespace}"), spec)
    };
    let open = authentication("{issuer: 'https://id.example'}");
    let told = ["tokens_without_audience: RequestAuthentication shop/r"];
    check(&[&open], &told);
    check(&[&authentication("{issuer: 'https://id.example', audiences: [cart]}")], &[]);
    for (namespace, spec, expect) in [
        ("shop", "{issuer: 'https://id.example', audience: OPTIONAL}", &[][..]),
        ("shop", "{issuer: 'https://id.example', audience: REQUIRED}", &[]),
        ("postern-system", "{issuer: 'https://id.example', audience: OPTIONAL}", &[]),
        (
            "shop",
            "{issuer: 'https://id.example', selector: {matchLabels: {app: cart}}, audience: OPTIONAL}",
            &[],
        ),
        (
            "shop",
            "{issuer: 'https://id.example', selector: {matchLabels: {app: web}}, audience: OPTIONAL}",
            &told,
        ),
        ("bank", "{issuer: 'https://id.example', audience: OPTIONAL}", &told),
        ("shop", "{issuer: 'https://other.example', audience: OPTIONAL}", &told),
        ("shop", "{issuer: 'https://id.example', confirmation: REQUIRED}", &told),
    ] {
        check(&[&open, &policy(namespace, spec)], expect);
    }
}

/// What is to be written is taken, and enough.
#[test]
fn the_token_policy_that_is_told_is_one() {
    let open = object(
        "RequestAuthentication",
        "name: r, namespace: shop",
        "{selector: {matchLabels: {app: cart}}, jwtRules: [{issuer: 'https://id.example/\"x', jwksUri: 'https://k'}]}",
    );
    let file = SourceFile { name: "r.yaml".into(), bytes: open.clone().into_bytes() };
    let read = survey(&[file], &ReadOptions::strict("postern-system"));
    let found = differences(&read, false);
    assert_eq!(found.len(), 1, "{found:?}");
    check(&[&open, &format!("{}\n", found[0].write.join("\n---\n"))], &[]);
}

#[test]
fn the_root_namespace_has_another_name() {
    let policy = |namespace: &str| {
        object(
            "AuthorizationPolicy",
            &format!("name: p, namespace: {namespace}"),
            "{action: DENY, rules: [{}]}",
        )
    };
    let peers = object(
        "PeerAuthentication",
        "name: default, namespace: istio-system",
        "{mtls: {mode: STRICT}}",
    );
    let found = told(&format!("{}---\n{peers}", policy("istio-system")), None, "postern-system");
    assert_eq!(
        found[0],
        "!root_namespace: AuthorizationPolicy istio-system/p, PeerAuthentication istio-system/default"
    );
    let found = told(&format!("{}---\n{peers}", policy("istio-system")), None, "istio-system");
    assert_eq!(found, ["denied_alone: AuthorizationPolicy istio-system/p"]);
}

#[test]
fn what_nobody_denies_is_denied_too() {
    let policy = |name: &str, namespace: &str, spec: &str| {
        object("AuthorizationPolicy", &format!("name: {name}, namespace: {namespace}"), spec)
    };
    let deny =
        policy("d", "shop", "{action: DENY, selector: {matchLabels: {app: cart}}, rules: [{}]}");
    let told = ["denied_alone: AuthorizationPolicy shop/d"];
    for (namespace, allow, expect) in [
        ("shop", "{selector: {matchLabels: {app: cart}}, rules: [{}]}", &[][..]),
        ("shop", "{rules: [{}]}", &[]),
        ("postern-system", "{rules: [{}]}", &[]),
        ("shop", "{selector: {matchLabels: {app: web}}, rules: [{}]}", &told),
        ("bank", "{rules: [{}]}", &told),
        ("shop", "{action: AUDIT, rules: [{}]}", &told),
    ] {
        check(&[&strict(), &deny, &policy("a", namespace, allow)], expect);
    }
}

#[test]
fn plaintext_is_refused_where_nothing_is_said() {
    let policy = object("AuthorizationPolicy", "name: p, namespace: shop", "{}");
    let mode = |namespace: &str, spec: &str| {
        object("PeerAuthentication", &format!("name: m, namespace: {namespace}"), spec)
    };
    let told = ["strict_mtls: AuthorizationPolicy shop/p"];
    for (namespace, spec, expect) in [
        ("shop", "{mtls: {mode: PERMISSIVE}}", &[][..]),
        ("shop", "{mtls: {mode: STRICT}}", &[]),
        ("postern-system", "{mtls: {mode: STRICT}}", &[]),
        ("shop", "{mtls: {mode: UNSET}}", &told),
        ("shop", "{selector: {matchLabels: {app: cart}}, mtls: {mode: STRICT}}", &told),
        ("bank", "{mtls: {mode: STRICT}}", &told),
    ] {
        check(&[&policy, &mode(namespace, spec)], expect);
    }
}

#[test]
fn service_entries_act_on_their_own_namespace() {
    let entry = |namespace: &str, more: &str| {
        object(
            "ServiceEntry",
            &format!("name: e, namespace: {namespace}"),
            &format!("{{hosts: [a.example], ports: [{{number: 80, name: http}}]{more}}}"),
        )
    };
    let told = ["service_entry_reach: ServiceEntry shop/e"];
    for (namespace, more, expect) in [
        ("shop", "", &told[..]),
        ("shop", ", exportTo: ['*']", &told),
        ("shop", ", exportTo: ['.']", &[]),
        ("postern-system", "", &[]),
    ] {
        check(&[&entry(namespace, more)], expect);
    }
}

#[test]
fn older_versions_and_namespaces_that_are_given() {
    let older = "apiVersion: security.istio.io/v1beta1\nkind: PeerAuthentication\nmetadata: {name: m, namespace: shop}\nspec: {mtls: {mode: STRICT}}\n";
    check(&[older], &["older_version: PeerAuthentication shop/m"]);
    let nowhere = object("PeerAuthentication", "name: m", "{mtls: {mode: STRICT}}");
    assert_eq!(
        told(&nowhere, Some("shop"), "postern-system"),
        ["namespace_given: PeerAuthentication shop/m"]
    );
}

/// Unsafe wherever the rule decides; with the configuration's word for whom to believe nothing is told.
#[test]
fn rules_on_the_client_behind_a_gateway() {
    let source =
        |field: &str| format!("rules: [{{from: [{{source: {{{field}: [10.9.0.0/16]}}}}]}}]");
    let when = "rules: [{when: [{key: remote.ip, values: [10.9.0.0/16]}]}]".to_owned();
    let unsafe_ = "!remote_addresses: AuthorizationPolicy shop/p";
    for (name, action, rules, expect) in [
        ("DENY", "DENY", source("remoteIpBlocks"), Some(unsafe_)),
        ("DENY, not", "DENY", source("notRemoteIpBlocks"), Some(unsafe_)),
        ("DENY, a condition", "DENY", when.clone(), Some(unsafe_)),
        ("ALLOW, not", "ALLOW", source("notRemoteIpBlocks"), Some(unsafe_)),
        ("ALLOW", "ALLOW", when.clone(), Some(unsafe_)),
        ("AUDIT", "AUDIT", when, Some("remote_addresses: AuthorizationPolicy shop/p")),
        ("the direct peer", "DENY", source("ipBlocks"), None),
    ] {
        let text = object(
            "AuthorizationPolicy",
            "name: p, namespace: shop",
            &format!("{{action: {action}, {rules}}}"),
        );
        let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
        let read = survey(&[file], &ReadOptions::strict("postern-system"));
        let told = |forwarded_for| {
            let mut found = differences(&read, forwarded_for).into_iter();
            let found = found.find(|found| found.code == "remote_addresses")?;
            let mark = if found.is_unsafe { "!" } else { "" };
            Some(format!("{mark}{}: {}", found.code, found.objects.join(", ")))
        };
        assert_eq!(told(false).as_deref(), expect, "{name}");
        assert_eq!(told(true), None, "{name}");
    }
}
