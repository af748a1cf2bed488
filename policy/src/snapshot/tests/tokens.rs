//! Which token rules concern a workload, and what they add up to.

use super::*;
use crate::token::{ConfirmationRequirement, TokenPlace, TokenRules};

fn rules(text: &str) -> Arc<TokenRules> {
    Arc::clone(snapshot(text).tokens())
}

fn authentication(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

fn token_policy(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: policy.postern.dev/v1alpha1\nkind: TokenPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

const RULE: &str = "jwtRules: [{issuer: me, jwksUri: 'https://x'}]";

#[test]
fn s19_scope_and_conflicts_of_token_rules() {
    for (name, namespace, spec, expect) in [
        ("own namespace", "shop", format!("{{{RULE}}}"), true),
        ("other namespace", "bank", format!("{{{RULE}}}"), false),
        ("root namespace", "postern-system", format!("{{{RULE}}}"), true),
        (
            "our label",
            "shop",
            format!("{{selector: {{matchLabels: {{app: cart}}}}, {RULE}}}"),
            true,
        ),
        (
            "their label",
            "shop",
            format!("{{selector: {{matchLabels: {{app: web}}}}, {RULE}}}"),
            false,
        ),
    ] {
        let rules = rules(&authentication("r", namespace, &spec));
        assert_eq!(!rules.is_empty(), expect, "{name}");
    }
}

#[test]
fn places_are_looked_at_once_and_longest_prefix_first() {
    let text = "{jwtRules: [{issuer: a, jwksUri: 'https://x', fromParams: [t], fromHeaders: [{name: x-jwt}]}, \
        {issuer: b, jwksUri: 'https://x', fromHeaders: [{name: X-JWT, prefix: 'v1 '}, {name: x-jwt}], outputPayloadToHeader: x-payload}, \
        {issuer: c, jwksUri: 'https://x'}]}";
    let snapshot = snapshot(&authentication("r", "shop", text));
    let header =
        |name: &str, prefix: &str| TokenPlace::Header { name: name.into(), prefix: prefix.into() };
    let parameter = |name: &str| TokenPlace::Parameter(name.into());
    assert_eq!(
        snapshot.tokens().places(),
        [
            header("authorization", "Bearer "),
            header("authorization", "DPoP "),
            header("x-jwt", "v1 "),
            header("x-jwt", ""),
            parameter("access_token"),
            parameter("t"),
        ]
    );
    for (name, expect) in [("x_jwt", true), ("x_payload", true), ("x-jwt", false), ("x_a", false)] {
        assert_eq!(snapshot.header_names().have_another_spelling_of(name), expect, "{name}");
    }
}

#[test]
fn token_policies_add_up_to_the_strictest() {
    let base = authentication("r", "shop", &format!("{{{RULE}}}"));
    let frontend = "td/ns/shop/sa/frontend";
    for (name, policies, confirmation, audience, frontend_may) in [
        ("none", vec![], ConfirmationRequirement::IfPresent, true, true),
        (
            "another issuer's",
            vec!["{issuer: you, confirmation: REQUIRED}"],
            ConfirmationRequirement::IfPresent,
            true,
            true,
        ),
        (
            "one",
            vec![
                "{issuer: me, principals: [td/ns/shop/sa/frontend], confirmation: IGNORED, audience: OPTIONAL}",
            ],
            ConfirmationRequirement::Ignored,
            false,
            true,
        ),
        (
            "strictest",
            vec![
                "{issuer: me, principals: ['*'], confirmation: IGNORED}",
                "{issuer: me, confirmation: REQUIRED, audience: OPTIONAL}",
            ],
            ConfirmationRequirement::Required,
            false,
            true,
        ),
        (
            "both lists",
            vec![
                "{issuer: me, principals: ['td/ns/shop/*']}",
                "{issuer: me, principals: [td/ns/edge/sa/gateway]}",
            ],
            ConfirmationRequirement::IfPresent,
            true,
            false,
        ),
    ] {
        let mut text = base.clone();
        for (index, spec) in policies.iter().enumerate() {
            text.push_str(&token_policy(&format!("t{index}"), "shop", spec));
        }
        let rules = rules(&text);
        let rule = &rules.rules()[0];
        let peer = SpiffeId::parse(&format!("spiffe://{frontend}")).unwrap();
        assert_eq!(rule.confirmation, confirmation, "{name}");
        assert_eq!(rule.audience_required, audience, "{name}");
        assert_eq!(rule.may_present(Some(&peer)), frontend_may, "{name}");
        let bound = policies.iter().any(|spec| spec.contains("issuer: me, principals"));
        assert_eq!(rule.may_present(None), !bound, "{name}, plaintext");
    }
}

/// A token that was taken once, of a stream that lives on: is it still?
#[test]
fn f12_policy_tightened_or_removed_tokens_of_streams() {
    let taken = TokenClaims {
        issuer: "me".into(),
        audiences: vec!["cart".into()],
        ..TokenClaims::default()
    };
    let peer = SpiffeId::parse("spiffe://td/ns/shop/sa/frontend").unwrap();
    let base = authentication("r", "shop", &format!("{{{RULE}}}"));
    let believed = |issuer: &str, more: &str| {
        let spec = format!("{{jwtRules: [{{issuer: {issuer}, jwksUri: 'https://x'{more}}}]}}");
        authentication("r", "shop", &spec)
    };
    let presenter = |principal: &str| {
        let spec = format!("{{issuer: me, principals: [{principal}]}}");
        base.clone() + &token_policy("t", "shop", &spec)
    };
    for (name, text, expect) in [
        ("as it was", base.clone(), true),
        ("another issuer", believed("you", ""), false),
        ("its audience", believed("me", ", audiences: [cart, web]"), true),
        ("another audience", believed("me", ", audiences: [web]"), false),
        ("its presenter", presenter("td/ns/shop/sa/frontend"), true),
        ("another presenter", presenter("td/ns/edge/sa/gateway"), false),
    ] {
        assert_eq!(rules(&text).accepts(&taken, Some(&peer)), expect, "{name}");
    }
}
