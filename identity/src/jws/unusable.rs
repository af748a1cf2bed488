//! Why a key of a set is passed over: the standard wants it passed over, and whoever wrote the set wants to know.

use serde_json::{Map, Value};

use super::key::{Curve, JwkPublicKey};
use super::{VerifyingKey, decode};
use crate::rsa;

/// Why a JWK of a set verifies no token. `None`: it is used ([`VerifyingKey::for_signatures`]).
#[must_use]
pub fn unusable(jwk: &Map<String, Value>) -> Option<&'static str> {
    if jwk.get("kid").is_some_and(|kid| !kid.is_string()) {
        return Some("its `kid` is no text");
    }
    VerifyingKey::for_signatures(jwk).is_none().then(|| reason(jwk))
}

fn reason(jwk: &Map<String, Value>) -> &'static str {
    if jwk.contains_key("d") || jwk.contains_key("k") {
        return "its secret part stands beside it";
    }
    if jwk.get("use").is_some_and(|usage| usage != "sig") {
        return "its `use` is not `sig`";
    }
    let operations = jwk.get("key_ops").map(Value::as_array);
    if operations.is_some_and(|list| !list.is_some_and(|list| list.iter().any(|op| op == "verify")))
    {
        return "its `key_ops` have no `verify`";
    }
    if JwkPublicKey::read(jwk).is_some() {
        return "its `alg` is no signature algorithm that fits the key";
    }
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    match text("kty") {
        Some("RSA") => weakness(text("n").and_then(decode), text("e").and_then(decode)),
        Some("EC") if text("crv").and_then(Curve::named).is_none() => {
            "its `crv` is none of P-256, P-384 and P-521"
        }
        Some("EC") => "its `x` and `y`, base64url without padding, are no point of its curve",
        Some("OKP") if text("crv") != Some("Ed25519") => "its `crv` is not Ed25519",
        Some("OKP") => "its `x` is not 32 bytes in base64url without padding",
        _ => "its `kty` is none of RSA, EC and OKP",
    }
}

/// Of an RSA key that [`JwkPublicKey::rsa`] does not take.
fn weakness(n: Option<Vec<u8>>, e: Option<Vec<u8>>) -> &'static str {
    let (Some(n), Some(_)) = (n, e) else {
        return "its `n` or `e` is not base64url without padding";
    };
    match n.iter().skip_while(|byte| **byte == 0).count() {
        ..256 => "it is RSA of less than 2048 bits",
        1025.. => "it is RSA of more than 8192 bits",
        _ if rsa::is_roca(&n) => {
            "it is of the ROCA class, whose secret can be computed (CVE-2017-15361)"
        }
        _ => "its `n` or `e` is no number of an RSA key",
    }
}
