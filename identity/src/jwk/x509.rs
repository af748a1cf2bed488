//! X.509 authorities as JWKs (X509-SVID §6): the certificate in `x5c`, and its key in the members that RFC 7517 asks
//! for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use serde_json::{Map, Value, json};
use x509_parser::oid_registry::{OID_NIST_EC_P384, OID_NIST_EC_P521, OID_SIG_ED25519};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::X509_SVID;
use crate::jws::{Curve, JwkPublicKey};

/// Whether `kty` is one that a root we can use may have (Trust Domain and Bundle §4.2.1).
pub(super) fn is_known_kind(jwk: &Map<String, Value>) -> bool {
    jwk.get("kty").and_then(Value::as_str).is_some_and(|kty| ["EC", "RSA", "OKP"].contains(&kty))
}

/// The certificate of a root as it stands there: the first; further ones are ignored (X509-SVID §6.2).
pub(super) fn x5c(jwk: &Map<String, Value>) -> Option<&Value> {
    jwk.get("x5c")?.as_array()?.first()
}

/// The JWK of a root. `None` when its key has no form as a JWK.
pub(super) fn to_jwk(root: &CertificateDer<'_>) -> Option<Value> {
    let (_, certificate) = X509Certificate::from_der(root).ok()?;
    let mut jwk = public_members(certificate.public_key())?;
    jwk.insert("use".into(), json!(X509_SVID));
    jwk.insert("x5c".into(), json!([STANDARD.encode(root)]));
    Some(Value::Object(jwk))
}

fn public_members(key: &SubjectPublicKeyInfo<'_>) -> Option<Map<String, Value>> {
    if key.algorithm.algorithm == OID_SIG_ED25519 {
        let x = key.subject_public_key.data.as_ref().try_into().ok()?;
        return Some(JwkPublicKey::Ed25519(x).to_jwk());
    }
    let public = match key.parsed().ok()? {
        PublicKey::RSA(rsa) => JwkPublicKey::rsa(rsa.modulus.to_vec(), rsa.exponent.to_vec())?,
        PublicKey::EC(point) => JwkPublicKey::ec(curve(key), point.data().to_vec())?,
        _ => return None,
    };
    Some(public.to_jwk())
}

/// The named curve; an unknown curve then fails as a point that is not on P-256.
fn curve(key: &SubjectPublicKeyInfo<'_>) -> Curve {
    let named = key.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
    match named {
        Some(oid) if oid == OID_NIST_EC_P384 => Curve::P384,
        Some(oid) if oid == OID_NIST_EC_P521 => Curve::P521,
        _ => Curve::P256,
    }
}
