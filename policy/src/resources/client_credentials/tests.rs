//! What is read of a ClientCredentials, and what is said about the rest.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::SourceFile;

fn parse(spec: &str) -> Result<Resources, String> {
    let text = format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: ClientCredentials\nmetadata: {{name: bank, namespace: shop}}\nspec: {spec}\n"
    );
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
    Resources::parse(&[file], "postern-system").map_err(|told| told.to_string())
}

/// With what is required and these fields.
fn with(fields: &str) -> String {
    format!(
        "{{hosts: [api.example.com], clientId: shop, clientSecretRef: {{name: bank}}, {fields}}}"
    )
}

const ISSUER: &str = "issuer: 'https://id.example'";

#[test]
fn what_is_written_and_what_is_not() {
    let resources = parse(&with(ISSUER)).unwrap();
    let read = &resources.client_credentials()[0];
    let settings = read.settings();
    assert_eq!((&**read.name(), &*settings.client_id), ("shop/bank", "shop"));
    assert_eq!(settings.provider, TokenProvider::Issuer("https://id.example".into()));
    assert_eq!(settings.client_auth, ClientAuthMethod::ClientSecretBasic);
    assert_eq!((settings.scopes.len(), &settings.audience), (0, &None));
    assert_eq!(*read.secret(), ObjectName::new("shop", "bank"));
    let all = with(
        "tokenEndpoint: 'https://id.example/token?a=b', clientAuth: private_key_jwt, scopes: [buy, 'api://x/.default'], audience: bank, resource: 'https://api.example.com/', selector: {matchLabels: {app: cart}}",
    );
    let resources = parse(&all).unwrap();
    let settings = resources.client_credentials()[0].settings();
    assert_eq!(settings.provider.as_str(), "https://id.example/token?a=b");
    assert_eq!(settings.scopes, ["buy".into(), "api://x/.default".into()]);
    assert_eq!(settings.resource.as_deref(), Some("https://api.example.com/"));
}

#[test]
fn every_mistake_is_told() {
    let issuer = |more: &str| with(&format!("{ISSUER}, {more}"));
    for (row, spec, told) in [
        ("nobody to ask", with(""), "neither `issuer` nor `tokenEndpoint`"),
        ("two to ask", issuer("tokenEndpoint: 'https://x'"), "one of the two"),
        ("in the clear", with("issuer: 'http://id.example'"), "https://"),
        ("in the clear, too", with("tokenEndpoint: 'http://id.example/'"), "https://"),
        ("an issuer with a query", with("issuer: 'https://id.example/?a'"), "no query"),
        ("an unknown field", issuer("scope: buy"), "did you mean `scopes`?"),
        ("two scopes in one", issuer("scopes: ['a b']"), "one word"),
        (
            "another way to prove it",
            issuer("clientAuth: client_secret_post"),
            "client_secret_basic",
        ),
        ("a relative resource", issuer("resource: /a"), "with its scheme"),
        ("a fragment", issuer("resource: 'https://x/#a'"), "without a fragment"),
        ("no host", format!("{{{ISSUER}, clientId: a, clientSecretRef: {{name: b}}}}"), "`hosts`"),
        ("no secret", format!("{{{ISSUER}, clientId: a, hosts: [a.b]}}"), "`clientSecretRef`"),
    ] {
        let found = parse(&spec).map(drop).unwrap_err();
        assert!(found.contains(told), "{row}: {found}");
    }
}

#[test]
fn a_secret_that_is_of_no_use_is_named() {
    let told = parse(&with(ISSUER)).unwrap().client_credentials_secret_problems();
    assert_eq!(told.len(), 1);
    let told = told[0].to_string();
    assert!(told.contains("Secret shop/bank: it is not there"), "{told}");
}
