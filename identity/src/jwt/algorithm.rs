//! The signature algorithms of a JWT-SVID (JWT-SVID §2.1), and no others: `none`, HMAC and EdDSA have no row here, so no header
//! can ask for them.

use aws_lc_rs::signature::{self as aws, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};

use super::key::{Curve, Public};

/// One of the nine (RFC 7518 §3.3 to §3.5).
#[derive(Clone, Copy)]
pub(crate) struct Algorithm {
    pub(crate) name: &'static str,
    how: How,
}

#[derive(Clone, Copy)]
enum How {
    Rsa(&'static RsaParameters),
    Ec(Curve),
}

static ALGORITHMS: [Algorithm; 9] = [
    Algorithm { name: "ES256", how: How::Ec(Curve::P256) },
    Algorithm { name: "ES384", how: How::Ec(Curve::P384) },
    Algorithm { name: "ES512", how: How::Ec(Curve::P521) },
    Algorithm { name: "RS256", how: How::Rsa(&aws::RSA_PKCS1_2048_8192_SHA256) },
    Algorithm { name: "RS384", how: How::Rsa(&aws::RSA_PKCS1_2048_8192_SHA384) },
    Algorithm { name: "RS512", how: How::Rsa(&aws::RSA_PKCS1_2048_8192_SHA512) },
    Algorithm { name: "PS256", how: How::Rsa(&aws::RSA_PSS_2048_8192_SHA256) },
    Algorithm { name: "PS384", how: How::Rsa(&aws::RSA_PSS_2048_8192_SHA384) },
    Algorithm { name: "PS512", how: How::Rsa(&aws::RSA_PSS_2048_8192_SHA512) },
];

impl Algorithm {
    /// The algorithm of that name, in exactly that spelling.
    pub(crate) fn named(name: &str) -> Option<Self> {
        ALGORITHMS.iter().find(|algorithm| algorithm.name == name).copied()
    }

    /// Whether a key of this kind may be used with it.
    pub(crate) fn fits(self, key: &Public) -> bool {
        match (self.how, key) {
            (How::Rsa(_), Public::Rsa { .. }) => true,
            (How::Ec(wanted), Public::Ec { curve, .. }) => wanted == *curve,
            _ => false,
        }
    }

    /// Whether the key made this signature. False also for a key of another kind.
    pub(crate) fn verifies(self, key: &Public, message: &[u8], signature: &[u8]) -> bool {
        match (self.how, key) {
            (How::Rsa(parameters), Public::Rsa { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }
            (How::Ec(wanted), Public::Ec { curve, point }) if wanted == *curve => {
                UnparsedPublicKey::new(curve.algorithm(), point).verify(message, signature).is_ok()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jwt::JwtKey;
    use crate::jwt::key::decode;

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
            let key = JwtKey::read(jwk.as_object().unwrap()).expect(name);
            let algorithm = Algorithm::named(name).unwrap();
            let mut signature = decode(signature).unwrap();
            assert!(algorithm.verifies(key.public(), signed.as_bytes(), &signature), "{name}");
            assert!(!algorithm.verifies(key.public(), b"other", &signature), "{name}");
            signature[5] ^= 1;
            assert!(!algorithm.verifies(key.public(), signed.as_bytes(), &signature), "{name}");
        }
    }
}
