//! The loop that keeps the identity fresh: wait, make a key, ask, check, hold.

use std::sync::Arc;
use std::time::Duration;

use identity::{SpiffeId, TrustBundle};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use zeroize::Zeroizing;

use issuance_messages::{IssueRequest, IssueResponse};

use crate::renewal::answer::{self, AcceptedAnswer, ExpectedAnswer, WrongAnswer};
use crate::renewal::authority_client::{self, AuthorityAddress, CallError};
use crate::renewal::bundle_file::BundleFile;
use crate::renewal::clock_skew::ClockSkew;
use crate::renewal::evidence::{AttemptProof, EvidenceSource};
use crate::renewal::fresh_key::FreshKey;
use crate::renewal::rotation::{AttemptFailure, ClockReading, Rotation, Validity, unix};
use crate::renewal::served_state::{CurrentIdentity, StatePublisher};
use crate::renewal::state_directory::{RenewalCredential, StateDirectory};

/// A request to renew now; the sender is told the outcome.
pub type RenewalRequest = oneshot::Sender<Result<(), String>>;

/// Forced renewals that may wait; more are refused.
pub const MAX_FORCED: usize = 8;

/// Everything the loop needs.
#[derive(Debug)]
pub struct Renewer {
    /// Where to ask.
    pub address: AuthorityAddress,
    /// Whom to trust when what we hold leads nowhere.
    pub file: BundleFile,
    /// Who we are, when the command line says so; a renewal credential and what is held say so too.
    pub identity: Option<SpiffeId>,
    /// What we prove ourselves with, beside the credential.
    pub evidence: EvidenceSource,
    /// Proof for whoever joined with a token. In memory, so that a full disk costs nothing but the next
    /// restart.
    pub credential: Option<RenewalCredential>,
    /// Where the credential survives a restart; none for an agent with a lasting proof, which
    /// needs no credential.
    pub state: Option<StateDirectory>,
    /// Who watches.
    pub publisher: StatePublisher,
}

/// How long an agent that has just started waits for an authority that cannot be reached, or is not ready, before that
/// is an error: authorities may start with it, and a cluster's first one takes about half a minute.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a good attempt brings.
#[derive(Debug)]
struct FreshIdentity {
    held: CurrentIdentity,
    /// The roots of our own trust domain as the answer had them.
    bundle: TrustBundle,
}

/// Why an attempt brought nothing.
#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error("{0}")]
    Ours(String),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Answer(#[from] WrongAnswer),
}

impl Renewer {
    /// Runs until `stop`. Each message on `forced` renews at once.
    pub async fn keep_fresh(
        mut self,
        mut forced: mpsc::Receiver<RenewalRequest>,
        stop: CancellationToken,
    ) {
        let started = ClockReading::now();
        let mut rotation = Rotation::new(started);
        loop {
            let waiter = tokio::select! {
                () = stop.cancelled() => return,
                Some(waiter) = forced.recv() => Some(waiter),
                () = tokio::time::sleep(rotation.wait(ClockReading::now())) => None,
            };
            if waiter.is_none() && !rotation.is_due(ClockReading::now()) {
                continue;
            }
            let attempt = tokio::select! {
                () = stop.cancelled() => return,
                attempt = self.attempt() => attempt,
            };
            let outcome = self.settle(attempt, &mut rotation, started);
            if let Some(waiter) = waiter {
                // Whoever asked may be gone.
                let _ = waiter.send(outcome);
            }
        }
    }

    /// One attempt under the roots we hold; when they lead nowhere, under those that were put into
    /// the file since.
    async fn attempt(&mut self) -> Result<FreshIdentity, AttemptError> {
        let trusted = self.publisher.trusted();
        let error = match self.prove(&trusted.own.roots).await {
            Err(error) if error.leads_nowhere() => error,
            outcome => return outcome,
        };
        let Some(newer) = self.file.newer() else { return Err(error) };
        tracing::warn!(reason = %error, "trying with the roots of the trust bundle file");
        let fresh = self.prove(&newer).await?;
        self.file.take(newer);
        Ok(fresh)
    }

    /// One attempt with the best evidence; with the join token too, when the authority knows our
    /// credential no more.
    async fn prove(&mut self, trusted: &TrustBundle) -> Result<FreshIdentity, AttemptError> {
        let proof = self.evidence.best(self.credential.as_ref()).map_err(AttemptError::Ours)?;
        match self.ask(&proof, trusted).await {
            Err(AttemptError::Call(CallError::Refused {
                code: Code::Unauthenticated,
                message,
            })) if matches!(proof, AttemptProof::Credential(_)) => match self.evidence.join_token()
            {
                Some(token) => {
                    tracing::warn!(
                        reason = message,
                        "the renewal credential was refused; joining anew"
                    );
                    self.ask(&token, trusted).await
                }
                None => Err(CallError::Refused { code: Code::Unauthenticated, message }.into()),
            },
            outcome => outcome,
        }
    }

    async fn ask(
        &mut self,
        proof: &AttemptProof,
        trusted: &TrustBundle,
    ) -> Result<FreshIdentity, AttemptError> {
        // A join token may be for whomever the operator meant; every other proof is of who we are
        // already.
        let identity = match proof {
            AttemptProof::JoinToken(_) => self.identity.clone(),
            _ => self.known_identity(),
        };
        let fresh = FreshKey::make().map_err(AttemptError::Ours)?;
        let evidence = proof.evidence(&fresh.csr_der).map_err(AttemptError::Ours)?;
        let request = IssueRequest { evidence: Some(evidence), csr_der: fresh.csr_der.clone() };
        let asked = ClockReading::now();
        let answer = authority_client::issue(&self.address, trusted, request).await?;
        let now = ClockReading::now();
        let skew = ClockSkew::measured(asked, now, answer.server_time);
        self.compare_clocks(skew);
        let expected = ExpectedAnswer {
            trusted,
            identity: identity.as_ref(),
            spki_der: &fresh.spki_der,
            now: now.unix(),
            skew,
        };
        let checked = answer::check(&answer, &expected);
        if let Some(identity) = credential_is_ours(&checked, &answer) {
            self.keep_credential(identity, &answer);
        }
        let AcceptedAnswer { svid, bundle } = checked?;
        let held = CurrentIdentity { svid, key: fresh.key, received: now.unix() };
        Ok(FreshIdentity { held, bundle })
    }

    fn compare_clocks(&self, skew: Option<ClockSkew>) {
        if let Some(skew) = skew.filter(|skew| skew.matters()) {
            tracing::warn!(difference = %skew, "check this machine's clock");
        }
        self.publisher.status(|status| status.skew = skew.or(status.skew));
    }

    fn known_identity(&self) -> Option<SpiffeId> {
        let held = || self.publisher.held().map(|held| held.svid.id().clone());
        let stored = || self.credential.as_ref().map(|credential| credential.identity.clone());
        self.identity.clone().or_else(held).or_else(stored)
    }

    /// In memory first: a disk that refuses costs the next restart, not this renewal (F-22).
    fn keep_credential(&mut self, identity: SpiffeId, answer: &IssueResponse) {
        let Some(secret) = answer.renewal_credential.clone() else { return };
        let credential = RenewalCredential { identity, secret: Zeroizing::new(secret) };
        if let Some(state) = &self.state
            && let Err(error) = state.store(&credential)
        {
            tracing::error!(
                %error,
                "the renewal credential is kept in memory only: a restart needs a join token"
            );
        }
        self.credential = Some(credential);
    }

    fn settle(
        &self,
        attempt: Result<FreshIdentity, AttemptError>,
        rotation: &mut Rotation,
        started: ClockReading,
    ) -> Result<(), String> {
        let now = ClockReading::now();
        let jitter = rand::random_range(-1.0..=1.0);
        match attempt {
            Ok(FreshIdentity { held, bundle }) => {
                let svid = &held.svid;
                rotation.issued(
                    now,
                    Validity::from_unix(svid.not_before(), svid.not_after()),
                    jitter,
                );
                log_renewal(&held, rotation);
                self.publisher.status(|status| {
                    status.renewals += 1;
                    status.last_error = None;
                    status.denied = false;
                    status.next_attempt = unix(rotation.next_attempt());
                });
                self.publisher.hold(held, bundle);
                Ok(())
            }
            Err(error) => {
                rotation.failed(now, error.failure(), jitter);
                let reason = error.to_string();
                let held = self.publisher.held();
                let since = now.monotonic.saturating_duration_since(started.monotonic);
                let expected = held.is_none() && error.is_expected(since);
                log_failure(&reason, held, rotation, now, expected);
                self.publisher.status(|status| {
                    status.failures += 1;
                    status.last_error = Some(reason.clone());
                    status.denied = error.denied();
                    status.next_attempt = unix(rotation.next_attempt());
                });
                Err(reason)
            }
        }
    }
}

impl AttemptError {
    /// Other roots may help.
    fn leads_nowhere(&self) -> bool {
        matches!(
            self,
            Self::Call(CallError::Unreachable { .. }) | Self::Answer(WrongAnswer::Chain { .. })
        )
    }

    /// Of an agent that runs for so long and never held a certificate: there is no authority yet, or it cannot sign
    /// yet. No authority has refused us.
    fn is_expected(&self, since_start: Duration) -> bool {
        let nobody_answers = matches!(
            self,
            Self::Call(
                CallError::Unreachable { .. } | CallError::Refused { code: Code::Unavailable, .. }
            )
        );
        nobody_answers && since_start < PATIENCE
    }

    fn failure(&self) -> AttemptFailure {
        match self {
            Self::Call(CallError::Unreachable { .. }) => AttemptFailure::Unreachable,
            _ => AttemptFailure::Refused,
        }
    }

    fn denied(&self) -> bool {
        matches!(
            self,
            Self::Call(CallError::Refused {
                code: Code::Unauthenticated | Code::PermissionDenied,
                ..
            })
        )
    }
}

/// A new credential is kept when the answer is right, and also when nothing but the clock is wrong:
/// the join token is used up by then, and the credential is the only way back once the clock is
/// right. With any other fault it may be somebody else's, and the one we have stays good until it
/// is replaced by its use.
fn credential_is_ours(
    checked: &Result<AcceptedAnswer, WrongAnswer>,
    answer: &IssueResponse,
) -> Option<SpiffeId> {
    match checked {
        Ok(accepted) => Some(accepted.svid.id().clone()),
        Err(WrongAnswer::Time { .. }) => answer::named_in(answer),
        Err(_) => None,
    }
}

fn log_renewal(held: &CurrentIdentity, rotation: &Rotation) {
    tracing::info!(
        identity = %held.svid.id(),
        serial = held.svid.serial_hex(),
        not_after = held.svid.not_after(),
        next_renewal = unix(rotation.next_attempt()),
        "renewed"
    );
}

/// The alarm: error level once nothing good is held, warning level before. Who has just started and never held anything
/// waits as `expected`.
fn log_failure(
    reason: &str,
    held: Option<Arc<CurrentIdentity>>,
    rotation: &Rotation,
    now: ClockReading,
    expected: bool,
) {
    let retry = unix(rotation.next_attempt());
    match held.filter(|held| held.is_current(now.unix())) {
        None if expected => {
            tracing::info!(reason, retry, "waiting for the authority; no certificate is held yet")
        }
        Some(held) => tracing::warn!(
            reason,
            retry,
            held_until = held.svid.not_after(),
            "renewal failed; what is held stays in use"
        ),
        None => tracing::error!(reason, retry, "renewal failed; no certificate is held"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_expected_for_a_minute_and_a_refusal_never() {
        let check = |row: &str, error: CallError, seconds: u64, expect: bool| {
            let expected = AttemptError::Call(error).is_expected(Duration::from_secs(seconds));
            assert_eq!(expected, expect, "{row}");
        };
        let nobody = || CallError::Unreachable { address: "a:1".into(), reason: "refused".into() };
        let refused = |code| CallError::Refused { code, message: "no".into() };
        check("nobody there", nobody(), 0, true);
        check("nobody there yet", nobody(), 59, true);
        check("nobody there for long", nobody(), 60, false);
        check("not ready", refused(Code::Unavailable), 10, true);
        check("not ready for long", refused(Code::Unavailable), 60, false);
        check("not known", refused(Code::PermissionDenied), 0, false);
        check("not proved", refused(Code::Unauthenticated), 0, false);
        check("broken", refused(Code::Internal), 0, false);
    }
}
