//! What an ApiKeyPolicy is read as, and what is refused.
#![allow(clippy::unwrap_used)]

use crate::api_key::{ApiKeyMode, ApiKeyPlace};
use crate::resources::{ApiKeyPolicy, DEFAULT_ROOT_NAMESPACE};
use crate::{Resources, SourceFile};

const HASH: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn read(spec: &str) -> Result<ApiKeyPolicy, String> {
    let text = format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: ApiKeyPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {{{spec}}}\n"
    );
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
    match Resources::parse(&[file], DEFAULT_ROOT_NAMESPACE) {
        Ok(resources) => Ok(resources.api_key_policies()[0].clone()),
        Err(problems) => Err(problems.iter().map(|p| format!("{p}\n")).collect()),
    }
}

#[test]
fn what_is_written_is_read() {
    let policy = read(&format!("keys: [{{id: a, client: acme, hash: '{HASH}'}}]")).unwrap();
    assert_eq!(*policy.place(), ApiKeyPlace::Header("x-api-key".into()));
    assert_eq!((policy.mode(), policy.forwards()), (ApiKeyMode::Required, false));
    let policy = read(&format!(
        "from: {{header: X-Partner-Key}}, mode: optional, forward: true, keys: [{{id: a, client: acme, \
         hash: '{}', scopes: [read, 'orders:write'], notBefore: \"2026-01-01T00:00:00Z\", \
         notAfter: \"2027-01-01T00:00:00Z\"}}]",
        HASH.to_uppercase().replace("SHA256", "sha256")
    ))
    .unwrap();
    assert_eq!(*policy.place(), ApiKeyPlace::Header("x-partner-key".into()));
    assert_eq!((policy.mode(), policy.forwards()), (ApiKeyMode::Optional, true));
    let key = &policy.keys()[0];
    assert_eq!(key.hash.to_string(), HASH);
    assert_eq!(key.facts.scopes, ["read".into(), "orders:write".into()]);
    assert_eq!((key.not_before, key.not_after), (Some(1_767_225_600), Some(1_798_761_600)));
}

#[test]
fn what_could_let_in_others_is_refused() {
    let key = format!("id: a, client: acme, hash: '{HASH}'");
    let keys = format!("keys: [{{{key}}}]");
    let other = HASH.replace("sha256:9", "sha256:8");
    for (row, spec, expect) in [
        ("no keys", "mode: required".into(), "no `keys`"),
        ("an empty list", "keys: []".into(), "at least one"),
        ("no client", format!("keys: [{{id: a, hash: '{HASH}'}}]"), "no `client`"),
        ("no hash", "keys: [{id: a, client: acme}]".into(), "no `hash`"),
        ("another hash", "keys: [{id: a, client: acme, hash: 'md5:00'}]".into(), "no hash for"),
        ("a short hash", "keys: [{id: a, client: acme, hash: 'sha256:00'}]".into(), "no hash for"),
        (
            "no digits",
            format!("keys: [{{id: a, client: acme, hash: '{}'}}]", HASH.replace('9', "g")),
            "no hash for",
        ),
        (
            "one key twice",
            format!("keys: [{{{key}}}, {{{}}}]", key.replace("id: a", "id: b")),
            "which another key has",
        ),
        (
            "one name twice",
            format!("keys: [{{{key}}}, {{id: a, client: c, hash: '{other}'}}]"),
            "the key a again",
        ),
        ("an unknown field", format!("keys: [{{{key}, scope: [read]}}]"), "did you mean `scopes`?"),
        ("two words", format!("keys: [{{{key}, scopes: ['read write']}}]"), "one word"),
        (
            "a time without a zone",
            format!("keys: [{{{key}, notAfter: \"2027-01-01T00:00:00\"}}]"),
            "RFC 3339 in UTC",
        ),
        (
            "an end before its beginning",
            format!(
                "keys: [{{{key}, notBefore: \"2027-01-01T00:00:00Z\", notAfter: \"2026-01-01T00:00:00Z\"}}]"
            ),
            "after `notBefore`",
        ),
        (
            "a header that others read",
            format!("from: {{header: Authorization}}, {keys}"),
            "others read it",
        ),
        (
            "a header of ours",
            format!("from: {{header: x-postern-key}}, {keys}"),
            "a header of its own",
        ),
        (
            "a header of one hop",
            format!("from: {{header: connection}}, {keys}"),
            "a header of its own",
        ),
        (
            "a name in two spellings",
            format!("from: {{header: x_api_key}}, {keys}"),
            "letters, digits",
        ),
        ("two places", format!("from: {{header: a, query: b}}, {keys}"), "`header` beside `query`"),
        ("no place", format!("from: {{}}, {keys}"), "no place"),
        (
            "a Service",
            format!("targetRefs: [{{group: '', kind: Service, name: c}}], {keys}"),
            "Gateway",
        ),
        (
            "selector and targets",
            format!(
                "selector: {{matchLabels: {{a: b}}}}, targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: g}}], {keys}"
            ),
            "one of the two",
        ),
    ] {
        let problems = read(&spec).err().unwrap_or_default();
        assert!(problems.contains(expect), "{row}: {problems}");
    }
}

/// A key that somebody wrote in the place of its hash, or beside it, must not come up in a log.
#[test]
fn s52_logs_hold_no_secret_of_a_policy() {
    for spec in [
        "keys: [{id: a, client: acme, hash: pk_a_secret}]".to_owned(),
        format!("keys: [{{id: a, client: acme, hash: '{HASH}', key: pk_a_secret}}]"),
        format!("keys: [{{id: a, client: acme, hash: '{HASH}', secret: pk_a_secret}}]"),
    ] {
        let problems = read(&spec).err().unwrap_or_default();
        assert!(!problems.is_empty() && !problems.contains("pk_a_secret"), "{problems}");
    }
}
