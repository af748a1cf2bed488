//! How a connection to a destination is made: the ALPN offer, the handshake, and the client that then drives it.

use std::sync::Arc;

use identity::tls::{ALPN_H2, ALPN_HTTP11, ALPN_POSTERN};
use identity::verify::HandshakeSide;
use rustls::ClientConfig;

use super::dialer::MeshDialer;
use super::{Destination, WHO, broken, ended, no_streams};
use crate::connection::credentials::Credentials;
use crate::connection::mesh_connection::{ConnectionEvidence, MeshConnection};
use crate::connection::net::{BoxedIo, DialOptions};
use crate::connection::tls::{
    self, Alpn, EstablishedConnection, HandshakeError, HandshakeEvidence,
};
use crate::http::error::RequestError;
use crate::http::h2_client::{H2Client, ReservedStream};
use crate::http::http1_client::Http1Client;
use crate::limits::ByteSize;
use crate::traffic::reauth;

/// The ALPN offer to a server, by what the bytes will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum AlpnOffer {
    Request,
    Upgrade,
    Opaque,
    Nothing,
}

impl AlpnOffer {
    fn alpn(self) -> &'static [&'static [u8]] {
        match self {
            Self::Request => &[ALPN_POSTERN, ALPN_H2, ALPN_HTTP11],
            Self::Upgrade => &[ALPN_POSTERN, ALPN_HTTP11],
            Self::Opaque => &[ALPN_POSTERN],
            Self::Nothing => &[],
        }
    }
}

/// A TLS connection to the service, and what bounds it. Only its own ALPN counts, whatever an earlier one to the same
/// address had: addresses are reused.
pub(super) struct OpenedConnection {
    pub(super) io: BoxedIo,
    pub(super) alpn: Alpn,
    pub(super) mesh_connection: Arc<MeshConnection>,
}

impl OpenedConnection {
    /// Whether it can be shared by requests.
    pub(super) fn is_http2(&self) -> bool {
        matches!(self.alpn, Alpn::Postern | Alpn::H2)
    }
}

impl Destination {
    /// Connects, and makes the handshake in which the server proves its identity.
    pub(super) async fn connect(
        &self,
        dialer: &MeshDialer,
        offer: AlpnOffer,
    ) -> Result<OpenedConnection, RequestError> {
        let (config, credentials) = self.client_config(dialer, offer)?;
        let limits = self.limits(dialer);
        let address = self.address;
        let tcp = DialOptions::upstream(self.limits(dialer), &dialer.state.settings.interception)
            .for_traffic()
            .connect(address)
            .await
            .map_err(|source| RequestError::Connect { who: WHO, address, source })?;
        let name = tls::server_name(&self.host, address.ip());
        let result = tls::connect(Box::new(tcp), config, name, limits.handshake_timeout).await;
        let label = result.as_ref().err().map_or("ok", HandshakeError::label);
        dialer.state.metrics.handshake("client", label);
        let established = result.map_err(|source| RequestError::Handshake { address, source })?;
        let EstablishedConnection {
            io,
            evidence: HandshakeEvidence { peer, chain, binding, alpn },
        } = established;
        let proven =
            ConnectionEvidence::of(HandshakeSide::Server, &peer, chain, binding, &credentials);
        let mesh_connection =
            dialer.state.open_mesh_connection(dialer.worker, proven, &credentials);
        match mesh_connection.closing() {
            Some(_) => Err(RequestError::NoCertificate),
            None => Ok(OpenedConnection { io, alpn, mesh_connection }),
        }
    }

    fn client_config(
        &self,
        dialer: &MeshDialer,
        offer: AlpnOffer,
    ) -> Result<(Arc<ClientConfig>, Arc<Credentials>), RequestError> {
        let (mut connections, credentials) = self.current(dialer)?;
        if let Some(config) = connections.configs.get(&offer) {
            return Ok((config.clone(), credentials));
        }
        let config = credentials
            .client_config(self.identities.clone(), offer.alpn())
            .map_err(|_| RequestError::NoCertificate)?;
        connections.configs.insert(offer, config.clone());
        Ok((config, credentials))
    }

    /// Makes a shared HTTP/2 connection of it, with this window for each stream, which outlives its certificates if the server is a proxy of ours.
    pub(super) async fn open_http2(
        self: &Arc<Self>,
        dialer: &Arc<MeshDialer>,
        opened: OpenedConnection,
        window: ByteSize,
    ) -> Result<H2Client, RequestError> {
        let OpenedConnection { io, mesh_connection, .. } = opened;
        let limits = self.limits(dialer);
        let (keeper, destination, kept) = (dialer.clone(), self.clone(), mesh_connection.clone());
        let keep = |streams| reauth::keep(keeper, destination, kept, streams);
        H2Client::open_mesh(io, limits, window, mesh_connection, keep).await.map_err(|e| broken(&e))
    }

    /// Makes an HTTP/1.1 connection of it, which ends with its mesh connection.
    pub(super) async fn open_http1(
        &self,
        dialer: &MeshDialer,
        opened: OpenedConnection,
    ) -> Result<(Http1Client, Arc<MeshConnection>), RequestError> {
        let OpenedConnection { io, mesh_connection, .. } = opened;
        let bound = mesh_connection.clone();
        let cut = async move {
            bound.until_cut().await;
        };
        let client = Http1Client::open(io, self.limits(dialer), WHO, cut).await?;
        Ok((client, mesh_connection))
    }

    /// A connection for one CONNECT stream, with the certificates that both sides hold now; it is not in any pool.
    ///
    /// # Errors
    /// [`RequestError`].
    pub(crate) async fn open_fresh(
        &self,
        dialer: &MeshDialer,
    ) -> Result<(ReservedStream, Arc<MeshConnection>), RequestError> {
        let opened = self.connect(dialer, AlpnOffer::Opaque).await?;
        let mesh_connection = opened.mesh_connection.clone();
        let limits = self.limits(dialer);
        let nothing = |_| std::future::pending();
        let window = limits.stream_buffer;
        let client =
            H2Client::open_mesh(opened.io, limits, window, opened.mesh_connection, nothing)
                .await
                .map_err(|e| broken(&e))?;
        if !client.takes_streams().await {
            return Err(no_streams());
        }
        Ok((client.reserve_stream().ok_or_else(ended)?, mesh_connection))
    }
}
