//! RequestAuthentication and TokenPolicy: what is taken, and what is said about the rest.

use super::*;

fn authentication(rules: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: r, namespace: shop}}\nspec: {{jwtRules: {rules}}}\n"
    )
}

fn token_policy(spec: &str) -> String {
    format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: TokenPolicy\nmetadata: {{name: t, namespace: shop}}\nspec: {spec}\n"
    )
}

#[test]
fn good_token_resources() {
    for text in [
        authentication("[{issuer: 'https://id.example'}]"),
        authentication(
            "[{issuer: 'https://id.example/realms/a', jwksUri: 'https://id.example/keys?v=1', audiences: [cart, web], timeout: 2s}]",
        ),
        authentication(
            "[{issuer: me@example, jwks: '{\"keys\": [{\"kty\": \"RSA\", \"n\": \"x\", \"e\": \"AQAB\"}]}'}]",
        ),
        authentication("[{issuer: me, jwksUri: 'file:///etc/postern/keys/me.json'}]"),
        authentication(
            "[{issuer: me, jwksUri: 'https://x', fromHeaders: [{name: X-Token, prefix: 'JWT '}, {name: y, prefix: ''}, {name: z}], fromParams: [t], fromCookies: [session]}]",
        ),
        authentication(
            "[{issuer: me, jwksUri: 'https://x', forwardOriginalToken: true, outputPayloadToHeader: X-Payload, outputClaimToHeaders: [{header: x-sub, claim: sub}, {header: x-role, claim: realm.role}], spaceDelimitedClaims: [scp]}]",
        ),
        token_policy(
            "{issuer: me, selector: {matchLabels: {app: cart}}, principals: [td/ns/edge/sa/gateway], confirmation: IGNORED, audience: OPTIONAL}",
        ),
        token_policy("{issuer: me, confirmation: REQUIRED}"),
    ] {
        check(&text, &[]);
    }
}

#[test]
fn s35_ssrf_and_file_reads_where_keys_may_not_be() {
    for (source, advice) in [
        ("http://x/keys", "anyone on the way"),
        ("https://", "write a host"),
        ("https:///keys", "write a host"),
        ("https://me:pw@x/keys", "user information"),
        ("https://x/keys#a", "fragment"),
        ("https://x/a b", "visible ASCII"),
        ("ftp://x/keys", "https://"),
        ("file://host/etc/keys", "file:///absolute/path"),
        ("file:///etc/../keys", "file:///absolute/path"),
        ("file:///etc/%2e%2e/keys", "file:///absolute/path"),
        ("file:///", "file:///absolute/path"),
    ] {
        let found = mistakes(&authentication(&format!("[{{issuer: me, jwksUri: '{source}'}}]")));
        assert!(found.len() == 1 && found[0].contains(advice), "{source}: {found:?}");
    }
}

#[test]
fn bad_token_rules() {
    let keys = "jwksUri: 'https://x'";
    for (rule, advice) in [
        ("{jwksUri: 'https://x'}".to_owned(), "no `issuer`"),
        ("{issuer: me}".to_owned(), "or write `jwks` or `jwksUri`"),
        ("{issuer: 'https://id.example/?a=b'}".to_owned(), "an issuer has no query"),
        (
            format!("{{issuer: me, {keys}, jwks: '{{\"keys\": [{{\"kty\": \"EC\"}}]}}'}}"),
            "one source of keys",
        ),
        ("{issuer: me, jwks: '{\"keys\": []}'}".to_owned(), "at least one key"),
        ("{issuer: me, jwks: 'x'}".to_owned(), "not JSON"),
        (
            "{issuer: me, jwks: '{\"keys\": [{\"kty\": \"oct\", \"k\": \"c2VjcmV0\"}]}'}"
                .to_owned(),
            "private or secret key",
        ),
        (
            "{issuer: me, jwks: '{\"keys\": [{\"kty\": \"EC\", \"d\": \"x\"}]}'}".to_owned(),
            "private or secret key",
        ),
        (format!("{{issuer: me, {keys}, audiences: []}}"), "an empty list"),
        (format!("{{issuer: me, {keys}, timeout: 5}}"), "for `timeout`"),
        (format!("{{issuer: me, {keys}, timeout: 1h}}"), "for `timeout`"),
        (format!("{{issuer: me, {keys}, forwardOriginalToken: 'true'}}"), "true or false"),
        (
            format!("{{issuer: me, {keys}, fromHeader: [{{name: a}}]}}"),
            "did you mean `fromHeaders`?",
        ),
        (format!("{{issuer: me, {keys}, fromHeaders: [{{prefix: a}}]}}"), "no `name`"),
        (format!("{{issuer: me, {keys}, fromHeaders: [{{name: 'a b'}}]}}"), "a header's name"),
        (format!("{{issuer: me, {keys}, fromCookies: ['a=b']}}"), "a cookie's name"),
        (format!("{{issuer: me, {keys}, outputPayloadToHeader: Host}}"), "means nothing else"),
        (format!("{{issuer: me, {keys}, outputPayloadToHeader: x_payload}}"), "means nothing else"),
        (
            format!(
                "{{issuer: me, {keys}, outputClaimToHeaders: [{{header: x-forwarded-for, claim: a}}]}}"
            ),
            "means nothing else",
        ),
        (
            format!(
                "{{issuer: me, {keys}, outputClaimToHeaders: [{{header: x-a, claim: a}}, {{header: X-A, claim: b}}]}}"
            ),
            "each header once",
        ),
        (
            format!("{{issuer: me, {keys}, outputClaimToHeaders: [{{header: x-a, claim: a..b}}]}}"),
            "a claim within a claim",
        ),
    ] {
        let found = mistakes(&authentication(&format!("[{rule}]")));
        assert!(!found.is_empty() && found[0].contains(advice), "{rule}: {found:?}");
    }
    for (spec, advice) in [
        ("{}", "no `issuer`"),
        ("{issuer: me, principals: []}", "an empty list"),
        ("{issuer: me, principals: ['spiffe://td/ns/a/sa/b']}", "a principal such as"),
        ("{issuer: me, confirmation: IGNORED}", "name the workloads"),
        ("{issuer: me, confirmation: MAYBE}", "one of REQUIRED"),
        ("{issuer: me, audience: false}", "one of REQUIRED"),
    ] {
        let found = mistakes(&token_policy(spec));
        assert!(!found.is_empty() && found[0].contains(advice), "{spec}: {found:?}");
    }
    for (refs, advice) in [
        ("targetRefs: [{kind: Gateway, name: g}]", "found the text \"Gateway\""),
        ("targetRefs: [{kind: Service, name: cart}]", "no ServiceEntry for cart.shop"),
        ("selector: {}, targetRefs: [{kind: Service, name: cart}]", "one of the two"),
    ] {
        let text = authentication("[{issuer: me, jwksUri: 'https://x'}]")
            .replace("{jwtRules", &format!("{{{refs}, jwtRules"));
        assert!(mistakes(&text)[0].contains(advice), "{refs}: {:?}", mistakes(&text));
    }
}
