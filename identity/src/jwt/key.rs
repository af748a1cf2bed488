//! A key that verifies JWT-SVIDs: read from a JWK (RFC 7517, RFC 7518 §6) and written as one.

use std::fmt;

use aws_lc_rs::signature::{self as aws, EcdsaVerificationAlgorithm, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::algorithm::Algorithm;

/// The longest `kid`, in bytes. Ours have 22.
pub const MAX_KID: usize = 256;

/// A JWT authority: a public key with its name, for signatures of JWT-SVIDs and nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct JwtKey {
    kid: Box<str>,
    public: Public,
    /// The one algorithm that the JWK's `alg` allows; without it, every one that fits the key.
    only: Option<&'static str>,
}

/// A public key as RFC 7518 §6 takes it apart.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Public {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// `point` is uncompressed (SEC 1 §2.3.3).
    Ec {
        curve: Curve,
        point: Vec<u8>,
    },
}

/// RFC 7518 §6.2.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

impl JwtKey {
    /// A P-256 key from its uncompressed point (SEC 1 §2.3.3: 65 bytes that begin with 4). `None` when the point is not on the
    /// curve, or `kid` is empty or longer than 256 bytes.
    #[must_use]
    pub fn p256(kid: &str, point: &[u8]) -> Option<Self> {
        let public = Public::ec(Curve::P256, point.to_vec())?;
        (1..=MAX_KID).contains(&kid.len()).then(|| Self { kid: kid.into(), public, only: None })
    }

    /// Its name.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Reads a JWK whose `use` is known to be right. `None`: no `kid` (JWT-SVID §6.1), a key of an unknown or too weak kind, for
    /// another algorithm, or one that comes with its secret part, which is then secret no more.
    pub(crate) fn read(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if jwk.contains_key("d") || jwk.contains_key("k") {
            return None;
        }
        let kid = text("kid").filter(|kid| (1..=MAX_KID).contains(&kid.len()))?;
        let public = match text("kty")? {
            "RSA" => Public::rsa(decode(text("n")?)?, decode(text("e")?)?)?,
            "EC" => {
                let curve = Curve::named(text("crv")?)?;
                let (x, y) = (decode(text("x")?)?, decode(text("y")?)?);
                let sized = x.len() == curve.size() && y.len() == curve.size();
                Public::ec(curve, sized.then(|| [&[4][..], &x, &y].concat())?)?
            }
            _ => return None,
        };
        let only = match jwk.get("alg") {
            None => None,
            Some(named) => {
                let algorithm = named.as_str().and_then(Algorithm::named)?;
                Some(algorithm.fits(&public).then_some(algorithm.name)?)
            }
        };
        Some(Self { kid: kid.into(), public, only })
    }

    /// As a JWK with `kid`, and with `use` when one is given.
    pub(crate) fn to_jwk(&self, usage: Option<&str>) -> Value {
        let mut jwk = self.public.to_jwk();
        jwk.insert("kid".into(), json!(self.kid));
        if let Some(usage) = usage {
            jwk.insert("use".into(), json!(usage));
        }
        if let Some(only) = self.only {
            jwk.insert("alg".into(), json!(only));
        }
        Value::Object(jwk)
    }

    /// Whether it may be used with this algorithm.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        algorithm.fits(&self.public) && self.only.is_none_or(|only| only == algorithm.name)
    }

    pub(crate) fn public(&self) -> &Public {
        &self.public
    }
}

impl Public {
    /// 2048 to 8192 bits, as aws-lc-rs takes them (NIST SP 800-131A); leading zeros are no part of the number.
    pub(crate) fn rsa(n: Vec<u8>, e: Vec<u8>) -> Option<Self> {
        let (n, e) = (without_zeros(n), without_zeros(e));
        let odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
        let sized = (256..=1024).contains(&n.len()) && (1..=8).contains(&e.len());
        (sized && odd(&n) && odd(&e)).then_some(Self::Rsa { n, e })
    }

    /// A point that is on the curve.
    pub(crate) fn ec(curve: Curve, point: Vec<u8>) -> Option<Self> {
        let uncompressed = point.len() == 1 + 2 * curve.size() && point.first() == Some(&4);
        let on_curve = uncompressed && ParsedPublicKey::new(curve.algorithm(), &point).is_ok();
        on_curve.then_some(Self::Ec { curve, point })
    }

    /// The members of RFC 7518 §6.2.1 and §6.3.1.
    pub(crate) fn to_jwk(&self) -> Map<String, Value> {
        let encode = |bytes: &[u8]| Value::String(URL_SAFE_NO_PAD.encode(bytes));
        let members = match self {
            Self::Rsa { n, e } => vec![("kty", json!("RSA")), ("n", encode(n)), ("e", encode(e))],
            Self::Ec { curve, point } => {
                let (x, y) = point[1..].split_at(curve.size());
                let curve = json!(curve.name());
                vec![("kty", json!("EC")), ("crv", curve), ("x", encode(x)), ("y", encode(y))]
            }
        };
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Curve {
    const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    fn named(name: &str) -> Option<Self> {
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

pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn without_zeros(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwtKey({})", self.kid)
    }
}
