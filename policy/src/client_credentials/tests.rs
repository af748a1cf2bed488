//! Which hosts get whose tokens.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use super::*;
use crate::SourceFile;

fn object(name: &str, namespace: &str, hosts: &str, more: &str) -> String {
    format!(
        "---\napiVersion: policy.postern.dev/v1alpha1\nkind: ClientCredentials\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{hosts: {hosts}, issuer: 'https://id.example', clientId: shop, clientSecretRef: {{name: bank}}{more}}}\n"
    )
}

fn table(text: &str) -> ClientCredentialsTable {
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: bank, namespace: shop}\nstringData: {client-secret: s3cret}\n";
    let text = format!("{text}{secret}");
    let file = SourceFile { name: "r.yaml".into(), bytes: text.clone().into_bytes() };
    let resources =
        Resources::parse(&[file], "postern-system").unwrap_or_else(|told| panic!("{told}\n{text}"));
    let workload = Workload {
        namespace: "shop".into(),
        service_account: "cart".into(),
        labels: BTreeMap::from([("app".into(), "cart".into())]),
    };
    ClientCredentialsTable::build(&resources, &workload)
}

#[test]
fn the_closest_host_counts() {
    let text = [
        object("a-wide", "shop", "['*.example.com']", ""),
        object("b-one", "shop", "[api.example.com]", ""),
        object("c-same", "shop", "[api.example.com]", ""),
        object("d-other", "shop", "[bank.example]", ", selector: {matchLabels: {app: reports}}"),
        object("e-mesh", "postern-system", "[mesh.example]", ""),
        object("f-elsewhere", "bank", "[else.example]", ""),
    ];
    let table = table(&text.concat());
    for (host, expect) in [
        ("api.example.com", Some("shop/b-one")),
        ("www.example.com", Some("shop/a-wide")),
        ("bank.example", None),
        ("mesh.example", Some("postern-system/e-mesh")),
        ("else.example", None),
    ] {
        let host_name = HostName::parse(host, Some(443)).unwrap();
        let rule = table.rule(&host_name).map(|rule| &*rule.settings.name);
        assert_eq!(rule, expect, "{host}");
    }
    assert!(!table.is_empty() && ClientCredentialsTable::default().is_empty());
}

#[test]
fn a_secret_is_of_the_own_namespace_and_never_shown() {
    let text =
        [object("a", "shop", "[a.example]", ""), object("b", "postern-system", "[b.example]", "")];
    let table = table(&text.concat());
    let usable: Vec<bool> = table.rules().map(|rule| rule.credential.is_ok()).collect();
    // The root namespace has no such Secret.
    assert_eq!(usable, [false, true]);
    assert!(!format!("{table:?}").contains("s3cret"));
}
