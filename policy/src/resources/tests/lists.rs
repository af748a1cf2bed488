//! Objects in lists and JSON documents in a row, each with its own place.

#![allow(clippy::panic)]

use super::*;

fn json(name: &str, action: &str) -> String {
    serde_json::json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": "shop"}, "spec": {"action": action, "rules": [{}]},
    })
    .to_string()
}

/// The names of the policies that a file holds.
#[track_caller]
fn names(text: &str, expect: &[&str]) {
    let file = SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() };
    let read =
        Resources::parse(&[file], DEFAULT_ROOT_NAMESPACE).unwrap_or_else(|m| panic!("{m}\n{text}"));
    let found: Vec<&str> =
        read.authorization_policies().iter().map(|policy| &**policy.name()).collect();
    assert_eq!(found, expect, "{text}");
}

#[test]
fn items_of_a_list_are_resources() {
    let item = |name: &str| {
        format!(
            "- apiVersion: security.istio.io/v1\n  kind: AuthorizationPolicy\n  metadata: {{name: {name}, namespace: shop}}\n"
        )
    };
    let list = |head: &str, items: &str| {
        format!("{head}\nmetadata: {{resourceVersion: \"\"}}\nitems:\n{items}")
    };
    let v1 = "apiVersion: v1\nkind: List";
    names(&list(v1, &format!("{}{}", item("a"), item("b"))), &["shop/a", "shop/b"]);
    let typed = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicyList";
    names(&list(typed, &item("a")), &["shop/a"]);
    names(&format!("{}---\n{}", list(v1, &item("a")), policy("{}")), &["shop/a", "shop/p"]);
    names("apiVersion: v1\nkind: List\nitems: []\n", &[]);
    let one = |name: &str| json(name, "ALLOW");
    names(
        &format!(
            "{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{}, {}]}}",
            one("a"),
            one("b")
        ),
        &["shop/a", "shop/b"],
    );
    check(
        &list(v1, &format!("{}  spec: {{action: DENY}}\n{}  spce: {{}}\n", item("a"), item("a"))),
        &[
            "r.yaml:8:9: found action DENY without rules, which never matches; expected at least one rule; write rules: [{}] to refuse everything, or take the policy out",
            "r.yaml:9:3: found AuthorizationPolicy shop/a again; expected each object once; it stands already at r.yaml:5:3; rename or remove one",
            "r.yaml:12:3: found the unknown key `spce` in the document; expected one of apiVersion, kind, metadata, spec, status; did you mean `spec`?",
        ],
    );
    for (text, expect) in [
        (
            "apiVersion: v1\nkind: List\n",
            "r.yaml:1:1: found no `items` in the document; expected the key `items`",
        ),
        (
            "apiVersion: v1\nkind: List\nitems: {}\n",
            "r.yaml:3:8: found a mapping for `items`; expected a list",
        ),
        (
            "apiVersion: v1\nkind: List\nitem: []\nitems: []\n",
            "r.yaml:3:1: found the unknown key `item` in the document; expected one of apiVersion, kind, metadata, items; did you mean `items`?",
        ),
        (
            "apiVersion: v1\nkind: List\nitems: [just text]\n",
            "r.yaml:3:9: found the text \"just text\" for the document; expected a mapping",
        ),
        (
            "apiVersion: v1\nkind: List\nmetadata: {continue: abc}\nitems: []\n",
            "r.yaml:3:22: found a part of a list; expected a whole list; fetch it whole, without a limit",
        ),
    ] {
        check(text, &[expect]);
    }
    let nested = "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: []}]\n";
    check(
        nested,
        &["r.yaml:3:32: found a list in a list; expected an object: a list holds no lists"],
    );
    let foreign = "apiVersion: networking.istio.io/v1\nkind: VirtualServiceList\nitems: []\n";
    assert!(
        diagnostics(foreign)[0].contains("VirtualServiceList is not supported"),
        "{:?}",
        diagnostics(foreign)
    );
}

#[test]
fn json_documents_in_a_row() {
    let (a, b) = (json("a", "ALLOW"), json("b", "ALLOW"));
    for text in [
        format!("{a}\n{b}\n"),
        format!("{a}{b}"),
        format!("{a} {b}"),
        format!("\u{feff}{a}\r\n{b}\r\n"),
        format!("\n\n{a}\n\n{b}\n\n"),
        format!("{a}\n---\n{b}\n"),
        format!("{}\n{}", a.replace(',', ",\n\t"), b.replace(',', ",\n    ")),
    ] {
        names(&text, &["shop/a", "shop/b"]);
    }
    names(&format!("{a}\n"), &["shop/a"]);
    // Lines and columns are the file's.
    let wrong = json("b", "DENNY");
    let column = wrong.find("\"DENNY\"").unwrap() + 1;
    let told = "found the text \"DENNY\" for `action`; expected one of ALLOW, DENY, AUDIT; did you mean DENY?";
    check(&format!("{a}\n\n{wrong}\n"), &[&format!("r.yaml:3:{column}: {told}")]);
    check(&format!("{a}{wrong}"), &[&format!("r.yaml:1:{}: {told}", a.len() + column)]);
    let twice = diagnostics(&format!("{a}\n{a}\n"));
    assert!(
        twice.len() == 1
            && twice[0].starts_with("r.yaml:2:1: found AuthorizationPolicy shop/a again"),
        "{twice:?}"
    );
    // What is broken is told where it is broken, and nothing of the file is taken.
    for (text, place) in [
        (format!("{a}\n{{\"kind\": ]\n"), "r.yaml:2:"),
        (format!("{a}\n{b}\n{{\"kind\""), "r.yaml:3:"),
        (format!("{a}\nand more\n"), "r.yaml:2:"),
    ] {
        let found = diagnostics(&text);
        assert!(
            !found.is_empty() && found[0].starts_with(place) && found[0].contains("broken YAML"),
            "{text}: {found:?}"
        );
    }
}
