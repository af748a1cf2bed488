//! The admin service, on a socket of its own (`<socket>.admin`, mode 0600): the Workload API may
//! not be extended (Workload Endpoint §7), and forcing a renewal is for our own user and root
//! alone.

use tokio::sync::{mpsc, oneshot};
use tonic::{Request, Response, Status};

use super::callers::AllowedCallers;
use super::held::View;
use super::proto::admin::admin_server::Admin;
use super::proto::admin::{RenewRequest, StatusRequest, StatusResponse};
use super::renewer::Forced;
use super::rotation::Moment;

/// The service.
#[derive(Debug, Clone)]
pub struct AdminService {
    view: View,
    renew: mpsc::Sender<Forced>,
    callers: AllowedCallers,
}

impl AdminService {
    /// Answers about `view`, renews by `renew`; for our own user and root.
    #[must_use]
    pub fn new(view: View, renew: mpsc::Sender<Forced>) -> Self {
        Self { view, renew, callers: AllowedCallers::own_and_root() }
    }

    fn status_now(&self) -> StatusResponse {
        let now = Moment::now().unix();
        let holding = self.view.holding.borrow().clone();
        let held = holding.identity.as_ref();
        let status = self.view.status.borrow().clone();
        let ders = |certificates: &[rustls_pki_types::CertificateDer<'_>]| {
            certificates.iter().map(|certificate| certificate.to_vec()).collect::<Vec<_>>()
        };
        StatusResponse {
            ready: held.is_some_and(|held| held.is_current(now)),
            certificate_chain: held.map(|held| ders(held.svid.chain())).unwrap_or_default(),
            trust_bundle: ders(holding.trust.own.roots.roots()),
            next_attempt: i64::try_from(status.next_attempt).unwrap_or(i64::MAX),
            renewals: status.renewals,
            failures: status.failures,
            last_error: status.last_error.unwrap_or_default(),
        }
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
