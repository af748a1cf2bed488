//! A whole connection to a service: its bytes, whatever they say.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::backend::{Backend, EndpointHints, labels};
use super::external;
use super::routed::Upstream;
use crate::connection::net::{AbortableStream, DialOptions, MeteredIo, StreamAborter};
use crate::connection::registry::{ConnectionPhase, RegisteredConnection};
use crate::http::error::{OtherEnd, RequestError};
use crate::labels::{CloseReason, Protocol};
use crate::traffic::egress::{ExternalService, StreamUse};
use crate::traffic::mesh::StreamKind;
use crate::traffic::opaque;
use crate::traffic::worker::Worker;

/// The destination of a connection that is not served as HTTP.
pub(crate) enum OpaqueTarget {
    /// A service of the mesh.
    Mesh(Arc<Backend>),
    /// Outside of the mesh, unchanged as the app dialled it; a resource or the default allows it.
    Outside(SocketAddr, Arc<str>),
    /// A service outside of the mesh, at its own endpoints.
    External(Arc<ExternalService>),
}

impl From<Upstream> for OpaqueTarget {
    fn from(upstream: Upstream) -> Self {
        match upstream {
            Upstream::Mesh(backend) => Self::Mesh(backend),
            Upstream::Outside(service) => Self::External(service),
        }
    }
}

impl OpaqueTarget {
    /// Connects to the target, and copies bytes both ways until both have ended.
    ///
    /// # Errors
    /// [`RequestError`], where it cannot be reached; `aborter` then still aborts.
    pub(crate) async fn carry(
        self,
        worker: &Arc<Worker>,
        connection: &RegisteredConnection,
        client: MeteredIo,
        aborter: &StreamAborter,
    ) -> Result<CloseReason, RequestError> {
        let state = &worker.state;
        let counted = labels(worker, Protocol::Tcp, &self.service(), self.principal());
        state.metrics.connections(&counted).inc();
        let begin = || {
            aborter.close_in_order();
            connection.enter_phase(ConnectionPhase::Busy, state.clock.coarse());
        };
        match self {
            Self::Mesh(backend) => {
                // Boxed, as what is only needed until the bytes flow.
                let hints = EndpointHints { at: Instant::now(), hash: None, except: None };
                let opening = backend.open_stream(worker, StreamKind::Tcp, hints);
                let (upstream, mesh_connection, _in_flight) = Box::pin(opening).await?;
                connection.set_mesh_connection(mesh_connection);
                begin();
                let aborters = std::slice::from_ref(aborter);
                Ok(opaque::copy_both_ways(client, upstream, connection, aborters).await)
            }
            Self::External(service) => {
                let dialer = external::dialer(worker);
                let opening = service.open_stream(&dialer, StreamUse::Opaque);
                let (upstream, upstream_aborter) = Box::pin(opening).await?;
                begin();
                let aborters = [aborter.clone(), upstream_aborter];
                Ok(opaque::copy_both_ways(client, upstream, connection, &aborters).await)
            }
            Self::Outside(address, _) => {
                let settings = &state.settings;
                let options = DialOptions::upstream(&settings.limits, &settings.interception);
                let upstream = options.for_traffic().connect(address).await.map_err(|source| {
                    RequestError::Connect { who: OtherEnd::Upstream, address, source }
                })?;
                let upstream = AbortableStream::new(upstream);
                begin();
                let aborters = [aborter.clone(), upstream.aborter()];
                Ok(opaque::copy_both_ways(client, upstream, connection, &aborters).await)
            }
        }
    }

    fn service(&self) -> Arc<str> {
        match self {
            Self::Mesh(backend) => backend.service.host.clone(),
            Self::Outside(_, host) => host.clone(),
            Self::External(service) => service.service.host.clone(),
        }
    }

    fn principal(&self) -> Option<&str> {
        match self {
            Self::Mesh(backend) => backend.principal(),
            Self::Outside(..) | Self::External(_) => None,
        }
    }
}
