//! The signature algorithms that are verified, and no others: `none` and HMAC have no row here, so no header can ask
//! for them.

use aws_lc_rs::signature::{self as aws, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};

use super::key::{Curve, JwkPublicKey};

/// One of RFC 7518 §3.3 to §3.5, or EdDSA with Ed25519 (RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the standard")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

/// What an algorithm asks of the key.
enum KeyRequirement {
    Rsa(&'static RsaParameters),
    Ec(Curve),
    Ed25519,
}

const NAMES: [(&str, Algorithm); 11] = [
    ("RS256", Algorithm::Rs256),
    ("RS384", Algorithm::Rs384),
    ("RS512", Algorithm::Rs512),
    ("PS256", Algorithm::Ps256),
    ("PS384", Algorithm::Ps384),
    ("PS512", Algorithm::Ps512),
    ("ES256", Algorithm::Es256),
    ("ES384", Algorithm::Es384),
    ("ES512", Algorithm::Es512),
    ("EdDSA", Algorithm::EdDsa),
    // Its name since RFC 9864.
    ("Ed25519", Algorithm::EdDsa),
];

impl Algorithm {
    /// The algorithm of that name, in exactly that spelling.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }

    /// Its first name.
    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// Whether a key of this kind may be used with it.
    pub(crate) fn fits(self, key: &JwkPublicKey) -> bool {
        match (self.key_requirement(), key) {
            (KeyRequirement::Rsa(_), JwkPublicKey::Rsa { .. })
            | (KeyRequirement::Ed25519, JwkPublicKey::Ed25519(_)) => true,
            (KeyRequirement::Ec(wanted), JwkPublicKey::Ec { curve, .. }) => wanted == *curve,
            _ => false,
        }
    }

    /// Whether the key made this signature. False also for a key of another kind.
    pub(crate) fn verifies(self, key: &JwkPublicKey, message: &[u8], signature: &[u8]) -> bool {
        match (self.key_requirement(), key) {
            (KeyRequirement::Rsa(parameters), JwkPublicKey::Rsa { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }
            (KeyRequirement::Ec(wanted), JwkPublicKey::Ec { curve, point }) if wanted == *curve => {
                UnparsedPublicKey::new(curve.algorithm(), point).verify(message, signature).is_ok()
            }
            (KeyRequirement::Ed25519, JwkPublicKey::Ed25519(x)) => {
                UnparsedPublicKey::new(&aws::ED25519, x).verify(message, signature).is_ok()
            }
            _ => false,
        }
    }

    fn key_requirement(self) -> KeyRequirement {
        match self {
            Self::Rs256 => KeyRequirement::Rsa(&aws::RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => KeyRequirement::Rsa(&aws::RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => KeyRequirement::Rsa(&aws::RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => KeyRequirement::Rsa(&aws::RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => KeyRequirement::Rsa(&aws::RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => KeyRequirement::Rsa(&aws::RSA_PSS_2048_8192_SHA512),
            Self::Es256 => KeyRequirement::Ec(Curve::P256),
            Self::Es384 => KeyRequirement::Ec(Curve::P384),
            Self::Es512 => KeyRequirement::Ec(Curve::P521),
            Self::EdDsa => KeyRequirement::Ed25519,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jws::{VerifyingKey, decode};

    /// Signatures that we did not make ourselves: RFC 7515 appendices A.3 and A.4.
    #[test]
    fn spiffe_jwt_svid_2_1_signatures_of_rfc_7515() {
        let a3 = json!({"kty": "EC", "crv": "P-256", "kid": "a3",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
        let a4 = json!({"kty": "EC", "crv": "P-521", "kid": "a4",
            "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
            "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"});
        for (name, jwk, signed, signature) in [
            (
                "ES256",
                a3,
                "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
                "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            ),
            (
                "ES512",
                a4,
                "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA",
                "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
            ),
        ] {
            let key = VerifyingKey::read(jwk.as_object().unwrap()).expect(name);
            let algorithm = Algorithm::named(name).unwrap();
            let mut signature = decode(signature).unwrap();
            assert!(algorithm.verifies(key.public(), signed.as_bytes(), &signature), "{name}");
            assert!(!algorithm.verifies(key.public(), b"other", &signature), "{name}");
            signature[5] ^= 1;
            assert!(!algorithm.verifies(key.public(), signed.as_bytes(), &signature), "{name}");
        }
    }
}
