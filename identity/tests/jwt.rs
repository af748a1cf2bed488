//! JWT-SVIDs against every rule of the JWT-SVID standard §2 to §6, with keys of every kind.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as aws, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::TrustDomain;
use identity::jwt::{JwtBundle, JwtBundles, JwtError, JwtKey, LEEWAY, verify_jwt_svid};
use rustls_pki_types::UnixTime;
use serde_json::{Value, json};

const NOW: u64 = 1_780_272_000;
const CART: &str = "spiffe://a.test/ns/shop/sa/cart";

enum Key {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

struct Signer {
    kid: &'static str,
    key: Key,
}

impl Signer {
    fn p256(kid: &'static str) -> Self {
        Self::ec(kid, &aws::ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    fn ec(kid: &'static str, algorithm: &'static EcdsaSigningAlgorithm) -> Self {
        Self { kid, key: Key::Ec(EcdsaKeyPair::generate(algorithm).unwrap()) }
    }

    fn rsa(kid: &'static str) -> Self {
        Self { kid, key: Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()) }
    }

    fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.key {
            Key::Ec(key) => {
                let (x, y) = key.public_key().as_ref()[1..]
                    .split_at((key.public_key().as_ref().len() - 1) / 2);
                let crv = match x.len() {
                    32 => "P-256",
                    48 => "P-384",
                    _ => "P-521",
                };
                json!({"kty": "EC", "crv": crv, "x": encode(x), "y": encode(y)})
            }
            Key::Rsa(key) => {
                let public = key.public_key();
                let n: Vec<u8> = public.modulus().big_endian_without_leading_zero().to_vec();
                let e = public.exponent().big_endian_without_leading_zero().to_vec();
                json!({"kty": "RSA", "n": encode(&n), "e": encode(&e)})
            }
        };
        jwk["use"] = json!("jwt-svid");
        jwk["kid"] = json!(self.kid);
        jwk
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Key::Rsa(key) => {
                let encoding: &dyn aws::RsaEncoding = match algorithm {
                    "RS256" => &aws::RSA_PKCS1_SHA256,
                    "RS384" => &aws::RSA_PKCS1_SHA384,
                    "RS512" => &aws::RSA_PKCS1_SHA512,
                    "PS256" => &aws::RSA_PSS_SHA256,
                    "PS384" => &aws::RSA_PSS_SHA384,
                    _ => &aws::RSA_PSS_SHA512,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }

    fn token_of(&self, header: &str, claims: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(header), encode(claims));
        let algorithm: Value = serde_json::from_str(header).unwrap_or_default();
        let algorithm = algorithm["alg"].as_str().unwrap_or_default();
        let signature = self.sign(algorithm, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn bundle(trust_domain: &str, keys: &[Value]) -> JwtBundle {
    let set = json!({ "keys": keys }).to_string();
    JwtBundle::parse(TrustDomain::parse(trust_domain).unwrap(), set.as_bytes()).unwrap()
}

fn bundles(of: &[(&str, &Signer)]) -> JwtBundles {
    JwtBundles::new(of.iter().map(|(domain, signer)| bundle(domain, &[signer.jwk()])))
}

fn verify(token: &str, bundles: &JwtBundles) -> Result<String, JwtError> {
    verify_at(token, bundles, NOW)
}

fn verify_at(token: &str, bundles: &JwtBundles, now: u64) -> Result<String, JwtError> {
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
    verify_jwt_svid(token, "cart", bundles, now).map(|svid| svid.id.to_string())
}

fn claims() -> Value {
    json!({"sub": CART, "aud": ["cart"], "exp": NOW + 300, "iat": NOW})
}

fn header(signer: &Signer) -> Value {
    json!({"alg": "ES256", "kid": signer.kid, "typ": "JWT"})
}

/// One row: the claims or headers with this change.
fn changed(mut base: Value, name: &str, value: Option<Value>) -> Value {
    match value {
        Some(value) => base[name] = value,
        None => {
            base.as_object_mut().unwrap().remove(name);
        }
    }
    base
}

#[test]
fn spiffe_jwt_svid_2_1_every_algorithm_of_the_standard() {
    let signers = [
        ("ES256", Signer::p256("k")),
        ("ES384", Signer::ec("k", &aws::ECDSA_P384_SHA384_FIXED_SIGNING)),
        ("ES512", Signer::ec("k", &aws::ECDSA_P521_SHA512_FIXED_SIGNING)),
        ("RS256 RS384 RS512 PS256 PS384 PS512", Signer::rsa("k")),
    ];
    let all = "ES256 ES384 ES512 RS256 RS384 RS512 PS256 PS384 PS512";
    for (names, signer) in &signers {
        let bundles = bundles(&[("a.test", signer)]);
        for name in names.split(' ') {
            let token = signer.token(&json!({"alg": name, "kid": "k"}), &claims());
            assert_eq!(verify(&token, &bundles), Ok(CART.to_owned()), "{name}");
            // The same signature under another algorithm's name.
            for other in all.split(' ').filter(|other| *other != name) {
                let (_, rest) = token.split_once('.').unwrap();
                let header = json!({"alg": other, "kid": "k"}).to_string();
                let token = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header));
                assert_eq!(verify(&token, &bundles), Err(JwtError::Signature), "{name} as {other}");
            }
        }
    }
}

#[test]
fn spiffe_jwt_svid_2_1_other_algorithms_are_refused_before_anything_else() {
    let signer = Signer::p256("k");
    let bundles = bundles(&[("a.test", &signer)]);
    let other =
        ["none", "NONE", "", "HS256", "HS512", "EdDSA", "Ed25519", "es256", "ES256K", "RS1"];
    for name in other {
        // Also the claims are nonsense: they have not been looked at.
        let token = signer.token_of(&json!({"alg": name, "kid": "k"}).to_string(), "nonsense");
        assert_eq!(verify(&token, &bundles), Err(JwtError::Algorithm), "{name:?}");
    }
    for header in [json!({"kid": "k"}), json!({"alg": null}), json!({"alg": ["ES256"]})] {
        let token = signer.token(&header, &claims());
        assert_eq!(verify(&token, &bundles), Err(JwtError::Algorithm), "{header}");
    }
}

#[test]
fn spiffe_jwt_svid_2_no_other_header() {
    let signer = Signer::p256("k");
    let bundles = bundles(&[("a.test", &signer)]);
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("jku", json!("https://evil.test")),
        ("jwk", signer.jwk()),
        ("x5c", json!([])),
        ("x5u", json!("https://evil.test")),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("b64", json!(false)),
        ("cty", json!("JWT")),
        ("Alg", json!("ES256")),
        ("mine", json!(1)),
    ] {
        let token = signer.token(&changed(header(&signer), name, Some(value)), &claims());
        assert_eq!(verify(&token, &bundles), Err(JwtError::Header(name.to_owned())), "{name}");
    }
}

#[test]
fn spiffe_jwt_svid_2_2_key_id_is_optional_but_never_guessed() {
    let (one, two) = (Signer::p256("one"), Signer::p256("two"));
    let rsa = Signer::rsa("three");
    let both = JwtBundles::new([bundle("a.test", &[one.jwk(), two.jwk(), rsa.jwk()])]);
    let single = JwtBundles::new([bundle("a.test", &[one.jwk(), rsa.jwk()])]);
    let unknown = || Err(JwtError::UnknownKey(TrustDomain::parse("a.test").unwrap()));
    let good = || Ok(CART.to_owned());
    type Row<'a> = (&'a str, &'a Signer, Value, &'a JwtBundles, Result<String, JwtError>);
    let rows: [Row<'_>; 6] = [
        ("named", &two, json!({"alg": "ES256", "kid": "two"}), &both, good()),
        (
            "another's name",
            &two,
            json!({"alg": "ES256", "kid": "one"}),
            &both,
            Err(JwtError::Signature),
        ),
        ("unknown name", &two, json!({"alg": "ES256", "kid": "four"}), &both, unknown()),
        ("no name, two fit", &one, json!({"alg": "ES256"}), &both, unknown()),
        ("no name, one fits", &one, json!({"alg": "ES256"}), &single, good()),
        (
            "no name, no text",
            &one,
            json!({"alg": "ES256", "kid": 1}),
            &both,
            Err(JwtError::Malformed("`kid` is not a text")),
        ),
    ];
    for (name, signer, header, bundles, expect) in rows {
        assert_eq!(verify(&signer.token(&header, &claims()), bundles), expect, "{name}");
    }
}

#[test]
fn spiffe_jwt_svid_2_3_type() {
    let signer = Signer::p256("k");
    let bundles = bundles(&[("a.test", &signer)]);
    for (typ, good) in [
        (None, true),
        (Some(json!("JWT")), true),
        (Some(json!("JOSE")), true),
        (Some(json!("jwt")), false),
        (Some(json!("at+jwt")), false),
        (Some(json!("JOSE+JSON")), false),
        (Some(json!("")), false),
        (Some(json!(1)), false),
        (Some(Value::Null), false),
    ] {
        let token = signer.token(&changed(header(&signer), "typ", typ.clone()), &claims());
        let expect = if good { Ok(CART.to_owned()) } else { Err(JwtError::Type) };
        assert_eq!(verify(&token, &bundles), expect, "{typ:?}");
    }
}

#[test]
fn spiffe_jwt_svid_3_1_subject_is_the_spiffe_id_of_a_workload() {
    let signer = Signer::p256("k");
    let bundles = bundles(&[("a.test", &signer)]);
    for subject in [None, Some(json!(1)), Some(json!([CART])), Some(Value::Null)] {
        let token = signer.token(&header(&signer), &changed(claims(), "sub", subject));
        assert_eq!(verify(&token, &bundles), Err(JwtError::NoSubject));
    }
    for subject in ["", "cart", "SPIFFE://a.test/x", "spiffe://A.test/x", "spiffe://a.test/x/"] {
        let token = signer.token(&header(&signer), &changed(claims(), "sub", Some(json!(subject))));
        let error = verify(&token, &bundles).unwrap_err();
        assert!(matches!(error, JwtError::Subject(_)), "{subject:?}: {error}");
    }
    let root = changed(claims(), "sub", Some(json!("spiffe://a.test")));
    assert_eq!(verify(&signer.token(&header(&signer), &root), &bundles), Err(JwtError::RootPath));
}

#[test]
fn spiffe_jwt_svid_3_2_audience_is_there_and_contains_us() {
    let signer = Signer::p256("k");
    let bundles = bundles(&[("a.test", &signer)]);
    let not_us = || Err(JwtError::Audience("cart".into()));
    for (audience, expect) in [
        (Some(json!("cart")), Ok(CART.to_owned())),
        (Some(json!(["cart"])), Ok(CART.to_owned())),
        (Some(json!(["reports", "cart"])), Ok(CART.to_owned())),
        (Some(json!("reports")), not_us()),
        (Some(json!("cart ")), not_us()),
        (Some(json!("Cart")), not_us()),
        (Some(json!("cartoon")), not_us()),
        (Some(json!([""])), not_us()),
        (None, Err(JwtError::NoAudience)),
        (Some(json!([])), Err(JwtError::NoAudience)),
        (Some(json!(["cart", 1])), Err(JwtError::Malformed("`aud` is not a list of texts"))),
        (Some(json!({"cart": 1})), Err(JwtError::Malformed("`aud` is neither a text nor a list"))),
        (Some(Value::Null), Err(JwtError::Malformed("`aud` is neither a text nor a list"))),
    ] {
        let token = signer.token(&header(&signer), &changed(claims(), "aud", audience.clone()));
        assert_eq!(verify(&token, &bundles), expect, "{audience:?}");
    }
}

#[test]
fn spiffe_jwt_svid_3_3_and_4_expiry_is_there_and_not_past() {
    let signer = Signer::p256("k");
    let bundles = bundles(&[("a.test", &signer)]);
    for expiry in
        [None, Some(json!("1800000000")), Some(json!(-1)), Some(Value::Null), Some(json!(1e300))]
    {
        let token = signer.token(&header(&signer), &changed(claims(), "exp", expiry.clone()));
        assert_eq!(verify(&token, &bundles), Err(JwtError::NoExpiry), "{expiry:?}");
    }
    for (expires, good) in [
        (json!(NOW + 1), true),
        (json!(NOW), true),
        (json!(NOW - LEEWAY + 1), true),
        (json!(NOW - LEEWAY), false),
        (json!(0), false),
        (json!(u64::MAX), true),
        (json!(1_780_272_000.5), true),
        (json!(1_000_000_000.5), false),
    ] {
        let token =
            signer.token(&header(&signer), &changed(claims(), "exp", Some(expires.clone())));
        assert_eq!(verify(&token, &bundles).is_ok(), good, "{expires}");
    }
    for (begins, good) in [(NOW, true), (NOW + LEEWAY, true), (NOW + LEEWAY + 1, false)] {
        let token = signer.token(&header(&signer), &changed(claims(), "nbf", Some(json!(begins))));
        assert_eq!(verify(&token, &bundles).is_ok(), good, "nbf {begins}");
    }
    for nonsense in [json!("soon"), json!(-1), json!(1.5e300)] {
        let token = signer.token(&header(&signer), &changed(claims(), "nbf", Some(nonsense)));
        assert_eq!(verify(&token, &bundles), Err(JwtError::NotYet));
    }
}

#[test]
fn spiffe_jwt_svid_5_1_compact_serialization_only() {
    let signer = Signer::p256("k");
    let bundles = bundles(&[("a.test", &signer)]);
    let token = signer.token(&header(&signer), &claims());
    let parts: Vec<&str> = token.split('.').collect();
    let flattened = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]});
    let general = json!({"payload": parts[1],
        "signatures": [{"protected": parts[0], "signature": parts[2]}]});
    for text in [
        flattened.to_string(),
        general.to_string(),
        String::new(),
        ".".into(),
        "..".into(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{token}."),
        format!("{token}.x"),
        format!("{token}="),
        format!(" {token}"),
        format!("{token}\n"),
        token.replace('.', ".."),
        signer.token_of(r#"{"alg":"ES256","alg":"ES256"}"#, &claims().to_string()),
        signer.token_of("[]", &claims().to_string()),
    ] {
        let error = verify(&text, &bundles).unwrap_err();
        assert!(matches!(error, JwtError::Malformed(_)), "{text:?}: {error}");
    }
    let unsigned = format!("{}.{}.", parts[0], parts[1]);
    assert_eq!(verify(&unsigned, &bundles), Err(JwtError::Signature));
    let twice = claims().to_string().replacen('{', r#"{"sub":"spiffe://a.test/x","#, 1);
    let twice = signer.token_of(&header(&signer).to_string(), &twice);
    assert!(matches!(verify(&twice, &bundles), Err(JwtError::Malformed(_))));
    let long = changed(claims(), "more", Some(json!("x".repeat(16 * 1024))));
    assert_eq!(verify(&signer.token(&header(&signer), &long), &bundles), Err(JwtError::TooLarge));
}

#[test]
fn spiffe_jwt_svid_6_1_and_6_2_only_jwt_svid_keys_with_kid_serve() {
    let signer = Signer::p256("k");
    for (name, change) in [
        ("use x509-svid", ("use", Some(json!("x509-svid")))),
        ("use sig", ("use", Some(json!("sig")))),
        ("use in capitals", ("use", Some(json!("JWT-SVID")))),
        ("no use", ("use", None)),
        ("no kid", ("kid", None)),
        ("empty kid", ("kid", Some(json!("")))),
        ("kid no text", ("kid", Some(json!(7)))),
        ("no kty", ("kty", None)),
        ("unknown kty", ("kty", Some(json!("AKP")))),
        ("kty in small letters", ("kty", Some(json!("ec")))),
        ("another algorithm", ("alg", Some(json!("ES384")))),
        ("its secret is published", ("d", Some(json!("AA")))),
        ("off the curve", ("x", Some(json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE")))),
    ] {
        let jwk = changed(signer.jwk(), change.0, change.1);
        let bundle = bundle("a.test", &[jwk]);
        assert!(bundle.keys().is_empty(), "{name}");
        let token = signer.token(&header(&signer), &claims());
        let seen = verify(&token, &JwtBundles::new([bundle]));
        assert!(matches!(seen, Err(JwtError::UnknownKey(_))), "{name}: {seen:?}");
    }
    let only = bundle("a.test", &[changed(signer.jwk(), "alg", Some(json!("ES256")))]);
    let back = JwtBundle::parse(only.trust_domain().clone(), &only.to_jwks()).unwrap();
    assert_eq!(back, only);
    let plain: Value = serde_json::from_slice(&only.to_plain_jwks()).unwrap();
    assert_eq!(plain["keys"][0]["kid"], "k");
    assert!(plain["keys"][0].get("use").is_none());
}

#[test]
fn spiffe_workload_api_6_3_the_subject_s_own_trust_domain_decides() {
    let (a, b) = (Signer::p256("k"), Signer::p256("k"));
    let both = bundles(&[("a.test", &a), ("b.test", &b)]);
    let forged = b.token(&header(&b), &claims());
    assert_eq!(verify(&forged, &both), Err(JwtError::Signature), "b signs for a");
    let only_b = bundles(&[("b.test", &b)]);
    let token = a.token(&header(&a), &claims());
    assert_eq!(verify(&token, &only_b), Err(JwtError::UnknownTrustDomain("a.test".into())));
    assert_eq!(verify(&token, &both), Ok(CART.to_owned()));
    let empty = JwtBundles::new([bundle("a.test", &[])]);
    assert!(matches!(verify(&token, &empty), Err(JwtError::UnknownKey(_))), "an empty bundle");
}

#[test]
fn a_changed_token_proves_nothing() {
    let signer = Signer::p256("k");
    let bundles = bundles(&[("a.test", &signer)]);
    let token = signer.token(&header(&signer), &claims());
    assert_eq!(verify(&token, &bundles), Ok(CART.to_owned()));
    let parts: Vec<&str> = token.split('.').collect();
    let other = changed(claims(), "sub", Some(json!("spiffe://a.test/ns/shop/sa/admin")));
    let other = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(other.to_string()), parts[2]);
    assert_eq!(verify(&other, &bundles), Err(JwtError::Signature));
    // ASN.1 is not the form of a JWS signature.
    let Key::Ec(key) = &signer.key else { panic!("an EC key") };
    let pkcs8 = key.to_pkcs8v1().unwrap();
    let asn1 =
        EcdsaKeyPair::from_pkcs8(&aws::ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();
    let signed = format!("{}.{}", parts[0], parts[1]);
    let signature = asn1.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    let asn1 = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
    assert_eq!(verify(&asn1, &bundles), Err(JwtError::Signature));
    assert!(verify_at(&token, &bundles, NOW + 400).is_err());
}

#[test]
fn p256_keys_are_checked_when_made() {
    let signer = Signer::p256("k");
    let Key::Ec(key) = &signer.key else { panic!("an EC key") };
    let point = key.public_key().as_ref().to_vec();
    assert!(JwtKey::p256("k", &point).is_some());
    assert!(JwtKey::p256("", &point).is_none());
    assert!(JwtKey::p256(&"k".repeat(257), &point).is_none());
    assert!(JwtKey::p256("k", &point[1..]).is_none());
    assert!(JwtKey::p256("k", &[&[4][..], &[1; 64]].concat()).is_none());
}
