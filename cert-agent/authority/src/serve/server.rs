//! The sockets: TLS on TCP, and a unix socket for local callers. Every connection has a permit,
//! every handshake a deadline, every request a size.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use issuance_messages::signing_server::SigningServer;

use super::publishing::keep_published;
use crate::attest::Caller;
use crate::attest::registry::UnixCaller;
use crate::serve::connection::{AcceptedConnection, ConnectionCounts, CountedRequests, Socket};
use crate::serve::issue::Authority;
use crate::serve::server_certificate;
use crate::serve::service::{MAX_REQUEST, SigningService};

/// A handshake that takes longer is over.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// A request that takes longer is over.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// A kept connection is ended in order after this time, and opened anew by the agent: it then sees the authority's
/// current certificate, and finds the replica that has room.
const MAX_CONNECTION_AGE: Duration = Duration::from_secs(12 * 3600);
/// For the streams of such a connection to end.
const MAX_CONNECTION_GRACE: Duration = Duration::from_secs(30);
/// After `stop`, for running requests to end.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// Requests at a time on one connection.
const MAX_STREAMS: u32 = 16;
/// After an accept that failed for want of descriptors: time for some to be returned.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The listening sockets.
#[derive(Debug)]
pub struct Listeners {
    /// TLS.
    pub tcp: TcpListener,
    /// Local callers.
    pub unix: Option<UnixSocket>,
}

/// How many connections, and for how long. Every one is finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// At a time on each socket, handshaking ones included; further ones wait in the kernel's queue. Each agent keeps
    /// one or two. Default 4096.
    pub connections: usize,
    /// Of those, from one address (one /64 of IPv6); further ones are closed at once. Default 1024: many agents share
    /// an address only behind a node or a gateway that rewrites it.
    pub per_address: usize,
    /// A connection without a request or a stream is closed after this time. Default 2 minutes.
    pub idle: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { connections: 4096, per_address: 1024, idle: Duration::from_secs(120) }
    }
}

/// A listening unix socket that removes its file when it ends.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl UnixSocket {
    /// Listens at `path`, in place of a socket that nobody serves any more. Anybody may connect:
    /// the kernel says who it is, and the registry says what that means.
    ///
    /// # Errors
    /// When something else is at `path`, when another process serves it, or the operating system's
    /// error.
    pub fn bind(path: &Path) -> anyhow::Result<Self> {
        use std::os::unix::fs::FileTypeExt;
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                bail!("{} exists and is no socket; choose another --unix path", path.display())
            }
            Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
                bail!("another process serves {}; stop it first", path.display())
            }
            Ok(_) => fs::remove_file(path).with_context(|| path.display().to_string())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
        let listener = UnixListener::bind(path)
            .with_context(|| format!("cannot listen at {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        Ok(Self { listener, path: path.to_owned() })
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Best effort: a socket left behind is replaced at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

/// Serves until `stop`; then lets running requests end, within their deadline.
///
/// # Errors
/// When the TLS configuration cannot be made (F-36), or the server fails.
pub async fn serve(
    authority: Arc<Authority>,
    listeners: Listeners,
    limits: ConnectionLimits,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let tls = server_certificate::server_config(Arc::clone(&authority))?;
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let (ready, connections) = mpsc::channel(64);
    tokio::spawn(keep_published(Arc::clone(&authority), stop.clone()));
    let tcp = accept_tcp(listeners.tcp, acceptor, limits, ready.clone());
    let unix = accept_unix(listeners.unix, limits, ready);
    let service =
        SigningServer::new(SigningService::new(authority)).max_decoding_message_size(MAX_REQUEST);
    let server = Server::builder()
        .timeout(REQUEST_DEADLINE)
        .max_concurrent_streams(MAX_STREAMS)
        .concurrency_limit_per_connection(MAX_STREAMS as usize)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .http2_max_header_list_size(16 * 1024)
        .max_connection_age(MAX_CONNECTION_AGE)
        .max_connection_age_grace(MAX_CONNECTION_GRACE)
        .add_service(CountedRequests(service))
        .serve_with_incoming_shutdown(
            ReceiverStream::new(connections).map(Ok::<_, io::Error>),
            stop.clone().cancelled_owned(),
        );
    let ended = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_DEADLINE).await;
    };
    tokio::select! {
        served = server => served.context("the server failed"),
        () = ended => Ok(()),
        () = tcp => Ok(()),
        () = unix => Ok(()),
    }
}

async fn accept_tcp(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    limits: ConnectionLimits,
    ready: mpsc::Sender<AcceptedConnection>,
) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let sources = ConnectionCounts::new(limits.per_address);
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let Some(place) = sources.take(address.ip()) else {
            tracing::debug!(%address, limit = limits.per_address, "too many connections from one address");
            continue;
        };
        let (acceptor, ready) = (acceptor.clone(), ready.clone());
        tokio::spawn(async move {
            match handshake(&acceptor, stream).await {
                Ok(stream) => {
                    let caller = Caller::Remote(address);
                    let socket = Socket::Tls(Box::new(stream));
                    let connection =
                        AcceptedConnection::new(socket, caller, limits.idle, permit, Some(place));
                    // Not received when we stop.
                    let _ = ready.send(connection).await;
                }
                Err(error) => tracing::debug!(%address, %error, "handshake failed"),
            }
        });
    }
}

async fn handshake(acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    stream.set_nodelay(true)?;
    tokio::time::timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no handshake within 10 s"))?
}

async fn accept_unix(
    socket: Option<UnixSocket>,
    limits: ConnectionLimits,
    ready: mpsc::Sender<AcceptedConnection>,
) {
    let Some(socket) = socket else { return std::future::pending().await };
    let permits = Arc::new(Semaphore::new(limits.connections));
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        let stream = match socket.listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        match unix_caller(&stream) {
            Ok(caller) => {
                let socket = Socket::Unix(stream);
                let caller = Caller::Unix(caller);
                let connection = AcceptedConnection::new(socket, caller, limits.idle, permit, None);
                let _ = ready.send(connection).await;
            }
            Err(error) => tracing::warn!(%error, "a local caller without credentials"),
        }
    }
}

/// What the kernel says of the peer at the moment it connected. A pid of 0 (another pid namespace)
/// has no path here.
fn unix_caller(stream: &UnixStream) -> io::Result<UnixCaller> {
    let credentials = stream.peer_cred()?;
    let path = credentials
        .pid()
        .filter(|pid| *pid > 0)
        .and_then(|pid| fs::read_link(format!("/proc/{pid}/exe")).ok());
    Ok(UnixCaller { uid: credentials.uid(), gid: credentials.gid(), path })
}

async fn pause_after(error: &io::Error) {
    tracing::warn!(%error, "cannot accept");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
