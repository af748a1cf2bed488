//! Puts in force what a source of certificates provides, and reports which parts were not taken.

use anyhow::Context;
use identity::X509Svid;

use crate::connection::credentials::Credentials;
use crate::control::credentials::{OfferedCredentials, RetainedPart, TrustPart};
use crate::traffic::state::{ProxyState, unix_time};

impl ProxyState {
    /// Checks a set of certificate, key and bundles and puts it in force. Open connections stay, except those whose
    /// peer the new bundles reject. `settled` means that the source is sure of the set even where it removes the trust
    /// in our own certificate: then the proxy must not go on trusting others by the old bundles.
    ///
    /// # Errors
    /// When our own part cannot be read, or a peer would refuse it: certificate, key and own roots
    /// in force stay. What is said of others is taken all the same.
    pub fn take_over(&self, mut offered: OfferedCredentials, settled: bool) -> anyhow::Result<()> {
        let refused = offered.refused.take();
        let judged = refused.map_or_else(|| self.judge(&offered, settled), Err);
        match judged {
            Ok(credentials) => {
                self.trust_kept(&offered.kept, false);
                self.metrics.renewal(!credentials.is_distrusted());
                self.put_in_force(credentials);
                Ok(())
            }
            Err(error) => {
                let others = self.install_others(offered, settled);
                others.with_context(|| format!("{error:#}"))?;
                Err(error)
            }
        }
    }

    /// Our own part was rejected; revocations and the roots of other trust domains are put in force nevertheless.
    fn install_others(&self, offered: OfferedCredentials, settled: bool) -> anyhow::Result<()> {
        let Some(held) = self.credentials() else { return Ok(()) };
        let Some(own) = held.own_identity() else { return Ok(()) };
        let offered = offered.with_own(own);
        self.trust_kept(&offered.kept, true);
        if offered.bundles != **held.bundles() {
            self.put_in_force(self.judge(&offered, settled)?);
        }
        Ok(())
    }

    fn judge(&self, offered: &OfferedCredentials, settled: bool) -> anyhow::Result<Credentials> {
        let generation = self.credentials_generation() + 1;
        let (svid, key) = (offered.svid.clone(), offered.key.clone());
        let (bundles, now) = (offered.bundles.clone(), unix_time());
        match Credentials::check(&svid, &bundles, now) {
            Ok(()) => Ok(Credentials::new(generation, svid, key, bundles, now)?),
            Err(error) if error.is_distrust() && settled && is_current(self, &svid) => {
                tracing::error!(error = %error, "our own certificate is no longer trusted; waiting for another");
                Ok(Credentials::distrusted(generation, svid, key, bundles)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn put_in_force(&self, credentials: Credentials) {
        self.clock.tick();
        let before = self.credentials();
        let serial = credentials.svid().serial_hex();
        let (expires, generation) = (credentials.svid().not_after(), credentials.generation());
        tracing::info!(id = %credentials.id(), serial, expires, generation, "certificate in force");
        let is_new = before.is_none_or(|before| before.svid().serial_hex() != serial);
        let since = credentials.svid().not_before();
        let age = is_new.then(|| unix_time().as_secs().saturating_sub(since));
        #[allow(clippy::cast_precision_loss, reason = "seconds since 1970 fit a double exactly")]
        self.metrics.certificate_expiry.set(expires as f64);
        self.install_credentials(credentials, age);
    }

    /// Counts and logs which parts of a set could not be read, so that the old ones stay in force. A rejected own part
    /// is logged by [`Self::credentials_refused`].
    fn trust_kept(&self, kept: &[RetainedPart], own: bool) {
        let is_kept = |piece| kept.iter().any(|kept| kept.what == piece);
        self.metrics.trust_update(TrustPart::Bundle.as_str(), !own && !is_kept(TrustPart::Bundle));
        self.metrics.trust_update(TrustPart::Crl.as_str(), !is_kept(TrustPart::Crl));
        self.metrics.trust_stale.set(i64::from(own || !kept.is_empty()));
        for RetainedPart { what, error } in kept {
            tracing::error!(
                what = what.as_str(),
                error,
                "cannot be read; the last good one stays in force"
            );
        }
    }

    /// Records that certificate, key and own roots were rejected; those in force stay.
    pub fn credentials_refused(&self, error: &anyhow::Error) {
        self.metrics.renewal(false);
        let outcome = match self.credentials() {
            Some(_) => "new certificates refused; keeping those in force",
            None => {
                self.metrics.trust_update(TrustPart::Bundle.as_str(), false);
                "certificates refused; none are held yet"
            }
        };
        tracing::error!(error = format!("{error:#}"), "{outcome}");
    }
}

/// Whether this is the certificate in force: then only the trust has changed. A *new* certificate that nobody would
/// trust is a wrong answer, and is rejected as a whole.
fn is_current(state: &ProxyState, svid: &X509Svid) -> bool {
    let held = state.credentials();
    held.is_some_and(|held| held.svid().chain().first() == svid.chain().first())
}
