//! Byte streams to a destination: CONNECT streams of the shared connection, or a connection of its own to a server that
//! is not a proxy of ours.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::dial::{AlpnOffer, OpenedConnection};
use super::dialer::MeshDialer;
use super::{Destination, TRIES, WHO, ended, no_streams};
use crate::connection::mesh_connection::MeshConnection;
use crate::connection::net::BoxedIo;
use crate::connection::tls::Alpn;
use crate::http::error::RequestError;
use crate::http::h2_client::ReservedStream;
use crate::http::h2_connect::ConnectError;

/// What a CONNECT stream of the mesh hop carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// Opaque bytes.
    Tcp,
    /// One HTTP/1.1 connection whose request switches protocols.
    Upgrade,
    /// The re-authentication of an older connection ([`crate::connection::reauth`]).
    Reauth,
}

impl StreamKind {
    /// The `:protocol` of the CONNECT request.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Upgrade => "upgrade",
            Self::Reauth => "reauth",
        }
    }

    /// The kind that a `:protocol` names.
    #[must_use]
    pub fn of(protocol: &str) -> Option<Self> {
        [Self::Tcp, Self::Upgrade, Self::Reauth].into_iter().find(|kind| kind.as_str() == protocol)
    }
}

/// The transport of a byte stream.
enum StreamTransport {
    /// As a CONNECT stream of a connection shared with others.
    Shared(ReservedStream),
    /// Over a connection of its own.
    Exclusive(BoxedIo, Arc<MeshConnection>),
}

impl Destination {
    /// A byte stream to the service. The caller sets the mesh connection on its own connection, which then ends in
    /// time.
    ///
    /// # Errors
    /// [`RequestError`]; nothing has been sent then.
    pub async fn open_stream(
        self: &Arc<Self>,
        dialer: &Arc<MeshDialer>,
        kind: StreamKind,
    ) -> Result<(BoxedIo, Arc<MeshConnection>), RequestError> {
        for _ in 0..TRIES {
            let place = match self.reserve_stream(dialer, &self.streams)? {
                Some(place) => place,
                None => match self.open_for_streams(dialer, kind).await? {
                    StreamTransport::Shared(place) => place,
                    StreamTransport::Exclusive(io, mesh_connection) => {
                        return Ok((io, mesh_connection));
                    }
                },
            };
            match self.connect_stream(dialer, place, kind).await {
                // Its end was announced since it was last used.
                Err(error) if error.is_unprocessed() => {}
                done => return done,
            }
        }
        Err(ended())
    }

    /// A stream of a connection that is opened for it, unless the task before in turn has opened one. A server that is
    /// not a proxy of ours shares nothing.
    async fn open_for_streams(
        self: &Arc<Self>,
        dialer: &Arc<MeshDialer>,
        kind: StreamKind,
    ) -> Result<StreamTransport, RequestError> {
        let wait = self.limits(dialer).connect_timeout;
        let alone = self.connections.lock().foreign;
        let _turn = if alone { None } else { self.streams.opening_turn(wait).await };
        if let Some(place) = self.reserve_stream(dialer, &self.streams)? {
            return Ok(StreamTransport::Shared(place));
        }
        self.may_open(dialer, &self.streams)?;
        let opened = self.connect_for(dialer, kind).await?;
        self.connections.lock().foreign = opened.alpn != Alpn::Postern;
        if opened.alpn != Alpn::Postern {
            return Ok(StreamTransport::Exclusive(opened.io, opened.mesh_connection));
        }
        let window = self.limits(dialer).opaque_buffer;
        let client = self.open_http2(dialer, opened, window).await?;
        if !client.takes_streams().await {
            return Err(no_streams());
        }
        let place = client.reserve_stream().ok_or_else(ended)?;
        self.streams.add(client);
        Ok(StreamTransport::Shared(place))
    }

    /// Connects for a stream of this kind. For opaque bytes a server that does not know `postern/1` may answer with an
    /// alert; that is remembered, and the next connection offers no ALPN.
    async fn connect_for(
        &self,
        dialer: &MeshDialer,
        kind: StreamKind,
    ) -> Result<OpenedConnection, RequestError> {
        let offer = match kind {
            StreamKind::Upgrade => AlpnOffer::Upgrade,
            StreamKind::Tcp if self.offer_nothing.load(Relaxed) => AlpnOffer::Nothing,
            StreamKind::Tcp | StreamKind::Reauth => AlpnOffer::Opaque,
        };
        match self.connect(dialer, offer).await {
            Err(RequestError::Handshake { source, .. })
                if offer == AlpnOffer::Opaque && source.is_no_application_protocol() =>
            {
                self.offer_nothing.store(true, Relaxed);
                self.connect(dialer, AlpnOffer::Nothing).await
            }
            other => other,
        }
    }

    async fn connect_stream(
        &self,
        dialer: &MeshDialer,
        place: ReservedStream,
        kind: StreamKind,
    ) -> Result<(BoxedIo, Arc<MeshConnection>), RequestError> {
        let mesh_connection = place.mesh_connection().ok_or_else(ended)?.clone();
        let authority = self.address.to_string();
        let limit = self.limits(dialer).handshake_timeout;
        let opened = tokio::time::timeout(limit, place.connect(&authority, kind.as_str()));
        match opened.await.map_err(|_| RequestError::Timeout { who: WHO })? {
            Ok(tunnel) => Ok((Box::new(tunnel), mesh_connection)),
            Err(ConnectError::Request(error)) => Err(error),
            Err(refusal) => Err(RequestError::Broken {
                who: WHO,
                cause: refusal.to_string(),
                unprocessed: false,
            }),
        }
    }
}
