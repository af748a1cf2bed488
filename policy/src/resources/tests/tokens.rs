//! RequestAuthentication and TokenPolicy: what is taken, and what is said about the rest.

use super::*;
use serde_json::{Value, json};

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
            "[{issuer: me@example, jwks: '{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}'}]",
        ),
        authentication("[{issuer: me, jwksUri: 'file:///etc/postern/keys/me.json'}]"),
        authentication("[{issuer: 'spiffe://cluster.local'}]"),
        authentication(
            "[{issuer: 'https://mesh.example', jwksUri: 'spiffe://cluster.local', audiences: [cart]}]",
        ),
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
        let found = diagnostics(&authentication(&format!("[{{issuer: me, jwksUri: '{source}'}}]")));
        assert!(found.len() == 1 && found[0].contains(advice), "{source}: {found:?}");
    }
}

#[test]
fn bad_token_rules() {
    let keys = "jwksUri: 'https://x'";
    for (rule, advice) in [
        ("{jwksUri: 'https://x'}".to_owned(), "no `issuer`"),
        ("{issuer: me}".to_owned(), "or write `jwks` or `jwksUri`"),
        ("{issuer: 'spiffe://td/ns/a/sa/b'}".to_owned(), "without a path"),
        ("{issuer: 'spiffe://'}".to_owned(), "without a path"),
        (
            "{issuer: 'spiffe://td', fromHeaders: [{name: x-user-token}]}".to_owned(),
            "`fromHeaders`; expected no other place",
        ),
        ("{issuer: 'spiffe://td', fromParams: [t]}".to_owned(), "`fromParams`"),
        (
            "{issuer: me, jwksUri: 'spiffe://td', fromCookies: [t]}".to_owned(),
            "`fromCookies`; expected no other place",
        ),
        ("{issuer: me, jwksUri: 'spiffe://Td'}".to_owned(), "without a path"),
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
        let found = diagnostics(&authentication(&format!("[{rule}]")));
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
        let found = diagnostics(&token_policy(spec));
        assert!(!found.is_empty() && found[0].contains(advice), "{spec}: {found:?}");
    }
    for (refs, advice) in [
        ("targetRefs: [{kind: Gateway, name: g}]", "found the text \"Gateway\""),
        ("targetRefs: [{kind: Service, name: cart}]", "no ServiceEntry for cart.shop"),
        ("selector: {}, targetRefs: [{kind: Service, name: cart}]", "one of the two"),
    ] {
        let text = authentication("[{issuer: me, jwksUri: 'https://x'}]")
            .replace("{jwtRules", &format!("{{{refs}, jwtRules"));
        assert!(diagnostics(&text)[0].contains(advice), "{refs}: {:?}", diagnostics(&text));
    }
}

/// A key of the ROCA class; only the modulus, whose secret is known to nobody who needs it.
const ROCA: &str = "rlazLTaW9AVXYWFITNp61p2_EmgneociYFC6TY0GO_QFqm6jT4yZkdP6n1mPbOr9dQFghGHH9bwSASFznhQfD4REaZWRZBm003y3MuCG3bZPBx1W49tLVTXK0nFTHGt4CA52DmLRkgJcdK0q4LYIDIUqCc66MTo7pQV5OsWsaIEMIT5nTTr44Ol2vOFaPm9apTY4qaitP-acCMnf6Y8_AhJixm4jJ2isieunv1obAuuTMZN27huRM4csQZjdE6RbiJUJIHeO388cy7eZg2SjqkeADdl-Vujd81-ln0ok5dX4dcn3p_bZWxIGbfnNW0Bm0n6qZYDFj-c99Kkeuu06zQ";

/// A set that no token could be verified with is refused, and each key of it is named.
#[test]
fn s38_kid_and_jwks_state_inline_sets_without_a_usable_key() {
    let good = json!({"kid": "good", "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let (x, y) = (
        "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    );
    let with = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    for (name, keys, expect) in [
        ("one that can be used", json!([good]), ""),
        (
            "beside one that cannot",
            json!([good, {"kid": "b", "kty": "EC", "crv": "secp256k1"}]),
            "",
        ),
        ("P-256", json!([{"kty": "EC", "crv": "P-256", "x": x, "y": y}]), ""),
        ("none", json!([]), "at least one key"),
        ("a kid twice", json!([good, good]), "two keys have the `kid` \"good\""),
        ("a kid that is a number", json!([with("kid", json!(7))]), "key 0: its `kid` is no text"),
        (
            "for encryption",
            json!([with("use", json!("enc"))]),
            "key \"good\": its `use` is not `sig`",
        ),
        ("to sign", json!([with("key_ops", json!(["sign"]))]), "its `key_ops` have no `verify`"),
        ("another algorithm", json!([with("alg", json!("RS256"))]), "its `alg` is no signature"),
        ("a short Ed25519 key", json!([with("x", json!("AAAA"))]), "its `x` is not 32 bytes"),
        ("Ed448", json!([with("crv", json!("Ed448"))]), "its `crv` is not Ed25519"),
        (
            "secp256k1",
            json!([{"kty": "EC", "crv": "secp256k1", "x": x, "y": y}]),
            "key 0: its `crv`",
        ),
        (
            "no point",
            json!([{"kty": "EC", "crv": "P-256", "x": y, "y": x}]),
            "no point of its curve",
        ),
        ("ROCA", json!([{"kty": "RSA", "n": ROCA, "e": "AQAB"}]), "it is of the ROCA class"),
        (
            "RSA of 1024 bits",
            json!([{"kty": "RSA", "n": "qqqq".repeat(43), "e": "AQAB"}]),
            "less than 2048",
        ),
        ("RSA without n", json!([{"kty": "RSA", "e": "AQAB"}]), "its `n` or `e` is not base64url"),
        (
            "each is named",
            json!([with("use", json!("enc")), {"kty": "RSA", "n": "AQAB", "e": "AQAB"}]),
            "key \"good\": its `use` is not `sig`; key 1: it is RSA of less than 2048 bits: no usable key",
        ),
    ] {
        let set = json!({"keys": keys}).to_string();
        let found = diagnostics(&authentication(&format!("[{{issuer: me, jwks: '{set}'}}]")));
        let right = found.len() == usize::from(!expect.is_empty())
            && found.iter().all(|line| line.contains(expect));
        assert!(right, "{name}: {found:#?}");
    }
}
