//! The workload's own certificate, key and trust bundles, and where they come from.
//!
//! A [`Credentials`] is one immutable set with its TLS configurations built once; a renewal is a new set, swapped
//! whole. Sources are the SPIFFE Workload API and PEM files (`control/credentials`); a set of either is in force only
//! after the same checks.

use std::sync::Arc;

use identity::tls::{ALPN_H2, ALPN_HTTP11, ALPN_POSTERN, TlsConfigError};
use identity::verify::{HandshakeSide, VerifyError, verify_peer};
use identity::{SpiffeId, SvidKey, TrustBundle, TrustBundles, X509Svid};
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::UnixTime;

use crate::labels::CertificateState;

/// Why a set of certificate, key and bundles is rejected.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The certificate is not valid for this workload: wrong chain, wrong time, or no bundle.
    #[error("our own certificate would be refused by its own trust domain: {0}")]
    Verify(VerifyError),
    /// The key does not match the certificate.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// The chain has no leaf.
    #[error("the certificate chain is empty")]
    Empty,
}

// Implemented by hand, without a source: this message contains the inner error's text, and a reporter that walks the
// sources would print it twice.
impl From<VerifyError> for CredentialsError {
    fn from(error: VerifyError) -> Self {
        Self::Verify(error)
    }
}

impl CredentialsError {
    /// Whether the certificate is valid except that its own trust domain no longer trusts it: its root was removed, or
    /// it was revoked.
    #[must_use]
    pub fn is_distrust(&self) -> bool {
        matches!(self, Self::Verify(VerifyError::Chain { .. } | VerifyError::Revoked { .. }))
    }

    /// Whether a wrong clock is the likely cause.
    #[must_use]
    pub fn is_time(&self) -> bool {
        matches!(self, Self::Verify(VerifyError::Time { .. }))
    }
}

/// A certificate, its key and the roots of its trust domain, which belong together.
pub struct OwnIdentity {
    /// The certificate chain.
    pub svid: X509Svid,
    /// Its key.
    pub key: Arc<SvidKey>,
    /// The roots of its trust domain.
    pub bundle: TrustBundle,
}

impl CertificateState {
    /// By how many seconds issuers back-date `NotBefore`: it does not count as part of a short-lived certificate's
    /// lifetime.
    const BACK_DATED: u64 = 60;

    pub(super) fn of(not_before: u64, not_after: u64, now: u64) -> Self {
        let whole = not_after.saturating_sub(not_before);
        let life = if whole > Self::BACK_DATED { whole - Self::BACK_DATED } else { whole };
        match not_after.checked_sub(now) {
            None => Self::Expired,
            Some(left) if left < life / 4 => Self::Stale,
            Some(_) => Self::Fresh,
        }
    }
}

/// One generation of certificate, key and bundles.
pub struct Credentials {
    generation: u64,
    svid: X509Svid,
    key: Arc<SvidKey>,
    bundles: Arc<TrustBundles>,
    server_with_alpn: Arc<ServerConfig>,
    server_without_alpn: Arc<ServerConfig>,
    /// Whether our own trust domain would reject the certificate.
    distrusted: bool,
}

impl Credentials {
    /// Checks the set as a peer would, at `now`, and builds its TLS configurations.
    ///
    /// # Errors
    /// [`CredentialsError`]; the caller keeps its current set.
    pub fn new(
        generation: u64,
        svid: X509Svid,
        key: Arc<SvidKey>,
        bundles: TrustBundles,
        now: UnixTime,
    ) -> Result<Self, CredentialsError> {
        Self::check(&svid, &bundles, now)?;
        Self::build(generation, svid, key, bundles, false)
    }

    /// Checks a certificate as a peer of our own trust domain does.
    ///
    /// # Errors
    /// [`CredentialsError::Verify`].
    pub fn check(
        svid: &X509Svid,
        bundles: &TrustBundles,
        now: UnixTime,
    ) -> Result<(), CredentialsError> {
        let (leaf, intermediates) = svid.chain().split_first().ok_or(CredentialsError::Empty)?;
        verify_peer(bundles, leaf, intermediates, now, HandshakeSide::Server)?;
        Ok(())
    }

    /// As [`Self::new`], for a certificate that its own trust domain no longer trusts: until it is renewed, peers
    /// reject this proxy, and this proxy must not accept from them what is no longer trusted either.
    ///
    /// # Errors
    /// [`CredentialsError::Tls`].
    pub fn distrusted(
        generation: u64,
        svid: X509Svid,
        key: Arc<SvidKey>,
        bundles: TrustBundles,
    ) -> Result<Self, CredentialsError> {
        Self::build(generation, svid, key, bundles, true)
    }

    fn build(
        generation: u64,
        svid: X509Svid,
        key: Arc<SvidKey>,
        bundles: TrustBundles,
        distrusted: bool,
    ) -> Result<Self, CredentialsError> {
        let bundles = Arc::new(bundles);
        let server = |alpn: &[&[u8]]| {
            identity::tls::server_config(&svid, &key, bundles.clone(), alpn).map(Arc::new)
        };
        let server_with_alpn = server(&[ALPN_POSTERN, ALPN_H2, ALPN_HTTP11])?;
        let server_without_alpn = server(&[])?;
        Ok(Self {
            generation,
            svid,
            key,
            bundles,
            server_with_alpn,
            server_without_alpn,
            distrusted,
        })
    }

    /// Grows with each set that is put in force, so that pools know which set a connection was made with.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Our own SPIFFE id.
    #[must_use]
    pub fn id(&self) -> &SpiffeId {
        self.svid.id()
    }

    /// The certificate chain; never the key.
    #[must_use]
    pub fn svid(&self) -> &X509Svid {
        &self.svid
    }

    /// Certificate, key and own roots; `None` without roots, which never happens for a set in force.
    #[must_use]
    pub fn own_identity(&self) -> Option<OwnIdentity> {
        let trust_domain = self.svid.id().trust_domain();
        let own = self.bundles.iter().find(|own| own.trust_domain().as_str() == trust_domain);
        let (svid, key) = (self.svid.clone(), self.key.clone());
        own.map(|bundle| OwnIdentity { svid, key, bundle: bundle.clone() })
    }

    /// The bundles that peers are verified against.
    #[must_use]
    pub fn bundles(&self) -> &Arc<TrustBundles> {
        &self.bundles
    }

    /// Whether our own trust domain would reject the certificate: its root was removed, or it was revoked, and no
    /// replacement has arrived yet.
    #[must_use]
    pub fn is_distrusted(&self) -> bool {
        self.distrusted
    }

    /// Which part of its lifetime the certificate is in at this Unix second.
    #[must_use]
    pub fn state(&self, now: u64) -> CertificateState {
        CertificateState::of(self.svid.not_before(), self.svid.not_after(), now)
    }

    /// Whether the certificate is still valid at this Unix second.
    #[must_use]
    pub fn is_valid(&self, now: u64) -> bool {
        now <= self.svid.not_after()
    }

    /// The server's configuration for a client that offers one of the protocols spoken here, or none of them: in the
    /// latter case no ALPN is negotiated, instead of sending an alert.
    #[must_use]
    pub fn server_config(&self, client_offers_known_alpn: bool) -> Arc<ServerConfig> {
        match client_offers_known_alpn {
            true => self.server_with_alpn.clone(),
            false => self.server_without_alpn.clone(),
        }
    }

    /// A client's configuration that accepts only these identities.
    ///
    /// # Errors
    /// [`TlsConfigError`] when the key cannot sign, which [`Self::new`] has already ruled out.
    pub fn client_config(
        &self,
        expected: Arc<[SpiffeId]>,
        alpn: &[&[u8]],
    ) -> Result<Arc<ClientConfig>, TlsConfigError> {
        let bundles = self.bundles.clone();
        identity::tls::client_config(&self.svid, &self.key, bundles, expected, alpn).map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use identity::SvidError;

    use super::CertificateState::{self, Expired, Fresh, Stale};
    use super::{CredentialsError, SpiffeId, VerifyError};

    #[test]
    fn a_certificate_is_fresh_then_stale_then_expired() {
        let check = |name: &str, (not_before, not_after), now, expect: CertificateState| {
            assert_eq!(CertificateState::of(not_before, not_after, now), expect, "{name}");
        };
        let hour = (1000 - 60, 1000 + 3600);
        check("new", hour, 1000, Fresh);
        check("renewal under way", hour, 1000 + 2160, Fresh);
        check("three quarters gone", hour, 1000 + 2701, Stale);
        check("its last second", hour, 1000 + 3600, Stale);
        check("over", hour, 1000 + 3601, Expired);
        check("ten seconds, back-dated by sixty", (940, 1010), 1000, Fresh);
        check("ten seconds, the end near", (940, 1010), 1009, Stale);
    }

    #[test]
    fn an_error_is_told_once() {
        let refused = VerifyError::UnknownTrustDomain("a.test".into());
        let said = format!("{:#}", anyhow::Error::from(CredentialsError::from(refused)));
        assert_eq!(said.matches("no trust bundle is held").count(), 1, "{said}");
        let leaf = VerifyError::from(SvidError::from(SpiffeId::parse("no id").unwrap_err()));
        let said = format!("{:#}", anyhow::Error::from(CredentialsError::from(leaf)));
        assert_eq!(said.matches("is not a SPIFFE id").count(), 1, "{said}");
    }
}
