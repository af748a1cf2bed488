//! What a TokenIntrospection is read as, and what is refused.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use crate::client_credential::ClientAuthMethod;
use crate::introspection::IntrospectedTokens;
use crate::resources::{DEFAULT_ROOT_NAMESPACE, TokenIntrospection};
use crate::token::TokenPlace;
use crate::{Resources, SourceFile};

const LEAST: &str = "issuer: 'https://id.example', clientId: shop, clientSecretRef: {name: s}";

fn read(spec: &str) -> Result<TokenIntrospection, String> {
    let text = format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: TokenIntrospection\nmetadata: {{name: p, namespace: shop}}\nspec: {{{spec}}}\n"
    );
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
    match Resources::parse(&[file], DEFAULT_ROOT_NAMESPACE) {
        Ok(resources) => Ok(resources.token_introspections()[0].clone()),
        Err(problems) => Err(problems.iter().map(|p| format!("{p}\n")).collect()),
    }
}

#[test]
fn what_is_not_written_is_the_stricter_way() {
    let read = read(LEAST).unwrap();
    let settings = read.settings();
    assert_eq!((&**read.name(), &*settings.issuer), ("shop/p", "https://id.example"));
    assert_eq!((&settings.endpoint, &*settings.client_id), (&None, "shop"));
    assert_eq!(settings.client_auth, ClientAuthMethod::ClientSecretBasic);
    assert_eq!(settings.secret.to_string(), "shop/s");
    let bearer = TokenPlace::Header { name: "authorization".into(), prefix: "Bearer ".into() };
    assert_eq!(settings.places, [bearer]);
    assert_eq!((settings.tokens, settings.forward), (IntrospectedTokens::Opaque, false));
    assert_eq!(settings.timeout, Duration::from_secs(2));
    let kept = (settings.active_for, settings.inactive_for);
    assert_eq!(kept, (Duration::from_secs(60), Duration::from_secs(5)));
    assert!(settings.audiences.is_empty() && settings.claim_headers.is_empty());
}

#[test]
fn what_is_written_is_read() {
    let gateway =
        "{group: gateway.networking.k8s.io, kind: Gateway, name: edge, sectionName: https}";
    let read = read(&format!(
        "{LEAST}, targetRefs: [{gateway}], endpoint: 'https://id.example/introspect', clientAuth: private_key_jwt, \
         audiences: [cart], fromHeaders: [{{name: X-Token, prefix: 'Token '}}], tokens: all, timeout: 500ms, \
         claimHeaders: [{{header: X-User, claim: sub}}], cache: {{ttl: 10s, negative: 0s}}, forwardOriginalToken: true"
    ))
    .unwrap();
    let settings = read.settings();
    assert_eq!(settings.targets.len(), 1);
    assert_eq!(settings.endpoint.as_deref(), Some("https://id.example/introspect"));
    assert_eq!(settings.client_auth, ClientAuthMethod::PrivateKeyJwt);
    assert_eq!(settings.audiences, ["cart".into()]);
    let place = TokenPlace::Header { name: "x-token".into(), prefix: "Token ".into() };
    assert_eq!(settings.places, [place]);
    assert_eq!((settings.tokens, settings.forward), (IntrospectedTokens::All, true));
    assert_eq!(settings.timeout, Duration::from_millis(500));
    assert_eq!(settings.claim_headers[0].header, "x-user".into());
    assert_eq!(
        (settings.active_for, settings.inactive_for),
        (Duration::from_secs(10), Duration::ZERO)
    );
}

#[test]
fn what_could_let_in_others_is_refused() {
    let with = |more: &str| format!("{LEAST}, {more}");
    let secret = "clientSecretRef: {name: s}";
    for (row, spec, expect) in [
        ("no issuer", format!("clientId: shop, {secret}"), "no `issuer`"),
        ("an issuer over http", LEAST.replace("https", "http"), "anyone on the way"),
        ("an issuer with a query", LEAST.replace(".example", ".example/?a"), "no query"),
        ("a fragment", LEAST.replace(".example", ".example/#a"), "fragment"),
        ("no client", format!("issuer: 'https://id.example', {secret}"), "no `clientId`"),
        ("a client with a blank", LEAST.replace("shop", "'a b'"), "without blanks"),
        (
            "no secret",
            "issuer: 'https://id.example', clientId: shop".into(),
            "no `clientSecretRef`",
        ),
        ("a secret itself", LEAST.replace("{name: s}", "{value: s}"), "the unknown key `value`"),
        (
            "another's secret",
            LEAST.replace("{name: s}", "{name: s, namespace: bank}"),
            "a Secret of the own namespace",
        ),
        ("another way to prove it", with("clientAuth: client_secret_post"), "one of client_secret"),
        ("an endpoint over http", with("endpoint: 'http://id.example/i'"), "anyone on the way"),
        ("a user in it", with("endpoint: 'https://u:p@id.example/i'"), "user information"),
        ("no place", with("fromHeaders: []"), "at least one"),
        ("other tokens", with("tokens: some"), "one of opaque, all"),
        ("for ever", with("timeout: 1h"), "100ms to 30s"),
        ("kept for long", with("cache: {ttl: 5m}"), "0s to 1m"),
        ("kept long that it is none", with("cache: {negative: 6s}"), "0s to 5s"),
        ("another key of the cache", with("cache: {positive: 6s}"), "unknown key `positive`"),
        (
            "a header that frames",
            with("claimHeaders: [{header: host, claim: sub}]"),
            "means nothing else",
        ),
        ("an unknown key", with("audience: cart"), "did you mean `audiences`?"),
        ("both", with("selector: {}, targetRefs: []"), "one of the two"),
        (
            "a Service",
            with("targetRefs: [{group: '', kind: Service, name: a}]"),
            "one of Gateway, ListenerSet",
        ),
    ] {
        let found = read(&spec).map(|_| String::new()).unwrap_or_else(|found| found);
        assert!(found.contains(expect), "{row}: {found}");
    }
}
