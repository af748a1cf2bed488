//! To a service: the backend that a route draws, its endpoint, and the attempts to send a request there.
//!
//! What a sidecar does with the requests of its app and a gateway with those of its clients is the same from here on:
//! [`Forwarder::by_rule`] makes of a rule a [`RoutedRequest`], [`Forwarder::forward`] sends it.

mod attempts;
mod backend;
pub(crate) mod backend_cache;
mod connection;
mod external;
mod grpc_timeout;
mod mirrors;
pub(crate) mod name_cache;
mod outcome;
mod outside;
mod retry;
pub(crate) mod route_meters;
mod routed;
mod service_match;

use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderMap;
use http::{Request, Response};
use tokio::time::Instant;

use crate::connection::registry::Connection;
use crate::http::body::Body;
use crate::http::error::{OtherEnd, RequestError};
use crate::http::headers::AnswerOrigin;
use crate::labels::Protocol;
use crate::traffic::app::upgrade_over;
use crate::traffic::internal_token;
use crate::traffic::mesh::StreamKind;
use crate::traffic::record::RequestRecord;
use crate::traffic::worker::Worker;
#[cfg(test)]
pub(crate) use backend::has_identity;
pub(crate) use backend::labels;
pub(crate) use connection::OpaqueTarget;
pub(crate) use external::{begins_tls, resolve as resolve_external};
pub(crate) use routed::{CorsFields, RequestPlace, RoutedRequest, Upstream, choose, draw};
pub(crate) use service_match::{ServiceMatch, by_host, resolve_host};

/// Sends the requests of one client's connection to services.
pub(crate) struct Forwarder {
    pub(crate) worker: Arc<Worker>,
    pub(crate) connection: Arc<Connection>,
    /// What the client speaks.
    pub(crate) protocol: Protocol,
}

impl Forwarder {
    /// What the client gives the request, where it says so; a proxy may shorten it and never make it longer.
    pub(crate) fn clients_patience(&self, headers: &HeaderMap) -> Option<Duration> {
        match self.protocol {
            Protocol::Http2 => grpc_timeout::read(headers),
            _ => None,
        }
    }

    /// Sends a request, and waits for its answer as long as its rule, the client and the limits allow.
    ///
    /// # Errors
    /// [`RequestError`].
    pub(crate) async fn forward(
        &self,
        routed: &RoutedRequest,
        mut request: Box<Request<Body>>,
        record: &mut RequestRecord,
    ) -> Result<Response<Body>, RequestError> {
        routed.change_request(&mut request);
        self.keep_inside(&routed.upstream, &mut request);
        let limit = self.worker.state.settings.limits.response_timeout;
        let deadline = routed.within.map(|within| Instant::now() + within);
        let answered = self.send(routed, request, record);
        let mut response = routed.answered_within(limit, answered).await?;
        routed.change_response(&mut response);
        Ok(match deadline {
            Some(deadline) => response.map(|body| body.until(deadline)),
            None => response,
        })
    }

    /// Sends a request to switch protocols over a stream of its own, to the app's 101 and beyond.
    ///
    /// # Errors
    /// [`RequestError`].
    pub(crate) async fn forward_upgrade(
        &self,
        routed: &RoutedRequest,
        mut request: Box<Request<Body>>,
    ) -> Result<Response<Body>, RequestError> {
        routed.change_request(&mut request);
        self.keep_inside(&routed.upstream, &mut request);
        let _underway = routed.begin()?;
        let limit = self.worker.state.settings.limits.response_timeout;
        let mut response = routed.answered_within(limit, self.switch(routed, request)).await?;
        routed.change_response(&mut response);
        Ok(response)
    }

    /// A token of the mesh never leaves it, whoever sends it along.
    fn keep_inside(&self, upstream: &Upstream, request: &mut Request<Body>) {
        let own = &self.worker.state.settings.trust_domain;
        if upstream.leaves_the_mesh(own) {
            internal_token::remove(request.headers_mut(), own);
        }
    }

    /// Opens a stream to an endpoint, and asks over it to switch protocols.
    async fn switch(
        &self,
        routed: &RoutedRequest,
        request: Box<Request<Body>>,
    ) -> Result<Response<Body>, RequestError> {
        let backend = match &routed.upstream {
            Upstream::Mesh(backend) => backend,
            Upstream::Outside(service) => {
                return Box::pin(self.switch_outside(service, request)).await;
            }
        };
        let hints = routed.hints(std::time::Instant::now());
        let opened = backend.open_stream(&self.worker, StreamKind::Upgrade, hints);
        let (io, mesh_connection, _in_flight) = opened.await?;
        let speaker = if mesh_connection.binding.is_some() {
            AnswerOrigin::Postern
        } else {
            AnswerOrigin::Other
        };
        // The rest of the connection is this stream.
        self.connection.set_mesh_connection(mesh_connection);
        let limits = &self.worker.state.settings.limits;
        upgrade_over(io, request, limits, OtherEnd::Upstream, speaker).await
    }
}
