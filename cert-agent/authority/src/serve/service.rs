//! The gRPC face of [`Authority::issue`]: deadlines, one answer per kind of refusal, one log line
//! per refusal.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Request, Response, Status};

use issuance_messages::signing_server::Signing;
use issuance_messages::{
    ExchangeTokenRequest, ExchangeTokenResponse, IssueJwtRequest, IssueJwtResponse, IssueRequest,
    IssueResponse, WatchBundlesRequest,
};

use crate::attest::Caller;
use crate::attest::join_token_store::RedeemError;
use crate::attest::oidc::OidcError;
use crate::attest::refusal::Refusal;
use crate::attest::registry::NoMatch;
use crate::attest::renewal_store::CredentialError;
use crate::attest::service_account::TokenError;
use crate::attest::x509::CertificateError;
use crate::ca::holder::HolderError;
use crate::ca::jwt_svid::JwtRefusal;
use crate::ca::leaf::SignError;
use crate::ca::rate::RateLimited;
use crate::clock::{RequestTime, wall_clock};
use crate::publish::bundles::BundleStream;
use crate::serve::exchange;
use crate::serve::issue::Authority;

/// Requests worked on at a time; each is a signature and a few small files. Above it: Unavailable.
const MAX_AT_ONCE: usize = 256;
/// A request is a CSR and a token.
pub const MAX_REQUEST: usize = 64 * 1024;

/// The service.
#[derive(Debug, Clone)]
pub struct SigningService {
    authority: Arc<Authority>,
    at_once: Arc<Semaphore>,
}

impl SigningService {
    /// Serves this authority.
    #[must_use]
    pub fn new(authority: Arc<Authority>) -> Self {
        Self { authority, at_once: Arc::new(Semaphore::new(MAX_AT_ONCE)) }
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.at_once)
            .try_acquire_owned()
            .map_err(|_| Status::unavailable("the authority is busy; ask again later"))
    }
}

#[tonic::async_trait]
impl Signing for SigningService {
    async fn issue(
        &self,
        request: Request<IssueRequest>,
    ) -> Result<Response<IssueResponse>, Status> {
        let caller = request
            .extensions()
            .get::<Caller>()
            .cloned()
            .ok_or_else(|| Status::internal("the transport did not say who called"))?;
        let permit = self.permit()?;
        let authority = Arc::clone(&self.authority);
        let request = request.into_inner();
        // A task of its own: what a caller who hangs up began is ended, and keeps its place until then.
        let work = tokio::spawn(async move {
            let _permit = permit;
            let now = RequestTime { wall: wall_clock(), monotonic: Instant::now() };
            let answer = authority.issue(&request, &caller, now).await;
            if let Err(refusal) = &answer {
                authority.metrics.refused(refusal);
                log_refusal(refusal, &request, &caller);
            }
            answer
        });
        match work.await {
            Ok(Ok(answer)) => Ok(Response::new(answer)),
            Ok(Err(refusal)) => Err(status(&refusal)),
            Err(_) => Err(Status::internal("the request failed; the authority's log says why")),
        }
    }

    async fn issue_jwt(
        &self,
        request: Request<IssueJwtRequest>,
    ) -> Result<Response<IssueJwtResponse>, Status> {
        let permit = self.permit()?;
        let authority = Arc::clone(&self.authority);
        // A chain is verified and two signatures are computed: not on the thread that accepts.
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let answer = authority.issue_jwt(request.get_ref());
            authority.metrics.jwt(answer.is_ok());
            answer
        });
        match work.await {
            Ok(Ok(answer)) => Ok(Response::new(answer)),
            Ok(Err(refusal)) => {
                tracing::warn!(reason = %refusal, "refused a JWT-SVID");
                Err(jwt_status(&refusal))
            }
            Err(_) => Err(Status::internal("the request failed; the authority's log says why")),
        }
    }

    async fn exchange_token(
        &self,
        request: Request<ExchangeTokenRequest>,
    ) -> Result<Response<ExchangeTokenResponse>, Status> {
        let permit = self.permit()?;
        let authority = Arc::clone(&self.authority);
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            authority.exchange_token(request.get_ref())
        });
        match work.await {
            Ok(Ok(answer)) => Ok(Response::new(answer)),
            Ok(Err(refusal)) => Err(exchange::status(&refusal)),
            Err(_) => Err(Status::internal("the request failed; the authority's log says why")),
        }
    }

    type WatchBundlesStream = BundleStream;

    async fn watch_bundles(
        &self,
        _request: Request<WatchBundlesRequest>,
    ) -> Result<Response<Self::WatchBundlesStream>, Status> {
        self.authority.publisher.watch().map(Response::new)
    }
}

fn log_refusal(refusal: &Refusal, request: &IssueRequest, caller: &Caller) {
    let evidence = request.evidence.as_ref().map_or("none", |evidence| evidence.kind());
    tracing::warn!(attestor = evidence, %caller, reason = %refusal, "refused");
}

/// The code that `proto/authority.proto` promises for `IssueJwt`.
fn jwt_status(refusal: &JwtRefusal) -> Status {
    let message = refusal.to_string();
    match refusal {
        JwtRefusal::Audience(_) => Status::invalid_argument(message),
        JwtRefusal::Holder(HolderError::Identity(..)) => Status::permission_denied(message),
        JwtRefusal::Holder(_) => Status::unauthenticated(message),
        JwtRefusal::Limited(RateLimited::Instance(_)) => Status::resource_exhausted(message),
        JwtRefusal::Limited(RateLimited::Global(_)) => Status::unavailable(message),
        JwtRefusal::Signing(_) => {
            Status::unavailable("the authority cannot sign now; its log says why")
        }
    }
}

/// The code that `proto/authority.proto` promises. What a store says stays in our log.
fn status(refusal: &Refusal) -> Status {
    let message = refusal.to_string();
    match refusal {
        Refusal::NoEvidence
        | Refusal::Csr(_)
        | Refusal::UnixOverNetwork
        | Refusal::NoAttestor(_) => Status::invalid_argument(message),
        Refusal::Token(RedeemError::NotGood) | Refusal::Credential(CredentialError::NotGood) => {
            Status::unauthenticated(message)
        }
        Refusal::ServiceAccount(TokenError::NotGood(_) | TokenError::Pod(_))
        | Refusal::Oidc(OidcError::NotGood(_))
        | Refusal::Certificate(CertificateError::NotGood(_)) => Status::unauthenticated(message),
        Refusal::ServiceAccount(TokenError::Unavailable(_)) => Status::unavailable(
            "the authority cannot ask the Kubernetes API now; its log says why; ask again later",
        ),
        Refusal::Oidc(OidcError::Unavailable(_)) => Status::unavailable(
            "the authority does not have the issuer's keys now; its log says why; ask again later",
        ),
        Refusal::Failed => Status::internal(message),
        Refusal::Registry(NoMatch::None { .. } | NoMatch::Ambiguous { .. })
        | Refusal::Oidc(OidcError::Nobody | OidcError::Ambiguous)
        | Refusal::Certificate(CertificateError::Nobody | CertificateError::Ambiguous)
        | Refusal::Sign(SignError::Identity(..)) => Status::permission_denied(message),
        Refusal::Limited(RateLimited::Instance(_)) => Status::resource_exhausted(message),
        Refusal::Limited(RateLimited::Global(_)) | Refusal::Sign(SignError::NotReady(_)) => {
            Status::unavailable(message)
        }
        Refusal::Token(RedeemError::Store(_))
        | Refusal::Credential(CredentialError::Store(_))
        | Refusal::Store(_)
        | Refusal::Sign(SignError::Library(_)) => {
            Status::unavailable("the authority cannot store or sign now; its log says why")
        }
    }
}
