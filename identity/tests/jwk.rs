//! SPIFFE bundle documents and maps against every rule of Trust Domain and Bundle §4 and §5, and X509-SVID §6.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use identity::TrustBundle;
use identity::TrustDomain;
use identity::jwk::{BundleDocument, BundleMap, DocumentError};
use identity::jwt::{JwtBundle, JwtKey};
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, SignatureAlgorithm,
};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

fn domain(name: &str) -> TrustDomain {
    TrustDomain::parse(name).unwrap()
}

fn root_of(algorithm: &'static SignatureAlgorithm) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.self_signed(&KeyPair::generate_for(algorithm).unwrap()).unwrap().der().clone()
}

fn root() -> CertificateDer<'static> {
    root_of(&rcgen::PKCS_ECDSA_P256_SHA256)
}

fn x509_jwk(root: &[u8]) -> Value {
    json!({"use": "x509-svid", "kty": "EC", "crv": "P-256", "x": "", "y": "",
        "x5c": [STANDARD.encode(root)]})
}

fn jwt_jwk(kid: &str) -> Value {
    let key = KeyPair::generate().unwrap();
    let (x, y) = key.public_key_raw()[1..].split_at(32);
    json!({"use": "jwt-svid", "kid": kid, "kty": "EC", "crv": "P-256",
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
}

fn parse(document: &Value) -> Result<BundleDocument, DocumentError> {
    BundleDocument::parse(domain("a.test"), document.to_string().as_bytes())
}

/// Roots and JWT keys that a list of JWKs yields.
fn check(name: &str, keys: &[Value], expect: (usize, usize)) {
    let document = parse(&json!({ "keys": keys })).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!((document.x509.roots().len(), document.jwt.keys().len()), expect, "{name}");
    assert_eq!(document.is_empty(), expect == (0, 0), "{name}");
}

#[test]
fn what_is_passed_over_is_told_with_its_place_and_reason() {
    let check = |name: &str, jwk: Value, words: Option<&str>| {
        let document = json!({"keys": [jwt_jwk("good"), jwk]}).to_string();
        let (_, passed_over) = BundleDocument::read(domain("a.test"), document.as_bytes()).unwrap();
        let said: Vec<String> = passed_over.iter().map(ToString::to_string).collect();
        match words {
            None => assert!(said.is_empty(), "{name}: {said:?}"),
            Some(words) => assert!(
                said.len() == 1 && said[0].starts_with("key 1: ") && said[0].contains(words),
                "{name}: {said:?}"
            ),
        }
    };
    check("a root", x509_jwk(&root()), None);
    check("a JWT key", jwt_jwk("a"), None);
    check("no use, x509", without(x509_jwk(&root()), "use"), Some("no `use`"));
    check("no use, jwt", without(jwt_jwk("a"), "use"), Some("no `use`"));
    check(
        "a plain JWK set's use",
        with(jwt_jwk("a"), "use", json!("sig")),
        Some("`use` is neither"),
    );
    check("a use that is no text", with(jwt_jwk("a"), "use", json!(1)), Some("`use` is neither"));
    check("an unknown kind", with(x509_jwk(&root()), "kty", json!("AKP")), Some("`kty`"));
    check("no certificate", without(x509_jwk(&root()), "x5c"), Some("`x5c`"));
    check("no name", without(jwt_jwk("a"), "kid"), Some("`kid`"));
    check("not on its curve", with(jwt_jwk("a"), "x", json!("AA")), Some("cannot be used"));
}

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

fn without(mut jwk: Value, name: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(name);
    jwk
}

#[test]
fn spiffe_trust_domain_and_bundle_4_1_undefined_parameters_are_not_required() {
    let bare = parse(&json!({"keys": [x509_jwk(&root())]})).unwrap();
    assert_eq!((bare.sequence, bare.refresh_hint), (None, None));
    let more = json!({"keys": [with(x509_jwk(&root()), "mine", json!({"a": 1}))], "theirs": [1],
        "spiffe_more": null});
    assert_eq!(parse(&more).unwrap().x509.roots().len(), 1);
}

#[test]
fn spiffe_trust_domain_and_bundle_4_1_1_sequence_is_an_integer_of_64_bits() {
    let of = |text: &str| {
        let document = format!(r#"{{"keys": [], "spiffe_sequence": {text}}}"#);
        BundleDocument::parse(domain("a.test"), document.as_bytes()).map(|d| d.sequence)
    };
    let refused = || Err(DocumentError::NotInteger("spiffe_sequence"));
    assert_eq!(of("0"), Ok(Some(0)));
    assert_eq!(of("9007199254740993"), Ok(Some(9_007_199_254_740_993)), "2^53 + 1");
    assert_eq!(of("18446744073709551615"), Ok(Some(u64::MAX)));
    for text in ["18446744073709551616", "-1", "1.0", "1e3", "\"1\"", "null", "[1]"] {
        assert_eq!(of(text), refused(), "{text}");
    }
}

#[test]
fn spiffe_trust_domain_and_bundle_4_1_2_refresh_hint_is_integer_seconds() {
    let of = |value: Value| parse(&json!({"keys": [], "spiffe_refresh_hint": value}));
    assert_eq!(of(json!(300)).unwrap().refresh_hint, Some(300));
    for value in [json!(1.5), json!("300"), json!("5m"), json!(-1), Value::Null] {
        let error = of(value.clone()).unwrap_err();
        assert_eq!(error, DocumentError::NotInteger("spiffe_refresh_hint"), "{value}");
    }
}

#[test]
fn spiffe_trust_domain_and_bundle_4_1_3_keys_must_be_there() {
    for document in [
        "{}",
        r#"{"keys": null}"#,
        r#"{"keys": {}}"#,
        r#"{"keys": [1]}"#,
        r#"{"Keys": []}"#,
        r#"{"keys": [[]]}"#,
    ] {
        let error = BundleDocument::parse(domain("a.test"), document.as_bytes()).unwrap_err();
        assert_eq!(error, DocumentError::NoKeys, "{document}");
    }
}

#[test]
fn spiffe_trust_domain_and_bundle_4_1_3_empty_or_nothing_usable_believes_nobody() {
    check("empty", &[], (0, 0));
    check("unknown use", &[with(x509_jwk(&root()), "use", json!("wit-svid"))], (0, 0));
    check("unknown kty", &[with(jwt_jwk("a"), "kty", json!("AKP"))], (0, 0));
    check("both", &[x509_jwk(&root()), jwt_jwk("a")], (1, 1));
    check("one unknown among known", &[x509_jwk(&root()), json!({"kty": "new"})], (1, 0));
}

#[test]
fn spiffe_trust_domain_and_bundle_4_2_1_kty_is_set_and_known() {
    check("missing, x509", &[without(x509_jwk(&root()), "kty")], (0, 0));
    check("missing, jwt", &[without(jwt_jwk("a"), "kty")], (0, 0));
    for kty in ["ec", "oct", "AKP", ""] {
        check(kty, &[with(x509_jwk(&root()), "kty", json!(kty))], (0, 0));
        check(kty, &[with(jwt_jwk("a"), "kty", json!(kty))], (0, 0));
    }
}

#[test]
fn spiffe_trust_domain_and_bundle_4_2_2_use_is_set_and_case_sensitive() {
    check("missing, x509", &[without(x509_jwk(&root()), "use")], (0, 0));
    check("missing, jwt", &[without(jwt_jwk("a"), "use")], (0, 0));
    for usage in ["X509-SVID", "x509", "sig", "", "Jwt-Svid"] {
        check(usage, &[with(x509_jwk(&root()), "use", json!(usage))], (0, 0));
        check(usage, &[with(jwt_jwk("a"), "use", json!(usage))], (0, 0));
    }
}

#[test]
fn spiffe_x509_svid_6_1_published_with_one_x5c_and_no_kid() {
    for (name, algorithm, kty) in [
        ("P-256", &rcgen::PKCS_ECDSA_P256_SHA256, "EC"),
        ("P-384", &rcgen::PKCS_ECDSA_P384_SHA384, "EC"),
        ("P-521", &rcgen::PKCS_ECDSA_P521_SHA512, "EC"),
        ("Ed25519", &rcgen::PKCS_ED25519, "OKP"),
        ("RSA", &rcgen::PKCS_RSA_SHA256, "RSA"),
    ] {
        let root = root_of(algorithm);
        let document = BundleDocument {
            x509: TrustBundle::from_der(domain("a.test"), vec![root.clone()]).unwrap(),
            jwt: JwtBundle::new(domain("a.test"), Vec::new()).unwrap(),
            sequence: Some(7),
            refresh_hint: Some(300),
        };
        let text = document.to_json().unwrap();
        let written: Value = serde_json::from_str(&text).unwrap();
        let jwk = &written["keys"][0];
        assert_eq!((&jwk["use"], &jwk["kty"]), (&json!("x509-svid"), &json!(kty)), "{name}");
        assert!(jwk.get("kid").is_none(), "{name}");
        assert_eq!(jwk["x5c"], json!([STANDARD.encode(&root)]), "{name}");
        assert_eq!(
            (&written["spiffe_sequence"], &written["spiffe_refresh_hint"]),
            (&json!(7), &json!(300))
        );
        let back = BundleDocument::parse(domain("a.test"), text.as_bytes()).unwrap();
        assert!(back.same_keys(&document), "{name}");
        assert_eq!((back.sequence, back.refresh_hint), (Some(7), Some(300)), "{name}");
    }
}

#[test]
fn spiffe_x509_svid_6_2_entries_without_x5c_are_ignored_and_only_the_first_counts() {
    let (one, two) = (root(), root());
    check("no x5c", &[without(x509_jwk(&one), "x5c")], (0, 0));
    check("empty x5c", &[with(x509_jwk(&one), "x5c", json!([]))], (0, 0));
    check("x5c no list", &[with(x509_jwk(&one), "x5c", json!(STANDARD.encode(&one)))], (0, 0));
    check("a kid does not matter", &[with(x509_jwk(&one), "kid", json!("a"))], (1, 0));
    check("the same root twice", &[x509_jwk(&one), x509_jwk(&one)], (1, 0));
    let both = json!([STANDARD.encode(&one), STANDARD.encode(&two)]);
    let document = parse(&json!({"keys": [with(x509_jwk(&one), "x5c", both)]})).unwrap();
    assert_eq!(document.x509.roots(), std::slice::from_ref(&one));
    let nonsense = json!([STANDARD.encode(&one), "nonsense"]);
    check("nonsense after the first", &[with(x509_jwk(&one), "x5c", nonsense)], (1, 0));
}

#[test]
fn a_damaged_certificate_refuses_the_document() {
    let good = root();
    let leaf = CertificateParams::new(vec!["a.test".into()]).unwrap();
    let leaf = leaf.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let longer = [&good[..], &[0]].concat();
    for (name, x5c) in [
        ("not base64", json!(["nonsense!"])),
        ("base64url", json!([URL_SAFE_NO_PAD.encode([0xff; 64])])),
        ("not a certificate", json!([STANDARD.encode(b"nonsense")])),
        ("cut", json!([STANDARD.encode(&good[..good.len() - 1])])),
        ("longer", json!([STANDARD.encode(longer)])),
        ("not a CA", json!([STANDARD.encode(leaf.der())])),
        ("large", json!([STANDARD.encode([0x30; 17 * 1024])])),
        ("number", json!([1])),
    ] {
        let keys = [x509_jwk(&root()), with(x509_jwk(&good), "x5c", x5c)];
        let error = parse(&json!({ "keys": keys })).unwrap_err();
        assert!(matches!(error, DocumentError::X5c { index: 1, .. }), "{name}: {error}");
    }
}

#[test]
fn spiffe_jwt_svid_6_1_published_with_use_and_kid() {
    let key = KeyPair::generate().unwrap();
    let key = JwtKey::p256("a key", key.public_key_raw()).unwrap();
    let document = BundleDocument {
        x509: TrustBundle::from_der(domain("a.test"), Vec::new()).unwrap(),
        jwt: JwtBundle::new(domain("a.test"), vec![key]).unwrap(),
        sequence: None,
        refresh_hint: None,
    };
    let written: Value = serde_json::from_str(&document.to_json().unwrap()).unwrap();
    let jwk = &written["keys"][0];
    assert_eq!((&jwk["use"], &jwk["kid"]), (&json!("jwt-svid"), &json!("a key")));
    assert!(written.get("spiffe_sequence").is_none());
    assert_eq!(written["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn duplicates_are_refused() {
    let one = jwt_jwk("a");
    let error = parse(&json!({"keys": [one, jwt_jwk("a")]})).unwrap_err();
    assert_eq!(error, DocumentError::SameKid("a".into()));
    // Also where one of the two is unusable to us.
    let unusable = with(jwt_jwk("a"), "kty", json!("AKP"));
    let error = parse(&json!({"keys": [unusable, jwt_jwk("a")]})).unwrap_err();
    assert_eq!(error, DocumentError::SameKid("a".into()));
    for text in [
        r#"{"keys": [], "keys": []}"#,
        r#"{"keys": [{"kty": "EC", "kty": "RSA"}]}"#,
        r#"{"keys": [], "spiffe_sequence": 1, "spiffe_sequence": 2}"#,
        r#"{"keys": []} {}"#,
        "[]",
        "",
        "nonsense",
    ] {
        let error = BundleDocument::parse(domain("a.test"), text.as_bytes()).unwrap_err();
        assert!(matches!(error, DocumentError::Json(_)), "{text}: {error}");
    }
}

#[test]
fn size_count_and_depth_are_limited() {
    let parse_text =
        |text: String| BundleDocument::parse(domain("a.test"), text.as_bytes()).map(|_| ());
    let long = format!(r#"{{"keys": [], "a": "{}"}}"#, "x".repeat(1024 * 1024));
    assert_eq!(parse_text(long), Err(DocumentError::TooLarge));
    let many: Vec<Value> = (0..257).map(|_| json!({})).collect();
    assert_eq!(parse(&json!({ "keys": many })).unwrap_err(), DocumentError::TooMany);
    let many: Vec<Value> =
        (0..65).map(|n| with(jwt_jwk("a"), "kid", json!(n.to_string()))).collect();
    assert_eq!(parse(&json!({ "keys": many })).unwrap_err(), DocumentError::TooMany);
    for depth in [40, 4000, 100_000] {
        let deep = format!(r#"{{"keys": [], "a": {}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(matches!(parse_text(deep), Err(DocumentError::Json(_))), "{depth}");
    }
}

fn map(text: &Value) -> Result<BundleMap, DocumentError> {
    BundleMap::parse(text.to_string().as_bytes())
}

#[test]
fn spiffe_trust_domain_and_bundle_5_1_1_trust_domains_must_be_set_and_may_be_empty() {
    assert_eq!(map(&json!({})).unwrap_err(), DocumentError::NoTrustDomains);
    assert_eq!(map(&json!({"trust_domains": []})).unwrap_err(), DocumentError::NoTrustDomains);
    assert_eq!(map(&json!({"trust_domains": null})).unwrap_err(), DocumentError::NoTrustDomains);
    assert_eq!(map(&json!({"trust_domains": {}})).unwrap().iter().count(), 0);
}

#[test]
fn spiffe_trust_domain_and_bundle_5_1_1_duplicate_names_are_refused() {
    let text = br#"{"trust_domains": {"a.test": {"keys": []}, "a.test": {"keys": []}}}"#;
    assert!(matches!(BundleMap::parse(text), Err(DocumentError::Json(_))));
    let text = br#"{"trust_domains": {"a.test": {"keys": []}, "\u0061.test": {"keys": []}}}"#;
    assert!(matches!(BundleMap::parse(text), Err(DocumentError::Json(_))), "by an escape");
    let text = br#"{"trust_domains": {}, "trust_domains": {}}"#;
    assert!(matches!(BundleMap::parse(text), Err(DocumentError::Json(_))));
    // Another spelling of one name is no name at all.
    for name in ["A.test", "spiffe://a.test", "", "a.test/"] {
        let mut domains = json!({"a.test": {"keys": []}});
        domains[name] = json!({"keys": []});
        let error = map(&json!({ "trust_domains": domains })).unwrap_err();
        assert!(matches!(error, DocumentError::TrustDomain { .. }), "{name:?}: {error}");
    }
}

#[test]
fn spiffe_trust_domain_and_bundle_5_1_1_each_keeps_its_own_keys_and_hints_are_not_the_map_s() {
    let (a, b) = (root(), root());
    let text = json!({"trust_domains": {
        "a.test": {"keys": [x509_jwk(&a)], "spiffe_refresh_hint": 1, "spiffe_sequence": 3},
        "b.test": {"keys": [x509_jwk(&b)], "spiffe_refresh_hint": 2},
    }});
    let read = map(&text).unwrap();
    assert_eq!(read.get(&domain("a.test")).unwrap().x509.roots(), [a]);
    assert_eq!(read.get(&domain("b.test")).unwrap().x509.roots(), [b]);
    assert!(read.get(&domain("c.test")).is_none());
    let written: Value = serde_json::from_str(&read.to_json().unwrap()).unwrap();
    for name in ["a.test", "b.test"] {
        assert!(written["trust_domains"][name].get("spiffe_refresh_hint").is_none(), "{name}");
    }
    assert_eq!(written["trust_domains"]["a.test"]["spiffe_sequence"], 3);
    assert!(written.get("spiffe_refresh_hint").is_none());
    let many: serde_json::Map<String, Value> =
        (0..257).map(|n| (format!("d{n}.test"), json!({"keys": []}))).collect();
    assert_eq!(
        map(&json!({ "trust_domains": many })).unwrap_err(),
        DocumentError::TooManyTrustDomains
    );
    let bad = json!({"trust_domains": {"a.test": {"keys": []}, "b.test": {}}});
    assert_eq!(map(&bad).unwrap_err(), DocumentError::NoKeys, "one unreadable refuses the map");
}
