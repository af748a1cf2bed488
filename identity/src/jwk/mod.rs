//! The SPIFFE bundle document: the keys of one trust domain as a JWK set (SPIFFE Trust Domain and Bundle §4), and the
//! map of several trust domains' documents (§5).
//!
//! A document does not say whose it is: the trust domain's name comes from whoever knows where the document was fetched
//! from (SPIFFE Federation §5.1). What cannot be used is passed over, as the standard wants; what two readers could
//! understand differently (a member or a `kid` twice, a damaged certificate, a sequence that is no integer) refuses the
//! whole document, so that its receiver keeps the last good one.

mod map;
mod passed_over;
mod x509;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use serde_json::{Map, Value, json};

pub use map::{BundleMap, MAX_TRUST_DOMAINS};
pub use passed_over::PassedOver;

use crate::jwt::{JwtBundle, JwtKey};
use crate::{BundleError, Pki, SigningCertificate, TrustBundle, TrustDomain};

/// The largest document that is read, in bytes. One root and one JWT key take about 1.5 KiB.
pub const MAX_DOCUMENT: usize = 1024 * 1024;
/// The most JWKs in a document, usable or not.
pub const MAX_ENTRIES: usize = 256;
/// `use` of an X.509 authority (X509-SVID §6.1).
const X509_SVID: &str = "x509-svid";
/// `use` of a JWT authority (JWT-SVID §6.1).
pub(crate) const JWT_SVID: &str = "jwt-svid";

/// Why a document is refused as a whole, or cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Larger than 1 MiB.
    #[error("the SPIFFE bundle document is larger than 1 MiB")]
    TooLarge,
    /// More than 256 JWKs, or 64 JWT authorities.
    #[error(
        "the SPIFFE bundle document has too many keys: at most 256, of them 64 JWT authorities"
    )]
    TooMany,
    /// No JSON object, one with a member twice, or nested deeper than 32.
    #[error("not a JSON object whose members each stand there once: {0}")]
    Json(String),
    /// No list `keys` of objects (§4.1.3).
    #[error("the SPIFFE bundle document has no list `keys` of JWKs")]
    NoKeys,
    /// `spiffe_sequence` or `spiffe_refresh_hint` is no integer of 0 to 2^64-1 (§4.1.1, §4.1.2).
    #[error("`{0}` of the SPIFFE bundle document is not an integer of 0 to 2^64-1")]
    NotInteger(&'static str),
    /// Two JWT authorities of one name: which is meant would depend on the reader.
    #[error("two JWT authorities have the `kid` {0:?}")]
    SameKid(String),
    /// An `x5c` that is not the certificate of a root.
    #[error(
        "key {index} of the SPIFFE bundle document (0 is the first): its `x5c` is no root: {reason}"
    )]
    X5c {
        /// Its place among the keys, from 0.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The roots make no bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A root whose key has no form as a JWK, so that it cannot be published.
    #[error(
        "root {0} has a key that cannot be published as a JWK: expected RSA, EC P-256, P-384 or P-521, or Ed25519"
    )]
    Unpublishable(usize),
    /// The map has no object `trust_domains` (§5.1.1).
    #[error("the SPIFFE bundle map has no object `trust_domains`")]
    NoTrustDomains,
    /// A name in the map is no trust domain.
    #[error("the SPIFFE bundle map has {name:?}, which is no trust domain: {reason}")]
    TrustDomain {
        /// As it stood there, at most 64 characters.
        name: String,
        /// The broken rule.
        reason: String,
    },
    /// More than 256 trust domains in one map.
    #[error("the SPIFFE bundle map has more than 256 trust domains")]
    TooManyTrustDomains,
}

/// The bundle of one trust domain: X.509 roots, JWT keys, and what consumers are told about it.
#[derive(Debug, Clone)]
pub struct BundleDocument {
    /// The roots. None: no X.509-SVID of this trust domain is accepted.
    pub x509: TrustBundle,
    /// The JWT authorities. None: no JWT-SVID of this trust domain is accepted.
    pub jwt: JwtBundle,
    /// Grows with every change of the bundle (§4.1.1).
    pub sequence: Option<u64>,
    /// How often a consumer should look again, seconds (§4.1.2).
    pub refresh_hint: Option<u64>,
}

impl BundleDocument {
    /// Reads a document. JWKs with an unknown or missing `kty` or `use`, X.509 authorities without `x5c` and JWT
    /// authorities without `kid` are passed over (§4.2, X509-SVID §6.2, JWT-SVID §6.2); when nothing is left, nothing
    /// of the trust domain is trusted (§4.1.3).
    ///
    /// # Errors
    /// [`DocumentError`]: the document as a whole says nothing.
    pub fn parse(trust_domain: TrustDomain, document: &[u8]) -> Result<Self, DocumentError> {
        Jwks::parse(document)?.into_document(trust_domain)
    }

    /// As [`Self::parse`], and tells what was passed over: a document all of whose keys are passed over trusts nobody,
    /// which is seldom what its publisher meant.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn read(
        trust_domain: TrustDomain,
        document: &[u8],
    ) -> Result<(Self, Vec<PassedOver>), DocumentError> {
        let jwks = Jwks::parse(document)?;
        let passed_over = passed_over::among(jwks.all());
        Ok((jwks.into_document(trust_domain)?, passed_over))
    }

    /// Writes the document: one JWK per root with exactly one `x5c` and no `kid` (X509-SVID §6.1), one per JWT
    /// authority with its `kid` (JWT-SVID §6.1).
    ///
    /// # Errors
    /// [`DocumentError::Unpublishable`] for a root whose key no JWK can hold.
    pub fn to_json(&self) -> Result<String, DocumentError> {
        Ok(self.to_value()?.to_string())
    }

    fn to_value(&self) -> Result<Value, DocumentError> {
        let roots = self.x509.roots().iter().enumerate();
        let mut keys = roots
            .map(|(index, root)| x509::to_jwk(root).ok_or(DocumentError::Unpublishable(index)))
            .collect::<Result<Vec<Value>, _>>()?;
        keys.extend(self.jwt.keys().iter().map(|key| key.to_jwk(Some(JWT_SVID))));
        let mut document = Map::from_iter([("keys".to_owned(), Value::Array(keys))]);
        if let Some(sequence) = self.sequence {
            document.insert("spiffe_sequence".into(), json!(sequence));
        }
        if let Some(seconds) = self.refresh_hint {
            document.insert("spiffe_refresh_hint".into(), json!(seconds));
        }
        Ok(Value::Object(document))
    }

    /// Whose bundle it is.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        self.x509.trust_domain()
    }

    /// Whether it holds no key at all, so that nothing of its trust domain is accepted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.x509.roots().is_empty() && self.jwt.keys().is_empty()
    }

    /// Whether both hold the same keys, whatever they say of sequence and refreshing.
    #[must_use]
    pub fn same_keys(&self, other: &Self) -> bool {
        self.trust_domain() == other.trust_domain()
            && self.x509.roots() == other.x509.roots()
            && self.jwt == other.jwt
    }
}

/// A JWK set that has been read but not yet sorted by use.
pub(crate) struct Jwks {
    members: Map<String, Value>,
}

impl Jwks {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, DocumentError> {
        if text.len() > MAX_DOCUMENT {
            return Err(DocumentError::TooLarge);
        }
        let members = crate::json::object(text).map_err(|e| DocumentError::Json(e.to_string()))?;
        Self::of(members)
    }

    fn of(members: Map<String, Value>) -> Result<Self, DocumentError> {
        let keys = members.get("keys").and_then(Value::as_array).ok_or(DocumentError::NoKeys)?;
        if keys.len() > MAX_ENTRIES {
            return Err(DocumentError::TooMany);
        }
        if !keys.iter().all(Value::is_object) {
            return Err(DocumentError::NoKeys);
        }
        Ok(Self { members })
    }

    fn into_document(self, trust_domain: TrustDomain) -> Result<BundleDocument, DocumentError> {
        Ok(BundleDocument {
            x509: TrustBundle::from_der(trust_domain.clone(), self.roots()?)?,
            jwt: JwtBundle::new(trust_domain, self.jwt_keys()?)?,
            sequence: integer(&self.members, "spiffe_sequence")?,
            refresh_hint: integer(&self.members, "spiffe_refresh_hint")?,
        })
    }

    pub(crate) fn jwt_keys(&self) -> Result<Vec<JwtKey>, DocumentError> {
        let named: Vec<_> = self.of_use(JWT_SVID).map(|(_, jwk)| jwk).collect();
        // A key that we cannot use still occupies its name: a reader that can use it must not find another key under
        // that name.
        for (index, jwk) in named.iter().enumerate() {
            if let Some(kid) = jwk.get("kid").and_then(Value::as_str)
                && named[..index].iter().any(|other| other.get("kid") == jwk.get("kid"))
            {
                return Err(DocumentError::SameKid(kid.chars().take(64).collect()));
            }
        }
        Ok(named.into_iter().filter_map(JwtKey::read).collect())
    }

    fn roots(&self) -> Result<Vec<CertificateDer<'static>>, DocumentError> {
        let mut roots: Vec<CertificateDer<'static>> = Vec::new();
        for (index, jwk) in self.of_use(X509_SVID) {
            if !x509::is_known_kind(jwk) {
                continue;
            }
            let Some(x5c) = x509::x5c(jwk) else { continue };
            let root = certificate(x5c).map_err(|r| DocumentError::X5c { index, reason: r })?;
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        Ok(roots)
    }

    /// The JWKs of a use, compared by its exact spelling (§4.2.2), each with its place.
    fn of_use(&self, wanted: &'static str) -> impl Iterator<Item = (usize, &Map<String, Value>)> {
        self.all().filter(move |(_, jwk)| jwk.get("use").is_some_and(|usage| usage == wanted))
    }

    /// Every JWK with its place.
    fn all(&self) -> impl Iterator<Item = (usize, &Map<String, Value>)> {
        let keys = self.members.get("keys").and_then(Value::as_array);
        let jwks = keys.into_iter().flatten().enumerate();
        jwks.filter_map(|(index, jwk)| Some((index, jwk.as_object()?)))
    }
}

/// RFC 7517 §4.7: base64, not base64url.
fn certificate(x5c: &Value) -> Result<CertificateDer<'static>, String> {
    let text = x5c.as_str().ok_or("not a text")?;
    let der = STANDARD.decode(text).map_err(|_| "not base64")?;
    let root = CertificateDer::from(der);
    SigningCertificate::read(&root, Pki::Spiffe).map_err(|reason| reason.to_string())?;
    Ok(root)
}

fn integer(members: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, DocumentError> {
    match members.get(name) {
        None => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or(DocumentError::NotInteger(name)),
    }
}
