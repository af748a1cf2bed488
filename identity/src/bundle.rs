//! Trust bundles: the roots of one trust domain, and the set of bundles a workload holds.
//!
//! Bundles of different trust domains are never merged (SPIFFE Federation §4.2): there is no way
//! to ask this module for "all roots".

use std::collections::BTreeMap;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor};

use crate::pem::damage;
use crate::{Pki, RevocationLists, SignerError, SigningCertificate, TrustDomain};

/// The most roots a bundle may hold; a roll-over needs two or three.
const MAX_ROOTS: usize = 64;

/// Why a trust bundle is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The text holds a damaged PEM block.
    #[error("damaged PEM in the trust bundle: {0}")]
    Pem(String),
    /// A certificate is no root. The bundle is refused whole: its receiver keeps the one it has, and is told which
    /// certificate to take out.
    #[error(
        "certificate {index} of the trust bundle of {trust_domain} (0 is the first) is no root: {reason}"
    )]
    Root {
        /// Whose bundle it is.
        trust_domain: TrustDomain,
        /// Its place in the bundle, from 0.
        index: usize,
        /// What is wrong with it.
        reason: SignerError,
    },
    /// The bundle holds no certificate.
    #[error("the trust bundle holds no certificate: expected `-----BEGIN CERTIFICATE-----` blocks")]
    Empty,
    /// The bundle holds more than 64 certificates.
    #[error("the trust bundle holds more than 64 certificates")]
    TooMany,
}

/// The roots of one trust domain.
#[derive(Clone)]
pub struct TrustBundle {
    trust_domain: TrustDomain,
    roots: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
    /// What the roots say of themselves, in the order of the anchors.
    signers: Vec<SigningCertificate>,
    crls: RevocationLists,
}

impl TrustBundle {
    /// Takes DER certificates. An empty list is a bundle that trusts nobody: every SVID of that
    /// trust domain is refused (SPIFFE Trust Domain and Bundle §4.1.3).
    ///
    /// # Errors
    /// [`BundleError::Root`] when one may not sign certificates ([`SigningCertificate::read`]),
    /// [`BundleError::TooMany`] above 64.
    pub fn from_der(
        trust_domain: TrustDomain,
        roots: Vec<CertificateDer<'static>>,
    ) -> Result<Self, BundleError> {
        if roots.len() > MAX_ROOTS {
            return Err(BundleError::TooMany);
        }
        let signers =
            each(&trust_domain, &roots, |root| SigningCertificate::read(root, Pki::Spiffe))?;
        let anchors = each(&trust_domain, &roots, |root| {
            let anchor = webpki::anchor_from_trusted_cert(root);
            anchor
                .map(|anchor| anchor.to_owned())
                .map_err(|e| SignerError::Malformed(e.to_string()))
        })?;
        Ok(Self { trust_domain, roots, anchors, signers, crls: RevocationLists::default() })
    }

    /// Takes the `CERTIFICATE` blocks of a PEM text; blocks of other kinds are passed over.
    ///
    /// # Errors
    /// [`BundleError`]; unlike an explicit empty DER list, a text without certificates is an
    /// error, because it is more likely a wrong file than a decision to trust nobody.
    pub fn from_pem(trust_domain: TrustDomain, pem: &[u8]) -> Result<Self, BundleError> {
        let roots = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| BundleError::Pem(damage(&e)))?;
        if roots.is_empty() {
            return Err(BundleError::Empty);
        }
        Self::from_der(trust_domain, roots)
    }

    /// The same roots with these revocation lists, which replace those it had.
    #[must_use]
    pub fn with_crls(mut self, crls: RevocationLists) -> Self {
        self.crls = crls;
        self
    }

    /// The revocation lists that peers of this trust domain are looked up in.
    #[must_use]
    pub fn crls(&self) -> &RevocationLists {
        &self.crls
    }

    /// Whose roots these are.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The root certificates, DER, in the order given.
    #[must_use]
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    /// The roots as webpki wants them.
    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// What the roots of this name and key say of themselves: one, or several where a root was issued anew for its key.
    pub(crate) fn roots_behind(
        &self,
        anchor: &TrustAnchor<'_>,
    ) -> impl Iterator<Item = &SigningCertificate> {
        let roots = self.anchors.iter().zip(&self.signers);
        roots.filter(move |(own, _)| *own == anchor).map(|(_, root)| root)
    }
}

fn each<T>(
    trust_domain: &TrustDomain,
    roots: &[CertificateDer<'static>],
    read: impl Fn(&CertificateDer<'static>) -> Result<T, SignerError>,
) -> Result<Vec<T>, BundleError> {
    let failed =
        |index, reason| BundleError::Root { trust_domain: trust_domain.clone(), index, reason };
    let roots = roots.iter().enumerate();
    roots.map(|(index, root)| read(root).map_err(|reason| failed(index, reason))).collect()
}

impl std::fmt::Debug for TrustBundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (roots, crls) = (self.roots.len(), self.crls.len());
        write!(f, "TrustBundle({}, {roots} roots, {crls} revocation lists)", self.trust_domain)
    }
}

/// Equal when they trust the same: same trust domain, same roots in the same order, same lists.
impl PartialEq for TrustBundle {
    fn eq(&self, other: &Self) -> bool {
        self.trust_domain == other.trust_domain
            && self.roots == other.roots
            && self.crls == other.crls
    }
}

impl Eq for TrustBundle {}

/// The bundles a workload holds, one a trust domain, looked up by the peer's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustBundles(BTreeMap<TrustDomain, TrustBundle>);

impl TrustBundles {
    /// Collects bundles. Of two for one trust domain the later wins, whole.
    pub fn new(bundles: impl IntoIterator<Item = TrustBundle>) -> Self {
        Self(bundles.into_iter().map(|b| (b.trust_domain.clone(), b)).collect())
    }

    /// The bundle of a trust domain, if there is one.
    #[must_use]
    pub fn get(&self, trust_domain: &TrustDomain) -> Option<&TrustBundle> {
        self.0.get(trust_domain)
    }

    /// All bundles, each with its trust domain, in order of the name.
    pub fn iter(&self) -> impl Iterator<Item = &TrustBundle> {
        self.0.values()
    }
}
