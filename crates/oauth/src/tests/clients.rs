//! How a client proves itself, and what it asks.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use identity::jws::Jws;

use crate::*;

const FACTS: AssertionFacts<'_> =
    AssertionFacts { audience: "https://id.example", id: "j", now: 1_800_000_000 };

fn asked(client_id: &str, proof: &ClientAuthentication, form: Form) -> ClientRequest {
    proof.request(client_id, form, &FACTS, &SystemRandom::new()).unwrap()
}

#[test]
fn forms_of_token_requests() {
    let verifier = CodeVerifier::kept(&"v".repeat(43)).unwrap();
    let code = authorization_code("c/1", "https://shop.example/.postern/callback", &verifier);
    for (form, expect) in [
        (
            code,
            "grant_type=authorization_code&code=c%2F1\
             &redirect_uri=https%3A%2F%2Fshop.example%2F.postern%2Fcallback\
             &code_verifier=vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv",
        ),
        (refresh_token("r+1"), "grant_type=refresh_token&refresh_token=r%2B1"),
        (client_credentials("a b", "", ""), "grant_type=client_credentials&scope=a+b"),
        (
            client_credentials("", "x", "https://y.example"),
            "grant_type=client_credentials&audience=x&resource=https%3A%2F%2Fy.example",
        ),
        (introspection("t"), "token=t&token_type_hint=access_token"),
        (revocation("t"), "token=t&token_type_hint=refresh_token"),
    ] {
        assert_eq!(*form.into_body(), expect);
    }
}

/// RFC 6749 §2.3.1: a colon or a percent sign in one of them is no border and no escape.
#[test]
fn secrets_are_encoded_before_they_are_joined() {
    for (id, secret, expect) in [
        ("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw", "s6BhdRkqt3:7Fjfp0ZBr1KtDRbnfVdmIw"),
        ("a:b", "c:d%20 ü", "a%3Ab:c%3Ad%2520+%C3%BC"),
    ] {
        let proof = ClientAuthentication::SecretBasic(ClientSecret::new(secret).unwrap());
        let request = asked(id, &proof, refresh_token("r"));
        let header = request.authorization.unwrap();
        let pair = STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(String::from_utf8(pair).unwrap(), expect);
        assert_eq!(*request.body, "grant_type=refresh_token&refresh_token=r");
        assert_eq!(format!("{proof:?}"), "SecretBasic(ClientSecret(..))");
    }
    for secret in ["", "a\nb", &"a".repeat(4097)] {
        assert_eq!(ClientSecret::new(secret), None);
    }
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

fn pkcs8_of_each_kind() -> Vec<(&'static str, Vec<u8>)> {
    let ec = |algorithm| {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        pair.to_pkcs8v1().unwrap().as_ref().to_vec()
    };
    let ed25519 = Ed25519KeyPair::generate().unwrap().to_pkcs8().unwrap();
    let rsa = RsaPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
    vec![
        ("ES256", ec(&ECDSA_P256_SHA256_FIXED_SIGNING)),
        ("ES384", ec(&ECDSA_P384_SHA384_FIXED_SIGNING)),
        ("EdDSA", ed25519.as_ref().to_vec()),
        ("RS256", rsa.as_ref().to_vec()),
    ]
}

/// RFC 7523 §3.
#[test]
fn assertions_name_the_client_and_are_for_one_minute() {
    for (algorithm, der) in pkcs8_of_each_kind() {
        let key = AssertionKey::from_pem(pem(&der).as_bytes(), Some("k")).unwrap();
        assert_eq!(format!("{key:?}"), format!("AssertionKey({algorithm})"));
        let request = asked("shop", &ClientAuthentication::PrivateKeyJwt(key), refresh_token("r"));
        assert_eq!(request.authorization, None);
        let fields = parse_form(&request.body, 8192).unwrap();
        let field = |name: &str| fields.iter().find(|(known, _)| known == name).unwrap().1.clone();
        assert_eq!(field("client_id"), "shop");
        assert_eq!(
            field("client_assertion_type"),
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );
        let assertion = field("client_assertion");
        let jws = Jws::open(assertion.as_bytes()).unwrap();
        assert_eq!((&jws.header()["alg"], &jws.header()["kid"]), (&algorithm.into(), &"k".into()));
        let claims = jws.claims().unwrap();
        for (name, expect) in [("iss", "shop"), ("sub", "shop"), ("jti", "j")] {
            assert_eq!(claims[name], expect);
        }
        assert_eq!(claims["aud"], "https://id.example");
        assert_eq!((&claims["iat"], &claims["exp"]), (&FACTS.now.into(), &(FACTS.now + 60).into()));
    }
}

#[test]
fn keys_that_sign_no_assertion() {
    let kind = AssertionKeyError::Kind;
    let good = pem(&pkcs8_of_each_kind().remove(0).1);
    let public = good.replace("PRIVATE", "PUBLIC");
    for (name, pem, id, expect) in [
        ("nothing", "", None, AssertionKeyError::NoPkcs8),
        ("a public key", &*public, None, AssertionKeyError::NoPkcs8),
        ("an older form", &good.replace("PRIVATE", "EC PRIVATE"), None, AssertionKeyError::NoPkcs8),
        ("no key", &pem(b"abc"), None, kind),
        ("too large", &"a".repeat(17_000), None, AssertionKeyError::NoPkcs8),
        ("an empty id", &good, Some(""), AssertionKeyError::KeyId),
    ] {
        assert_eq!(AssertionKey::from_pem(pem.as_bytes(), id).err(), Some(expect), "{name}");
    }
}

#[test]
fn random_texts_have_256_bits() {
    let random = SystemRandom::new();
    let (one, other) = (random_text(&random).unwrap(), random_text(&random).unwrap());
    assert!(one.len() == 43 && !is_same_text(&one, &other) && is_same_text(&one, &one));
}
