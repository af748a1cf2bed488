//! The SPIFFE bundle map: several trust domains' documents in one (Trust Domain and Bundle §5). Each keeps its name;
//! nothing in it is merged.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{BundleDocument, DocumentError, Jwks, MAX_DOCUMENT};
use crate::TrustDomain;

/// The most trust domains in one map.
pub const MAX_TRUST_DOMAINS: usize = 256;

/// The documents of several trust domains, by name.
///
/// It has no refresh hint of its own, and the hints of the bundles in it say nothing about the map (§5.1.1).
#[derive(Debug, Clone, Default)]
pub struct BundleMap(BTreeMap<TrustDomain, BundleDocument>);

impl BundleMap {
    /// Reads a map of at most 1 MiB and 256 trust domains. It may be empty. Every document in it must be readable.
    ///
    /// # Errors
    /// [`DocumentError`]; a name twice is [`DocumentError::Json`] (§5.1.1).
    pub fn parse(text: &[u8]) -> Result<Self, DocumentError> {
        if text.len() > MAX_DOCUMENT {
            return Err(DocumentError::TooLarge);
        }
        let mut map = crate::json::object(text).map_err(|e| DocumentError::Json(e.to_string()))?;
        let Some(Value::Object(domains)) = map.remove("trust_domains") else {
            return Err(DocumentError::NoTrustDomains);
        };
        if domains.len() > MAX_TRUST_DOMAINS {
            return Err(DocumentError::TooManyTrustDomains);
        }
        domains.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Collects documents. Of two for one trust domain the later wins, whole.
    pub fn new(documents: impl IntoIterator<Item = BundleDocument>) -> Self {
        Self(documents.into_iter().map(|d| (d.trust_domain().clone(), d)).collect())
    }

    /// Writes the map; without the bundles' refresh hints, as §5.1.1 recommends.
    ///
    /// # Errors
    /// [`DocumentError::Unpublishable`].
    pub fn to_json(&self) -> Result<String, DocumentError> {
        let mut domains = Map::new();
        for (name, document) in &self.0 {
            let document = BundleDocument { refresh_hint: None, ..document.clone() };
            domains.insert(name.to_string(), document.to_value()?);
        }
        Ok(json!({ "trust_domains": domains }).to_string())
    }

    /// The document of a trust domain, if there is one.
    #[must_use]
    pub fn get(&self, trust_domain: &TrustDomain) -> Option<&BundleDocument> {
        self.0.get(trust_domain)
    }

    /// All documents, in order of the trust domain's name.
    pub fn iter(&self) -> impl Iterator<Item = &BundleDocument> {
        self.0.values()
    }
}

fn read((name, document): (String, Value)) -> Result<(TrustDomain, BundleDocument), DocumentError> {
    let trust_domain = TrustDomain::parse(&name).map_err(|error| DocumentError::TrustDomain {
        name: name.chars().take(64).collect(),
        reason: error.to_string(),
    })?;
    let Value::Object(members) = document else { return Err(DocumentError::NoKeys) };
    let document = Jwks::of(members)?.into_document(trust_domain.clone())?;
    Ok((trust_domain, document))
}
