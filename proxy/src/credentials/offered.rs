//! What a source of certificates hands over. Certificate, key and own roots belong together and are
//! taken whole or not at all; what is said about *others* is taken piece by piece: a piece that
//! cannot be read leaves the one in force, and the rest is not held up by it (SECURITY-CASES S-28,
//! F-09).

use anyhow::{Context, anyhow};
use identity::{RevocationLists, SvidKey, TrustBundle, TrustBundles, TrustDomain, X509Svid};

/// A readable set, and what of it is still the old one.
pub struct Offered {
    /// The certificate chain.
    pub svid: X509Svid,
    /// Its key.
    pub key: SvidKey,
    /// The roots, with the revocation lists on each of them.
    pub bundles: TrustBundles,
    /// What could not be read and was kept as it is.
    pub kept: Vec<Kept>,
}

/// A piece that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it is.
    pub what: Piece,
    /// Where it came from and why it cannot be read.
    pub error: String,
}

/// What is taken piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// The roots of a foreign trust domain.
    Bundle,
    /// The revocation lists.
    Crl,
}

impl Piece {
    /// The metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bundle => "bundle",
            Self::Crl => "crl",
        }
    }
}

impl Offered {
    /// Joins what a source said. `held` are the bundles in force.
    ///
    /// # Errors
    /// When the own roots cannot be used, or the revocation lists cannot be read and none are held:
    /// without them nobody could be told from who was revoked.
    pub fn join(
        svid: X509Svid,
        key: SvidKey,
        own: TrustBundle,
        foreign: Vec<(TrustDomain, anyhow::Result<TrustBundle>)>,
        crls: anyhow::Result<RevocationLists>,
        held: Option<&TrustBundles>,
    ) -> anyhow::Result<Self> {
        if own.roots().is_empty() {
            return Err(anyhow!(
                "the bundle of our own trust domain {} holds no root; an answer that would end all \
                 trust in ourselves is not taken",
                own.trust_domain()
            ));
        }
        let mut kept = Vec::new();
        let held_lists = held.and_then(|held| Some(held.get(own.trust_domain())?.crls().clone()));
        let crls = match (crls, held_lists) {
            (Ok(crls), _) => crls,
            (Err(error), Some(held)) => {
                kept.push(Kept { what: Piece::Crl, error: format!("{error:#}") });
                held
            }
            (Err(error), None) => return Err(error).context("no earlier revocation list is held"),
        };
        let mut bundles = vec![own];
        for (trust_domain, read) in foreign {
            match read {
                Ok(bundle) => bundles.push(bundle),
                Err(error) => {
                    let error = format!("{trust_domain}: {error:#}");
                    kept.push(Kept { what: Piece::Bundle, error });
                    bundles.extend(held.and_then(|held| held.get(&trust_domain)).cloned());
                }
            }
        }
        let bundles = bundles.into_iter().map(|bundle| bundle.with_crls(crls.clone()));
        Ok(Self { svid, key, bundles: TrustBundles::new(bundles), kept })
    }
}
