//! The SPIFFE Workload API, X.509 and JWT profiles. Every message is the full set; each change
//! reaches every stream that it is about as one message.
//!
//! What a caller hears when there is nothing to give (Workload Endpoint §6): while the agent does
//! not know yet, or has lost its certificate to an outage, Unavailable: keep what you have and ask
//! again. PermissionDenied only when the authority itself refused this workload, or the caller is
//! not on the list: standard clients drop a good certificate on it.

use std::sync::Arc;

use identity::SpiffeId;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::proto::workload::spiffe_workload_api_server::SpiffeWorkloadApi;
use crate::proto::workload::{
    JwtBundlesRequest, JwtBundlesResponse, Jwtsvid, JwtsvidRequest, JwtsvidResponse,
    ValidateJwtsvidRequest, ValidateJwtsvidResponse, X509BundlesRequest, X509BundlesResponse,
    X509svidRequest, X509svidResponse,
};
use crate::renewal::jwt_source::{JwtSource, MAX_AUDIENCE, MAX_AUDIENCES};
use crate::renewal::rotation::ClockReading;
use crate::renewal::served_state::StateView;
use crate::serve::callers::{AllowedCallers, check_security_header};
use crate::serve::jwt_validation::validate;
use crate::serve::updates::{
    StreamTopic, UpdateStream, same_identity, same_jwt, same_x509, updates,
};
use crate::serve::workload_messages::{bundles_message, jwt_bundles_message, svid_message};

/// The service.
#[derive(Debug, Clone)]
pub struct WorkloadApi {
    view: StateView,
    jwt: Arc<JwtSource>,
    callers: AllowedCallers,
    stop: CancellationToken,
}

impl WorkloadApi {
    /// Serves what `view` holds and `jwt` gets to these callers; streams end at `stop`.
    #[must_use]
    pub fn new(
        view: StateView,
        jwt: JwtSource,
        callers: AllowedCallers,
        stop: CancellationToken,
    ) -> Self {
        Self { view, jwt: Arc::new(jwt), callers, stop }
    }

    /// What every request passes first.
    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        check_security_header(request)?;
        self.callers.check(request)
    }

    /// The first message at once, then one for each change of the topic.
    fn updates<T: Send + 'static>(
        &self,
        topic: StreamTopic<T>,
    ) -> Result<Response<UpdateStream<T>>, Status> {
        let mut holding = self.view.holding.clone();
        // From here on a change counts as new, so that none is lost between this message and the
        // next.
        let first = holding.borrow_and_update().clone();
        if first.current(ClockReading::now().unix()).is_none() {
            return Err(self.nothing_to_give());
        }
        Ok(Response::new(updates(first, holding, self.stop.clone(), topic)))
    }

    fn nothing_to_give(&self) -> Status {
        let status = self.view.status.borrow();
        let why = status.last_error.as_deref().unwrap_or("the first certificate is on its way");
        if status.denied {
            Status::permission_denied(format!("no identity issued: {why}"))
        } else {
            Status::unavailable(format!("no certificate is held: {why}"))
        }
    }
}

#[tonic::async_trait]
impl SpiffeWorkloadApi for WorkloadApi {
    type FetchX509SVIDStream = UpdateStream<X509svidResponse>;
    type FetchX509BundlesStream = UpdateStream<X509BundlesResponse>;
    type FetchJWTBundlesStream = UpdateStream<JwtBundlesResponse>;

    async fn fetch_x509svid(
        &self,
        request: Request<X509svidRequest>,
    ) -> Result<Response<Self::FetchX509SVIDStream>, Status> {
        self.admit(&request)?;
        self.updates(StreamTopic {
            message: svid_message,
            same: |one, other| same_identity(one, other) && same_x509(one, other),
        })
    }

    async fn fetch_x509_bundles(
        &self,
        request: Request<X509BundlesRequest>,
    ) -> Result<Response<Self::FetchX509BundlesStream>, Status> {
        self.admit(&request)?;
        self.updates(StreamTopic { message: bundles_message, same: same_x509 })
    }

    async fn fetch_jwtsvid(
        &self,
        request: Request<JwtsvidRequest>,
    ) -> Result<Response<JwtsvidResponse>, Status> {
        self.admit(&request)?;
        let request = request.into_inner();
        check_audience(&request.audience)?;
        let held =
            self.view.current(ClockReading::now().unix()).ok_or_else(|| self.nothing_to_give())?;
        check_wanted(&request.spiffe_id, held.svid.id())?;
        let svid = self.jwt.fetch(&held, &request.audience).await?;
        let spiffe_id = held.svid.id().to_string();
        let svid = Jwtsvid { spiffe_id, svid: svid.to_string(), hint: String::new() };
        Ok(Response::new(JwtsvidResponse { svids: vec![svid] }))
    }

    async fn fetch_jwt_bundles(
        &self,
        request: Request<JwtBundlesRequest>,
    ) -> Result<Response<Self::FetchJWTBundlesStream>, Status> {
        self.admit(&request)?;
        self.updates(StreamTopic { message: jwt_bundles_message, same: same_jwt })
    }

    async fn validate_jwtsvid(
        &self,
        request: Request<ValidateJwtsvidRequest>,
    ) -> Result<Response<ValidateJwtsvidResponse>, Status> {
        self.admit(&request)?;
        let ValidateJwtsvidRequest { audience, svid } = request.into_inner();
        if audience.is_empty() || svid.is_empty() {
            return Err(Status::invalid_argument("name the audience, and give the JWT-SVID"));
        }
        let trust = Arc::clone(&self.view.holding.borrow().trust);
        let skew = self.view.status.borrow().skew;
        validate(&svid, &audience, &trust, ClockReading::now(), skew).map(Response::new)
    }
}

/// §6.2.1: at least one audience; the authority's own bounds, said before it is asked.
fn check_audience(audience: &[String]) -> Result<(), Status> {
    let good = |audience: &String| (1..=MAX_AUDIENCE).contains(&audience.len());
    if (1..=MAX_AUDIENCES).contains(&audience.len()) && audience.iter().all(good) {
        return Ok(());
    }
    Err(Status::invalid_argument("name one to 16 audiences, each of 1 to 512 bytes"))
}

/// §6.2.1: only this identity, when one is named. We have one.
fn check_wanted(wanted: &str, ours: &SpiffeId) -> Result<(), Status> {
    if wanted.is_empty() || wanted == ours.as_str() {
        return Ok(());
    }
    match SpiffeId::parse(wanted) {
        Ok(_) => Err(Status::permission_denied(format!("this workload is {ours} alone"))),
        Err(error) => Err(Status::invalid_argument(format!("spiffe_id: {error}"))),
    }
}
