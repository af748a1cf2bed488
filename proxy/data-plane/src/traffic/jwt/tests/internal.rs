//! Tokens that the mesh itself issues: verified with the keys of the own trust domain alone.

use crate::traffic::jwt::tests::*;

const INTERNAL: &str = "{issuer: 'spiffe://cluster.local'}";
const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

fn internal(changes: Value) -> Value {
    let mut said = claims(json!({
        "iss": "spiffe://cluster.local",
        "aud": CART,
        "jti": "1",
        "orig_iss": "https://id.example",
        "act": {"sub": "spiffe://cluster.local/ns/edge/sa/gateway"},
    }));
    for (name, value) in changes.as_object().unwrap() {
        said[name] = value.clone();
    }
    said
}

fn typed() -> Value {
    json!({"alg": "ES256", "kid": "k1", "typ": "JWT"})
}

impl TokenFixture {
    /// Asked by a workload of the mesh.
    fn in_the_mesh(rules: &str) -> Self {
        let peer = Some(peer("spiffe://cluster.local/ns/edge/sa/gateway", 1));
        Self { peer, ..Self::new(rules, "") }
    }
}

/// A token that has leaked is of no use outside the mesh.
#[test]
fn s39_presenter_of_an_internal_token_is_a_workload() {
    let token = signer().token(typed(), internal(json!({"aud": "spiffe://cluster.local"})));
    let mut world = TokenFixture::in_the_mesh(INTERNAL);
    for (row, from, expect) in [
        ("a workload of the mesh", Some("spiffe://cluster.local/ns/edge/sa/gateway"), "alice"),
        ("a client of a gateway, or plaintext", None, "token_presenter"),
        (
            "a workload of another trust domain",
            Some("spiffe://partner.example/ns/a/sa/b"),
            "token_presenter",
        ),
    ] {
        world.peer = from.map(|id| peer(id, 1));
        assert_eq!(world.who_bears(&token), expect, "{row}");
    }
}

/// The authority takes one for another no longer than that.
#[test]
fn s39_times_of_an_internal_token_have_no_leeway_at_the_end() {
    let world = TokenFixture::in_the_mesh(INTERNAL);
    for (row, expires, expect) in [
        ("in its last second", NOW + 1, "alice"),
        ("at its end", NOW, "token_expired"),
        ("within what others get", NOW - 10, "token_expired"),
    ] {
        let token = signer().token(typed(), internal(json!({ "exp": expires })));
        assert_eq!(world.who_bears(&token), expect, "{row}");
    }
}

/// What a provider writes into its own tokens makes them none of the mesh's.
#[test]
fn only_the_keys_of_the_mesh_make_a_token_of_the_mesh() {
    let act = json!({"act": {"sub": "spiffe://cluster.local/ns/edge/sa/gateway"}});
    for (row, world, token, expect) in [
        (
            "signed by the mesh",
            TokenFixture::in_the_mesh(INTERNAL),
            signer().token(typed(), internal(json!({}))),
            true,
        ),
        ("a provider's with `act`", TokenFixture::usual(), token(act), false),
    ] {
        let (found, _) = world.ask(bearing(&token)).unwrap();
        assert_eq!(found.is_of_the_mesh(), expect, "{row}");
    }
    let nobody = AuthenticatedToken::default();
    assert!(!nobody.is_of_the_mesh());
}

#[test]
fn s39_claims_of_an_internal_token() {
    let world = TokenFixture::in_the_mesh(INTERNAL);
    let source = &world.rules.rules()[0].jwt.keys;
    assert!(matches!(source, KeySource::MeshBundle(domain) if domain.as_str() == "cluster.local"));
    let typed = json!({"alg": "ES256", "kid": "k1", "typ": "JWT"});
    for (row, header, changes, expect) in [
        ("for this workload", &typed, json!({}), "alice"),
        ("for the trust domain", &typed, json!({"aud": ["spiffe://cluster.local"]}), "alice"),
        (
            "a service that was skipped",
            &typed,
            json!({"aud": "spiffe://cluster.local/ns/shop/sa/payments"}),
            "token_audience",
        ),
        (
            "for a name that begins like ours",
            &typed,
            json!({"aud": format!("{CART}2")}),
            "token_audience",
        ),
        ("for nobody", &typed, json!({"aud": null}), "token_claims"),
        ("expired", &typed, json!({"exp": NOW - 60}), "token_expired"),
        (
            "of another mesh",
            &typed,
            json!({"iss": "spiffe://partner.example"}),
            "token_issuer_unknown",
        ),
        ("nobody acts: a workload's own JWT-SVID", &typed, json!({"act": null}), "token_claims"),
        ("the user is a workload", &typed, json!({"sub": CART}), "token_claims"),
        ("whose user it is, nobody says", &typed, json!({"orig_iss": null}), "token_claims"),
        ("without a name", &typed, json!({"jti": null}), "token_claims"),
        ("the actor is no workload", &typed, json!({"act": {"sub": "alice"}}), "token_claims"),
        (
            "the actor is of another mesh",
            &typed,
            json!({"act": {"sub": "spiffe://partner.example/ns/a/sa/b"}}),
            "token_claims",
        ),
        ("no `typ`", &json!({"alg": "ES256", "kid": "k1"}), json!({}), "token_malformed"),
        (
            "an access token of OAuth",
            &json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"}),
            json!({}),
            "token_malformed",
        ),
    ] {
        let token = signer().token(header.clone(), internal(changes));
        assert_eq!(world.who_bears(&token), expect, "{row}");
    }
    let other = TestSigner::p256();
    let forged = other.token(typed.clone(), internal(json!({})));
    assert_eq!(world.who_bears(&forged), "token_signature");
}

/// Audiences that the rule names stand in the place of the workload's own name.
#[test]
fn a_rule_may_name_other_audiences() {
    let world = TokenFixture::in_the_mesh("{issuer: 'spiffe://cluster.local', audiences: [carts]}");
    let typed = json!({"alg": "ES256", "kid": "k1", "typ": "JWT"});
    let bears = |aud: &str| {
        world.who_bears(&signer().token(typed.clone(), internal(json!({ "aud": aud }))))
    };
    assert_eq!((bears("carts"), bears(CART)), ("alice".into(), "token_audience".into()));
}
