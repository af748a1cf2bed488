//! The JWT authorities of one trust domain, and the set of them that a workload holds. Like roots, they are looked up
//! by the subject's own trust domain and never merged.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::key::JwtKey;
use crate::TrustDomain;
use crate::jwk::{DocumentError, JWT_SVID, Jwks};
use crate::jws::Algorithm;

/// The most keys of a trust domain; a roll-over needs two or three.
pub const MAX_KEYS: usize = 64;

/// The JWT authorities of one trust domain. None: no JWT-SVID of it is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtBundle {
    trust_domain: TrustDomain,
    keys: Vec<JwtKey>,
}

impl JwtBundle {
    /// Takes keys; each `kid` once, 64 at most.
    ///
    /// # Errors
    /// [`DocumentError::SameKid`], [`DocumentError::TooMany`].
    pub fn new(trust_domain: TrustDomain, keys: Vec<JwtKey>) -> Result<Self, DocumentError> {
        if keys.len() > MAX_KEYS {
            return Err(DocumentError::TooMany);
        }
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].iter().any(|other| other.kid() == key.kid()) {
                return Err(DocumentError::SameKid(key.kid().to_owned()));
            }
        }
        Ok(Self { trust_domain, keys })
    }

    /// Reads the keys with `use` = `jwt-svid` of a JWK set; all others are passed over (JWT-SVID §6.2).
    ///
    /// # Errors
    /// [`DocumentError`]; a set without such keys is a bundle that trusts nobody.
    pub fn parse(trust_domain: TrustDomain, jwks: &[u8]) -> Result<Self, DocumentError> {
        Self::new(trust_domain, Jwks::parse(jwks)?.jwt_keys()?)
    }

    /// Whose keys these are.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The keys, in the order given.
    #[must_use]
    pub fn keys(&self) -> &[JwtKey] {
        &self.keys
    }

    /// A JWK set, each key with `use` = `jwt-svid` (JWT-SVID §6.1): what [`JwtBundle::parse`] reads.
    #[must_use]
    pub fn to_jwks(&self) -> Vec<u8> {
        self.write(Some(JWT_SVID))
    }

    /// A JWK set without `use`, for validators that know RFC 7517 but not SPIFFE (Workload API §6.2.2): several of them
    /// refuse a `use` that is not `sig`.
    #[must_use]
    pub fn to_plain_jwks(&self) -> Vec<u8> {
        self.write(None)
    }

    fn write(&self, usage: Option<&str>) -> Vec<u8> {
        let keys: Vec<Value> = self.keys.iter().map(|key| key.to_jwk(usage)).collect();
        json!({ "keys": keys }).to_string().into_bytes()
    }

    /// The key a token means. Without a `kid` there must be exactly one that fits the algorithm.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&JwtKey> {
        if let Some(kid) = kid {
            return self.keys.iter().find(|key| key.kid() == kid);
        }
        let mut fitting = self.keys.iter().filter(|key| key.fits(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Some(key),
            _ => None,
        }
    }
}

/// The JWT bundles a workload holds, one a trust domain, looked up by the subject's own.
#[derive(Debug, Clone, Default)]
pub struct JwtBundles(BTreeMap<TrustDomain, JwtBundle>);

impl JwtBundles {
    /// Collects bundles. Of two for one trust domain the later wins, whole.
    pub fn new(bundles: impl IntoIterator<Item = JwtBundle>) -> Self {
        Self(bundles.into_iter().map(|b| (b.trust_domain.clone(), b)).collect())
    }

    /// The bundle of a trust domain, if there is one.
    #[must_use]
    pub fn get(&self, trust_domain: &TrustDomain) -> Option<&JwtBundle> {
        self.0.get(trust_domain)
    }

    /// All bundles, in order of the trust domain's name.
    pub fn iter(&self) -> impl Iterator<Item = &JwtBundle> {
        self.0.values()
    }
}
