//! The set that a source of certificates provides. Certificate, key and own roots belong together and are taken as a
//! whole or not at all. What concerns *others* is taken part by part: an unreadable part leaves the one in force, and
//! does not delay the rest; neither does a rejected own part (SECURITY-CASES S-28, F-09).

use std::sync::Arc;

use anyhow::{Context, anyhow};
use identity::{RevocationLists, SvidKey, TrustBundle, TrustBundles, TrustDomain, X509Svid};

use crate::connection::credentials::{Credentials, OwnIdentity};

/// A readable set, and which parts of it are still the old ones.
pub struct OfferedCredentials {
    /// The certificate chain.
    pub svid: X509Svid,
    /// Its key.
    pub key: Arc<SvidKey>,
    /// The roots, with the revocation lists on each of them.
    pub bundles: TrustBundles,
    /// The parts that could not be read and were kept unchanged.
    pub kept: Vec<RetainedPart>,
    /// Why certificate, key and own roots are still those in force.
    pub refused: Option<anyhow::Error>,
}

/// A part that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetainedPart {
    /// What it is.
    pub what: TrustPart,
    /// Where it came from and why it cannot be read.
    pub error: String,
}

/// The parts that are taken one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustPart {
    /// The roots of a trust domain.
    Bundle,
    /// The revocation lists.
    Crl,
}

impl TrustPart {
    /// The metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bundle => "bundle",
            Self::Crl => "crl",
        }
    }
}

fn with_roots(own: OwnIdentity) -> anyhow::Result<OwnIdentity> {
    if own.bundle.roots().is_empty() {
        return Err(anyhow!(
            "the bundle of our own trust domain {} holds no root; an answer that would end all \
                 trust in ourselves is not taken",
            own.bundle.trust_domain()
        ));
    }
    Ok(own)
}

impl OfferedCredentials {
    /// Joins what a source provided. `held` is what is in force.
    ///
    /// # Errors
    /// While nothing is in force: when certificate, key or own roots cannot be used, or the revocation lists cannot be
    /// read, because without them a revoked peer would be accepted.
    pub fn join(
        own: anyhow::Result<OwnIdentity>,
        foreign: Vec<(TrustDomain, anyhow::Result<TrustBundle>)>,
        crls: anyhow::Result<RevocationLists>,
        held: Option<&Credentials>,
    ) -> anyhow::Result<Self> {
        let held_own = held.and_then(Credentials::own_identity);
        let held_lists = held_own.as_ref().map(|own| own.bundle.crls().clone());
        let (own, refused) = match (own.and_then(with_roots), held_own) {
            (Ok(own), _) => (own, None),
            (Err(error), Some(held)) => (held, Some(error)),
            (Err(error), None) => return Err(error),
        };
        let mut kept = Vec::new();
        let crls = match (crls, held_lists) {
            (Ok(crls), _) => crls,
            (Err(error), Some(held)) => {
                kept.push(RetainedPart { what: TrustPart::Crl, error: format!("{error:#}") });
                held
            }
            (Err(error), None) => return Err(error).context("no earlier revocation list is held"),
        };
        let mut bundles = Vec::new();
        for (trust_domain, read) in foreign {
            match read {
                Ok(bundle) => bundles.push(bundle),
                Err(error) => {
                    let error = format!("{trust_domain}: {error:#}");
                    kept.push(RetainedPart { what: TrustPart::Bundle, error });
                    let held = held.and_then(|held| held.bundles().get(&trust_domain));
                    bundles.extend(held.cloned());
                }
            }
        }
        // Last, so that nothing provided for others replaces our own roots.
        bundles.push(own.bundle);
        let bundles = bundles.into_iter().map(|bundle| bundle.with_crls(crls.clone()));
        Ok(Self {
            svid: own.svid,
            key: own.key,
            bundles: TrustBundles::new(bundles),
            kept,
            refused,
        })
    }

    /// The same parts for others, with the certificate, key and own roots that are in force.
    #[must_use]
    pub fn with_own(self, held: OwnIdentity) -> Self {
        let own = self.svid.id().trust_domain();
        let refused = self.bundles.iter().find(|bundle| bundle.trust_domain().as_str() == own);
        let crls = refused.map(|bundle| bundle.crls().clone()).unwrap_or_default();
        let others = self.bundles.iter().filter(|bundle| bundle.trust_domain().as_str() != own);
        let bundles = others.cloned().chain([held.bundle.with_crls(crls)]);
        let bundles = TrustBundles::new(bundles);
        Self { svid: held.svid, key: held.key, bundles, kept: self.kept, refused: self.refused }
    }
}
