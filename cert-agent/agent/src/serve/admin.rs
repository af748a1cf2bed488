//! The admin service, on a socket of its own (`<socket>.admin`, mode 0600): the Workload API may
//! not be extended (Workload Endpoint §7), and forcing a renewal is for our own user and root
//! alone.

use tokio::sync::{mpsc, oneshot};
use tonic::{Request, Response, Status};

use crate::proto::own::admin_server::Admin;
use crate::proto::own::{BundleStream, HeldBundle, RenewRequest, StatusRequest, StatusResponse};
use crate::renewal::bundle_set::DomainBundle;
use crate::renewal::clock_skew::ClockSkew;
use crate::renewal::renewer::RenewalRequest;
use crate::renewal::rotation::ClockReading;
use crate::renewal::served_state::{BundleStatus, StateView};
use crate::serve::callers::AllowedCallers;

/// The service.
#[derive(Debug, Clone)]
pub struct AdminService {
    view: StateView,
    renew: mpsc::Sender<RenewalRequest>,
    callers: AllowedCallers,
}

impl AdminService {
    /// Answers about `view`, renews by `renew`; for our own user and root.
    #[must_use]
    pub fn new(view: StateView, renew: mpsc::Sender<RenewalRequest>) -> Self {
        Self { view, renew, callers: AllowedCallers::own_and_root() }
    }

    fn status_now(&self) -> StatusResponse {
        let now = ClockReading::now().unix();
        let holding = self.view.holding.borrow().clone();
        let held = holding.identity.as_ref();
        let status = self.view.status.borrow().clone();
        let ders = |certificates: &[rustls_pki_types::CertificateDer<'_>]| {
            certificates.iter().map(|certificate| certificate.to_vec()).collect::<Vec<_>>()
        };
        let state = self.view.freshness(now);
        StatusResponse {
            ready: state.is_ready(),
            state: state.name().to_owned(),
            clock_skew_millis: status.skew.map(ClockSkew::millis),
            bundles: holding.trust.domains().map(held_bundle).collect(),
            bundle_stream: Some(bundle_stream(status.bundles)),
            certificate_chain: held.map(|held| ders(held.svid.chain())).unwrap_or_default(),
            trust_bundle: ders(holding.trust.own.roots.roots()),
            next_attempt: i64::try_from(status.next_attempt).unwrap_or(i64::MAX),
            renewals: status.renewals,
            failures: status.failures,
            last_error: status.last_error.unwrap_or_default(),
        }
    }
}

fn held_bundle(domain: &DomainBundle) -> HeldBundle {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    HeldBundle {
        trust_domain: domain.trust_domain().to_string(),
        roots: domain.roots.roots().iter().map(|root| root.to_vec()).collect(),
        jwt_keys: count(domain.jwt.as_ref().map_or(0, |jwt| jwt.keys().len())),
        revocation_lists: count(domain.crls.len()),
        sequence: domain.sequence,
    }
}

fn bundle_stream(status: BundleStatus) -> BundleStream {
    BundleStream {
        live: status.live,
        heard_at: status.heard_at,
        updates: status.updates,
        refused: status.refused,
        failures: status.failures,
        last_error: status.last_error.unwrap_or_default(),
    }
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        self.callers.check(&request)?;
        Ok(Response::new(self.status_now()))
    }

    async fn renew(
        &self,
        request: Request<RenewRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        self.callers.check(&request)?;
        let (done, outcome) = oneshot::channel();
        self.renew
            .try_send(done)
            .map_err(|_| Status::resource_exhausted("several forced renewals wait already"))?;
        match outcome.await {
            Ok(Ok(())) => Ok(Response::new(self.status_now())),
            Ok(Err(reason)) => Err(Status::unavailable(reason)),
            Err(_) => Err(Status::unavailable("the agent is stopping")),
        }
    }
}
