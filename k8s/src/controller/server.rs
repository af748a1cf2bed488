//! The socket for proxies: mutual TLS, every connection with a permit, every handshake with a deadline.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use identity::{Leaf, SpiffeId};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use super::credentials::OwnCredentials;
use super::proto::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use super::service::Discovery;
use super::shared::Shared;

/// Connections at a time, handshaking ones included; a proxy has one.
const MAX_CONNECTIONS: usize = 8192;
/// Handshakes at a time: a cluster that comes back all at once waits its turn.
const MAX_HANDSHAKES: usize = 64;
/// A connection that is older takes no further stream, and is closed when it has none: a proxy opens its one stream at
/// once, which then goes on; a client that opens none does not keep its permit.
pub const MAX_AGE: Duration = Duration::from_secs(60);
/// A handshake that takes longer is over.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// After an accept that failed for want of descriptors: time for some to be returned.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The largest request: the names of some ten thousand destinations.
const MAX_REQUEST: usize = 4 << 20;
/// Streams at a time on one connection; a proxy has one.
const MAX_STREAMS: u32 = 4;

/// The proxy at the other end.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who it proved to be.
    pub id: SpiffeId,
    /// When its certificate ends, Unix seconds: what it proved holds no longer.
    pub not_after: u64,
    /// Our trust domain.
    pub trust_domain: identity::TrustDomain,
}

/// Serves proxies for ever; `max_age` is [`MAX_AGE`].
///
/// # Errors
/// The server fails.
pub async fn serve(
    listener: TcpListener,
    credentials: watch::Receiver<Option<Arc<OwnCredentials>>>,
    shared: Arc<Shared>,
    max_age: Duration,
) -> anyhow::Result<()> {
    let (ready, connections) = mpsc::channel(64);
    tokio::spawn(accept(listener, credentials, ready, max_age));
    let service = AggregatedDiscoveryServiceServer::new(Discovery::new(shared))
        .max_decoding_message_size(MAX_REQUEST);
    Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .max_connection_age(max_age)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .http2_max_header_list_size(16 * 1024)
        .add_service(service)
        .serve_with_incoming(ReceiverStream::new(connections).map(Ok::<_, io::Error>))
        .await
        .context("the server failed")
}

async fn accept(
    listener: TcpListener,
    credentials: watch::Receiver<Option<Arc<OwnCredentials>>>,
    ready: mpsc::Sender<ProxyConnection>,
    max_age: Duration,
) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(own) = credentials.borrow().clone() else {
            tracing::debug!(%address, "no certificate yet; connection closed");
            continue;
        };
        let (ready, handshakes) = (ready.clone(), handshakes.clone());
        tokio::spawn(async move {
            let shaken = async {
                let _turn = handshakes.acquire().await.map_err(io::Error::other)?;
                handshake(&own, stream).await
            };
            match shaken.await {
                Ok((stream, caller)) => {
                    let silence = Some(Box::pin(tokio::time::sleep(max_age)));
                    let _ = ready
                        .send(ProxyConnection { stream, caller, silence, _permit: permit })
                        .await;
                }
                Err(error) => tracing::debug!(%address, %error, "handshake failed"),
            }
        });
    }
}

async fn handshake(
    own: &OwnCredentials,
    stream: TcpStream,
) -> io::Result<(Box<TlsStream<TcpStream>>, Caller)> {
    stream.set_nodelay(true)?;
    let acceptor = TlsAcceptor::from(own.server.clone());
    let stream = tokio::time::timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no handshake within 10 s"))??;
    let chain = stream.get_ref().1.peer_certificates();
    let leaf = chain.and_then(|chain| chain.first());
    let leaf = leaf.ok_or_else(|| io::Error::other("no client certificate"))?;
    let leaf = Leaf::read(leaf).map_err(io::Error::other)?;
    let trust_domain = own.trust_domain.clone();
    Ok((Box::new(stream), Caller { id: leaf.id, not_after: leaf.not_after, trust_domain }))
}

/// An accepted connection, who is at the other end, and its place among [`MAX_CONNECTIONS`].
#[derive(Debug)]
struct ProxyConnection {
    stream: Box<TlsStream<TcpStream>>,
    caller: Caller,
    /// How long it may be before the first byte: until then it has no age for the server.
    silence: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl Connected for ProxyConnection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for ProxyConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(silence) = self.silence.as_mut()
            && silence.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(self.stream.as_mut()).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.silence = None;
        }
        read
    }
}

impl AsyncWrite for ProxyConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.stream.as_mut()).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.as_mut()).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.as_mut()).poll_shutdown(context)
    }
}
