//! Which tokens a list means.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use crate::resources::DEFAULT_ROOT_NAMESPACE;
use crate::{PolicyDefaults, Resources, Snapshot, SourceFile, TokenClaims, Workload};

fn snapshot(objects: &[(&str, &str)]) -> Snapshot {
    let documents = objects.iter().enumerate().map(|(at, (namespace, spec))| {
        format!("---\napiVersion: policy.postern.dev/v1alpha1\nkind: TokenRevocation\nmetadata: {{name: r{at}, namespace: {namespace}}}\nspec: {spec}\n")
    });
    let bytes = format!("# none\n{}", documents.collect::<String>()).into_bytes();
    let files = [SourceFile { name: "r".into(), bytes }];
    let resources = Resources::parse(&files, DEFAULT_ROOT_NAMESPACE).unwrap();
    let workload = Workload {
        namespace: "shop".into(),
        service_account: "cart".into(),
        labels: [("app".to_owned(), "cart".to_owned())].into(),
    };
    Snapshot::build(&resources, &workload, &PolicyDefaults::default())
}

fn token(issuer: &str, claims: Value) -> TokenClaims {
    let claims = claims.as_object().cloned().unwrap();
    let subject = claims.get("sub").and_then(Value::as_str).map(str::to_owned);
    TokenClaims { issuer: issuer.into(), subject, audiences: Vec::new(), claims }
}

#[test]
fn a_list_means_tokens_by_id_and_by_subject() {
    let list = "{tokens: [{issuer: me, id: a}], subjects: [{issuer: me, subject: ann, issuedBefore: 1000}]}";
    let snapshot = snapshot(&[("shop", list)]);
    for (row, issuer, claims, revoked) in [
        ("its id", "me", json!({"jti": "a"}), true),
        ("another id", "me", json!({"jti": "b"}), false),
        ("the id of another issuer", "you", json!({"jti": "a"}), false),
        ("no id", "me", json!({}), false),
        ("an id that is no text", "me", json!({"jti": ["a"]}), false),
        ("issued before", "me", json!({"sub": "ann", "iat": 999}), true),
        ("issued at that moment", "me", json!({"sub": "ann", "iat": 1000}), false),
        ("issued after", "me", json!({"sub": "ann", "iat": 1001}), false),
        ("issued nobody knows when", "me", json!({"sub": "ann"}), true),
        ("issued at no moment", "me", json!({"sub": "ann", "iat": "1001"}), true),
        ("another subject", "me", json!({"sub": "bob", "iat": 999}), false),
        ("another in another spelling", "me", json!({"sub": "Ann", "iat": 999}), false),
        ("the subject of another issuer", "you", json!({"sub": "ann", "iat": 999}), false),
        ("nobody's", "me", json!({"iat": 999}), false),
        (
            "the mesh's own, of a user whom the issuer named",
            "spiffe://cluster.local",
            json!({"sub": "ann", "iat": 999, "orig_iss": "me"}),
            true,
        ),
        (
            "the mesh's own, issued after",
            "spiffe://cluster.local",
            json!({"sub": "ann", "iat": 1000, "orig_iss": "me"}),
            false,
        ),
        (
            "the mesh's own, of another provider's user",
            "spiffe://cluster.local",
            json!({"sub": "ann", "iat": 999, "orig_iss": "you"}),
            false,
        ),
        (
            "an original issuer that is no text",
            "spiffe://cluster.local",
            json!({"sub": "ann", "iat": 999, "orig_iss": ["me"]}),
            false,
        ),
    ] {
        let found = snapshot.revoked_tokens().is_revoked(&token(issuer, claims));
        assert_eq!(found, revoked, "{row}");
    }
}

#[test]
fn lists_are_about_their_namespace_or_the_mesh() {
    let spec = |app: &str| format!("{{selector: {app}, tokens: [{{issuer: me, id: a}}]}}");
    let labels = |app: &str| spec(&format!("{{matchLabels: {{app: {app}}}}}"));
    for (row, namespace, spec, revoked) in [
        ("all of the namespace", "shop", spec("{}"), true),
        ("selected", "shop", labels("cart"), true),
        ("another app", "shop", labels("web"), false),
        ("another namespace", "bank", spec("{}"), false),
        ("the mesh", DEFAULT_ROOT_NAMESPACE, spec("{}"), true),
        ("an app of the mesh", DEFAULT_ROOT_NAMESPACE, labels("web"), false),
    ] {
        let snapshot = snapshot(&[(namespace, &spec)]);
        let found = snapshot.revoked_tokens();
        assert_eq!(found.is_revoked(&token("me", json!({"jti": "a"}))), revoked, "{row}");
        assert_eq!((found.is_empty(), found.len()), (!revoked, usize::from(revoked)), "{row}");
    }
}

#[test]
fn several_lists_hold_together() {
    let of = |id: &str| format!("{{tokens: [{{issuer: me, id: {id}}}]}}");
    let (own, mesh) = (of("a"), of("b"));
    let snapshot = snapshot(&[("shop", &own), (DEFAULT_ROOT_NAMESPACE, &mesh)]);
    for (id, revoked) in [("a", true), ("b", true), ("c", false)] {
        let claims = token("me", json!({ "jti": id }));
        assert_eq!(snapshot.revoked_tokens().is_revoked(&claims), revoked, "{id}");
    }
    // No open request is in doubt because of a list.
    assert!(snapshot.tokens().is_empty());
}
