//! A public key that verifies signatures, read from a JWK (RFC 7517, RFC 7518 §6, RFC 8037 §2) and written as one. The
//! key, not the token, says which algorithms it is for.

use aws_lc_rs::signature::{self as aws, EcdsaVerificationAlgorithm, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::{Algorithm, decode};
use crate::jwk::JWT_SVID;
use crate::rsa;

/// A public key and the algorithms it may be used with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    public: JwkPublicKey,
    /// The one algorithm that the JWK's `alg` allows; without it, every one that fits the key.
    only: Option<Algorithm>,
}

/// A public key as RFC 7518 §6 takes it apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JwkPublicKey {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// `point` is uncompressed (SEC 1 §2.3.3).
    Ec {
        curve: Curve,
        point: Vec<u8>,
    },
    Ed25519([u8; 32]),
}

/// RFC 7518 §6.2.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

impl VerifyingKey {
    /// Reads a public JWK, whatever its `use`. `None`: of a kind we do not know, too weak, not on its curve, for
    /// another algorithm, or it comes with its secret part, which is then secret no more.
    #[must_use]
    pub fn read(jwk: &Map<String, Value>) -> Option<Self> {
        if jwk.contains_key("d") || jwk.contains_key("k") {
            return None;
        }
        let public = JwkPublicKey::read(jwk)?;
        let only = match jwk.get("alg") {
            None => None,
            Some(named) => {
                let algorithm = named.as_str().and_then(Algorithm::named)?;
                Some(algorithm.fits(&public).then_some(algorithm)?)
            }
        };
        Some(Self { public, only })
    }

    /// Reads a public JWK that is for signatures by its `use` and `key_ops`, where they are there (RFC 7517 §4.2,
    /// §4.3). `None`: it is for something else, or as [`VerifyingKey::read`] says.
    #[must_use]
    pub fn for_signatures(jwk: &Map<String, Value>) -> Option<Self> {
        let usage = jwk.get("use").is_none_or(|usage| usage == "sig");
        let operations = jwk.get("key_ops").is_none_or(|operations| {
            operations.as_array().is_some_and(|list| list.iter().any(|item| item == "verify"))
        });
        (usage && operations).then(|| Self::read(jwk))?
    }

    /// Reads a public JWK that verifies JWT-SVIDs: its `use` says so (JWT-SVID §6.1), or it has none, as an agent hands
    /// the keys out (Workload API §6.2.2). `None`: it is for something else, or as [`VerifyingKey::read`] says.
    #[must_use]
    pub(super) fn for_jwt_svids(jwk: &Map<String, Value>) -> Option<Self> {
        jwk.get("use").is_none_or(|usage| usage == JWT_SVID).then(|| Self::read(jwk))?
    }

    /// A P-256 key from its uncompressed point. `None`: it is not on the curve.
    pub(crate) fn p256(point: &[u8]) -> Option<Self> {
        Some(Self { public: JwkPublicKey::ec(Curve::P256, point.to_vec())?, only: None })
    }

    /// Whether it may be used with this algorithm.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        algorithm.fits(&self.public) && self.only.is_none_or(|only| only == algorithm)
    }

    pub(crate) fn public(&self) -> &JwkPublicKey {
        &self.public
    }

    /// As a JWK, with `alg` where it is for one algorithm only.
    pub(crate) fn to_jwk(&self) -> Map<String, Value> {
        let mut jwk = self.public.to_jwk();
        if let Some(only) = self.only {
            jwk.insert("alg".into(), json!(only.name()));
        }
        jwk
    }
}

impl JwkPublicKey {
    pub(super) fn read(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| decode(text(name)?);
        match text("kty")? {
            "RSA" => Self::rsa(bytes("n")?, bytes("e")?),
            "EC" => {
                let curve = Curve::named(text("crv")?)?;
                let (x, y) = (bytes("x")?, bytes("y")?);
                let sized = x.len() == curve.size() && y.len() == curve.size();
                Self::ec(curve, sized.then(|| [&[4][..], &x, &y].concat())?)
            }
            "OKP" if text("crv") == Some("Ed25519") => {
                Some(Self::Ed25519(bytes("x")?.try_into().ok()?))
            }
            _ => None,
        }
    }

    /// 2048 to 8192 bits, as aws-lc-rs takes them (NIST SP 800-131A), and not one whose private part can be computed
    /// ([`rsa::is_roca`]); leading zeros are no part of the number.
    pub(crate) fn rsa(n: Vec<u8>, e: Vec<u8>) -> Option<Self> {
        let (n, e) = (without_zeros(n), without_zeros(e));
        let odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
        let sized = (256..=1024).contains(&n.len()) && (1..=8).contains(&e.len());
        (sized && odd(&n) && odd(&e) && !rsa::is_roca(&n)).then_some(Self::Rsa { n, e })
    }

    /// A point that is on the curve.
    pub(crate) fn ec(curve: Curve, point: Vec<u8>) -> Option<Self> {
        let uncompressed = point.len() == 1 + 2 * curve.size() && point.first() == Some(&4);
        let on_curve = uncompressed && ParsedPublicKey::new(curve.algorithm(), &point).is_ok();
        on_curve.then_some(Self::Ec { curve, point })
    }

    /// The members of RFC 7518 §6.2.1 and §6.3.1, and of RFC 8037 §2.
    pub(crate) fn to_jwk(&self) -> Map<String, Value> {
        let encode = |bytes: &[u8]| Value::String(URL_SAFE_NO_PAD.encode(bytes));
        let members = match self {
            Self::Rsa { n, e } => vec![("kty", json!("RSA")), ("n", encode(n)), ("e", encode(e))],
            Self::Ec { curve, point } => {
                let (x, y) = point[1..].split_at(curve.size());
                let curve = json!(curve.name());
                vec![("kty", json!("EC")), ("crv", curve), ("x", encode(x)), ("y", encode(y))]
            }
            Self::Ed25519(x) => {
                vec![("kty", json!("OKP")), ("crv", json!("Ed25519")), ("x", encode(x))]
            }
        };
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Curve {
    const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// Bytes of a coordinate.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// With signatures as JWS has them: r and s one after the other (RFC 7518 §3.4).
    pub(crate) fn algorithm(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &aws::ECDSA_P256_SHA256_FIXED,
            Self::P384 => &aws::ECDSA_P384_SHA384_FIXED,
            Self::P521 => &aws::ECDSA_P521_SHA512_FIXED,
        }
    }
}

fn without_zeros(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}
