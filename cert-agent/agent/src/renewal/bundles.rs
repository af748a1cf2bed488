//! The long-lived stream of bundles from the authority: what it says reaches every client at once,
//! and a certificate that no longer fits is renewed at once.
//!
//! A stream that says nothing for 90 s is dead: the authority speaks at least every 30 s. While
//! there is none, what was taken last stays.

use std::time::Duration;

use back_off::{BackOff, spread};
use identity::verify::{HandshakeSide, VerifyError, verify_peer};
use rustls_pki_types::UnixTime;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use issuance_messages::Bundles;

use crate::renewal::authority_client::{self, AuthorityAddress, CallError};
use crate::renewal::bundle_file::BundleFile;
use crate::renewal::bundle_set::{self, BundleSet};
use crate::renewal::clock_skew::ClockSkew;
use crate::renewal::renewer::RenewalRequest;
use crate::renewal::rotation::ClockReading;
use crate::renewal::served_state::{CurrentIdentity, StatePublisher};

/// A stream silent for this long is dead.
const SILENCE: Duration = Duration::from_secs(90);
/// The wait before the first new try.
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// The longest wait between two tries.
const MAX_RETRY: Duration = Duration::from_secs(30);
/// A stream that stood this long was a good one: the waits begin anew.
const STOOD: Duration = Duration::from_secs(30);

/// Everything the loop needs.
#[derive(Debug)]
pub struct BundleWatch {
    /// Where to ask.
    pub address: AuthorityAddress,
    /// Whom to trust when what we hold leads nowhere.
    pub file: BundleFile,
    /// Who watches.
    pub publisher: StatePublisher,
    /// How to have the certificate renewed.
    pub renew: mpsc::Sender<RenewalRequest>,
}

/// Why a stream ended, or there was none.
#[derive(Debug, thiserror::Error)]
enum StreamEnd {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the authority ended the stream of bundles")]
    Closed,
    #[error("the authority said nothing for 90 s")]
    Silent,
}

impl BundleWatch {
    /// Listens until `stop`.
    pub async fn follow(mut self, stop: CancellationToken) {
        let mut waits = ReconnectDelay::new();
        loop {
            let begun = ClockReading::now();
            let Some(ended) = stop.run_until_cancelled(self.listen()).await else { return };
            let stood = ClockReading::now().monotonic.saturating_duration_since(begun.monotonic);
            let wait = waits.next(stood, rand::random());
            self.ended(&ended, wait);
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// From the connection to its end.
    async fn listen(&mut self) -> StreamEnd {
        let mut stream = match self.open().await {
            Ok(stream) => stream,
            Err(error) => return error.into(),
        };
        loop {
            match tokio::time::timeout(SILENCE, stream.message()).await {
                Ok(Ok(Some(message))) => self.take(&message),
                Ok(Ok(None)) => return StreamEnd::Closed,
                Ok(Err(status)) => return authority_client::refused(&status, &self.address).into(),
                Err(_) => return StreamEnd::Silent,
            }
        }
    }

    /// With the roots we hold; when they lead nowhere, with those that were put into the file since.
    async fn open(&mut self) -> Result<Streaming<Bundles>, CallError> {
        let trusted = self.publisher.trusted();
        let error = match authority_client::watch_bundles(&self.address, &trusted.own.roots).await {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        let Some(newer) = self.file.newer() else { return Err(error) };
        let stream = authority_client::watch_bundles(&self.address, &newer).await?;
        tracing::warn!(reason = %error, "the authority is known by the trust bundle file alone");
        self.file.take(newer);
        Ok(stream)
    }

    fn take(&self, message: &Bundles) {
        let now = ClockReading::now();
        let skew = ClockSkew::of_message(now, message.server_time);
        self.publisher.status(|status| {
            status.bundles.live = true;
            status.bundles.heard_at = now.unix();
            // An asked-for measurement is better, but this one is newer, and the way is short.
            status.skew = skew.or(status.skew);
        });
        let current = self.publisher.trusted();
        match bundle_set::accept(message, &current) {
            Ok(taken) => {
                for complaint in &taken.complaints {
                    self.refused(complaint);
                }
                if taken.complaints.is_empty() {
                    self.publisher.status(|status| status.bundles.last_error = None);
                }
                self.publish(taken.trust, now);
            }
            Err(refusal) => self.refused(&refusal.to_string()),
        }
    }

    fn publish(&self, trust: BundleSet, now: ClockReading) {
        let (domains, roots) = (trust.federated.len() + 1, trust.own.roots.roots().len());
        let (crls, sequence) = (trust.crls().count(), trust.own.sequence);
        if !self.publisher.trust(trust) {
            return;
        }
        self.publisher.status(|status| status.bundles.updates += 1);
        tracing::info!(domains, roots, crls, sequence, "new trust bundles");
        let Some(held) = self.publisher.held() else { return };
        if let Some(reason) = no_longer_fits(&held, &self.publisher.trusted(), now) {
            tracing::warn!(%reason, "the certificate held is not good any more: renewing at once");
            let (done, _nobody_waits) = oneshot::channel();
            // Full: a renewal is about to happen anyway.
            let _ = self.renew.try_send(done);
        }
    }

    /// The alarm: what is held stays.
    fn refused(&self, reason: &str) {
        let again =
            self.publisher.status_of(|status| status.bundles.last_error.as_deref() == Some(reason));
        if !again {
            tracing::error!(reason, "the authority's bundles were refused; what is held stays");
        }
        self.publisher.status(|status| {
            status.bundles.refused += 1;
            status.bundles.last_error = Some(reason.to_owned());
        });
    }

    fn ended(&self, ended: &StreamEnd, wait: Duration) {
        let reason = ended.to_string();
        tracing::debug!(reason, ?wait, "no stream of bundles; what is held stays");
        self.publisher.status(|status| {
            status.bundles.live = false;
            status.bundles.failures += 1;
            status.bundles.last_error = Some(reason);
        });
    }
}

/// Why our certificate would be refused by whoever holds the same bundle; nothing when it would
/// not. Its age is the rotation's question.
fn no_longer_fits(
    held: &CurrentIdentity,
    trust: &BundleSet,
    now: ClockReading,
) -> Option<VerifyError> {
    let (leaf, intermediates) = held.svid.chain().split_first()?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(now.unix()));
    match verify_peer(&trust.own_bundles(), leaf, intermediates, at, HandshakeSide::Client) {
        Ok(_) | Err(VerifyError::Time { .. }) => None,
        Err(error) => Some(error),
    }
}

/// The waits between tries: twice as long each time, give or take a quarter, so that a fleet does
/// not come back in one moment.
#[derive(Debug)]
struct ReconnectDelay(BackOff);

impl ReconnectDelay {
    const fn new() -> Self {
        Self(BackOff::new(FIRST_RETRY, MAX_RETRY))
    }

    /// The wait after a stream that stood so long; `chance` from 0 to 1.
    fn next(&mut self, stood: Duration, chance: f64) -> Duration {
        if stood >= STOOD {
            self.0.reset();
        }
        spread(self.0.next_wait(), 0.75..=1.25, chance)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn f30_herd_waits_grow_to_30_s_with_jitter_and_begin_anew_after_a_good_stream() {
        let mut waits = ReconnectDelay::new();
        let mut next =
            |stood: u64, chance: f64| waits.next(Duration::from_secs(stood), chance).as_secs_f64();
        let seen: Vec<f64> = (0..8).map(|_| next(0, 0.5)).collect();
        assert_eq!(seen, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
        assert!((next(0, 1.0) - 37.5).abs() < 1e-9);
        assert!((next(0, 0.0) - 22.5).abs() < 1e-9);
        assert!((next(31, 0.5) - 0.5).abs() < 1e-9);
        assert!((next(0, 0.5) - 1.0).abs() < 1e-9);
    }
}
