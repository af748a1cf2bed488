//! Byte streams to a destination: CONNECT streams of the shared connection, or a connection of its
//! own to a server that is none of ours.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::dial::{Offer, Opened};
use super::{Destination, TRIES, WHO, ended};
use crate::error::RequestError;
use crate::forward::h2_client::H2Client;
use crate::forward::h2_connect::ConnectError;
use crate::link::Link;
use crate::net::BoxedIo;
use crate::tls::Alpn;
use crate::worker::Worker;

/// What a CONNECT stream of the mesh hop carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// Opaque bytes.
    Tcp,
    /// One HTTP/1.1 connection whose request switches protocols.
    Upgrade,
    /// The re-authentication of an older connection ([`crate::reauth`]).
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

impl Destination {
    /// A byte stream to the service. The caller's connection takes the link over, which ends it in
    /// time.
    ///
    /// # Errors
    /// [`RequestError`]; nothing has been sent then.
    pub async fn open_stream(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        kind: StreamKind,
    ) -> Result<(BoxedIo, Arc<Link>), RequestError> {
        for _ in 0..TRIES {
            let Some(client) = self.shared_for_streams(worker)? else { break };
            match self.connect_stream(worker, &client, kind).await {
                // Its end was announced since it was last used.
                Err(error) if error.is_unprocessed() && client.is_closed() => {}
                done => return done,
            }
        }
        let one = self.turn_to_open(worker).await;
        let client = match self.shared_for_streams(worker)? {
            Some(client) => client,
            None => {
                let opened = self.connect_for(worker, kind).await?;
                if opened.alpn != Alpn::Postern {
                    return Ok((opened.io, opened.link));
                }
                self.share(worker, opened).await?
            }
        };
        drop(one);
        self.connect_stream(worker, &client, kind).await
    }

    /// Connects for a stream of this kind. For opaque bytes a server that knows no `postern/1` may
    /// say so by an alert; it is remembered, and then nothing is offered (DESIGN §4, ALPN).
    async fn connect_for(&self, worker: &Worker, kind: StreamKind) -> Result<Opened, RequestError> {
        let offer = match kind {
            StreamKind::Upgrade => Offer::Upgrade,
            StreamKind::Tcp if self.offer_nothing.load(Relaxed) => Offer::Nothing,
            StreamKind::Tcp | StreamKind::Reauth => Offer::Opaque,
        };
        match self.connect(worker, offer).await {
            Err(RequestError::Handshake { source, .. })
                if offer == Offer::Opaque && source.is_no_application_protocol() =>
            {
                self.offer_nothing.store(true, Relaxed);
                self.connect(worker, Offer::Nothing).await
            }
            other => other,
        }
    }

    async fn connect_stream(
        &self,
        worker: &Worker,
        client: &H2Client,
        kind: StreamKind,
    ) -> Result<(BoxedIo, Arc<Link>), RequestError> {
        let link = client.link().ok_or_else(ended)?.clone();
        let authority = self.address.to_string();
        let limit = worker.state.config.limits.handshake_timeout;
        let opened = tokio::time::timeout(limit, client.connect(&authority, kind.as_str()));
        match opened.await.map_err(|_| RequestError::Timeout { who: WHO })? {
            Ok(tunnel) => Ok((Box::new(tunnel), link)),
            Err(ConnectError::Request(error)) => Err(error),
            Err(refusal) => Err(RequestError::Broken {
                who: WHO,
                cause: refusal.to_string(),
                unprocessed: false,
            }),
        }
    }

    /// A shared connection that takes CONNECT streams, if one is open.
    fn shared_for_streams(&self, worker: &Worker) -> Result<Option<H2Client>, RequestError> {
        let (mut connections, _) = self.current(worker)?;
        Ok(connections.least_used(H2Client::is_postern))
    }
}
