//! Requests to a destination, over a connection shared with others or one of their own.

use std::sync::Arc;

use futures_util::FutureExt as _;
use http::{Request, Response};

use super::dial::AlpnOffer;
use super::dialer::MeshDialer;
use super::{Destination, TRIES, WHO, ended};
use crate::connection::mesh_connection::MeshConnection;
use crate::http::body::Body;
use crate::http::error::RequestError;
use crate::http::h2_client::{ReadyStream, ReservedStream};
use crate::http::head;
use crate::http::headers::AnswerOrigin;
use crate::http::http1_client::{Http1Client, Http1SendError};
use crate::http::original_version;
use crate::traffic::app::is_reusable;

/// A connection for one request, open and verified.
pub enum RequestConnection {
    /// A stream of a connection shared with others.
    Shared(ReadyStream),
    /// A connection that no other request uses until the answer has been read.
    Exclusive(Http1Client, Arc<MeshConnection>),
}

/// A connection found or opened, whose stream has not begun.
enum AcquiredConnection {
    Shared(ReservedStream),
    Exclusive(Http1Client, Arc<MeshConnection>),
}

impl Destination {
    /// An open connection for one request, where there is one with room that takes it at once.
    pub fn take_request_connection(&self, dialer: &MeshDialer) -> Option<RequestConnection> {
        match self.find_open(dialer).ok()?? {
            AcquiredConnection::Exclusive(sender, mesh_connection) => {
                Some(RequestConnection::Exclusive(sender, mesh_connection))
            }
            AcquiredConnection::Shared(place) => {
                place.until_ready().now_or_never()?.ok().map(RequestConnection::Shared)
            }
        }
    }

    /// A connection for one request: shared where possible, opened where necessary. A shared one
    /// whose end was announced since it was last used is passed over.
    ///
    /// # Errors
    /// [`RequestError`]; nothing has been sent, so another destination may be tried.
    pub async fn open_request_connection(
        self: &Arc<Self>,
        dialer: &Arc<MeshDialer>,
    ) -> Result<RequestConnection, RequestError> {
        for _ in 0..TRIES {
            match self.find_or_open(dialer).await? {
                AcquiredConnection::Exclusive(sender, mesh_connection) => {
                    return Ok(RequestConnection::Exclusive(sender, mesh_connection));
                }
                AcquiredConnection::Shared(place) => {
                    if let Ok(slot) = place.until_ready().await {
                        return Ok(RequestConnection::Shared(slot));
                    }
                }
            }
        }
        Err(ended())
    }

    async fn find_or_open(
        self: &Arc<Self>,
        dialer: &Arc<MeshDialer>,
    ) -> Result<AcquiredConnection, RequestError> {
        if let Some(found) = self.find_open(dialer)? {
            return Ok(found);
        }
        // One task opens the connection that all of them share; HTTP/1.1 is not shared.
        let alone = self.connections.lock().http1;
        let wait = self.limits(dialer).connect_timeout;
        let _turn = if alone { None } else { self.requests.opening_turn(wait).await };
        if let Some(found) = self.find_open(dialer)? {
            return Ok(found);
        }
        self.may_open(dialer, &self.requests)?;
        let opened = self.connect(dialer, AlpnOffer::Request).await?;
        self.connections.lock().http1 = !opened.is_http2();
        if !opened.is_http2() {
            return self
                .open_http1(dialer, opened)
                .await
                .map(|(one, mesh_connection)| AcquiredConnection::Exclusive(one, mesh_connection));
        }
        let window = self.limits(dialer).stream_buffer;
        let client = self.open_http2(dialer, opened, window).await?;
        let place = client.reserve_stream().ok_or_else(ended)?;
        self.requests.add(client);
        Ok(AcquiredConnection::Shared(place))
    }

    fn find_open(&self, dialer: &MeshDialer) -> Result<Option<AcquiredConnection>, RequestError> {
        if let Some(place) = self.reserve_stream(dialer, &self.requests)? {
            return Ok(Some(AcquiredConnection::Shared(place)));
        }
        let idle = self.connections.lock().take_idle(dialer.state.clock.coarse());
        Ok(idle.map(|(sender, mesh_connection)| {
            AcquiredConnection::Exclusive(sender, mesh_connection)
        }))
    }

    /// Sends a request over an open connection of this destination. An `x-postern-reason` in the answer comes from a
    /// proxy of ours; it is removed from the answers of other servers.
    ///
    /// # Errors
    /// [`RequestError`]; the server has not answered then.
    pub async fn send(
        self: &Arc<Self>,
        dialer: &Arc<MeshDialer>,
        connection: RequestConnection,
        mut request: Box<Request<Body>>,
    ) -> Result<Response<Body>, RequestError> {
        match connection {
            RequestConnection::Shared(slot) => {
                if slot.is_postern() {
                    let version = request.version();
                    original_version::note(request.headers_mut(), version);
                }
                head::for_http2(&mut request);
                slot.send(request).await.map_err(|e| e.into_error(WHO))
            }
            RequestConnection::Exclusive(sender, mesh_connection) => {
                head::for_http1(&mut request);
                Box::pin(self.send_http1(dialer, (sender, mesh_connection), request)).await
            }
        }
    }

    async fn send_http1(
        self: &Arc<Self>,
        dialer: &Arc<MeshDialer>,
        (mut sender, mut mesh_connection): (Http1Client, Arc<MeshConnection>),
        mut request: Box<Request<Body>>,
    ) -> Result<Response<Body>, RequestError> {
        for _ in 0..TRIES {
            match sender.send(request, AnswerOrigin::Other).await {
                Ok(response) => {
                    if is_reusable(&response) {
                        self.keep_when_ready(dialer, sender, mesh_connection);
                    }
                    return Ok(response);
                }
                Err(Http1SendError::Unsent(unsent)) => request = unsent,
                Err(Http1SendError::Failed(error)) => return Err(error),
            }
            let opened = self.connect(dialer, AlpnOffer::Request).await?;
            if opened.is_http2() {
                // Another server than before.
                self.connections.lock().http1 = false;
                return Err(ended());
            }
            (sender, mesh_connection) = self.open_http1(dialer, opened).await?;
        }
        Err(ended())
    }

    /// An HTTP/1.1 connection is free again when its answer has been read.
    fn keep_when_ready(
        self: &Arc<Self>,
        dialer: &Arc<MeshDialer>,
        mut sender: Http1Client,
        mesh_connection: Arc<MeshConnection>,
    ) {
        let (destination, dialer) = (self.clone(), dialer.clone());
        tokio::spawn(async move {
            if sender.ready().await {
                let most = destination.limits(&dialer).pool_connections;
                let most = usize::try_from(most).unwrap_or(1);
                let now = dialer.state.clock.coarse();
                destination.connections.lock().keep_idle(sender, mesh_connection, now, most);
            }
        });
    }
}
