//! RSA keys of the ROCA class (CVE-2017-15361), wherever a public key comes in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::jws::{KeySet, KeySetError};
use identity::jwt::JwtBundle;
use identity::rsa::is_roca;
use identity::{BundleError, Leaf, SignerError, SvidError, TrustBundle, TrustDomain, X509Svid};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

use crate::ca::{CART, Ca, ca_params, leaf_params};
use crate::verify::Rsa;

/// A modulus of 2048 bits, the product of two primes made as the library made them: `k * M + (65537^a mod M)`, M the
/// product of the first 126 primes.
const ROCA: &str = "\
    ae56b32d3696f405576161484cda7ad69dbf1268277a87226050ba4d8d063bf405aa6ea34f8c9991d3fa9f598f6ceafd \
    7501608461c7f5bc120121739e141f0f84446995916419b4d37cb732e086ddb64f071d56e3db4b5535cad271531c6b78 \
    080e760e62d192025c74ad2ae0b6080c852a09ceba313a3ba505793ac5ac68810c213e674d3af8e0e976bce15a3e6f5a \
    a53638a9a8ad3fe69c08c9dfe98f3f021262c66e232768ac89eba7bf5a1b02eb93319376ee1b9133872c4198dd13a45b \
    88950920778edfcf1ccbb7998364a3aa47800dd97e56e8ddf35fa59f4a24e5d5f875c9f7a7f6d95b12066df9cd5b4066 \
    d27eaa6580c58fe73df4a91ebaed3acd";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

fn roca() -> Vec<u8> {
    bytes(ROCA)
}

/// The modulus of a key made here.
fn ordinary(bits: rcgen::RsaKeySize) -> Vec<u8> {
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, bits).unwrap();
    let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
    let (_, spki) = <x509_parser::x509::SubjectPublicKeyInfo<'_> as x509_parser::prelude::FromDer<
        '_,
        _,
    >>::from_der(&spki)
    .unwrap();
    match spki.parsed().unwrap() {
        x509_parser::public_key::PublicKey::RSA(rsa) => {
            rsa.modulus[rsa.modulus.len() % 2..].to_vec()
        }
        _ => panic!("not RSA"),
    }
}

#[test]
fn the_class_is_known_by_its_modulus() {
    assert_eq!(roca().len(), 256);
    assert!(is_roca(&roca()));
    assert!(is_roca(&[vec![0], roca()].concat()), "with a leading zero, as DER has it");
    for bits in [rcgen::RsaKeySize::_2048, rcgen::RsaKeySize::_3072, rcgen::RsaKeySize::_4096] {
        assert!(!is_roca(&ordinary(bits)), "{bits:?}");
    }
    // One more than a modulus of the class is a power of 65537 no more.
    let mut next = roca();
    *next.last_mut().unwrap() += 2;
    assert!(!is_roca(&next));
}

fn rsa_jwk(modulus: &[u8], kid: &str) -> Value {
    json!({"kty": "RSA", "e": "AQAB", "n": URL_SAFE_NO_PAD.encode(modulus), "kid": kid})
}

#[test]
fn a_token_issuers_key_of_the_class_is_none() {
    let good = rsa_jwk(&ordinary(rcgen::RsaKeySize::_2048), "good");
    let weak = rsa_jwk(&roca(), "weak");
    let read = |keys: &[&Value]| KeySet::parse(json!({ "keys": keys }).to_string().as_bytes());
    let alone = read(&[&weak]).unwrap_err();
    assert_eq!(alone, KeySetError::NoUsableKey);
    assert!(alone.to_string().contains("ROCA"), "{alone}");
    let both = read(&[&weak, &good]).unwrap();
    let algorithm = identity::jws::Algorithm::named("RS256").unwrap();
    assert!(both.find(Some("good"), algorithm).is_some());
    assert!(both.find(Some("weak"), algorithm).is_none());
}

#[test]
fn a_jwt_authority_of_the_class_is_none() {
    let mut keys = [rsa_jwk(&ordinary(rcgen::RsaKeySize::_2048), "good"), rsa_jwk(&roca(), "weak")];
    keys.iter_mut().for_each(|jwk| jwk["use"] = json!("jwt-svid"));
    let text = json!({ "keys": keys }).to_string();
    let bundle = JwtBundle::parse(TrustDomain::parse("a.test").unwrap(), text.as_bytes()).unwrap();
    let kids: Vec<_> = bundle.keys().iter().map(|key| key.kid()).collect();
    assert_eq!(kids, ["good"]);
}

/// A CA certificate of a key that others can compute.
pub(crate) fn weak_signer(issuer: &Ca) -> CertificateDer<'static> {
    let signer = ca_params("a signer").signed_by(&Rsa::of(&roca()), &issuer.issuer);
    signer.unwrap().der().clone()
}

#[test]
fn a_certificate_of_the_class_names_nobody_and_signs_nobody() {
    let root = Ca::root("root");
    let leaf = leaf_params(&[CART]);
    let of = |modulus: &[u8]| leaf.signed_by(&Rsa::of(modulus), &root.issuer).unwrap();
    assert!(Leaf::read(of(&ordinary(rcgen::RsaKeySize::_2048)).der()).is_ok());
    assert_eq!(Leaf::read(of(&roca()).der()), Err(SvidError::WeakKey));
    let signer = weak_signer(&root);
    let refused =
        TrustBundle::from_der(TrustDomain::parse("a.test").unwrap(), vec![signer.clone()]);
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, BundleError::Root { reason: SignerError::WeakKey(_), .. }),
        "{refused}"
    );
    let chain = vec![root.sign(&leaf_params(&[CART])), signer];
    let refused = X509Svid::parse(chain).unwrap_err();
    assert!(refused.to_string().contains("ROCA"), "{refused}");
}
