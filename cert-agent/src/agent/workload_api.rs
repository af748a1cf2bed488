//! The SPIFFE Workload API, X.509 profile. Every message is the full set; each renewal reaches
//! every stream as one message.
//!
//! What a caller hears when there is nothing to give (Workload Endpoint §6): while the agent does
//! not know yet, or has lost its certificate to an outage, Unavailable: keep what you have and ask
//! again. PermissionDenied only when the authority itself refused this workload, or the caller is
//! not on the list: standard clients drop a good certificate on it.

use std::collections::HashMap;
use std::pin::Pin;

use futures_util::stream;
use identity::{TrustBundle, TrustDomain};
use rustls_pki_types::CertificateDer;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::callers::{AllowedCallers, check_security_header};
use super::held::{Held, View};
use super::proto::workload::spiffe_workload_api_server::SpiffeWorkloadApi;
use super::proto::workload::{
    JwtBundlesRequest, JwtBundlesResponse, JwtsvidRequest, JwtsvidResponse, ValidateJwtsvidRequest,
    ValidateJwtsvidResponse, X509BundlesRequest, X509BundlesResponse, X509svid, X509svidRequest,
    X509svidResponse,
};
use super::rotation::Moment;

/// The service.
#[derive(Debug, Clone)]
pub struct WorkloadApi {
    view: View,
    callers: AllowedCallers,
    stop: CancellationToken,
}

type Updates<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl WorkloadApi {
    /// Serves what `view` holds to these callers; streams end at `stop`.
    #[must_use]
    pub fn new(view: View, callers: AllowedCallers, stop: CancellationToken) -> Self {
        Self { view, callers, stop }
    }

    /// What every request passes first.
    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        check_security_header(request)?;
        self.callers.check(request)
    }

    /// The first message at once, then one for each new identity.
    fn updates<T: Send + 'static>(
        &self,
        message: fn(&Held) -> T,
    ) -> Result<Response<Updates<T>>, Status> {
        let mut view = self.view.clone();
        // From here on a change counts as new, so that none is lost between this message and the
        // next.
        let first = view.held.borrow_and_update().clone();
        let first = first
            .filter(|held| held.is_current(Moment::now().unix()))
            .ok_or_else(|| self.nothing_to_give())?;
        let later = (view.held, self.stop.clone(), Some(first), true);
        let updates = stream::unfold(later, move |(mut held, stop, next, running)| async move {
            if let Some(next) = next {
                return Some((Ok(message(&next)), (held, stop, None, true)));
            }
            if !running {
                return None;
            }
            let changed = stop.run_until_cancelled(held.changed()).await;
            let new = held.borrow_and_update().clone();
            match (changed, new) {
                (Some(Ok(())), Some(new)) => Some((Ok(message(&new)), (held, stop, None, true))),
                _ => Some((
                    Err(Status::unavailable("the agent is stopping")),
                    (held, stop, None, false),
                )),
            }
        });
        Ok(Response::new(Box::pin(updates)))
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
    type FetchX509SVIDStream = Updates<X509svidResponse>;
    type FetchX509BundlesStream = Updates<X509BundlesResponse>;
    type FetchJWTBundlesStream = Updates<JwtBundlesResponse>;

    async fn fetch_x509svid(
        &self,
        request: Request<X509svidRequest>,
    ) -> Result<Response<Self::FetchX509SVIDStream>, Status> {
        self.admit(&request)?;
        self.updates(svid_message)
    }

    async fn fetch_x509_bundles(
        &self,
        request: Request<X509BundlesRequest>,
    ) -> Result<Response<Self::FetchX509BundlesStream>, Status> {
        self.admit(&request)?;
        self.updates(bundles_message)
    }

    async fn fetch_jwtsvid(
        &self,
        request: Request<JwtsvidRequest>,
    ) -> Result<Response<JwtsvidResponse>, Status> {
        self.admit(&request)?;
        Err(no_jwt())
    }

    async fn fetch_jwt_bundles(
        &self,
        request: Request<JwtBundlesRequest>,
    ) -> Result<Response<Self::FetchJWTBundlesStream>, Status> {
        self.admit(&request)?;
        Err(no_jwt())
    }

    async fn validate_jwtsvid(
        &self,
        request: Request<ValidateJwtsvidRequest>,
    ) -> Result<Response<ValidateJwtsvidResponse>, Status> {
        self.admit(&request)?;
        Err(no_jwt())
    }
}

/// §5.2.1: certificates concatenated, the key as unencrypted PKCS#8, our own domain's bundle always
/// with it.
fn svid_message(held: &Held) -> X509svidResponse {
    let svid = X509svid {
        spiffe_id: held.svid.id().to_string(),
        x509_svid: concatenated(held.svid.chain()),
        x509_svid_key: held.key.pkcs8_der().to_vec(),
        bundle: concatenated(held.bundle.roots()),
        hint: String::new(),
    };
    X509svidResponse { svids: vec![svid], crl: Vec::new(), federated_bundles: HashMap::new() }
}

/// §5.2.2: bundles by the SPIFFE id of their trust domain.
fn bundles_message(held: &Held) -> X509BundlesResponse {
    let bundles = HashMap::from([bundle_entry(&held.bundle)]);
    X509BundlesResponse { crl: Vec::new(), bundles }
}

fn bundle_entry(bundle: &TrustBundle) -> (String, Vec<u8>) {
    (trust_domain_id(bundle.trust_domain()), concatenated(bundle.roots()))
}

fn trust_domain_id(trust_domain: &TrustDomain) -> String {
    format!("spiffe://{trust_domain}")
}

fn concatenated(certificates: &[CertificateDer<'_>]) -> Vec<u8> {
    certificates.iter().flat_map(|certificate| certificate.iter().copied()).collect()
}

fn no_jwt() -> Status {
    Status::unimplemented("this version issues X.509-SVIDs only")
}
