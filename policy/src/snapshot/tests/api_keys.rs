//! Which API keys concern a workload, and what rules make of them.

use super::*;
use crate::api_key::{ApiKeyHash, ApiKeyPlace, ApiKeyRefusal, ApiKeyTable};

fn api_key_policy(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: policy.postern.dev/v1alpha1\nkind: ApiKeyPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

/// A key whose hash is this byte 32 times.
fn key(id: &str, byte: u8, more: &str) -> String {
    let hash = ApiKeyHash([byte; 32]);
    format!("{{id: {id}, client: acme, hash: '{hash}'{more}}}")
}

fn rules(text: &str) -> Arc<ApiKeyTable> {
    Arc::clone(snapshot(text).api_keys())
}

#[test]
fn s19_scope_and_conflicts_of_api_keys() {
    let keys = format!("keys: [{}]", key("k", 1, ""));
    for (name, namespace, spec, expect) in [
        ("own namespace", "shop", format!("{{{keys}}}"), true),
        ("other namespace", "bank", format!("{{{keys}}}"), false),
        ("root namespace", "postern-system", format!("{{{keys}}}"), true),
        (
            "our label",
            "shop",
            format!("{{selector: {{matchLabels: {{app: cart}}}}, {keys}}}"),
            true,
        ),
        (
            "their label",
            "shop",
            format!("{{selector: {{matchLabels: {{app: web}}}}, {keys}}}"),
            false,
        ),
        (
            "a gateway",
            "shop",
            format!(
                "{{targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: g}}], {keys}}}"
            ),
            false,
        ),
    ] {
        let rules = rules(&api_key_policy("p", namespace, &spec));
        assert_eq!(!rules.rules(None).is_empty(), expect, "{name}");
        assert_eq!(rules.rules(None).are_required(), expect, "{name}");
    }
}

#[test]
fn policies_of_one_workload_add_up() {
    let optional = |more: &str, keys: &str| format!("{{mode: optional, {more} keys: [{keys}]}}");
    let text = [
        api_key_policy("a", "shop", &optional("forward: true,", &key("first", 1, ""))),
        api_key_policy("b", "shop", &optional("forward: true,", &key("again", 1, ""))),
        api_key_policy("c", "shop", &optional("from: {query: k},", &key("third", 3, ""))),
    ]
    .concat();
    let joined = rules(&text);
    let places: Vec<_> = joined.rules(None).places().cloned().collect();
    let expect = [ApiKeyPlace::Header("x-api-key".into()), ApiKeyPlace::Query("k".into())];
    assert_eq!(places, expect);
    let [header, query] = &expect;
    let forwarded = |place| joined.rules(None).is_forwarded(place);
    assert_eq!((forwarded(header), forwarded(query)), (true, false));
    let known = |place, byte| {
        let hash = ApiKeyHash([byte; 32]);
        let judged = joined.rules(None).judge(Some((place, &hash)), 0);
        judged.map(|key| key.map(|key| key.facts.id.to_string()).unwrap_or_default())
    };
    assert_eq!(known(header, 1), Ok("first".into()));
    assert_eq!(known(query, 3), Ok("third".into()));
    assert_eq!(
        known(header, 3),
        Err(ApiKeyRefusal::Invalid),
        "a key counts in its own place alone"
    );
    assert_eq!(joined.rules(None).judge(None, 0), Ok(None));
    let stricter =
        api_key_policy("d", "postern-system", &format!("{{keys: [{}]}}", key("d", 4, "")));
    let joined = rules(&[text, stricter].concat());
    assert_eq!(joined.rules(None).judge(None, 0), Err(ApiKeyRefusal::Missing));
    assert!(!joined.rules(None).is_forwarded(header), "one that does not forward is enough");
}

#[test]
fn rules_ask_for_the_key_its_client_and_its_scopes() {
    let known = ApiKeyFacts {
        policy: "shop/partners".into(),
        id: "acme-1".into(),
        client: "acme".into(),
        scopes: vec!["read".into(), "write".into()],
    };
    for (part, values, with_key, without) in [
        ("id", "values: [acme-1]", true, false),
        ("id", "values: [acme-2]", false, false),
        ("client", "values: [acme]", true, false),
        ("client", "values: ['*']", true, false),
        ("client", "notValues: [acme]", false, true),
        ("scopes", "values: [write]", true, false),
        ("scopes", "values: [admin]", false, false),
        ("scopes", "values: ['wri*']", true, false),
        ("scopes", "notValues: [write]", false, true),
        ("scopes", "values: [read], notValues: [admin]", true, false),
    ] {
        for (action, fires) in [("ALLOW", "allow"), ("DENY", "deny")] {
            let spec = format!(
                "{{action: {action}, rules: [{{when: [{{key: 'request.auth.apiKey[{part}]', {values}}}]}}]}}"
            );
            let allow = policy("all", "{rules: [{}]}");
            let others = if action == "DENY" { &*allow } else { "" };
            let snapshot = snapshot(&format!("{}{others}", policy("p", &spec)));
            for (key, holds) in [(Some(known.clone()), with_key), (None, without)] {
                let row = format!("{action} {part} {values} {}", key.is_some());
                let asked = TestRequest { api_key: key, ..TestRequest::default() };
                let verdict = asked.verdict(&snapshot);
                assert_eq!(verdict.starts_with(fires), holds, "{row}: {verdict}");
            }
        }
    }
}

#[test]
fn s20_bytes_that_could_be_no_request_carry_no_key() {
    let required = format!("{{keys: [{}]}}", key("k", 1, ""));
    let optional = format!("{{mode: optional, keys: [{}]}}", key("k", 1, ""));
    assert!(snapshot(&api_key_policy("p", "shop", &required)).has_http_rules(8080));
    assert!(!snapshot(&api_key_policy("p", "shop", &optional)).has_http_rules(8080));
}

#[test]
fn a_partner_counts_at_the_edge_and_nobody_has_to_be_one() {
    let defaults = PolicyDefaults {
        edge: true,
        authorization: DefaultAuthorization::Allow,
        ..PolicyDefaults::default()
    };
    let deny =
        "{action: DENY, rules: [{from: [{source: {principals: [partner.example/globex]}}]}]}";
    let snapshot = snapshot_with(&policy("globex", deny), &defaults);
    for (peer, expect) in
        [("", "allow"), ("partner.example/acme", "allow"), ("partner.example/globex", "deny")]
    {
        let verdict = TestRequest::peer(peer).verdict(&snapshot);
        assert!(verdict.starts_with(expect), "{peer}: {verdict}");
    }
}
