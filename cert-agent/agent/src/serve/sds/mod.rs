//! Envoy's Secret Discovery Service, v3, on the socket of the Workload API: Envoy, and whatever
//! else speaks it, takes its certificate from us as it would from a SPIRE agent.
//!
//! [`secrets`] turns what is held into resources by SPIRE's names, [`stream`] is the conversation,
//! [`state_of_the_world`] and [`delta`] are its two kinds. There is no security header here: Envoy sends none.
//! Who may ask is decided as for the Workload API, by the uid.

pub mod delta;
pub mod secrets;
pub mod state_of_the_world;
pub mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::proto::sds::secret_discovery_service_server::SecretDiscoveryService;
use crate::proto::sds::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use crate::renewal::rotation::ClockReading;
use crate::renewal::served_state::StateView;
use crate::serve::callers::AllowedCallers;
use crate::serve::updates::UpdateStream;

use delta::DeltaDiscovery;
use state_of_the_world::StateOfTheWorld;
use stream::DiscoveryConversation;

/// The service.
#[derive(Debug, Clone)]
pub struct SecretDiscovery {
    view: StateView,
    callers: AllowedCallers,
    counted: Arc<DiscoveryCounts>,
    stop: CancellationToken,
}

/// What was said and how it was taken, since the start.
#[derive(Debug, Default)]
pub struct DiscoveryCounts {
    /// Responses with resources.
    pub sent: AtomicU64,
    /// Responses that the client put to use.
    pub accepted: AtomicU64,
    /// Responses that the client could not use; its reason is in the log.
    pub rejected: AtomicU64,
}

impl DiscoveryCounts {
    /// One more.
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl SecretDiscovery {
    /// Serves what `view` holds to these callers; streams end at `stop`.
    #[must_use]
    pub fn new(
        view: StateView,
        callers: AllowedCallers,
        counted: Arc<DiscoveryCounts>,
        stop: CancellationToken,
    ) -> Self {
        Self { view, callers, counted, stop }
    }

    fn converse<C: DiscoveryConversation>(
        &self,
        conversation: C,
        requests: Streaming<C::Request>,
    ) -> Response<UpdateStream<C::Response>> {
        let holding = self.view.holding.clone();
        Response::new(stream::converse(conversation, requests, holding, self.stop.clone()))
    }
}

#[tonic::async_trait]
impl SecretDiscoveryService for SecretDiscovery {
    type StreamSecretsStream = UpdateStream<DiscoveryResponse>;
    type DeltaSecretsStream = UpdateStream<DeltaDiscoveryResponse>;

    async fn stream_secrets(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSecretsStream>, Status> {
        self.callers.check(&request)?;
        Ok(self.converse(StateOfTheWorld::new(Arc::clone(&self.counted)), request.into_inner()))
    }

    async fn delta_secrets(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaSecretsStream>, Status> {
        self.callers.check(&request)?;
        Ok(self.converse(DeltaDiscovery::new(Arc::clone(&self.counted)), request.into_inner()))
    }

    async fn fetch_secrets(
        &self,
        request: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        self.callers.check(&request)?;
        let mut whole = StateOfTheWorld::new(Arc::clone(&self.counted));
        whole.hear(request.into_inner())?;
        let holding = self.view.holding.borrow().clone();
        whole
            .say(&holding, ClockReading::now().unix())
            .map(Response::new)
            .ok_or_else(|| Status::unavailable("nothing of what is asked for is held now"))
    }
}
