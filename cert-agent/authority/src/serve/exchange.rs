//! One request for an internal JWT, from proof to token, whichever way it came.

use std::time::Instant;

use identity::SpiffeId;
use tonic::Status;
use zeroize::Zeroizing;

use issuance_messages::exchange_token_request::Subject;
use issuance_messages::{ExchangeTokenRequest, ExchangeTokenResponse};

use crate::ca::holder::{HolderError, HolderProof};
use crate::ca::token_exchange::refusal::ExchangeRefusal;
use crate::ca::token_exchange::{Exchange, InternalToken};
use crate::clock::{RequestTime, wall_clock};
use crate::serve::issue::Authority;

impl Authority {
    /// Answers one request at this moment; counted, and logged when it is refused. Blocking: a chain is verified.
    ///
    /// # Errors
    /// [`ExchangeRefusal`].
    pub fn exchange_token(
        &self,
        request: &ExchangeTokenRequest,
    ) -> Result<ExchangeTokenResponse, ExchangeRefusal> {
        let now = RequestTime { wall: wall_clock(), monotonic: Instant::now() };
        let answer = self.exchange_token_at(request, now);
        let kind = request.subject.as_ref().map_or("none", |subject| subject.kind());
        self.note_exchange(kind, answer.as_ref().err());
        let token = answer?;
        let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        Ok(ExchangeTokenResponse {
            token: token.token.to_string(),
            not_after: seconds(token.not_after),
            server_time: seconds(now.wall),
        })
    }

    /// The same at a moment that is handed in, neither counted nor logged.
    ///
    /// # Errors
    /// [`ExchangeRefusal`].
    pub fn exchange_token_at(
        &self,
        request: &ExchangeTokenRequest,
        now: RequestTime,
    ) -> Result<InternalToken, ExchangeRefusal> {
        let message = Zeroizing::new(request.signed_bytes());
        let proof = HolderProof {
            chain: &request.certificate_chain,
            signed_at: request.signed_at,
            message: &message,
            signature: &request.signature,
        };
        let holder = proof.holder(&self.publisher.now().own.x509, now.wall)?;
        let subject = request.subject.as_ref().ok_or(ExchangeRefusal::NoSubject)?;
        self.exchange_for(&holder, &request.audience, request.lifetime, subject, now)
    }

    /// For a holder who is proven already.
    ///
    /// # Errors
    /// [`ExchangeRefusal`].
    pub fn exchange_for(
        &self,
        holder: &SpiffeId,
        audience: &str,
        lifetime: u32,
        subject: &Subject,
        now: RequestTime,
    ) -> Result<InternalToken, ExchangeRefusal> {
        let may_vouch = self.records.registry.now().vouches(holder);
        let asked = Exchange { holder, may_vouch, audience, lifetime, subject };
        let published = self.publisher.now();
        self.exchange.exchange(&asked, &published.own.jwt, &self.publisher.jwt_keys, now)
    }

    /// Counts one request, and says why it was refused.
    pub fn note_exchange(&self, kind: &str, refusal: Option<&ExchangeRefusal>) {
        self.metrics.exchange(kind, refusal.is_none());
        if let Some(reason) = refusal {
            tracing::warn!(kind, %reason, "refused an internal token");
        }
    }
}

/// The code that `proto/authority.proto` promises for `ExchangeToken`.
pub(super) fn status(refusal: &ExchangeRefusal) -> Status {
    use ExchangeRefusal as Refusal;
    let message = refusal.to_string();
    match refusal {
        Refusal::Audience(..)
        | Refusal::Lifetime(_)
        | Refusal::NoSubject
        | Refusal::Assertion(_)
        | Refusal::OwnClaim(_)
        | Refusal::TooLarge => Status::invalid_argument(message),
        Refusal::Holder(HolderError::Identity(..))
        | Refusal::NoVoucher(_)
        | Refusal::NotForHolder(_)
        | Refusal::TooManyActors => Status::permission_denied(message),
        // The workload's own fault, its certificate or its clock: no other token of the user's would help.
        Refusal::Holder(_) => Status::failed_precondition(message),
        Refusal::Client(_) | Refusal::SubjectToken(_) | Refusal::Issuer => {
            Status::unauthenticated(message)
        }
        Refusal::IdentityRate => Status::resource_exhausted(message),
        Refusal::GlobalRate => Status::unavailable(message),
        Refusal::Signing(_) => {
            Status::unavailable("the authority cannot sign now; its log says why")
        }
    }
}
